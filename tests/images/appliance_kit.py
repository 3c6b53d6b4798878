"""Images built from this checkout, and one virtual machine that goes from a flashed card to a clinic. Blocking."""

import contextlib
import functools
import hashlib
import http.client
import http.server
import json
import os
import secrets
import shutil
import string
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from edge.model import provisioning
from images import fat
from images.appliance import updates
from images.builder import base, bundle, tree
from images.builder.cli import CACHE
from images.builder.recipe import Board, recipe
from images.builder.tools import BuildFailed
from tests.kits import link
from tests.kits.cases import SAMPLES
from tests.kits.client import Client, dig, text
from tests.kits.clinic import ROOT, Clinic
from tests.kits.courier import carry
from tests.kits.fat import make_fat
from tests.kits.machine import BOOT_S, HUB_ADDRESS, ArmMachine, Machine, MachineError
from tests.kits.visit import DoctorVisit, NurseVisit

from .kit import tool

Change = tuple[str, str, str]
"""A file, a text in it, and what it becomes."""
ONE_LINE: Change = ("images/appliance/health.py", "LOOK_S = 3.0", "LOOK_S = 2.0")
BROKEN: Change = ("edge/node/__main__.py", '"""The node', 'raise SystemExit("broken on purpose")\n"""The node')
UNREADABLE: Change = ("edge/node/database.py", "b'db'", "b'another'")
UNPROVEN: Change = ("images/appliance/health.py", "    began_s = clock()", '    raise RuntimeError("on purpose")')
DELTA_MAX_BYTES = 32 * 1024
DISK_BYTES = 3 << 30
"""A card is larger than the image."""
PIN, CODE = "271828", "04711000"
ANSWER_S = 240.0
INSTALL_S = 900.0
"""Of the machine's own, as all waits for it."""
CONNECTION_S = 900.0
"""By the clock: a machine that gets hardly any time answers late, one that died closes the connection."""
LOOK_S = 3.0
"""Between two looks: each costs the emulated processor a handshake."""
GONE = (OSError, http.client.HTTPException, MachineError)
"""What is met in the middle of something when the plug is pulled."""
BUILD_S: dict[Board, float] = {"amd64": 1500.0, "rpi": 2.5 * 3600}
"""From packages: those of another processor set themselves up in an emulated one."""
MACHINES: dict[Board, type[Machine]] = {"amd64": Machine, "rpi": ArmMachine}


def why_not(board: Board = "amd64") -> str:
    """Why no image can be built on this machine; empty when one can."""
    if os.geteuid() != 0:
        return "an image is built as root"
    if not link.is_available():
        return "an image is built by a root who may mount"
    order = recipe(board, ci=True)
    wanted = base.requirements((ROOT / "requirements.lock").read_text(), order.without)
    if board == "rpi" and (reason := ArmMachine.why_not() or base.why_not(order)):
        return reason
    if (CACHE / f"base-{board}-{base.key_of(order, wanted)}.tar").exists():
        return ""
    try:
        for line in base.sources():
            _, uri, suite, *_ = line.split()
            with urllib.request.urlopen(f"{uri.rstrip('/')}/dists/{suite}/InRelease", timeout=30):  # noqa: S310
                pass
    except (OSError, BuildFailed) as error:
        return f"no Debian mirror gives packages for an image: {error}"
    return ""


class Workshop:
    """A maintainer's folder: keys, checkouts, builds, bundles."""

    def __init__(self, folder: Path, board: Board = "amd64") -> None:
        self.folder = folder
        self.board = board
        self.recipe = recipe(board, ci=True)
        self.keys = folder / "keys"
        self.took_s: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(1)
        assert self.make_keys(self.keys)

    def later(self, work: Callable[[], Path]) -> Future[Path]:
        """Begin it while a machine boots, which keeps one processor busy and not two."""
        return self._pool.submit(work)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def make_keys(self, folder: Path) -> bool:
        """Make a pair of a maintainer's keys."""
        return tool(self.folder, "keys", "--out", folder).code == 0

    def checkout(self, version: str, change: Change | None = None) -> Path:
        """A copy of what goes into an image, with a change."""
        source = self.folder / f"source-{version}"
        for name in (*tree.SOURCES, "requirements.lock"):
            place = source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / name, place)
        if change is not None:
            path, old, new = source / change[0], change[1], change[2]
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new, 1))
        return source

    def build(self, version: str, change: Change | None = None, out: str = "") -> Path:
        """Build a version; its folder."""
        began_s = time.monotonic()
        made = self.folder / (out or version)
        source = self.folder / f"source-{version}"
        if not source.exists():
            self.checkout(version, change)
        self._tool(
            *("build", "--board", self.board, "--ci", "--version", version, "--made-on", "2026-11-26"),
            *("--keys", str(self.keys), "--source", str(source), "--out", str(made)),
        )
        self.took_s[out or version] = time.monotonic() - began_s
        return made

    def stranger_to(self, build: Path) -> Path:
        """A build that differs from this one by a byte: what a node would run if somebody had written to its slot."""
        other = self.folder / f"{build.name}-other"
        other.mkdir()
        about = bundle.load(build)
        (other / about.boot.file).hardlink_to(build / about.boot.file)
        rootfs = other / about.rootfs.file
        subprocess.run(["cp", "--sparse=always", build / about.rootfs.file, rootfs], check=True)
        with rootfs.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 0xFF]))
        changed = msgspec.structs.replace(about, rootfs=bundle.part_of(rootfs))
        (other / bundle.BUILD_FILE).write_bytes(msgspec.json.encode(changed))
        return other

    def delta(self, old: Path, new: Path, keys: Path | None = None) -> Path:
        """The signed delta from one build to another."""
        out = self.folder / f"{old.name}-{new.name}{'' if keys is None else '-' + keys.name}.raucb"
        self._tool("bundle", str(new), "--base", str(old), "--keys", str(keys or self.keys), "--out", str(out))
        return out

    def full(self, build: Path) -> Path:
        """The signed full update."""
        out = self.folder / f"{build.name}.raucb"
        self._tool("bundle", str(build), "--keys", str(self.keys), "--out", str(out))
        return out

    def _tool(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "images", *arguments]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=BUILD_S[self.board])
        assert done.returncode == 0, done.stderr[-3000:]


def sums(build: Path) -> dict[str, str]:
    """SHA-256 of what goes into slots."""
    found = {}
    for name in ("rootfs.img", "boot.img"):
        with (build / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """A folder by HTTP on this machine's loopback; the port."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


class Took:
    """What a step took: by the clock, and of a processor, which says the same on a busy machine."""

    def __init__(self) -> None:
        self.clock_s = self.processor_s = 0.0

    def __str__(self) -> str:
        return f"{self.clock_s:.0f} s, {self.processor_s:.0f} s of a processor (emulated)"


class Appliance:
    """A hub here, and a node that was flashed for one of its sites, in a virtual machine."""

    def __init__(self, folder: Path, workshop: Workshop, build: Path) -> None:
        self.folder = folder
        self.workshop = workshop
        self.clinic = Clinic(folder / "clinic")
        self.clinic.folder.mkdir(parents=True)
        self.clinic.make_hub()
        disk = folder / "card.img"
        subprocess.run(["cp", "--sparse=always", build / "disk.img", disk], check=True)
        os.truncate(disk, DISK_BYTES)
        fat.put(disk, workshop.recipe.offset_bytes("UPK-ESP"), self._provisioning())
        self.machine = MACHINES[workshop.board](disk, folder / "machine")
        self.stick = folder / "stick.img"
        self.first_boot_said = ""
        self.badge = ""
        self.staff_id = ""
        self.visits: list[NurseVisit] = []
        """Whose token was answered: none of them may ever be missing."""
        self._brought: set[str] = set()
        about = bundle.load(build)
        self._install_bytes = 3 * (about.rootfs.size_bytes + about.boot.size_bytes)
        """What an install moves at most: both partitions are hashed, written into the other slot, and hashed there.
        What the machine still has in memory it does not read again."""

    def _provisioning(self) -> bytes:
        made = self.clinic.command(
            "hub",
            [
                *("site-token", *self.clinic.hub_store, "--code", "NMP01", "--name", "Namunapur"),
                *("--district", "Demo", "--demo"),
            ],
        )
        site = provisioning.Provisioning(
            1,
            f"http://{HUB_ADDRESS}:{self.clinic.hub_port()}",
            text(made, "token"),
            CODE,
            provisioning.Wifi("Namunapur", "golghar-42"),
        )
        return provisioning.encode(site)

    def close(self) -> None:
        self.machine.kill()
        self.clinic.close()

    # Boots.

    @contextlib.contextmanager
    def timed(self) -> Iterator[Took]:
        """What happens inside, measured; the machine runs before and after it."""
        took = Took()
        began_s, worked_s = time.monotonic(), self.machine.processor_s()
        yield took
        took.clock_s, took.processor_s = time.monotonic() - began_s, self.machine.processor_s() - worked_s

    def boot(self) -> None:
        """Switch on and wait for a system."""
        self.machine.start()
        self.machine.wait_shell()

    def first_day(self) -> None:
        """From the switch to the first visit's token."""
        self.machine.start()
        with self.timed() as took:
            self.machine.wait_shell()
            self.wait_pages()
        self.first_boot_said = str(took)
        self.set_up()
        self.visit(self.nurse())

    def boot_id(self) -> str:
        """Of the boot that runs."""
        return self.machine.sh("cat /proc/sys/kernel/random/boot_id", 30).strip()

    def wait_restart(self, old: str, timeout_s: float = BOOT_S) -> None:
        """Wait until another boot than ``old`` runs commands. Raises MachineError."""

        def is_another() -> bool:
            self.machine.wait_shell(60)
            return self.boot_id() != old

        self.machine.wait(is_another, "a restart", timeout_s)

    def restart(self) -> None:
        """What happens in the quiet hours, until the pages answer again."""
        boot = self.boot_id()
        self.machine.sh("systemctl start --no-block upkendra-restart.service")
        self.wait_restart(boot)
        self.wait_pages()

    def wait_pages(self) -> None:
        """Wait until the pages of clinic or set-up answer a tablet.

        The machine itself is asked first: a tablet's question costs its emulated processor a handshake.
        """
        listens = "timeout 40 sh -c \"until ss -Hltn 'sport = :443' | grep -q .; do sleep 1; done\""

        def are_served() -> bool:  # a machine that missed something starts again by itself
            self.machine.wait_shell(60)
            return self.machine.run(listens, 90)[0] == 0

        self.machine.wait(are_served, "somebody to listen", BOOT_S)
        pages = ("/api/status", "/api/setup")
        self.machine.wait(lambda: any(map(self._path_answers, pages)), "pages", ANSWER_S, LOOK_S)

    def _path_answers(self, path: str) -> bool:
        try:
            return self.client(timeout_s=120).raw("GET", path)[0] == 200
        except GONE:
            return False

    def client(self, timeout_s: float = CONNECTION_S) -> Client:
        """A tablet in the clinic's network."""
        return Client("http://upkendra.lan:443", timeout_s=timeout_s, connect=self.machine.connect)

    # The clinic.

    def set_up(self) -> None:
        """What a technician does at the tablet."""
        tablet = self.client()
        tablet.csrf = text(tablet.post("/api/setup/code", {"code": CODE}), "csrf")
        now = tablet.post("/api/setup/enrol")
        assert dig(now, "problem") is None, now
        recovery = text(tablet.get("/api/setup/recovery"), "recovery_code")
        tablet.post("/api/setup/recovery", {"last": recovery[-4:]})
        made = tablet.post("/api/setup/staff", {"name": "Sunita Demo", "name_hi": "", "role": "anm", "pin": PIN})
        self.badge, self.staff_id = text(made, "badge"), text(made, "staff", "staff_id")
        tablet.post("/api/setup/finish")
        self.machine.wait(lambda: self._path_answers("/api/status"), "the clinic after the set-up", ANSWER_S, LOOK_S)

    def nurse(self) -> Client:
        """A nurse who unlocked the node and logged in."""
        tablet = self.client()
        tablet.post("/api/unlock", {"badge": self.badge, "pin": PIN})
        tablet.csrf = text(tablet.post("/api/session", {"staff_id": self.staff_id, "pin": PIN}), "csrf")
        return tablet

    def visit(self, nurse: Client) -> NurseVisit:
        """A consultation up to its token, with a name that stands nowhere else: the image has names, for practice."""
        name = "Marker " + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
        visit = NurseVisit(msgspec.structs.replace(SAMPLES[len(self.visits) % len(SAMPLES)], name=name))
        visit.run(nurse)
        self.visits.append(visit)
        return visit

    def all_there(self, nurse: Client) -> bool:
        """Whether every visit that was answered is at the node, with its token."""
        return all(dig(visit.page(nurse), "visit", "token") for visit in self.visits)

    def wait_at_hub(self, visit: NurseVisit) -> None:
        """Wait until a doctor sees it."""
        doctor = self.clinic.hub_client()
        self.clinic.log_in_doctor(doctor)
        DoctorVisit(visit).wait_in_queue(doctor, CONNECTION_S)

    # Updates.

    def bring(self, update: Path, version: str) -> None:
        """Bring an update as people do, once: the hub fills a stick, the stick is put in, udev does the rest."""
        if version in self._brought:
            return
        self._brought.add(version)
        folder = self.folder / f"stick-{secrets.token_hex(4)}"
        folder.mkdir()
        named = ["--name", "system", "--version", version, "--target", self.workshop.board, "--file", str(update)]
        key = str(self.workshop.keys / "update.key")
        self.clinic.command("hub", ["release-update", *named, "--signing-key", key])
        written = carry("hub", self.clinic.hub_data, folder, "--update", str(update), timeout_s=120)
        assert (written.complete, written.count("updates")) == (True, 1), written.said
        self.plug(folder)

    def plug(self, folder: Path) -> None:
        """Put a FAT stick with a folder's content into the machine."""
        make_fat(self.stick, 64)
        subprocess.run(["mcopy", "-s", "-i", self.stick, *sorted(folder.iterdir()), "::/"], check=True)
        self.machine.plug(self.stick)

    def read_stick(self, name: str, place: Path) -> None:
        """Copy a file or a folder from the stick, once it is pulled."""
        subprocess.run(["mcopy", "-s", "-n", "-i", self.stick, f"::/{name}", place], check=True)

    def place(self, update: Path, version: str) -> None:
        """Put an update where the courier leaves it: what the installer and RAUC think of it is what counts."""
        stem = secrets.token_hex(12)
        folder = self.folder / f"update-{stem}"
        folder.mkdir()
        shutil.copyfile(update, folder / f"{stem}.bundle")
        note = updates.Note(updates.SYSTEM, version, self.workshop.board, 1, bundle.part_of(update).sha256)
        (folder / f"{stem}.note").write_bytes(msgspec.json.encode(note))
        there = "/var/lib/upkendra/updates"
        self._fetch(folder, "/run/update")
        self.machine.sh(
            f"chown upkendra:upkendra /run/update/*; mv /run/update/{stem}.bundle {there}/; "
            f"mv /run/update/{stem}.note {there}/{stem}.json; rm -r /run/update"
        )

    def _fetch(self, folder: Path, place: str) -> None:
        subprocess.run(["tar", "-C", folder, "-cf", folder.with_suffix(".tar"), "."], check=True)
        with served(folder.parent) as port:
            url = f"http://{HUB_ADDRESS}:{port}/{folder.name}.tar"
            self.machine.sh(f"rm -rf {place}; mkdir {place}; busybox wget -qO- {url} | tar -xC {place}", 600)

    def cut_install(self, share: float) -> str:
        """Pull the plug when ``share`` of an install is done, in the middle of what the nurse does then; where it was.

        The install is the next one that begins: this is called before the pages of a start are there, because an
        install that was cut begins anew with them. Every visit that was answered before is looked for, if there is
        time. Raises MachineError.
        """
        with ThreadPoolExecutor(1) as pool:
            cutter = pool.submit(self._pull_plug, share)
            while not cutter.done():
                with contextlib.suppress(*GONE):
                    self.wait_pages()
                    nurse = self.nurse()
                    assert self.all_there(nurse)
                    while not cutter.done():
                        self.visit(nurse)
                time.sleep(1.0)
            return cutter.result()

    def _pull_plug(self, share: float) -> str:
        machine = self.machine
        machine.wait(lambda: machine.run("[ -e /data/system/update.json ]")[0] == 0, "an install", INSTALL_S, 0.5)
        began_bytes, left_s = machine.moved_bytes(), machine.left(INSTALL_S)
        moved = looks = 0
        while moved < share * self._install_bytes and left_s() > 0:
            time.sleep(0.2)
            looks += 1
            moved = machine.moved_bytes() - began_bytes
            if looks % 25 == 0 and self.outcome().get("ended") == "installed":
                break
        machine.kill()
        return f"{moved >> 20} of {self._install_bytes >> 20} MiB"

    def outcome(self) -> dict[str, str]:
        """What the installer said last."""
        code, said = self.machine.run("cat /var/lib/upkendra/updates/outcome", 60)
        return msgspec.json.decode(said, type=dict[str, str]) if code == 0 else {}

    def wait_outcome(self, version: str, ended: str, timeout_s: float = INSTALL_S) -> dict[str, str]:
        """Wait for the end of an update. Raises MachineError."""
        self.machine.wait(
            lambda: (self.outcome().get("version"), self.outcome().get("ended")) == (version, ended),
            f"{version} {ended}",
            timeout_s,
            LOOK_S,
        )
        return self.outcome()

    def version(self) -> str:
        """Of the system that runs."""
        return text(json.loads(self.machine.sh("cat /usr/lib/upkendra/release.json")), "version")

    def slot(self) -> str:
        """The slot that runs."""
        return self.machine.sh(r"sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline").strip()

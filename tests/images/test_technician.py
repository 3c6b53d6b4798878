"""A technician's SSH: the key file, what a node makes of it, and a real sshd that is told by it."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.clock import Guess
from edge.node import technician as of_the_node
from edge.sync import seal
from images.appliance import permit, technician
from images.appliance.permit import Permit, PermitRefused
from images.builder import tree
from tests.kits import link
from tests.kits.clinic import ROOT

from .kit import tool

PRIVATE = bytes(range(32))
PUBLIC = seal.verifier_of(PRIVATE)
NODE, SITE = "0a1b2c3d4e5f6071", "NMP01"
DAY_MS = 86_400_000
MADE_MS = 1_795_780_800_000
"""27 November 2026."""
OVERLAY = ROOT / "images" / "overlay"
UNITS = OVERLAY / "usr" / "lib" / "systemd" / "system"
TAKE, SERVE = "upkendra-ssh@.service", "upkendra-sshd@.service"
HOME = "/opt/upkendra"
EXPOSURE_MAX = {TAKE: 2.0, SERVE: 3.1}
"""sshd becomes another user, which alone is much; what that user may do is the cage's."""
STARTED_S = 20.0


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A technician's own pair."""
    return made_key(tmp_path_factory.mktemp("key") / "id")


def made_key(path: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "ravi@laptop", "-f", path], check=True)
    return path


def of(key: Path) -> str:
    return permit.parse_key(key.with_name(f"{key.name}.pub").read_text())


def wanted(pair: Path, **change: object) -> Permit:
    about = {
        "format": 1,
        "permit_id": "00112233aabbccdd",
        "technician": "Ravi Kumar",
        "key": of(pair),
        "made_ms": MADE_MS,
        "until_ms": MADE_MS + 3 * DAY_MS,
        "hours": 4,
        "node": NODE,
    }
    return msgspec.convert({**about, **change}, Permit)


class Box(msgspec.Struct):
    """What an appliance has of it, in a folder."""

    places: technician.Places
    stick: Path

    def put(self, content: bytes) -> None:
        (self.stick / permit.WISH_FILE).write_bytes(content)

    def take(self, device: str = "sda1", at_ms: int = MADE_MS + 1000) -> Permit:
        return technician.take(self.stick, device, at_ms, self.places)

    def refused(self, device: str = "sda1", at_ms: int = MADE_MS + 1000) -> str:
        with pytest.raises(PermitRefused) as caught:
            self.take(device, at_ms)
        code = caught.value.refusal.code
        assert self.answer().startswith(f"{code}: "), "whoever has no other screen reads it on the stick"
        return code

    def answer(self) -> str:
        return (self.stick / technician.ANSWER_FILE).read_text()

    def insert(self, device: str, number: int) -> None:
        """The kernel's part of putting a stick in."""
        disk = self.places.blocks / device
        disk.mkdir(parents=True, exist_ok=True)
        (disk / "diskseq").write_text(f"{number}\n")

    def restart(self, boot: str) -> None:
        self.places.boot_id.write_text(f"{boot}\n")
        for path in self.places.run.iterdir():
            subprocess.run(["rm", "-r", path], check=True)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    data, system = tmp_path / "data", tmp_path / "system"
    places = technician.Places(
        data, system, tmp_path / "run", tmp_path / "update.pub", tmp_path / "block", tmp_path / "boot_id"
    )
    stick = tmp_path / "stick"
    for folder in (data, system, stick, data / technician.NOTES, places.run):
        folder.mkdir()
    places.trusted.write_text(f"{PUBLIC.hex()}\n")
    node = {"node_id": bytes.fromhex(NODE), "site": {"code": SITE, "name": "x"}, "psk": b"secret"}
    (data / technician.NODE_FILE).write_bytes(msgspec.json.encode(node))
    made = Box(places, stick)
    made.restart("first")
    made.insert("sda1", 7)
    return made


def clock(box: Box, offset_ms: int, seen_ms: int) -> None:
    kept = {"offset_ms": offset_ms, "seen_ms": seen_ms, "board": None}
    (box.places.data / technician.CLOCK_FILE).write_bytes(msgspec.json.encode(kept))


# The file.


@pytest.mark.parametrize(
    "change",
    [
        {"node": ""},
        {"site": SITE},
        {"node": "0A1B2C3D4E5F6071"},
        {"hours": 13},
        {"hours": 0},
        {"until_ms": MADE_MS + 15 * DAY_MS},
        {"until_ms": MADE_MS},
        {"technician": "Ravi\nKumar"},
        {"technician": ""},
        {"permit_id": "../../x"},
        {"key": 'command="x" ssh-ed25519 AAAA'},
    ],
)
def test_a_permit_names_one_place_one_key_few_days_and_hours(key: Path, change: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        wanted(key, **change)


def test_a_file_that_was_altered_or_signed_by_somebody_else_is_not_even_read(key: Path) -> None:
    content = permit.encode(wanted(key), PRIVATE)
    assert permit.open_signed(content, PUBLIC) == wanted(key)
    other = permit.encode(wanted(key), bytes(32))
    for wrong in (other, content.replace(NODE.encode(), b"1" * 16), content[:-1], content + b" ", b"", b"x\n{}"):
        with pytest.raises(PermitRefused) as caught:
            permit.open_signed(wrong, PUBLIC)
        assert caught.value.refusal.code == "ssh_unsigned"


@given(st.binary(max_size=400))
def test_any_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(PermitRefused):
        permit.open_signed(content, PUBLIC)


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAA x", "-----BEGIN OPENSSH"])
def test_what_is_no_public_key_of_the_one_kind_is_refused(text: str) -> None:
    with pytest.raises(PermitRefused):
        permit.parse_key(text)


@pytest.mark.parametrize(
    ("now_ms", "doubted_ms", "code"),
    [
        (MADE_MS + DAY_MS, 0, ""),
        (0, 0, ""),
        (MADE_MS + 4 * DAY_MS, 0, "ssh_over"),
        (MADE_MS + DAY_MS, MADE_MS + 2 * DAY_MS, ""),
        (MADE_MS + DAY_MS, MADE_MS + 9000 * DAY_MS, "ssh_clock"),
    ],
)
def test_the_end_is_judged_by_a_clock_that_may_be_wrong(key: Path, now_ms: int, doubted_ms: int, code: str) -> None:
    said = ""
    try:
        permit.judge(wanted(key), NODE, SITE, Guess(now_ms, doubted_ms))
    except PermitRefused as error:
        said = error.refusal.code
    assert said == code


def test_the_command_makes_a_file_that_a_node_takes(key: Path, box: Box, tmp_path: Path) -> None:
    (tmp_path / "update.key").write_bytes(PRIVATE)
    order: list[str | Path] = [
        "ssh-key",
        "--key",
        f"{key}.pub",
        "--technician",
        "रवि",
        "--signing-key",
        tmp_path / "update.key",
    ]
    ran = tool(tmp_path, *order, "--site", SITE, "--days", "2", "--hours", "1", "--out", box.stick)
    assert ran.code == 0, ran.said
    found = box.take(at_ms=time.time_ns() // 1_000_000)
    assert (found.technician, found.site, found.hours) == ("रवि", SITE, 1)
    assert tool(tmp_path, *order, "--site", SITE, "--out", box.stick).refusal == "io", "nothing is written over"
    for wrong in (["--node", NODE, "--site", SITE], [], ["--node", NODE, "--days", "15"], ["--node", "abc"]):
        assert tool(tmp_path, *order, *wrong, "--out", tmp_path).refusal == "bad_input"
    assert tool(tmp_path, *order[:2], key, *order[3:], "--node", NODE, "--out", tmp_path).refusal == "ssh_malformed"


# At the node.


def test_the_key_file_of_a_stick_lays_out_what_sshd_needs(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    folder = box.places.run / "sda1"
    assert (folder / "authorized_keys").read_text().startswith(f"restrict,pty {of(key)} ")
    assert (folder / "environment").read_text() == "UPKENDRA_SSH_S=14400\n"
    host = folder / technician.HOST_KEY
    assert host.stat().st_mode & 0o777 == 0o600
    line = host.with_name(f"{host.name}.pub").read_text().split()[1]
    assert f"10.42.0.1 ssh-ed25519 {line}" in box.answer()
    assert "open for 4 h" in box.answer()
    again = box.places.system / technician.HOST_KEY
    assert again.read_text() == host.read_text(), "the node has one key, made when it was needed"
    assert {path.name for path in box.places.system.iterdir()} == {technician.HOST_KEY, technician.STATE_FILE}


@pytest.mark.parametrize("change", [{"node": "f" * 16}, {"node": "", "site": "NMP02"}])
def test_a_key_file_for_another_node_opens_nothing(key: Path, box: Box, change: dict[str, object]) -> None:
    box.put(permit.encode(wanted(key, **change), PRIVATE))
    assert box.refused() == "ssh_other_node"
    assert list(box.places.run.iterdir()) == []
    assert not (box.places.system / technician.HOST_KEY).exists()


def test_a_node_that_is_not_set_up_has_nothing_to_open(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    (box.places.data / technician.NODE_FILE).unlink()
    assert box.refused() == "ssh_not_set_up"


def test_what_a_card_has_damaged_is_said_or_counts_as_none(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    (box.places.system / technician.STATE_FILE).write_bytes(b'{"boot":"\xff","disk":1,"is_open":true}')
    box.take()
    node = box.places.data / technician.NODE_FILE
    node.write_bytes(node.read_bytes().replace(SITE.encode(), b"\xff"))
    assert box.refused() == "ssh_not_set_up"


@pytest.mark.parametrize(
    ("unix_ms", "offset_ms", "seen_ms", "code"),
    [
        (1000, 0, MADE_MS + 10 * DAY_MS, "ssh_over"),
        (1000, MADE_MS, MADE_MS - DAY_MS, ""),
        (MADE_MS + 9000 * DAY_MS, 0, MADE_MS - DAY_MS, "ssh_clock"),
        (MADE_MS + 9000 * DAY_MS, 0, 0, "ssh_over"),
        (MADE_MS + 9000 * DAY_MS, -9000 * DAY_MS, MADE_MS - DAY_MS, ""),
    ],
)
def test_what_the_node_knows_of_the_time_counts_and_not_its_clock_alone(
    key: Path, box: Box, unix_ms: int, offset_ms: int, seen_ms: int, code: str
) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    clock(box, offset_ms, seen_ms)
    if code:
        assert box.refused(at_ms=unix_ms) == code
    else:
        box.take(at_ms=unix_ms)


def test_it_opens_once_for_each_time_that_the_stick_is_put_in(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    assert technician.close("sda1", "124", box.places) == wanted(key)
    assert box.refused() == "ssh_drawn", "the hours are over and the stick is still in"
    box.insert("sda1", 8)
    box.take()


def test_after_a_restart_the_stick_that_is_still_in_opens_nothing(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    box.restart("second")
    assert box.refused() == "ssh_drawn"
    assert box.refused() == "ssh_drawn"
    box.insert("sda1", 8)
    box.take()


def test_a_stick_that_is_in_when_the_machine_starts_opens_when_it_was_not_open_before(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    technician.close("sda1", "0", box.places)
    box.restart("second")
    box.take()


def test_one_stick_at_a_time_and_none_that_is_gone_keeps_another_out(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    box.insert("sdb1", 9)
    assert box.refused("sdb1") == "ssh_busy"
    (box.places.blocks / "sda1" / "diskseq").unlink()
    (box.places.blocks / "sda1").rmdir()
    box.take("sdb1")
    assert not (box.places.run / "sda1").exists()


def test_opening_and_end_are_left_for_the_nodes_audit_log(key: Path, box: Box) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    technician.close("sda1", "124", box.places)
    assert technician.close("sda1", "0", box.places) is None
    assert technician.NOTES == of_the_node.NOTES
    events = [of_the_node.event_of(note) for _, note in of_the_node.notes(box.places.data) if note is not None]
    assert [(event.action, event.subject, event.result) for event in events] == [
        ("technician_ssh", "00112233aabbccdd", "opened 4 h: Ravi Kumar"),
        ("technician_ssh", "00112233aabbccdd", "ended time: Ravi Kumar"),
    ]
    for number in range(technician.NOTES_MAX + 5):
        technician.note(box.places, technician.Note(f"{number:016x}", "x", "opened"))
    assert len(of_the_node.notes(box.places.data)) == technician.NOTES_MAX


# The units.


def lines_of(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    for unit in (TAKE, SERVE, "upkendra-stick@.service"):
        text = (UNITS / unit).read_text().replace(HOME, str(ROOT))
        (tmp_path / unit).write_text(text.replace("/usr/sbin/nft ", "/usr/bin/true "))
    argv = ["systemd-analyze", "verify", str(tmp_path / TAKE), str(tmp_path / SERVE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", [TAKE, SERVE])
def test_each_unit_is_locked_up(unit: str) -> None:
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level is not None
    assert float(level.group(1)) <= EXPOSURE_MAX[unit]


def test_sshd_lives_as_long_as_the_stick_and_the_hours_and_sees_no_data() -> None:
    assert lines_of(SERVE, "BindsTo") == ["dev-%i.device"]
    (line,) = lines_of(SERVE, "ExecStart")
    places = technician.Places()
    config = places.run / "%i" / "sshd_config"
    assert line == f"/usr/bin/timeout ${{UPKENDRA_SSH_S}} /usr/sbin/sshd -D -e -f {config}"
    assert lines_of(SERVE, "ConditionPathExists") == [str(config)]
    assert lines_of(SERVE, "InaccessiblePaths") == ["/data /var/lib/upkendra /boot/upkendra"]
    assert lines_of(SERVE, "NoNewPrivileges") == ["yes"]
    assert "CAP_SYS_ADMIN" not in lines_of(SERVE, "CapabilityBoundingSet")[0]
    assert int(lines_of(SERVE, "RuntimeMaxSec")[0].removesuffix("h")) > permit.HOURS_MAX
    assert lines_of(SERVE, "Restart") == lines_of(TAKE, "Restart") == []
    assert lines_of(TAKE, "OnSuccess") == ["upkendra-sshd@%i.service"]
    wish = f"/run/upkendra-stick/%i/{permit.WISH_FILE}"
    assert lines_of(TAKE, "ExecCondition") == [f"/usr/bin/test -f {wish}"]


def test_the_door_is_a_chain_that_is_empty_but_for_the_unit() -> None:
    rules = (OVERLAY / "etc" / "nftables.conf").read_text()
    assert re.search(r"chain technician \{\n\s*\}", rules)
    assert 'iifname "lan0" jump technician' in rules
    (opened,) = lines_of(SERVE, "ExecStartPre")
    assert opened.startswith("+/usr/sbin/nft add rule inet upkendra technician tcp dport 22 ")
    assert lines_of(SERVE, "ExecStopPost")[0] == "-+/usr/sbin/nft flush chain inet upkendra technician"
    assert {"ssh.service", "ssh.socket", "sshd.service"} <= set(tree.NEVER_STARTED)


# A real sshd.


class Sshd(msgspec.Struct):
    """One that runs in a root of its own, by what the node laid out."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    def ssh(
        self, key: Path, *words: str, user: str = technician.USER, options: tuple[str, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        known = self.folder / "known_hosts"
        public = (self.folder / f"{technician.HOST_KEY}.pub").read_text().split()
        known.write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")
        told = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}")
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(key), *(f"-o{one}" for one in told), *options]
        whole = [*argv, f"{user}@127.0.0.1", *words]
        return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)


def _as_they_are() -> tuple[str, ...]:
    """Options for mounts of one's own where the root is a folder of another system's, and so no mount to be changed."""
    plain = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    return () if plain else ("--propagation", "unchanged")


@contextlib.contextmanager
def serving(box: Box, tmp_path: Path, seconds: float) -> Iterator[Sshd]:
    """sshd with the users that the image has, made by the image's own file of users."""
    if not link.is_available():
        pytest.skip("a root who may mount is needed")
    etc = tmp_path / "root" / "etc"
    etc.mkdir(parents=True)
    users = (OVERLAY / "usr/lib/sysusers.d/upkendra.conf").read_text() + "u sshd 802\ng systemd-journal 803\n"
    (tmp_path / "users.conf").write_text(users)
    argv = ["systemd-sysusers", f"--root={tmp_path / 'root'}", str(tmp_path / "users.conf")]
    subprocess.run(argv, check=True, capture_output=True)
    tree._no_password(etc / "shadow", technician.USER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    made, place = box.places.run / "sda1", technician.Places().run / "sda1"
    (made / "sshd_config").write_text(technician.config(place, "127.0.0.1", port))
    steps = [f"mount --bind {etc / name} /etc/{name}" for name in ("passwd", "group", "shadow")]
    kept = tmp_path / "kept"
    steps += [f"mkdir {kept}", f"cp -a {made}/. {kept}", "mount -t tmpfs -o mode=755 none /run"]
    steps += [f"mkdir -p /run/sshd {place}", f"cp {kept}/* {place}"]
    script = f"umask 022; {' && '.join(steps)} && chmod 600 {place / technician.HOST_KEY} && "
    caps = ",".join(
        f"+{cap.removeprefix('CAP_').lower()}" for cap in lines_of(SERVE, "CapabilityBoundingSet")[0].split()
    )
    script += f"exec setpriv --no-new-privs --bounding-set=-all,{caps} "
    script += f"timeout {seconds} /usr/sbin/sshd -D -e -f {place / 'sshd_config'}"
    argv = ["unshare", "--mount", *_as_they_are(), "--pid", "--fork", "--kill-child", "sh", "-c", script]
    process = subprocess.Popen(argv, stderr=(tmp_path / "said").open("wb"))
    try:
        until_s = time.monotonic() + STARTED_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < until_s, (tmp_path / "said").read_text()
            time.sleep(0.05)
        yield Sshd(port, made, process)
    finally:
        process.kill()
        process.wait()


def test_sshd_lets_in_the_key_of_the_file_and_nobody_else(key: Path, box: Box, tmp_path: Path) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    with serving(box, tmp_path, 60) as sshd:
        inside = sshd.ssh(key, "id -un; id -Gn")
        assert inside.stdout.split() == ["technician", "technician", "systemd-journal"], inside.stderr
        assert "/dev/pts/" in sshd.ssh(key, "tty", options=("-tt",)).stdout
        stranger = made_key(tmp_path / "other")
        for who in (sshd.ssh(stranger, "id"), sshd.ssh(key, "id", user="root"), sshd.ssh(key, "id", user="upkendra")):
            assert who.returncode == 255
            assert "Permission denied (publickey)." in who.stderr
        through = sshd.ssh(key, options=("-W", f"127.0.0.1:{sshd.port}"))
        assert "administratively prohibited" in through.stderr


def test_sshd_ends_with_its_time(key: Path, box: Box, tmp_path: Path) -> None:
    box.put(permit.encode(wanted(key), PRIVATE))
    box.take()
    with serving(box, tmp_path, 2) as sshd:
        assert sshd.ssh(key, "true").returncode == 0
        assert str(sshd.process.wait(10)) == technician._TIME_OVER
        assert sshd.ssh(key, "true").returncode == 255

"""A real hub and a real node as processes, made from nothing by their own commands, for tests and demos.

Everything goes through the command line and HTTP, as a technician's and a browser's would. Works on
loopback or with each side in a network namespace of an emulated link. Blocking.
"""

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import pyotp
from msgspec import Struct

from tests.kits.client import Client, Json, text
from tests.kits.link import Link, LinkSpec, Side

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0


class ClinicError(Exception):
    """A command or process of ours did not do what it should; the message quotes what it said."""


class Ground(Protocol):
    """Where processes run: a side of a link, or this machine's loopback."""

    address: str

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` there."""

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection made from there."""


class Here:
    """This machine's loopback."""

    address = "127.0.0.1"

    def argv(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        return socket.create_connection((host, port), timeout_s)


class Across:
    """One side of an emulated link."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self.address = side.address

    def argv(self, command: Sequence[str]) -> list[str]:
        return self._side.argv(command)

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        return self._side.call(lambda: socket.create_connection((host, port), timeout_s))


class Server:
    """One of our ``serve`` processes; can be killed and started again on the same port."""

    def __init__(self, name: str, ground: Ground, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._ground = ground
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.says: Callable[[str], None] | None = None
        """Hears every line after the first one, when it was set before the start."""

    @property
    def pid(self) -> int:
        """Process id while it runs. Raises ClinicError otherwise."""
        if self._process is None or self._process.poll() is not None:
            raise ClinicError(f"{self.name} is not running")
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, extra_env: Mapping[str, str] | None = None) -> str:
        """Start and wait until it listens; its URL. Raises ClinicError with the end of its log."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._ground.argv(self._command),
                cwd=ROOT,
                env={**os.environ, **(extra_env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._process = process
        assert process.stdout is not None
        line = _first_line(process.stdout, START_TIMEOUT_S)
        try:
            ready = json.loads(line)
        except ValueError:
            self.kill()
            raise ClinicError(f"{self.name} did not start: {self.log_tail()}") from None
        self.url = str(ready["http"])
        if self.says is not None:
            threading.Thread(target=_hear, args=(process.stdout, self.says), daemon=True).start()
        return self.url

    def kill(self) -> None:
        """SIGKILL to the process and whatever it started, as a power cut would."""
        self._signal(signal.SIGKILL)

    def stop(self, timeout_s: float = 15) -> int:
        """SIGTERM; its exit code. Killed after ``timeout_s``."""
        return self._signal(signal.SIGTERM, timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait for it to end by itself; its exit code. Raises TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def _signal(self, number: signal.Signals, timeout_s: float = 15) -> int:
        process = self._process
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = -1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None
        return code

    def log_tail(self, size: int = 2000) -> str:
        """The end of what it has logged so far."""
        return self._log.read_bytes()[-size:].decode(errors="replace")


def _first_line(stream: IO[bytes], timeout_s: float) -> bytes:
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    return lines[0] if lines else b""


def _hear(stream: IO[bytes], says: Callable[[str], None]) -> None:
    with contextlib.suppress(ValueError):  # closed while it is read: the process was stopped
        for line in stream:
            says(line.decode(errors="replace"))


class Staff(Struct, frozen=True):
    staff_id: str
    name: str
    pin: str
    badge: str


class Doctor(Struct, frozen=True):
    user: str
    name: str
    password: str
    totp_secret: str

    def code(self) -> str:
        """The one-time code of this moment."""
        return pyotp.TOTP(self.totp_secret).now()


class Clinic:
    """A hub with a doctor and a node with a nurse, enrolled and serving. Enter it to make it so."""

    hub: Server
    node: Server
    nurse: Staff
    doctor: Doctor

    def __init__(
        self,
        folder: Path,
        *,
        camera: str = "test",
        link: Link | None = None,
        http_ports: tuple[int, int] = (0, 0),
        nurse_name: tuple[str, str] = ("Sunita Demo", "सुनीता डेमो"),
        doctor_name: str = "Dr Anil Demo",
        site: tuple[str, str] = ("NMP01", "Namunapur"),
        node_options: Sequence[str] = (),
        database: str = "",
        telephone: Callable[[str], None] | None = None,
        hub_options: Sequence[str] = (),
        hub_address: str = "",
    ) -> None:
        """``http_ports``: hub's and node's; 0 takes a free one. ``link``: running; node left, hub right.
        ``node_options``: more of ``node serve``. ``database``: the hub's, as a URL. ``telephone``: serve patients at
        home, and hear each message to them as a line of JSON. ``hub_options``: more of ``hub serve``.
        ``hub_address``: of this machine, under which the node finds the hub.
        """
        self.folder = folder
        self.link = link
        self.hub_ground: Ground = Across(link.right) if link else Here()
        self.node_ground: Ground = Across(link.left) if link else Here()
        self._camera = camera
        self._ports = http_ports
        self._nurse_name = nurse_name
        self._doctor_name = doctor_name
        self._site = site
        self._node_options = tuple(node_options)
        self.database = database
        self._telephone = telephone
        self._hub_options = tuple(hub_options)
        self._hub_address = hub_address or self.hub_ground.address
        self.recovery_code = ""
        self._hub_key = ""
        self._used_code = ""

    @property
    def hub_data(self) -> Path:
        return self.folder / "hub"

    @property
    def hub_store(self) -> list[str]:
        """Which hub a command is for."""
        chosen = ["--database", self.database] if self.database else []
        return ["--data", str(self.hub_data), *chosen]

    @property
    def node_data(self) -> Path:
        return self.folder / "node"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.make_hub()
            self.make_node()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop both servers, the node first."""
        for name in ("node", "hub"):
            server: Server | None = getattr(self, name, None)
            if server is not None:
                server.stop()

    def make_hub(self) -> None:
        """Make the hub and its doctor, and serve."""
        data = self.hub_store
        self._hub_key = text(self.command("hub", ["init", *data]), "hub_key")
        password = secrets.token_urlsafe(12)
        shown = self.command(
            "hub",
            [
                "add-doctor",
                *data,
                "--id",
                "anil",
                "--name",
                self._doctor_name,
                "--registration",
                "DEMO/00001",
                "--qualification",
                "MBBS (demo)",
                "--password-stdin",
            ],
            stdin=password,
        )
        self.doctor = Doctor("anil", self._doctor_name, password, text(shown, "totp_secret"))
        udp, tls = (7470, 7443) if self.link else (free_port(socket.SOCK_DGRAM), free_port())
        everywhere = self.link or self._hub_address != self.hub_ground.address
        http_at = f"{'0.0.0.0' if everywhere else '127.0.0.1'}:{self._ports[0] or free_port()}"
        self.hub_ports = udp, tls
        self.hub = Server(
            "hub",
            self.hub_ground,
            [
                *(sys.executable, "-m", "hub", "serve", *data, "--http", http_at, "--udp", str(udp), "--tls", str(tls)),
                *(("--home", "demo") if self._telephone else ()),
                *self._hub_options,
            ],
            self.folder / "hub.log",
        )
        self.hub.says = self._telephone
        self.hub.start()

    def make_coordinator(self) -> Doctor:
        """Somebody at the hub who coordinates and treats nobody."""
        return self._make_person("kavita", "Kavita Demo", "-", "coordinator")

    def make_specialist(self) -> Doctor:
        """Somebody whom a doctor may ask into a call."""
        return self._make_person("sen", "Dr Sen Demo", "DEMO/00002", "specialist")

    def _make_person(self, made: str, name: str, registration: str, role: str) -> Doctor:
        password = secrets.token_urlsafe(12)
        who = ["--id", made, "--name", name, "--registration", registration, "--qualification", "-", "--password-stdin"]
        shown = self.command("hub", ["add-doctor", *self.hub_store, *who], stdin=password)
        self.command("hub", ["role", *self.hub_store, "--id", made, "--role", role])
        return Doctor(made, name, password, text(shown, "totp_secret"))

    def hub_key(self) -> bytes:
        """The hub's public signing key, for checking slips off line."""
        return bytes.fromhex(self._hub_key)

    def hub_port(self) -> int:
        """The port of the hub's HTTP."""
        return int(self.hub.url.rpartition(":")[2])

    def make_node(self) -> None:
        """Enrol the node with a fresh token, add its nurse, and serve."""
        code, name = self._site
        shown = self.command(
            "hub",
            [
                "site-token",
                *(*self.hub_store, "--code", code, "--name", name),
                *("--district", "Demo", "--demo"),
            ],
        )
        data = ["--data", str(self.node_data)]
        hub_url = f"http://{self._hub_address}:{self.hub_port()}"
        enrolled = self.command("edge.node", ["enrol", *data, "--hub", hub_url, "--token", text(shown, "token")])
        self.recovery_code = text(enrolled, "recovery_code")
        pin = f"{secrets.randbelow(10**6):06d}"
        shown = self.command(
            "edge.node",
            [
                "add-staff",
                *data,
                "--name",
                self._nurse_name[0],
                "--name-hi",
                self._nurse_name[1],
                "--role",
                "anm",
                "--pin-stdin",
                "--recovery-code",
                self.recovery_code,
            ],
            stdin=pin,
        )
        self.nurse = Staff(text(shown, "staff_id"), self._nurse_name[0], pin, text(shown, "badge"))
        http_at = f"127.0.0.1:{self._ports[1] or free_port()}"
        self.node = Server(
            "node",
            self.node_ground,
            [
                sys.executable,
                "-m",
                "edge.node",
                "serve",
                *data,
                "--http",
                http_at,
                "--camera",
                self._camera,
                "--no-announce",
                "--lock-after",
                "60",
                *self._node_options,
            ],
            self.folder / "node.log",
        )
        self.node.start()

    def command(self, module: str, arguments: Sequence[str], stdin: str = "") -> Json:
        """Run one command of ours to its end; the JSON line that it printed. Raises ClinicError."""
        ground = self.hub_ground if module == "hub" else self.node_ground
        done = subprocess.run(
            ground.argv([sys.executable, "-m", module, *arguments]),
            cwd=ROOT,
            input=stdin.encode() + b"\n",
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
            raise ClinicError(f"{module} {arguments[0]}: {said}")
        shown: Json = json.loads(done.stdout) if done.stdout.strip() else None
        return shown

    def node_client(self) -> Client:
        """An HTTP client beside the node, not logged in."""
        return Client(self.node.url, connect=self.node_ground.connect)

    def hub_client(self) -> Client:
        """An HTTP client beside the hub, not logged in."""
        return Client(f"http://127.0.0.1:{self.hub_port()}", connect=self.hub_ground.connect)

    def unlock(self, client: Client) -> None:
        """Unlock the node with the nurse's badge and PIN."""
        client.post("/api/unlock", {"badge": self.nurse.badge, "pin": self.nurse.pin})

    def log_in_nurse(self, client: Client) -> None:
        """Log the nurse in; the client keeps cookie and CSRF token."""
        reply = client.post("/api/session", {"staff_id": self.nurse.staff_id, "pin": self.nurse.pin})
        client.csrf = text(reply, "csrf")

    def log_in_doctor(self, client: Client) -> None:
        """Log the doctor in. A code is good for one log-in only, so this waits for the next one if need be."""
        doctor = self.doctor
        wait_until(lambda: doctor.code() != self._used_code, "a fresh one-time code", 35)
        self._used_code = doctor.code()
        body = {"user": doctor.user, "password": doctor.password, "totp": self._used_code}
        client.csrf = text(client.post("/api/login", body), "csrf")

    def nurse_client(self) -> Client:
        """A client with the node unlocked and the nurse logged in."""
        client = self.node_client()
        self.unlock(client)
        self.log_in_nurse(client)
        return client

    def doctor_client(self) -> Client:
        """A client with the doctor logged in at the hub."""
        client = self.hub_client()
        self.log_in_doctor(client)
        return client


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ask: Callable[[], bool], what: str, timeout_s: float = 30, pause_s: float = 0.1) -> float:
    """Ask until yes; the seconds it took. Lost connections count as no. Raises ClinicError with ``what``."""
    start_s = time.monotonic()
    while True:
        try:
            if ask():
                return time.monotonic() - start_s
        except (OSError, http.client.HTTPException):
            pass
        if time.monotonic() - start_s > timeout_s:
            raise ClinicError(f"not within {timeout_s:g} s: {what}")
        time.sleep(pause_s)


@contextlib.contextmanager
def linked(spec: LinkSpec | None) -> Iterator[Link | None]:
    """A running link for a spec; None stays None."""
    if spec is None:
        yield None
        return
    with Link(spec) as link:
        yield link

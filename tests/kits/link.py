"""A bad link between two network namespaces, for tests, demos and benches; the work is in ``link.c``.

The left side is the node's, the right side the hub's; ``uplink`` carries left → right. Each side has
loopback and one device with a default route through the link. Needs Linux, root and gcc. Namespaces,
devices and everything started in them end with the :class:`Link`. Knows nothing of the project.

    with Link(LinkSpec.both(rate_kbps=64, rtt_ms=400, loss_pct=2)) as link:
        server = link.right.popen(["python3", "-m", "http.server"])
        link.left.run(["wget", "-O-", f"http://{link.right.address}:8000/"])
        link.down(); link.up(); print(link.stats().uplink.sent_bytes)
"""

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")

LEFT_ADDRESS: Final = "10.77.0.1"
RIGHT_ADDRESS: Final = "10.77.0.2"
_SOURCE: Final = Path(__file__).with_name("link.c")
_BUILD: Final = Path(__file__).resolve().parents[2] / "build"
_BUILDING: Final = threading.Lock()
_CLONE_NEWNET: Final = 0x40000000
_MIN_QUEUE_BYTES: Final = 6_000
_UNLIMITED_QUEUE_BYTES: Final = 4_000_000


class LinkError(Exception):
    """The emulator could not do what was asked; the message says why."""


class Bursts(Struct, frozen=True):
    """Gilbert–Elliott loss (Gilbert 1960, Elliott 1963): a two-state chain that steps once a packet.

    The mean length of a bad spell is ``1 / to_good`` packets, the share of packets that meet one is
    ``to_bad / (to_bad + to_good)``.
    """

    to_bad: float
    to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    def mean_loss(self) -> float:
        """Expected share of lost packets, 0–1."""
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.loss_bad + (1 - bad) * self.loss_good


class Way(Struct, frozen=True):
    """One direction of a link."""

    rate_kbps: float | None = None
    """IP bits per millisecond; ``None``: as fast as it goes; 0: nothing moves, the queue fills."""
    delay_ms: float = 0.0
    """One way, after serialisation."""
    jitter_ms: float = 0.0
    """Delay varies uniformly by plus or minus this; packets stay in order."""
    queue_bytes: int | None = None
    """Tail drop beyond this. ``None``: one second at the rate, at least 6 kB."""
    loss_pct: float = 0.0
    """Independent loss per packet. Not used where ``bursts`` is given."""
    bursts: Bursts | None = None
    trace: tuple[tuple[float, float], ...] = ()
    """Points (seconds since the start, kbit/s): the rate from then on, stepwise."""
    trace_period_s: float = 0.0
    """Repeat the trace after so long; 0: stay at its last rate."""

    def queue_limit_bytes(self) -> int:
        """The limit in force."""
        if self.queue_bytes is not None:
            return self.queue_bytes
        rates = [kbps for _, kbps in self.trace] or ([self.rate_kbps] if self.rate_kbps is not None else [])
        if not rates:
            return _UNLIMITED_QUEUE_BYTES
        return max(_MIN_QUEUE_BYTES, int(max(rates) * 1000 / 8))


class LinkSpec(Struct, frozen=True):
    """A link: two directions, planned outages, a seed that fixes every draw, and its MTU."""

    uplink: Way = Way()
    downlink: Way = Way()
    outages: tuple[tuple[float, float], ...] = ()
    """(start, length) in seconds since the start, in order and apart. What is in the queue then is lost."""
    seed: int = 1
    mtu_bytes: int = 1500
    is_up: bool = True

    @classmethod
    def both(
        cls,
        *,
        rate_kbps: float | None = None,
        rtt_ms: float = 0.0,
        loss_pct: float = 0.0,
        jitter_ms: float = 0.0,
        queue_bytes: int | None = None,
        bursts: Bursts | None = None,
        outages: tuple[tuple[float, float], ...] = (),
        seed: int = 1,
    ) -> Self:
        """The same in both directions, each with half of the round trip."""
        way = Way(rate_kbps, rtt_ms / 2, jitter_ms, queue_bytes, loss_pct, bursts)
        return cls(way, way, outages, seed)


NAMED: Final[Mapping[str, LinkSpec | None]] = {
    "128k": LinkSpec.both(rate_kbps=128, rtt_ms=300, loss_pct=2),
    "64k": LinkSpec.both(rate_kbps=64, rtt_ms=400, loss_pct=2),
    "32k": LinkSpec.both(rate_kbps=32, rtt_ms=600, loss_pct=2),
    "lan": None,
    "down": LinkSpec(is_up=False),
}
"""The links that people name; ``None`` is no emulator at all."""


class WayStats(Struct, frozen=True):
    """Counters of one direction since the start, in IP packets and bytes."""

    offered_packets: int
    offered_bytes: int
    """What the sender put in, dropped or not."""
    sent_packets: int
    sent_bytes: int
    """What used the line; lost packets did too."""
    delivered_packets: int
    delivered_bytes: int
    dropped_queue: int
    dropped_loss: int
    dropped_down: int
    strays: int
    """Packets for nobody on this link (another address, IPv6); not carried, counted nowhere else."""
    queue_bytes: int
    queue_peak_bytes: int
    rate_bps: float
    """-1: unlimited."""


class LinkStats(Struct, frozen=True):
    up: bool
    uplink: WayStats
    downlink: WayStats


def is_available() -> bool:
    """Whether this process may make network namespaces and TUN devices (that is: is root, with the device)."""
    return os.geteuid() == 0 and Path("/dev/net/tun").exists()


def build_helper() -> Path:
    """Compile ``link.c`` into ``build/`` unless that very source is there already. Raises LinkError."""
    with _BUILDING:
        return _build_helper()


def _build_helper() -> Path:
    target = _BUILD / f"link-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}"
    if target.exists():
        return target
    _BUILD.mkdir(exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        ["gcc", "-O2", "-std=gnu11", "-o", str(fresh), str(_SOURCE)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LinkError(f"gcc: {done.stderr.strip()}")
    fresh.replace(target)
    return target


class Side:
    """One end of the link: a network namespace and what was started in it."""

    def __init__(self, name: str, address: str, namespace: str) -> None:
        self.name = name
        self.address = address
        """This end's address on the link."""
        self.namespace = namespace
        """A path that ``setns`` accepts while the link lives."""
        self._children: list[subprocess.Popen[bytes]] = []

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` in this namespace, with the same process id."""
        return ["nsenter", f"--net={self.namespace}", "--", *command]

    def popen(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command here. It is killed when the link ends, if it still runs then."""
        child = subprocess.Popen(self.argv(command), cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        self._children.append(child)
        return child

    def run(self, command: Sequence[str], *, timeout_s: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run a command here to its end and capture what it says. Raises TimeoutExpired."""
        return subprocess.run(self.argv(command), capture_output=True, timeout=timeout_s, check=False)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that is in this namespace.

        A socket made there stays there, so that a test can hold both ends of a link.
        """
        answers: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                with Path(self.namespace).open("rb") as space:
                    if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET) != 0:
                        raise LinkError(f"setns: {os.strerror(ctypes.get_errno())}")
                answers.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    def udp_socket(self, port: int = 0) -> socket.socket:
        """A UDP socket bound to this end's address; port 0 takes a free one."""

        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            made.bind((self.address, port))
            return made

        return self.call(make)

    def end(self) -> None:
        """Terminate what still runs here, kill what does not listen within 5 s."""
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()


class Link:
    """A running link. Thread-safe control; every call answers when it is in force. Raises LinkError."""

    left: Side
    right: Side

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        self._helper: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        program = build_helper()
        helper = subprocess.Popen(
            [str(program), LEFT_ADDRESS, RIGHT_ADDRESS, str(self.spec.mtu_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._helper = helper
        assert helper.stdout is not None and helper.stderr is not None
        first = helper.stdout.readline()
        if not first:
            why = helper.stderr.read().decode().strip()
            self._close()
            raise LinkError(why)
        spaces = msgspec.json.decode(first, type=dict[str, int])
        self.left = Side("left", LEFT_ADDRESS, f"/proc/{helper.pid}/fd/{spaces['left']}")
        self.right = Side("right", RIGHT_ADDRESS, f"/proc/{helper.pid}/fd/{spaces['right']}")
        try:
            self._set_up()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left.end()
        self.right.end()
        self._close()

    def _close(self) -> None:
        helper = self._helper
        if helper is None:
            return
        self._helper = None
        for stream in (helper.stdin, helper.stdout, helper.stderr):
            if stream is not None:
                stream.close()
        try:
            helper.wait(2)
        except subprocess.TimeoutExpired:
            helper.kill()
            helper.wait()

    def _set_up(self) -> None:
        for name, way, salt in (("uplink", self.spec.uplink, 1), ("downlink", self.spec.downlink, 2)):
            rate_bps = -1 if way.rate_kbps is None else way.rate_kbps * 1000
            settings = [
                f"rate_bps={rate_bps}",
                f"delay_ms={way.delay_ms}",
                f"jitter_ms={way.jitter_ms}",
                f"queue_bytes={way.queue_limit_bytes()}",
                f"loss={way.loss_pct / 100}",
                f"seed={self.spec.seed * 2 + salt}",
            ]
            if way.bursts is not None:
                burst = way.bursts
                settings += [
                    "bursts=1",
                    f"to_bad={burst.to_bad}",
                    f"to_good={burst.to_good}",
                    f"loss_good={burst.loss_good}",
                    f"loss_bad={burst.loss_bad}",
                ]
            self._ask(f"set {name} {' '.join(settings)}")
            if way.trace:
                points = " ".join(f"{at_s * 1000}:{kbps * 1000}" for at_s, kbps in way.trace)
                self._ask(f"trace {name} {way.trace_period_s * 1000} {points}")
        for start_s, length_s in self.spec.outages:
            self._ask(f"outage {start_s * 1000} {length_s * 1000}")
        if not self.spec.is_up:
            self.down()

    def _ask(self, line: str) -> bytes:
        with self._lock:
            helper = self._helper
            if helper is None or helper.stdin is None or helper.stdout is None:
                raise LinkError("the link is not running")
            helper.stdin.write(line.encode() + b"\n")
            helper.stdin.flush()
            answer = helper.stdout.readline().strip()
        if not answer or answer.startswith(b"error"):
            raise LinkError(f"{line.split()[0]}: {answer.decode() or 'the emulator has ended'}")
        return answer

    def down(self) -> None:
        """Cut the link: what is sent or waits in a queue is lost."""
        self._ask("down")

    def up(self) -> None:
        """Mend the link, at once."""
        self._ask("up")

    def outage(self, start_s: float, length_s: float) -> None:
        """Plan a cut, counted from now, after every cut planned so far."""
        self._ask(f"outage {start_s * 1000} {length_s * 1000}")

    def set_rate(self, way: str, rate_kbps: float | None) -> None:
        """Change the rate of ``uplink`` or ``downlink`` from now on; queue limits stay."""
        self._ask(f"set {way} rate_bps={-1 if rate_kbps is None else rate_kbps * 1000}")

    def set_loss(self, way: str, loss_pct: float) -> None:
        """Change the independent loss of ``uplink`` or ``downlink`` from now on."""
        self._ask(f"set {way} loss={loss_pct / 100}")

    def stats(self) -> LinkStats:
        """Counters up to now."""
        return msgspec.json.decode(self._ask("stats"), type=LinkStats)

"""The panel board as a process: builds firmware and simulator from source and runs the very same binary.

Debian's gcc-avr, avr-libc and libsimavr-dev are needed; nothing is downloaded.
"""

import contextlib
import os
import select
import shutil
import statistics
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import TypeAlias

from edge.node.devices.panel import Image, PanelNews, PanelSession
from edge.node.devices.panel_link import FrameReader, Message, encode_frame
from edge.node.devices.panel_protocol import Hello, Identity

ROOT = Path(__file__).parents[2]
POWER_CUT = 9
"""Exit status of the simulator after a power cut."""


def build(out: Path, version: int = 1, extra: tuple[str, ...] = ()) -> Path:
    """Builds application and loader into ``out`` and returns it. Raises CalledProcessError."""
    arguments = ["make", "-s", "-C", str(ROOT / "firmware/panel"), f"OUT={out}", f"VERSION={version}", *extra]
    subprocess.run(arguments, check=True, capture_output=True, text=True)
    return out


def build_simulator(out: Path) -> Path:
    """Builds the simulator into ``out`` and returns the program."""
    subprocess.run(["make", "-s", "-C", str(ROOT / "firmware/sim"), f"OUT={out}"], check=True, capture_output=True)
    return out / "panel_sim"


def build_host(out: Path) -> Path:
    """Builds the firmware's pure files for this machine into ``out`` and returns it."""
    subprocess.run(["make", "-s", "-C", str(ROOT / "firmware/host"), f"OUT={out}"], check=True, capture_output=True)
    return out


Figure: TypeAlias = Callable[[str], None]
"""The fixture ``figure``: says what was measured, in the summary of the run."""


def typical_ms(delays_ms: Sequence[float]) -> float:
    """The median; where more wants to run than there are cores, the quickest: what others do is not ours."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        return min(delays_ms)
    return statistics.median(delays_ms)


class Simulator:
    """One simulated board as a process. ``state`` keeps flash and EEPROM from one power-up to the next.

    ``speed`` is the board's time over ours, ``uart`` the baud rate over the real one, ``cut_at`` the flash or
    EEPROM write in which the power goes, and ``link`` a symbolic link to the port.
    """

    def __init__(
        self,
        simulator: Path,
        firmware: Path,
        state: Path,
        *,
        speed: float = 1.0,
        cut_at: int = 0,
        seed: int = 0,
        uart: int = 1,
        trace: bool = False,
        link: Path | None = None,
    ) -> None:
        state.mkdir(parents=True, exist_ok=True)
        arguments = [
            str(simulator), "-b", str(firmware / "boot.bin"), "-a", str(firmware / "app.bin"), "-d", str(state),
            "-s", str(speed), "-c", str(cut_at), "-r", str(seed), "-u", str(uart),
            *(["-l", str(link)] if link else []), *(["-t"] if trace else []),
        ]  # fmt: skip
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lines: list[tuple[float, str]] = []
        """What the board did: (monotonic seconds, line)."""
        self._status: int | None = None
        self._queue: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self.wait_for("pty ").split()[1]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))
            self._queue.put(line.rstrip("\n"))

    def tell(self, line: str) -> None:
        """A line to the simulator: ``press 100``, ``mains 0``, ``adc 0 2000``, ``cut`` …"""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def wait_for(self, beginning: str, timeout_s: float = 20.0) -> str:
        """The next line of the board that begins so. Raises TimeoutError."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                raise TimeoutError(f"the board never said {beginning!r}; it said {self.lines[-8:]}") from None
            if line.startswith(beginning):
                return line

    def when(self, said: str, since: int = 0) -> float:
        """When the board said this first after so many lines of :attr:`lines`, in monotonic s. Waits for a line that is
        still on its way; raises TimeoutError.
        """
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            for at, line in self.lines[since:]:
                if line.startswith(said):
                    return at
            time.sleep(0.005)
        raise TimeoutError(f"the board never said {said!r}; it said {self.lines[-8:]}")

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> int:
        """Switches off after saving the state; returns the exit status, :data:`POWER_CUT` after a cut."""
        if self._status is not None:
            return self._status
        self.tell("quit")
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._status = status
        return status


class Board(Simulator):
    """A simulated board with the node's session on its port. Options as :class:`Simulator`."""

    def __init__(self, simulator: Path, firmware: Path, state: Path, **options: float | int | bool) -> None:
        super().__init__(simulator, firmware, state, **options)  # type: ignore[arg-type]
        self._fd = os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        with contextlib.suppress(termios.error):
            tty.setraw(self._fd)
        self.session = PanelSession(time.monotonic())
        self.news: list[PanelNews] = []
        self.heard: list[Message] = []
        """Every frame of the board, repetitions too."""
        self._frames = FrameReader()

    def write(self, data: bytes) -> None:
        """Raw bytes into the board's UART."""
        while data:
            select.select([], [self._fd], [], 1.0)
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._fd, data) :]

    def pump(self, until: Callable[[], bool], timeout_s: float = 20.0) -> bool:
        """Runs the session on the port until something holds; False when it never did or the board died."""
        deadline = time.monotonic() + timeout_s
        while not until():
            now = time.monotonic()
            if now > deadline or not self.alive():
                return until()
            try:
                self.write(self.session.bytes_to_send(now))
                wait_s = min(0.05, max(0.0, self.session.get_timer() - now))
                if select.select([self._fd], [], [], wait_s)[0]:
                    data = os.read(self._fd, 4096)
                    self.heard += [message for _, message in self._frames.feed(data)]
                    self.session.receive(data, time.monotonic())
            except OSError:
                continue
            while (news := self.session.next_news()) is not None:
                self.news.append(news)
        return True

    def uptime_s(self) -> int:
        """The board's own clock. Raises TimeoutError."""
        return self.hello().uptime_s

    def hello(self) -> Identity:
        """Who is there, asked beside the session; a hello is no heartbeat. Raises TimeoutError."""
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            self.write(encode_frame(0, Hello()))
            while select.select([self._fd], [], [], 0.2)[0]:
                for _, message in self._frames.feed(os.read(self._fd, 4096)):
                    if isinstance(message, Identity):
                        return message
        raise TimeoutError("the board does not answer")

    def silence(self, seconds: int) -> None:
        """Lets so much of the board's time pass without a heartbeat."""
        end_s = self.uptime_s() + seconds
        while self.uptime_s() < end_s:
            time.sleep(0.05)

    def met(self) -> bool:
        """True when the board has been heard and identified."""
        return self.pump(lambda: self.session.identity is not None)

    def close(self) -> int:
        known = self._status is not None
        status = super().close()
        if not known:
            os.close(self._fd)
        return status


@contextlib.contextmanager
def board(simulator: Path, firmware: Path, state: Path, **options: float | int | bool) -> Iterator[Board]:
    """A running board, switched off at the end."""
    made = Board(simulator, firmware, state, **options)
    try:
        yield made
    finally:
        made.close()


def image(firmware: Path, version: int) -> Image:
    """The application that was built into ``firmware``."""
    return Image((firmware / "app.bin").read_bytes(), version)


def fresh(state: Path) -> Path:
    """An empty state directory: a board from the factory."""
    shutil.rmtree(state, ignore_errors=True)
    return state


__all__ = [
    "POWER_CUT",
    "Board",
    "Figure",
    "Simulator",
    "board",
    "build",
    "build_host",
    "build_simulator",
    "fresh",
    "image",
    "typical_ms",
]

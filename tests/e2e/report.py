"""What a run of the journey leaves behind: each step with its time and its bytes on the link, as JSON."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.kits.link import Link


class Step(Struct, frozen=True):
    """One step. Bytes are IP bytes on the emulated link; None where there is none."""

    name: str
    ok: bool
    seconds: float
    bytes_up: int | None
    bytes_down: int | None
    error: str = ""


class CallFigures(Struct, frozen=True):
    """What one end of the call received, from its browser's getStats over ``seconds``."""

    seconds: float
    frames: int
    fps: float
    freezes: int
    freeze_s: float
    audio_s: float
    concealed_s: float
    audio_energy: float
    """``totalAudioEnergy`` gained (W3C webrtc-stats); above 0 means that something was heard."""
    bytes_received: int
    width: int = 0
    height: int = 0


class Report(Struct):
    """``report.json``."""

    link: str
    camera: str
    link_emulated: bool
    ok: bool = False
    token: str = ""
    seconds: float = 0.0
    steps: list[Step] = msgspec.field(default_factory=list)
    call_at_doctor: CallFigures | None = None
    call_at_tablet: CallFigures | None = None
    first_frame_ms: int | None = None
    """From the doctor's click to the first picture."""
    glass_to_glass_ms: int | None = None
    """Median delay from the camera's burnt-in clock to the doctor's screen; None when it has none."""
    glass_to_glass_p95_ms: int | None = None
    reconnect_s: float | None = None
    """From the mended link to moving pictures, in a run with ``--cut``."""
    notes: list[str] = msgspec.field(default_factory=list)


class Recorder:
    """Times steps and writes the report. Blocking."""

    def __init__(self, report: Report, link: Link | None) -> None:
        self.report = report
        self._link = link
        self._start_s = time.monotonic()

    def _bytes(self) -> tuple[int, int] | None:
        if self._link is None:
            return None
        stats = self._link.stats()
        return stats.uplink.sent_bytes, stats.downlink.sent_bytes

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside. An exception is written down as its failure and goes on up."""
        start_s, before = time.monotonic(), self._bytes()
        error = ""
        try:
            yield
        except BaseException as problem:
            error = f"{type(problem).__name__}: {problem}"[:2000]
            raise
        finally:
            after = self._bytes()
            up = after[0] - before[0] if before and after else None
            down = after[1] - before[1] if before and after else None
            step = Step(name, not error, round(time.monotonic() - start_s, 3), up, down, error)
            self.report.steps.append(step)
            carried = "" if step.bytes_up is None else f"  {step.bytes_up:>8} B up {step.bytes_down:>8} B down"
            print(f"{'ok    ' if step.ok else 'FAILED'} {name:<34} {step.seconds:7.2f} s{carried}", flush=True)

    def write(self, path: Path) -> None:
        """Finish the report and write it."""
        self.report.seconds = round(time.monotonic() - self._start_s, 3)
        self.report.ok = bool(self.report.steps) and all(step.ok for step in self.report.steps)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.report), indent=2) + b"\n")

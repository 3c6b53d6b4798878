"""What the oximeters share: silence, steadiness, and what a frame says. No protocol."""

from typing import ClassVar

from msgspec import Struct

from .base import Condition, Driver, Live, Result, Wave
from .steady import Steady, possible

SILENT_S = 2.5


class Frame(Struct, frozen=True):
    """One frame, decoded. None: the device says that it has no value."""

    spo2: int | None
    pulse: int | None
    finger: bool = True
    doubtful: bool = False


class Oximeter(Driver):
    """A device that streams."""

    vitals: ClassVar[tuple[str, ...]] = ("spo2", "hr")
    shown: ClassVar[int]
    """Frames in a row before a number is shown."""
    taken: ClassVar[int]
    """Frames in a row before it may be taken."""
    gap_s: ClassVar[float] = 1.0
    """A longer silence begins the count anew."""

    def __init__(self, now: float, local_ms: int) -> None:
        self._steady = Steady(self.shown, self.taken, self.gap_s)
        self._points = bytearray()
        self._heard_s = now
        super().__init__(now, local_ms)
        self._timer = now + SILENT_S

    def due(self, now: float) -> None:
        """Nothing is held on to when the device falls silent."""
        if now - self._heard_s >= SILENT_S:
            self._drop()
            self._set(Condition.WAITING)
        self._timer = max(self._heard_s + SILENT_S, now + 0.5)

    def _drop(self) -> None:
        if self._steady.broken():
            self._news.append(Live(()))

    def _broken(self, count: int = 1) -> None:
        self._drop()
        self._bad(count)

    def _point(self, point: int) -> None:
        self._points.append(min(127, max(0, point)))

    def _flush(self) -> None:
        if self._points:
            self._news.append(Wave(bytes(self._points)))
            self._points.clear()

    def _frame(self, frame: Frame, raw: bytes, now: float) -> None:
        self._heard_s = now
        spo2, pulse = frame.spo2, frame.pulse
        if not frame.finger:
            self._drop()
            self._set(Condition.NO_FINGER)
        elif spo2 is None or pulse is None:
            self._drop()
            self._set(Condition.SEARCHING)
        elif not possible(spo2, pulse):
            self._broken(len(raw))
            return
        else:
            if self._condition not in (Condition.READING, Condition.READY):
                self._set(Condition.READING)
            for news in self._steady.add(spo2, pulse, frame.doubtful, raw, now):
                if self._noisy:
                    continue
                self._news.append(news)
                if isinstance(news, Result):
                    self._set(Condition.READY)
                elif not news.values:
                    self._set(Condition.READING)
        self._good(len(raw))

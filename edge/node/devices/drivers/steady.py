"""When a stream of values may be shown, and when it may be taken: many frames in a row that agree. Pure.

This is what stands in for a checksum where a protocol has none. The stated bound: a number needs ``shown`` (to be
taken: ``taken``) well-formed frames one after another, none more than :data:`SPO2_SPREAD` or :data:`PULSE_SPREAD` from
the others' median. One frame that does not fit begins the count anew, and what comes out is the median, so that a wrong
number needs more than half of them wrong alike.
"""

from collections import deque
from statistics import median_low

from .base import Live, Quality, Result, Value

SPO2_SPREAD = 4
PULSE_SPREAD = 15
SPO2_LIMITS = (40, 100)
"""%; forms.md section 4, the hard limits."""
PULSE_LIMITS = (20, 250)
"""Beats a minute; the same."""


def possible(spo2: int, pulse: int) -> bool:
    """Whether a body can have these values at all."""
    return SPO2_LIMITS[0] <= spo2 <= SPO2_LIMITS[1] and PULSE_LIMITS[0] <= pulse <= PULSE_LIMITS[1]


class Steady:
    """SpO2 and pulse, frame by frame."""

    def __init__(self, shown: int, taken: int, gap_s: float) -> None:
        """``shown``, ``taken``: frames in a row; ``gap_s``: a longer silence begins anew."""
        self._shown, self._taken, self._gap_s = shown, taken, gap_s
        self._run: deque[tuple[int, int, bool]] = deque(maxlen=taken)
        self._middle = (0, 0)
        self._count = 0
        self._last_s = float("-inf")

    def broken(self) -> bool:
        """A frame that was damaged or holds no value. True when something was shown until now."""
        was = self._count >= self._shown
        self._run.clear()
        self._count = 0
        return was

    def silent(self, now: float) -> bool:
        """Whether nothing came for too long."""
        return now - self._last_s > self._gap_s

    def add(self, spo2: int, pulse: int, doubtful: bool, raw: bytes, now: float) -> list[Live | Result]:
        """One frame with possible values; what there is to say."""
        said: list[Live | Result] = []
        off = abs(spo2 - self._middle[0]) > SPO2_SPREAD or abs(pulse - self._middle[1]) > PULSE_SPREAD
        if ((self._count and off) or self.silent(now)) and self.broken():
            said.append(Live(()))
        self._last_s = now
        if not self._count:
            self._middle = (spo2, pulse)
        self._run.append((spo2, pulse, doubtful))
        self._count += 1
        if self._count < self._shown or self._count % max(1, self._shown // 3):
            return said
        self._middle = (median_low(row[0] for row in self._run), median_low(row[1] for row in self._run))
        values = (Value("spo2", float(self._middle[0])), Value("hr", float(self._middle[1])))
        said.append(Live(values))
        if self._count >= self._taken:
            weak = sum(row[2] for row in self._run) * 10 > len(self._run)
            said.append(Result(values, Quality.DOUBTFUL if weak else Quality.GOOD, raw, 0.0))
        return said

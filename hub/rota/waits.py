"""How long a patient will wait, told as a range, and how wrong that was. Pure.

The middle comes from what doctors really took for their last patients. The range comes from how wrong the middle was
for the last patients who were told one: it holds what was true for eight of ten of them. So the range is as wide as
the day is uncertain, and who reads it can trust it as far as the figures say.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from edge.model.queue import DEFAULT_CONSULTATION_S, expected_wait_s

SERVICES_KEPT: Final = 200
ERRORS_KEPT: Final = 300
ENOUGH: Final = 20
"""With fewer observations the defaults count."""
OFFSET_S: Final = 120.0
"""Errors are compared as ratios of (wait + 2 min): a wait of nothing has no ratio."""
LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
DEFAULT_RATIOS: Final = (0.5, 1.0, 1.8)
STEP_S: Final = 300
"""Told in steps of five minutes: lower ends down, upper ends up."""
SERVICE_MAX_S: Final = 2 * 3600.0
"""A visit that was held for longer was forgotten, not treated."""


class Expected(Struct, frozen=True):
    """What is told. Seconds from now."""

    low_s: int
    middle_s: int
    high_s: int
    raw_s: float
    """The middle before it was corrected by what was learnt."""

    @property
    def range_min(self) -> tuple[int, int]:
        """The range in whole steps of five minutes: what a person is told."""
        low = self.low_s // STEP_S * (STEP_S // 60)
        high = -(-self.high_s // STEP_S) * (STEP_S // 60)
        return low, max(high, low + STEP_S // 60)


class Told(Struct, frozen=True):
    """What somebody was told, and what came of it."""

    expected: Expected
    waited_s: float

    @property
    def error_s(self) -> float:
        """Waited longer than the middle (positive) or shorter."""
        return self.waited_s - self.expected.middle_s

    @property
    def held(self) -> bool:
        """Whether the wait was within what was told."""
        low, high = self.expected.range_min
        return low * 60 <= self.waited_s <= high * 60


class Waits:
    """What was observed so far."""

    def __init__(self, services_s: Iterable[float] = (), ratios: Iterable[float] = ()) -> None:
        self._services_s = deque((one for one in services_s if 0 < one <= SERVICE_MAX_S), maxlen=SERVICES_KEPT)
        self._ratios = deque(ratios, maxlen=ERRORS_KEPT)
        self._banded: tuple[float, float, float] | None = None
        """:meth:`_band`, until something is learnt."""

    def served(self, took_s: float) -> None:
        """A doctor has finished with a patient."""
        if 0 < took_s <= SERVICE_MAX_S:
            self._services_s.append(took_s)

    def learn(self, told: Told) -> None:
        """A patient who was told something has been taken."""
        self._ratios.append(ratio(told.expected.raw_s, told.waited_s))
        self._banded = None

    def service_s(self) -> float:
        """Mean time that a doctor spends on a patient."""
        if len(self._services_s) < ENOUGH:
            return float(DEFAULT_CONSULTATION_S)
        return sum(self._services_s) / len(self._services_s)

    def expect(self, ahead: int, doctors: int, free: int) -> Expected | None:
        """For somebody with ``ahead`` people before, ``doctors`` who sit and ``free`` of them; None without doctors."""
        before = 0.0 if ahead < free else ahead - free + 0.5
        scaled = expected_wait_s(2 * int(before) + (before > int(before)), doctors, self.service_s() / 2)
        if scaled is None:
            return None
        raw_s = float(scaled)
        low_s, middle_s, high_s = (max(0, round((raw_s + OFFSET_S) * one - OFFSET_S)) for one in self._band())
        return Expected(low_s, middle_s, high_s, raw_s)

    def _band(self) -> tuple[float, float, float]:
        if len(self._ratios) < ENOUGH:
            return DEFAULT_RATIOS
        if self._banded is None:
            ordered = sorted(self._ratios)
            self._banded = quantile(ordered, LOW), quantile(ordered, MIDDLE), quantile(ordered, HIGH)
        return self._banded


def ratio(raw_s: float, waited_s: float) -> float:
    """How much longer somebody waited than the plain middle said."""
    return (max(waited_s, 0.0) + OFFSET_S) / (raw_s + OFFSET_S)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of an ascending sequence that is not empty."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

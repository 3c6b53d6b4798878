"""When doctors sit: Monday to Saturday, 9:00 to 16:00 in India, but for holidays. Pure; times are Unix milliseconds.

The default is what the newspaper report in ``facts/field.md`` says of the service in Bihar.
"""

from collections.abc import Collection
from typing import Annotated, Final

from msgspec import Meta, Struct

from edge.model.clock import IST_OFFSET_S, day_of

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
LOOK_AHEAD_DAYS: Final = 60
"""Doctors who do not sit within so many days do not sit."""
_MONDAY_OF_DAY_0 = 3
"""1970-01-01 was a Thursday."""


Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$(?!\n)")]


def minutes(clock: str) -> int:
    """Minutes of the day of ``09:30``."""
    return int(clock[:2]) * 60 + int(clock[3:])


def clock_of(day_min: int) -> str:
    """The same backwards."""
    return f"{day_min // 60:02d}:{day_min % 60:02d}"


class Shift(Struct, frozen=True):
    """Doctors sit on this weekday, between two minutes of the Indian day."""

    weekday: int
    """0 is Monday."""
    from_min: int
    to_min: int
    district: str = ""
    """Of this district only; a district with shifts of its own has no others."""


class Holiday(Struct, frozen=True):
    """Nobody sits on this day."""

    day: int
    """:func:`edge.model.clock.day_of`."""
    name: str = ""
    name_hi: str = ""
    district: str = ""
    """In this district only; "" everywhere."""


DEFAULT_SHIFTS: Final = tuple(Shift(weekday, 9 * 60, 16 * 60) for weekday in range(6))


class Hours(Struct, frozen=True):
    """The calendar of a hub."""

    shifts: tuple[Shift, ...] = DEFAULT_SHIFTS
    holidays: tuple[Holiday, ...] = ()

    def of(self, own: tuple[Shift, ...]) -> "Hours":
        """The calendar of a doctor with hours of her own: those, with the holidays; without: this one."""
        return Hours(own, self.holidays) if own else self

    def spans(self, day: int, district: str = "") -> list[tuple[int, int]]:
        """From when to when doctors sit on an Indian day, in order."""
        if any(one.day == day and one.district in ("", district) for one in self.holidays):
            return []
        own = [shift for shift in self.shifts if district and shift.district == district]
        weekday = (day + _MONDAY_OF_DAY_0) % 7
        start_ms = day * DAY_MS - IST_OFFSET_S * 1000
        return sorted(
            (start_ms + shift.from_min * MINUTE_MS, start_ms + shift.to_min * MINUTE_MS)
            for shift in own or [shift for shift in self.shifts if not shift.district]
            if shift.weekday == weekday and shift.from_min < shift.to_min
        )

    def is_open(self, now_ms: int, district: str = "") -> bool:
        """Whether doctors sit at this moment."""
        return any(start <= now_ms < end for start, end in self.spans(day_of(now_ms), district))

    def sits(self, now_ms: int, districts: Collection[str]) -> bool:
        """Whether whoever sees these districts (none: all) sits at this moment."""
        return any(self.is_open(now_ms, name) for name in self._names(districts))

    def ends_ms(self, after_ms: int, districts: Collection[str]) -> int:
        """When hours end for the first time after a moment, for whoever sees these districts; 0 when there are none.

        Hours of two districts that touch are one span; so are those of two days.
        """
        names, today, ends_ms = self._names(districts), day_of(after_ms), 0
        for day in range(today, today + LOOK_AHEAD_DAYS):
            for start, end in sorted(span for name in names for span in self.spans(day, name)):
                if ends_ms and start > ends_ms:
                    return ends_ms
                if end > after_ms:
                    ends_ms = max(ends_ms, end)
        return ends_ms

    def _names(self, districts: Collection[str]) -> Collection[str]:
        return districts or {"", *(shift.district for shift in self.shifts)}

    def opens_ms(self, now_ms: int, district: str = "") -> int:
        """When doctors sit next: ``now_ms`` while they do, 0 when the calendar has no such day."""
        today = day_of(now_ms)
        for day in range(today, today + LOOK_AHEAD_DAYS):
            for start, end in self.spans(day, district):
                if now_ms < end:
                    return max(start, now_ms)
        return 0

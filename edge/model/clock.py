"""Hybrid logical time: order that survives clocks which are wrong by years.

A stamp is ``unix milliseconds << 16 | counter``. It never runs backwards within a log, whatever
the wall clock does (Kulkarni et al., "Logical Physical Clocks", 2014). The wall time is an
argument; this module reads no clock.
"""

from datetime import date

import msgspec

COUNTER_BITS = 16
IST_OFFSET_S = 19_800
"""India has one time zone and no daylight saving: UTC+05:30."""


class Instant(msgspec.Struct, frozen=True):
    """What the outside knows about the time when it hands us a command."""

    wall_ms: int
    """Unix time in milliseconds, corrected by the last offset the hub told us."""
    trusted: bool = True
    """False when the clock has jumped or was never confirmed: slips then ask for the date."""


def next_stamp(previous: int, wall_ms: int) -> int:
    """The stamp that follows ``previous`` (0 for none) at wall time ``wall_ms``; strictly greater."""
    candidate = max(wall_ms, 0) << COUNTER_BITS
    return candidate if candidate > previous else previous + 1


def stamp_ms(stamp: int) -> int:
    """The wall milliseconds inside a stamp."""
    return stamp >> COUNTER_BITS


def day_of(wall_ms: int) -> int:
    """The number of the Indian calendar day (days since 1970-01-01 IST) of a Unix time in ms."""
    return (wall_ms // 1000 + IST_OFFSET_S) // 86_400


def day_start_ms(day: int) -> int:
    """Unix ms at which an Indian calendar day begins."""
    return (day * 86_400 - IST_OFFSET_S) * 1000


def day_text(day: int) -> str:
    """The day written YYYY-MM-DD."""
    return date.fromordinal(day + date(1970, 1, 1).toordinal()).isoformat()


def clock_text(at_ms: int) -> str:
    """HH:MM in India of a Unix time in ms; empty for 0, which is no time."""
    if not at_ms:
        return ""
    minutes = (at_ms - day_start_ms(day_of(at_ms))) // 60_000
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def iso_day(text: str) -> int | None:
    """The same number for a day written YYYY-MM-DD; None when there is no such day."""
    try:
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None

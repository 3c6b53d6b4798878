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


RESET_MS = 24 * 3600 * 1000
"""An offset beyond this came from a clock that was never set; it may have been set since."""

AHEAD_MS = 4 * 24 * 3600 * 1000
"""A Sunday between holidays; what is further ahead of the last time that was seen is asked about."""


class Guess(msgspec.Struct, frozen=True):
    """What a machine takes the time for that nobody has told it since it started. Unix ms."""

    now_ms: int
    doubted_ms: int = 0
    """What its clock says that is too far ahead to be believed; 0 when there is no doubt."""


def guess(own_ms: int, offset_ms: int, seen_ms: int) -> Guess:
    """The time by a machine's own clock, the offset that was kept, and the latest time that was seen (0: none).

    The offset as it was, none where the clock was set since, and never before what was seen.
    """
    fit = [offset for offset in (offset_ms, 0) if own_ms + offset >= seen_ms]
    if not fit:  # a machine without a battery starts long ago: go on from what was seen
        return Guess(seen_ms)
    now_ms = own_ms + (fit[0] if abs(offset_ms) <= RESET_MS else min(fit))
    return Guess(seen_ms, now_ms) if seen_ms and now_ms > seen_ms + AHEAD_MS else Guess(now_ms)


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


def paper_day(day: int) -> str:
    """The day as it is written on paper in India, DD-MM-YYYY."""
    return "-".join(reversed(day_text(day).split("-")))


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

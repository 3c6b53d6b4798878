"""Which of a meter's stored readings is this patient's: the newest, and only while it is fresh. Pure.

A meter keeps hundreds of readings of other people, and its clock may be wrong by years. Age is counted by the meter's
own clock where it tells it; then a wrong clock does no harm. Where it does not, a reading whose time does not fit the
node's clock is doubtful: a person compares it with the meter's display.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct, structs

from .base import RAW_MAX_BYTES, Quality, Result, Value

FRESH_S = 15 * 60
AHEAD_S = 90
"""A clock that shows minutes may be so much behind its own readings."""


class Stored(Struct, frozen=True):
    """One reading of a meter's memory."""

    values: tuple[Value, ...]
    at_ms: int
    """The device's local time, as ms since 1970 without a zone."""
    raw: bytes
    quality: Quality = Quality.GOOD


def local_ms(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> int | None:
    """A calendar date and time as ms; None for one that is none, or of another century."""
    if not 2000 <= year <= 2099:
        return None
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * 1000


def time_text(at_ms: int) -> str:
    """``YYYY-MM-DDTHH:MM``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def newest(found: Sequence[Stored], device_now_ms: int | None, node_now_ms: int, serial: str = "") -> Result | None:
    """The reading that may be this patient's; None when none is fresh.

    ``device_now_ms``: the meter's own clock, None when it does not tell it.
    """
    if not found:
        return None
    last = max(found, key=lambda one: one.at_ms)
    raw, text = last.raw[:RAW_MAX_BYTES], time_text(last.at_ms)
    result = Result(last.values, last.quality, raw, None, text, serial)
    if device_now_ms is not None:
        age_s = (device_now_ms - last.at_ms) / 1000
        return structs.replace(result, age_s=max(0.0, age_s)) if -AHEAD_S <= age_s <= FRESH_S else None
    age_s = (node_now_ms - last.at_ms) / 1000
    if -AHEAD_S <= age_s <= FRESH_S:
        return structs.replace(result, age_s=max(0.0, age_s))
    return structs.replace(result, quality=Quality.DOUBTFUL)

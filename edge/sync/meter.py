"""Bytes of each bearer today, against its cap and the hours in which bulk may leave. Pure; the time is told to it.

Counts IP bytes both ways. When the cap of the day is used up, or outside the hours, classes 3 to 5 wait; smaller
classes never do. Days and hours are those of the site (India has one time zone). A clock that nobody has set
knows no hours: then only the cap holds.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from edge.model.clock import IST_OFFSET_S, Instant, day_of
from edge.model.errors import BadInput

HELD_CLS_MIN = 3
"""Originals, clips, telemetry and updates can wait."""
IP_UDP_BYTES = 28
IP_WSS_BYTES = 108
"""IP, TCP with timestamps, TLS record, WebSocket header, and half an ACK: what a packet costs there beside itself."""
_DAY_MINUTES = 24 * 60


class Wait(StrEnum):
    """Why bulk waits."""

    NO = ""
    CAP = "cap"
    HOURS = "hours"
    CALL = "call"
    """A call is up and has left little or nothing; classes from 2 on share that."""


class Hours(NamedTuple):
    """Minutes of the day in which bulk may leave, from ``begin`` up to ``end``; over midnight too."""

    begin: int
    end: int

    def has(self, minute: int) -> bool:
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


def parse_hours(text: str) -> Hours | None:
    """``22:00-06:30``; "" is any time. Raises BadInput."""
    if not text:
        return None
    parts = [part.split(":") for part in text.split("-")]
    numbers = [int(p) for part in parts for p in part if p.isascii() and p.isdecimal() and len(p) <= 2]
    if len(parts) != 2 or len(numbers) != 4 or any(len(part) != 2 for part in parts):
        raise BadInput("Hours are written HH:MM-HH:MM.", field="bulk_hours")
    begin, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(begin, end) > _DAY_MINUTES or numbers[1] > 59 or numbers[3] > 59 or begin == end:
        raise BadInput("Hours are written HH:MM-HH:MM.", field="bulk_hours")
    return Hours(begin, end)


class Used(Struct, frozen=True):
    """What has to outlive the process."""

    day: int
    """Days since 1970 at the site."""
    up_bytes: dict[str, int]
    down_bytes: dict[str, int]


class Meter:
    """One node's. Feed it every datagram and, now and then, the time."""

    def __init__(
        self, cap_bytes: Mapping[str, int] | None = None, hours: Hours | None = None, used: Used | None = None
    ) -> None:
        """``cap_bytes``: by bearer; one without a cap is not held."""
        self._caps, self._hours = dict(cap_bytes or {}), hours
        self._used = used or Used(0, {}, {})
        self._open = True

    def used(self) -> Used:
        """What to keep."""
        return self._used

    def set_time(self, now: Instant) -> None:
        """The site's time. A day before the present one is a clock that was corrected: the count goes on."""
        day = day_of(now.wall_ms)
        if now.trusted and not self._used.day:
            self._used = Used(day, self._used.up_bytes, self._used.down_bytes)
        elif now.trusted and (day > self._used.day or day < self._used.day - 1):
            self._used = Used(day, {}, {})
        minute = (now.wall_ms // 1000 + IST_OFFSET_S) // 60 % _DAY_MINUTES
        self._open = self._hours is None or not now.trusted or self._hours.has(minute)

    def count(self, bearer: str, size_bytes: int, *, up: bool) -> None:
        """A datagram of so many bytes left or came."""
        side = self._used.up_bytes if up else self._used.down_bytes
        side[bearer] = side.get(bearer, 0) + size_bytes + (IP_WSS_BYTES if bearer == "wss" else IP_UDP_BYTES)

    def today_bytes(self, bearer: str) -> int:
        """Both ways."""
        return self._used.up_bytes.get(bearer, 0) + self._used.down_bytes.get(bearer, 0)

    def cap_bytes(self, bearer: str) -> int | None:
        return self._caps.get(bearer)

    def waits(self, bearer: str) -> Wait:
        """Whether bulk waits on this bearer, and why."""
        cap_bytes = self._caps.get(bearer)
        if cap_bytes is not None and self.today_bytes(bearer) >= cap_bytes:
            return Wait.CAP
        return Wait.NO if self._open else Wait.HOURS

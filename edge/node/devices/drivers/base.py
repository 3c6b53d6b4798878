"""What every driver is given and what it says. Knows no port, no clock and no patient.

A driver is made when a measurement begins and dropped when it ends. ``now`` is any clock that only goes forward;
``local_ms`` is what a wall clock at the node shows (local time, as ms since 1970 without a zone), for devices that
keep old readings. A number leaves a driver only in :class:`Live` and :class:`Result`.
"""

from abc import ABC, abstractmethod
from collections import deque
from enum import StrEnum
from typing import ClassVar, TypeAlias

from msgspec import Struct

RAW_MAX_BYTES = 64
NOISE_AT_BYTES = 48
"""So many bytes that fit no frame, less a quarter of those that did since, and the line is called noisy."""
NOISE_MAX_BYTES = 96


class LineSettings(Struct, frozen=True):
    """How the serial line is set."""

    baud: int
    parity: str = "N"


class Quality(StrEnum):
    GOOD = "good"
    DOUBTFUL = "doubtful"
    """Weak signal, or a reading whose time cannot be told: a person has to look at the device."""


class Condition(StrEnum):
    """What stands between the nurse and a number."""

    WAITING = "waiting"
    """Nothing was heard: the device is off, or its plug is not in."""
    NO_FINGER = "no_finger"
    SEARCHING = "searching"
    """The device itself has no steady value yet."""
    NOISY = "noisy"
    """Bytes arrive that are none of this device's, or are damaged."""
    NO_RECORD = "no_record"
    """The meter holds no reading of the last quarter of an hour."""
    READING = "reading"
    """The device talks; the value is not complete yet."""
    READY = "ready"
    """There is a :class:`Result`."""


class Value(Struct, frozen=True):
    vital: str
    """Id in ``model/data/vitals.json``."""
    value: float


class Live(Struct, frozen=True):
    """To look at, not to take. Empty when nothing holds."""

    values: tuple[Value, ...]


class Wave(Struct, frozen=True):
    """Points of the pulse wave, 0 to 127 each, oldest first."""

    points: bytes


class Result(Struct, frozen=True):
    """To be taken, if the nurse says so. A newer one replaces it."""

    values: tuple[Value, ...]
    quality: Quality
    raw: bytes
    """The frame that it was read from, at most :data:`RAW_MAX_BYTES`."""
    age_s: float | None = None
    """How old it is by the device's own clock; None when that cannot be told."""
    device_time: str = ""
    """What the device's own clock said, ``YYYY-MM-DDTHH:MM``; empty when it has none."""
    serial: str = ""


class Changed(Struct, frozen=True):
    condition: Condition


News: TypeAlias = Live | Wave | Result | Changed


class Driver(ABC):
    """One measurement with one device. Call :meth:`receive` and :meth:`due`; then send and hand out what there is."""

    model: ClassVar[str]
    settings: ClassVar[LineSettings]
    vitals: ClassVar[tuple[str, ...]]
    """What it can measure."""
    title: ClassVar[str]
    """Maker and name, as the record keeps it."""

    def __init__(self, now: float, local_ms: int) -> None:
        self._began_s = now
        self._local_ms = local_ms
        self._news: deque[News] = deque()
        self._out = bytearray()
        self._timer: float | None = None
        self._noise = 0.0
        self._noisy = False
        self._condition = Condition.WAITING
        self._start(now)

    def _start(self, now: float) -> None:  # noqa: B027 -- most devices speak first
        """Say the first word, if this side speaks first."""

    @abstractmethod
    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the line."""

    def due(self, now: float) -> None:  # noqa: B027 -- most drivers set no timer
        """The time of :meth:`get_timer` has come."""

    def stop(self) -> bytes:
        """What is sent last, so that the device does not go on talking."""
        return b""

    def get_timer(self) -> float | None:
        return self._timer

    def bytes_to_send(self) -> bytes:
        """What is to be sent now; each byte once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def next_news(self) -> News | None:
        return self._news.popleft() if self._news else None

    @property
    def condition(self) -> Condition:
        return Condition.NOISY if self._noisy else self._condition

    # For drivers.

    def _set(self, condition: Condition) -> None:
        before = self.condition
        self._condition = condition
        if self.condition is not before:
            self._news.append(Changed(self.condition))

    def _good(self, count: int) -> None:
        self._noise = max(0.0, self._noise - count / 4)
        if self._noisy and self._noise == 0.0:
            self._noisy = False
            self._news.append(Changed(self._condition))

    def _bad(self, count: int = 1) -> None:
        self._noise = min(NOISE_MAX_BYTES, self._noise + count)
        if not self._noisy and self._noise >= NOISE_AT_BYTES:
            self._noisy = True
            self._news.append(Changed(Condition.NOISY))

    def _local_now_ms(self, now: float) -> int:
        return self._local_ms + int((now - self._began_s) * 1000)

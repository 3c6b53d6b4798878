"""Beurer BM55, BM58, BM65 on a serial cable (Andon KD-001): upper and lower pressure, pulse. No checksum; pure.

Source: two independent open drivers that agree, no capture. ``AA`` is answered by ``55``; ``A2`` by a count; ``A3
n`` by ``AC upper-25 lower-25 pulse month day hour minute year``, or ``A9`` for no record. Whether records count
from 0 or 1, and which is the newest, is unsourced - verify: 1 to the count are read, and the newest by its date
counts. The bound that stands in for a checksum: the count is read twice and each record three times, all alike, of
the exact length, within the limits, with a date that exists. Its clock cannot be asked.
"""

from typing import ClassVar

from .base import Condition, LineSettings, Value
from .meter import Meter
from .stored import Stored, local_ms

PING, PONG, COUNT, RECORD, FOUND, NONE = 0xAA, 0x55, 0xA2, 0xA3, 0xAC, 0xA9
RECORD_BYTES = 9
ALIKE = 3
RECORDS_MAX = 120
PAUSE_S = 0.4
"""An answer comes in one go."""
OFFSET_MMHG = 25
SYSTOLIC, DIASTOLIC, PULSE = (40, 300), (20, 200), (20, 250)
"""mmHg and beats a minute; forms.md section 4, the hard limits."""


def decode(raw: bytes) -> Stored | None:
    """A record; None for one that is impossible."""
    if len(raw) != RECORD_BYTES or raw[0] != FOUND:
        return None
    upper, lower, pulse = raw[1] + OFFSET_MMHG, raw[2] + OFFSET_MMHG, raw[3]
    at_ms = local_ms(2000 + raw[8], *raw[4:8])
    if at_ms is None or not lower < upper:
        return None
    for value, (low, high) in ((upper, SYSTOLIC), (lower, DIASTOLIC), (pulse, PULSE)):
        if not low <= value <= high:
            return None
    values = (Value("sbp", float(upper)), Value("dbp", float(lower)), Value("hr", float(pulse)))
    return Stored(values, at_ms, raw)


class BeurerBm(Meter):
    """Asks and compares."""

    model: ClassVar[str] = "beurer-bm"
    title: ClassVar[str] = "Beurer BM55/58/65"
    settings: ClassVar[LineSettings] = LineSettings(4_800)
    vitals: ClassVar[tuple[str, ...]] = ("sbp", "dbp", "hr")
    reply_s: ClassVar[float] = 1.0
    tries: ClassVar[int] = 4

    def _begin(self, now: float) -> None:
        self._held = bytearray()
        self._at_s = now
        self._count = -1
        self._record = 0
        self._same: list[bytes] = []
        self._ask(bytes((PING,)), now)

    def _repeat(self, now: float) -> None:
        self._held.clear()
        super()._repeat(now)

    def receive(self, data: bytes, now: float) -> None:
        if self._finished or not self._question:
            self._bad(len(data))
            return
        held = self._held
        held += data
        wanted = self._wanted()
        if len(held) < wanted:
            return
        answer = bytes(held)
        held.clear()
        if len(answer) != wanted:
            self._unlike(len(answer))
            return
        self._good(wanted)
        self._answered(answer, now)

    def _wanted(self) -> int:
        if self._question[0] != RECORD:
            return 1
        return 1 if self._held[0] == NONE else RECORD_BYTES

    def _unlike(self, count: int) -> None:
        """Something else than was asked for: the timer asks again, and comparing begins anew."""
        self._bad(count)
        self._same = []

    def _answered(self, answer: bytes, now: float) -> None:
        asked = self._question[0]
        if asked == PING:
            if answer[0] != PONG:
                self._unlike(1)
                return
            self._set(Condition.READING)
            self._ask(bytes((COUNT,)), now)
            return
        if asked == RECORD and (answer[0] not in (FOUND, NONE)):
            self._unlike(len(answer))
            return
        if self._same and self._same[-1] != answer:
            self._unlike(len(answer))
        self._same.append(answer)
        if len(self._same) < (2 if asked == COUNT else ALIKE):
            self._ask(self._question, now)
            return
        self._same = []
        if asked == COUNT:
            self._count = answer[0]
            if self._count > RECORDS_MAX:
                self._bad(16)
                self._restart(now)
                return
        elif (stored := decode(answer)) is not None:
            self._found.append(stored)
        self._record += 1
        if self._record <= self._count:
            self._ask(bytes((RECORD, self._record)), now)
        else:
            self._end(None, "", now)

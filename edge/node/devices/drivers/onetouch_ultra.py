"""LifeScan OneTouch Ultra and Ultra2: ASCII lines with a 16-bit sum. Pure.

Source: captures and an open driver with tests. The sum covers the text without the space before it. Values are mg/dL
whatever the display shows; "C" before a value is control solution, "?" after it a parity error: neither is a patient's.
A sum misses flips that cancel, so the whole memory is read twice, and both have to be alike.
"""

import re
from typing import ClassVar

from .base import Condition, LineSettings
from .meter import Meter, glucose
from .stored import Stored, local_ms

WAKE = b"\x11\r"
LINE_MAX_BYTES = 120
CLOCK = re.compile(r'F "(\w{3})","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d) *"')
SERIAL = re.compile(r'@ "([0-9A-Z]{6,12})"')
HEAD = re.compile(r'P (\d{3}),"([0-9A-Z]{6,12})","(MG/DL|MMOL/L) *"')
RECORD = re.compile(
    r'P "(\w{3})","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d) *",'
    r'"([ C])? *(\d{1,3}|HIGH)([ ?]) *"(?:,"\w","\d\d")?, \d\d'
)
WEEKDAYS = ("THU", "FRI", "SAT", "SUN", "MON", "TUE", "WED")
DAY_MS = 86_400_000


def checked(line: bytes) -> str | None:
    """The text of a line whose sum is right, else None."""
    body, _, given = line.rpartition(b" ")
    if len(given) != 4 or not re.fullmatch(rb"[0-9A-F]{4}", given) or not body.isascii():
        return None
    return body.decode() if sum(body) & 0xFFFF == int(given, 16) else None


def time_of(weekday: str, month: str, day: str, year: str, *clock: str) -> int | None:
    """Local ms; None unless the weekday fits the date."""
    at_ms = local_ms(2000 + int(year), int(month), int(day), *(int(part) for part in clock))
    return at_ms if at_ms is not None and WEEKDAYS[at_ms // DAY_MS % 7] == weekday else None


class OneTouchUltra(Meter):
    """Asks clock and memory, twice."""

    model: ClassVar[str] = "onetouch-ultra"
    title: ClassVar[str] = "OneTouch Ultra"
    settings: ClassVar[LineSettings] = LineSettings(9_600)
    vitals: ClassVar[tuple[str, ...]] = ("rbs_mgdl",)

    def _begin(self, now: float) -> None:
        self._line = bytearray()
        self._clock: tuple[int, float] | None = None
        self._serial = ""
        self._rounds: list[list[bytes]] = []
        self._expected = 0
        self._lines: list[bytes] = []
        self._ask(WAKE + b"DMF\r", now)

    def receive(self, data: bytes, now: float) -> None:
        for byte in data:
            if byte == 0x0A:
                line = bytes(self._line).rstrip(b"\r")
                self._line.clear()
                if line:
                    self._heard(line, now)
            elif len(self._line) >= LINE_MAX_BYTES:
                self._spoilt(len(self._line))
                self._line.clear()
            else:
                self._line.append(byte)

    def _spoilt(self, count: int) -> None:
        """Something in this round was wrong: it does not count."""
        self._bad(count)
        self._expected = 0
        self._lines = []

    def _heard(self, line: bytes, now: float) -> None:
        text = checked(line)
        if text is None:
            self._spoilt(len(line))
            return
        self._good(len(line))
        if self._finished:
            return
        if (clock := CLOCK.fullmatch(text)) is not None and self._clock is None:
            at_ms = time_of(*clock.groups())
            if at_ms is None:
                self._spoilt(len(line))
                return
            self._clock = (at_ms, now)
            self._set(Condition.READING)
            self._ask(b"DMP\r", now)
        elif (head := HEAD.fullmatch(text)) is not None and self._clock is not None:
            self._serial = head[2]
            self._expected, self._lines = int(head[1]), []
            self._timer = now + self.reply_s
            if not self._expected:
                self._round_ends(now)
        elif RECORD.fullmatch(text) is not None and self._expected:
            self._lines.append(line)
            self._timer = now + self.reply_s
            if len(self._lines) == self._expected:
                self._round_ends(now)

    def _round_ends(self, now: float) -> None:
        self._rounds.append(self._lines)
        self._expected, self._lines = 0, []
        if len(self._rounds) < 2:
            self._ask(b"DMP\r", now)
            return
        if self._rounds[-1] != self._rounds[-2]:
            self._bad(16)
            del self._rounds[0]
            self._ask(b"DMP\r", now)
            return
        self._found = [stored for line in self._rounds[-1] if (stored := self._stored(line)) is not None]
        assert self._clock is not None
        at_ms, heard_s = self._clock
        self._end(at_ms + int((now - heard_s) * 1000), self._serial, now)

    @staticmethod
    def _stored(line: bytes) -> Stored | None:
        found = RECORD.fullmatch(checked(line) or "")
        if found is None or found[8] == "C" or found[10] == "?" or not found[9].isdigit():
            return None
        at_ms, values = time_of(*found.groups()[:7]), glucose(int(found[9]))
        return Stored(values, at_ms, line) if at_ms is not None and values is not None else None

"""Bayer and Ascensia Contour on the data cable (series 7150), and the ASTM E1381/E1394 that it speaks. Pure.

Source: captured frames with their sums, and the maker's interface specification (rev C) by its title. ENQ, then
frames ``02 number text CR 17|03 sum CR LF``, each acknowledged; a damaged one is asked for again. The header's time
is taken as the meter's clock. Which letters in the flag field mean control solution is unsourced - verify: any "C"
drops the result, and so does a value with < or >.
"""

import re
from typing import ClassVar

from .base import Condition, LineSettings, Quality
from .meter import MGDL_PER_MMOL, Meter, glucose
from .stored import Stored, local_ms

STX, ETX, EOT, ENQ, ACK, LF, NAK, ETB = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x15, 0x17
FRAME_MAX_BYTES = 260
NAKS_MAX = 6
DAMAGED_MAX = 2
"""More damaged frames in a session, and none of its readings counts."""
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(?:\d\d)?")
SERIAL = re.compile(r"7\d{3}-([0-9A-Z]{5,12})")


def text_of(raw: bytes) -> tuple[int, str] | None:
    """Number and text of a frame (from STX to LF) whose sum is right, else None."""
    if len(raw) < 7 or raw[0] != STX or raw[-2:] != b"\r\n" or raw[-5] not in (ETX, ETB):
        return None
    if not re.fullmatch(rb"[0-9A-F]{2}", raw[-4:-2]) or sum(raw[1:-4]) & 0xFF != int(raw[-4:-2], 16):
        return None
    if not 0x30 <= raw[1] <= 0x37 or not raw[2:-5].isascii():
        return None
    return raw[1] - 0x30, raw[2:-5].decode()


def time_of(text: str) -> int | None:
    """``YYYYMMDDHHMM`` (and seconds) as local ms."""
    found = TIME.fullmatch(text)
    return local_ms(*(int(part) for part in found.groups())) if found else None


class ContourAstm(Meter):
    """The receiver's side."""

    model: ClassVar[str] = "contour-astm"
    title: ClassVar[str] = "Contour (ASTM)"
    settings: ClassVar[LineSettings] = LineSettings(9_600)
    vitals: ClassVar[tuple[str, ...]] = ("rbs_mgdl",)
    reply_s: ClassVar[float] = 3.0

    def _begin(self, now: float) -> None:
        self._held = bytearray()
        self._ask(bytes((ACK,)), now)  # a meter that has sent its ENQ before the plug was in waits for this
        self._session(0)

    def _session(self, number: int) -> None:
        self._number = number
        self._open = False
        self._damaged = 0
        self._naks = 0
        self._text = ""
        self._frames: list[tuple[str, bytes]] = []

    def due(self, now: float) -> None:
        """Silence in the middle ends the session; before it, the line is asked once in a while."""
        if self._open:
            self._session(0)
            self._held.clear()
            self._set(Condition.WAITING)
        super().due(now)

    def receive(self, data: bytes, now: float) -> None:
        held = self._held
        for byte in data:
            if not held:
                if byte == ENQ:
                    self._session(1)
                    self._open = True
                    self._answer(ACK, now)
                elif byte == EOT and self._open:
                    self._close(now)
                elif byte == STX:
                    held.append(byte)
                else:
                    self._bad()
                continue
            held.append(byte)
            if byte == LF:
                raw = bytes(held)
                held.clear()
                self._frame(raw, now)
            elif len(held) >= FRAME_MAX_BYTES:
                self._damage(len(held), now)
                held.clear()

    def _answer(self, byte: int, now: float) -> None:
        self._out.append(byte)
        self._timer = now + self.reply_s

    def _damage(self, count: int, now: float) -> None:
        self._bad(count)
        self._damaged += 1
        self._naks += 1
        if self._naks > NAKS_MAX:
            self._session(0)
            self._out.append(EOT)
        self._answer(NAK, now)

    def _frame(self, raw: bytes, now: float) -> None:
        found = text_of(raw)
        if found is None:
            self._damage(len(raw), now)
            return
        self._good(len(raw))
        number, text = found
        if self._finished:
            self._answer(ACK, now)
            return
        if not self._open or (self._number == 0 and not self._frames):
            self._open = True
            self._number = number  # the ENQ was not heard
        if number == (self._number - 1) % 8 and self._frames:
            self._answer(ACK, now)  # our ACK was lost, and this frame comes again
            return
        if number != self._number:
            self._damage(len(raw), now)
            return
        self._naks = 0
        self._number = (number + 1) % 8
        self._set(Condition.READING)
        self._frames.append((text, raw))
        self._answer(ACK, now)

    def _close(self, now: float) -> None:
        self._open = False
        if self._damaged > DAMAGED_MAX:
            self._session(0)
            self._set(Condition.NO_RECORD)
            return
        clock_ms, serial = None, ""
        self._found = []
        records: list[tuple[str, bytes]] = []
        rest = ""
        for text, raw in self._frames:
            whole, _, rest = (rest + text).rpartition("\r")
            records += [(record, raw) for record in whole.split("\r") if record]
        for record, raw in records:
            fields = record.split("|")
            if fields[0] == "H" and len(fields) > 13:
                clock_ms = time_of(fields[13])
                found = SERIAL.search(fields[4])
                serial = found[1] if found else ""
            elif fields[0] == "R" and (stored := self._stored(fields, raw)) is not None:
                self._found.append(stored)
        self._session(0)
        self._end(clock_ms, serial, now)
        if not self._finished:
            self._timer = now + self.again_s

    def _stored(self, fields: list[str], raw: bytes) -> Stored | None:
        if len(fields) < 9 or fields[2] != "^^^Glucose" or "C" in fields[6]:
            return None
        if not re.fullmatch(r"\d{1,3}(\.\d)?", fields[3]):
            return None
        unit = fields[4].partition("^")[0]
        if unit not in ("mmol/L", "mg/dL"):
            return None
        number = float(fields[3]) * (MGDL_PER_MMOL if unit == "mmol/L" else 1)
        values, at_ms = glucose(round(number)), time_of(fields[8])
        if values is None or at_ms is None:
            return None
        return Stored(values, at_ms, raw, Quality.DOUBTFUL if self._damaged else Quality.GOOD)

"""SD Biosensor CodeFree. Pure.

Source: an open protocol description and driver; frames re-computed. ``53 direction length message xor AA``; the meter
speaks first when it is switched on, which may take minutes. The meter's clock cannot be asked. An XOR misses two flips
in one bit column, and a record can be fetched only once: one bad frame spoils the whole session, and the nurse
switches the meter on again.
"""

from functools import reduce
from operator import xor
from typing import ClassVar

from .base import Condition, LineSettings
from .meter import Meter, glucose
from .stored import Stored, local_ms

START, END, FROM_METER, FROM_HOST = 0x53, 0xAA, 0x20, 0x10
HELLO, READY, FETCH = b"\x10\x30", b"\x10\x40", b"\x10\x60"
COUNT, COUNT_BYTES = 0x30, 22
RECORD_BYTES = 18
LENGTH_MAX = COUNT_BYTES + 2
RECORDS_MAX = 500
GAP_S = 1.0


def frame(message: bytes, direction: int = FROM_HOST) -> bytes:
    """A whole frame."""
    return bytes((START, direction, len(message) + 2)) + message + bytes((reduce(xor, message), END))


class SdCodeFree(Meter):
    """Waits for the meter, then fetches every record once."""

    model: ClassVar[str] = "sd-codefree"
    title: ClassVar[str] = "SD CodeFree"
    settings: ClassVar[LineSettings] = LineSettings(38_400)
    vitals: ClassVar[tuple[str, ...]] = ("rbs_mgdl",)

    def _begin(self, now: float) -> None:
        self._held = bytearray()
        self._at_s = now
        self._left = -1
        self._spoilt = False
        self._timer = None

    def due(self, now: float) -> None:
        """An answer that is late ends the session; nothing is fetched twice, as one too many switches the meter off."""
        self._timer = None
        if self._left >= 0 and not self._finished:
            self._restart(now)
            self._set(Condition.WAITING)

    def receive(self, data: bytes, now: float) -> None:
        held = self._held
        if held and now - self._at_s > GAP_S:
            self._spoil(len(held))
            held.clear()
        self._at_s = now
        held += data
        while held:
            if held[0] != START:
                self._spoil(int(held[0] != 0))  # a single zero may come before the first frame
                del held[0]
            elif len(held) > 2 and (held[1] != FROM_METER or not 3 <= held[2] <= LENGTH_MAX):
                self._spoil(1)
                del held[0]
            elif len(held) < 3 or len(held) < 3 + held[2]:
                return
            else:
                raw = bytes(held[: 3 + held[2]])
                message = raw[3:-2]
                if raw[-1] != END or reduce(xor, message) != raw[-2]:
                    self._spoil(1)
                    del held[0]
                    continue
                del held[: len(raw)]
                self._good(len(raw))
                if not self._finished:
                    self._heard(message, raw, now)

    def _spoil(self, count: int) -> None:
        if count:
            self._bad(count)
            self._spoilt = True

    def _heard(self, message: bytes, raw: bytes, now: float) -> None:
        if message == HELLO:
            self._found, self._left, self._spoilt = [], 0, False
            self._out += frame(READY)
            self._set(Condition.READING)
        elif message[0] == COUNT and len(message) == COUNT_BYTES and message[3:] == bytes((END,)) * 19:
            self._left = min(RECORDS_MAX, int.from_bytes(message[1:3], "big"))
            self._next(now)
            return
        elif len(message) == RECORD_BYTES and self._left > 0:
            self._left -= 1
            year, month, day, hour, minute = message[2:7]
            at_ms = local_ms(2000 + year, month, day, hour, minute)
            values = glucose(int.from_bytes(message[7:9], "big"))
            if at_ms is not None and values is not None and message[9] in (0x00, 0x10, 0x20):
                self._found.append(Stored(values, at_ms, raw))
            self._next(now)
            return
        else:
            self._spoil(len(raw))
        self._timer = now + self.reply_s

    def _next(self, now: float) -> None:
        if self._left:
            self._out += frame(FETCH)
            self._timer = now + self.reply_s
            return
        if self._spoilt:
            self._found = []
        self._left = -1
        self._end(None, "", now)

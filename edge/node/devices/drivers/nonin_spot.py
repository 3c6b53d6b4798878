"""Nonin spot checks (9560, 3150) in data format 13: one frame a measurement, with a sum, acknowledged. Pure.

Source: format 13 of an open driver. ``00 02 | type16 | length16 = 000E | century year month day hour minute second
fraction | status16 | pulse16 | 00 | SpO2 | sum of the data | 03``. Whether the date is binary or BCD is unsourced -
verify: the century tells. The sum is one byte; the bound beside it: fixed bytes, a date that exists, possible
values.
"""

from typing import ClassVar

from .base import Condition, Driver, LineSettings, Live, Quality, Result, Value
from .steady import possible
from .stored import Stored, local_ms, newest

HEAD = b"\x00\x02"
LENGTH = 14
FRAME_BYTES = 6 + LENGTH + 2
END, ACK, NAK = 0x03, 0x06, 0x15
SMART_POINT, NO_MEASUREMENT, FROM_MEMORY = 0x0200, 0x0100, 0x0010
GAP_S = 1.0


class Nonin13(Driver):
    """Waits for frames; a damaged one is asked for again."""

    model: ClassVar[str] = "nonin-13"
    title: ClassVar[str] = "Nonin (format 13)"
    settings: ClassVar[LineSettings] = LineSettings(9_600)
    vitals: ClassVar[tuple[str, ...]] = ("spo2", "hr")

    def _start(self, now: float) -> None:
        self._held = bytearray()
        self._at_s = now

    def receive(self, data: bytes, now: float) -> None:
        held = self._held
        if held and now - self._at_s > GAP_S:
            self._bad(len(held))
            self._out.append(NAK)
            held.clear()
        self._at_s = now
        held += data
        while len(held) >= FRAME_BYTES:
            raw = bytes(held[:FRAME_BYTES])
            if raw[:2] != HEAD or raw[4:6] != LENGTH.to_bytes(2, "big") or raw[-1] != END:
                del held[0]
                self._bad()
            elif sum(raw[6:-2]) & 0xFF != raw[-2]:
                del held[:FRAME_BYTES]
                self._bad(FRAME_BYTES)
                self._out.append(NAK)
            else:
                del held[:FRAME_BYTES]
                self._good(FRAME_BYTES)
                self._out.append(ACK)
                self._decode(raw, now)

    def _decode(self, raw: bytes, now: float) -> None:
        when = raw[6:13]
        if when[0] == 0x20:
            when = bytes((byte >> 4) * 10 + (byte & 15) if byte & 15 < 10 else 99 for byte in when)
        at_ms = local_ms(when[0] * 100 + when[1], *when[2:7])
        status, pulse, spo2 = int.from_bytes(raw[14:16], "big"), int.from_bytes(raw[16:18], "big"), raw[19]
        if status & NO_MEASUREMENT:
            self._set(Condition.SEARCHING)
            return
        if at_ms is None or raw[18] or not possible(spo2, pulse):
            self._bad(FRAME_BYTES)
            return
        values = (Value("spo2", float(spo2)), Value("hr", float(pulse)))
        quality = Quality.GOOD if status & SMART_POINT else Quality.DOUBTFUL
        if status & FROM_MEMORY:
            result = newest([Stored(values, at_ms, raw, quality)], None, self._local_now_ms(now))
        else:
            result = Result(values, quality, raw, 0.0)
        if result is None or self.condition is Condition.NOISY:
            self._set(Condition.NO_RECORD)
            return
        self._news.append(Live(values))
        self._news.append(result)
        self._set(Condition.READY)

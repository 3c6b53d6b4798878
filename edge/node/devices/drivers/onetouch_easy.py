"""LifeScan OneTouch UltraEasy, UltraMini: binary frames with a CRC-16. Pure.

Source: an open driver with tests; two frames re-computed. ``02 length link message 03 crc16`` (little-endian,
CRC-CCITT from FFFF over all before it). Link bits: 0 sequence, 1 expected sequence, 2 acknowledge, 3 disconnect, 4
more. That the counters stand at 0 after a disconnect, and the question for the clock (05 20 02), are unsourced -
verify.
"""

import binascii
from typing import ClassVar

from .base import Condition, LineSettings
from .meter import Meter, glucose
from .stored import Stored

STX, ETX = 0x02, 0x03
SEQUENCE, EXPECTED, ACK, DISCONNECT = 1, 2, 4, 8
OVERHEAD_BYTES = 6
LENGTH_MAX = 40
READ_CLOCK = bytes.fromhex("05200200000000")
READ_RECORD = b"\x05\x1f"
COUNT = 501
"""Asking for this record gives the count instead."""
RECORDS_MAX = 500
GAP_S = 0.5


def frame(link: int, message: bytes = b"") -> bytes:
    """A whole frame."""
    body = bytes((STX, OVERHEAD_BYTES + len(message), link)) + message + bytes((ETX,))
    return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")


class Deframer:
    """Bytes to frames (link, message); what fits none is skipped byte by byte and counted."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at_s = float("-inf")
        self.skipped = 0

    def feed(self, data: bytes, now: float) -> list[tuple[int, bytes, bytes]]:
        """Frames as (link, message, raw)."""
        held = self._held
        if held and now - self._at_s > GAP_S:
            self.skipped += len(held)
            held.clear()
        self._at_s = now
        held += data
        found = []
        while held:
            size = held[1] if len(held) > 1 else OVERHEAD_BYTES
            if held[0] != STX or not OVERHEAD_BYTES <= size <= LENGTH_MAX:
                del held[0]
                self.skipped += 1
            elif len(held) < size:
                break
            else:
                raw = bytes(held[:size])
                if raw[-3] == ETX and binascii.crc_hqx(raw[:-2], 0xFFFF) == int.from_bytes(raw[-2:], "little"):
                    found.append((raw[2], raw[3:-3], raw))
                    del held[:size]
                else:
                    del held[0]
                    self.skipped += 1
        return found


class OneTouchEasy(Meter):
    """Disconnect, clock, count, then the records (the newest is number 0: unsourced - verify; all are read)."""

    model: ClassVar[str] = "onetouch-ultraeasy"
    title: ClassVar[str] = "OneTouch UltraEasy"
    settings: ClassVar[LineSettings] = LineSettings(9_600)
    vitals: ClassVar[tuple[str, ...]] = ("rbs_mgdl",)

    def _begin(self, now: float) -> None:
        self._frames = Deframer()
        self._sent, self._expect = 0, 0
        self._clock: tuple[int, float] | None = None
        self._count = -1
        self._message = b""
        self._ask(frame(DISCONNECT), now)

    def stop(self) -> bytes:
        return frame(DISCONNECT)

    def receive(self, data: bytes, now: float) -> None:
        before = self._frames.skipped
        for link, message, raw in self._frames.feed(data, now):
            self._good(len(raw))
            if not self._finished:
                self._heard(link, message, raw, now)
        if self._frames.skipped > before:
            self._bad(self._frames.skipped - before)

    def _request(self, message: bytes, now: float) -> None:
        self._message = message
        self._ask(frame(self._sent | self._expect << 1, message), now)

    def _heard(self, link: int, message: bytes, raw: bytes, now: float) -> None:
        if link & DISCONNECT:
            if self._clock is None and not self._message:
                self._sent, self._expect = 0, 0
                self._request(READ_CLOCK, now)
            return
        if not message:
            return
        if link & SEQUENCE != self._expect:
            # It did not hear our acknowledgement: say it again, do nothing else.
            self._acknowledge()
            return
        if not self._message or message[:2] != b"\x05\x06":
            return
        self._expect ^= 1
        self._acknowledge()
        self._sent ^= 1
        self._answered(message[2:], raw, now)

    def _acknowledge(self) -> None:
        self._out += frame((self._sent ^ 1) | self._expect << 1 | ACK)

    def _answered(self, body: bytes, raw: bytes, now: float) -> None:
        if self._clock is None:
            if len(body) != 4:
                self._bad(len(raw))
                return
            self._clock = (int.from_bytes(body, "little") * 1000, now)
            self._set(Condition.READING)
            self._request(READ_RECORD + COUNT.to_bytes(2, "little"), now)
            return
        if self._count < 0:
            self._count = min(RECORDS_MAX, int.from_bytes(body[:2], "little"))
            self._read = 0
        elif len(body) == 8:
            values = glucose(int.from_bytes(body[4:], "little"))
            if values is not None:
                self._found.append(Stored(values, int.from_bytes(body[:4], "little") * 1000, raw))
            self._read += 1
        else:
            self._bad(len(raw))
            return
        if self._read < self._count:
            self._request(READ_RECORD + self._read.to_bytes(2, "little"), now)
            return
        at_ms, heard_s = self._clock
        self._end(at_ms + int((now - heard_s) * 1000), "", now)

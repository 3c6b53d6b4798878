"""Nonin modules that speak once a second: format 8 (four bytes) and the ASCII lines of 2500, 8500, 9600, 9847. Pure.

Format 8 has no checksum, and the places of its bits (pulse bits 7 and 8, sensor and track bits in the first byte) are
unsourced - verify. The lines are those of the operator manuals; how they show "no value" is unsourced - verify, so
that anything without three digits counts as none.
"""

import re
from typing import ClassVar

from .base import LineSettings
from .oximeter import Frame, Oximeter

FRAME_BYTES = 4
NO_PULSE, NO_SPO2 = 511, 127
LINE = re.compile(rb"SPO2=(\d{3}|[ -]{1,3}) HR=(\d{3}|[ -]{1,3})")
LINE_MAX_BYTES = 32
PAUSE_S = 0.3
"""A frame is sent in one go; a rest that is older belongs to none."""


class NoninSlow(Oximeter):
    """Shown after three readings in a row, taken after five."""

    settings: ClassVar[LineSettings] = LineSettings(9_600)
    shown: ClassVar[int] = 3
    taken: ClassVar[int] = 5
    gap_s: ClassVar[float] = 2.2


class Nonin8(NoninSlow):
    """Format 8: status, pulse, SpO2, status; nothing between a frame and the next for most of a second."""

    model: ClassVar[str] = "nonin-8"
    title: ClassVar[str] = "Nonin (format 8)"

    def _start(self, now: float) -> None:
        self._held = bytearray()
        self._at_s = now
        self._whole_s = float("-inf")

    def receive(self, data: bytes, now: float) -> None:
        if self._held and now - self._at_s > PAUSE_S:
            self._broken(len(self._held))
            self._held.clear()
        self._at_s = now
        for byte in data:
            if byte & 0x80:
                if self._held:
                    self._broken(len(self._held))
                self._held[:] = bytes((byte,))
            elif not self._held:
                self._broken()
            else:
                self._held.append(byte)
                if len(self._held) == FRAME_BYTES:
                    raw = bytes(self._held)
                    self._held.clear()
                    if now - self._whole_s < PAUSE_S:
                        self._broken(FRAME_BYTES)
                    else:
                        self._decode(raw, now)
                    self._whole_s = now

    def _decode(self, raw: bytes, now: float) -> None:
        status, low, spo2, _ = raw
        pulse = (status & 3) << 7 | low
        absent = bool(status & 0x20) or pulse == NO_PULSE or spo2 == NO_SPO2
        frame = Frame(None if absent else spo2, None if absent else pulse, not status & 0x40, bool(status & 0x1C))
        self._frame(frame, raw, now)


class NoninLines(NoninSlow):
    """``SPO2=097 HR=072`` once a second."""

    model: ClassVar[str] = "nonin-ascii"
    title: ClassVar[str] = "Nonin (lines)"

    def _start(self, now: float) -> None:
        self._line = bytearray()
        self._whole_s = float("-inf")

    def receive(self, data: bytes, now: float) -> None:
        for byte in data:
            if byte in b"\r\n":
                line = bytes(self._line)
                self._line.clear()
                if line:
                    self._decode(line, now)
            elif len(self._line) < LINE_MAX_BYTES:
                self._line.append(byte)
            else:
                self._broken(len(self._line))
                self._line.clear()

    def _decode(self, line: bytes, now: float) -> None:
        found = LINE.fullmatch(line)
        if found is None or now - self._whole_s < PAUSE_S:
            self._broken(len(line))
            return
        self._whole_s = now
        spo2, pulse = (int(text) if text.isdigit() else None for text in found.groups())
        self._frame(Frame(spo2, pulse), line, now)

"""Contec CMS50D+ up to firmware 4.5, CMS50E old, and older OEM boards. No checksum; pure.

Source: an open driver with exhaustive field tests, no raw capture. Five bytes a frame; only the first has bit 7 set.
What an old device sends without a value is unsourced - verify; 0 and the highest values are taken as "none".
"""

from typing import ClassVar

from .base import LineSettings
from .oximeter import Frame, Oximeter

FRAME_BYTES = 5
WEAK_SIGNAL = 3


class ContecOld(Oximeter):
    """60 frames a second, odd parity. Shown after 1.5 s, taken after 5 s without a flaw."""

    model: ClassVar[str] = "contec-old"
    title: ClassVar[str] = "Contec CMS50 (old)"
    settings: ClassVar[LineSettings] = LineSettings(19_200, "O")
    shown: ClassVar[int] = 90
    taken: ClassVar[int] = 300

    def _start(self, now: float) -> None:
        self._held = bytearray()

    def receive(self, data: bytes, now: float) -> None:
        held = self._held
        for byte in data:
            if byte & 0x80:
                if held:
                    self._broken(len(held))
                held[:] = bytes((byte,))
            elif not held:
                self._broken()
            else:
                held.append(byte)
                if len(held) == FRAME_BYTES:
                    self._decode(bytes(held), now)
                    held.clear()
        self._flush()

    def _decode(self, raw: bytes, now: float) -> None:
        status, wave, more, low, spo2 = raw
        pulse = low | (more & 0x40) << 1
        absent = bool(more & 0x20) or spo2 in (0, 0x7F) or pulse in (0, 0xFF)
        finger = not (status & 0x10 or more & 0x10)
        doubtful = bool(status & 0x20) or status & 0x0F < WEAK_SIGNAL
        if finger:
            self._point(wave)
        self._frame(Frame(None if absent else spo2, None if absent else pulse, finger, doubtful), raw, now)


class ContecOem(ContecOld):
    """The same frames at 4,800 baud without parity."""

    model: ClassVar[str] = "contec-oem"
    title: ClassVar[str] = "Contec OEM 4800"
    settings: ClassVar[LineSettings] = LineSettings(4_800)

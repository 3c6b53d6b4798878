"""Contec CMS50D+/E/F of protocol V7.0 (and CMS60D). No checksum; pure.

Source: captures and two open drivers, values re-computed ("Communication protocol of pulse oximeter V7.0", Contec
2010). Byte 0 is the type (bit 7 clear), byte 1 holds the high bits of up to seven data bytes, which all have bit 7
set.
"""

from typing import ClassVar

from .base import LineSettings
from .oximeter import Frame, Oximeter

START = bytes.fromhex("7d81a1808080808080")
STOP = bytes.fromhex("7d81a2808080808080")
KEEP_ALIVE = bytes.fromhex("7d81af808080808080")
KEEP_ALIVE_S = 4.0
"""The stream stops after about 5 s without one."""
AGAIN_S = 3.0
REAL_TIME = 0x01
PACKAGE_BYTES = 9
NO_PULSE, NO_SPO2 = 0xFF, 0x7F
WEAK_SIGNAL = 3
"""Of 15; ours."""


def unpack(package: bytes) -> bytes:
    """The data bytes of a package."""
    high = package[1]
    return bytes(byte & 0x7F | (high >> place & 1) << 7 for place, byte in enumerate(package[2:]))


class ContecV7(Oximeter):
    """60 frames a second at 115,200 baud. Shown after 1.5 s, taken after 5 s without a flaw."""

    model: ClassVar[str] = "contec-v7"
    title: ClassVar[str] = "Contec CMS50 V7"
    settings: ClassVar[LineSettings] = LineSettings(115_200)
    shown: ClassVar[int] = 90
    taken: ClassVar[int] = 300

    def _start(self, now: float) -> None:
        self._package = bytearray()
        self._out += START
        self._alive_s = now

    def stop(self) -> bytes:
        return STOP

    def due(self, now: float) -> None:
        if now - self._heard_s >= AGAIN_S:
            self._out += START
            self._alive_s = self._heard_s = now
        elif now - self._alive_s >= KEEP_ALIVE_S:
            self._out += KEEP_ALIVE
            self._alive_s = now
        heard_s = self._heard_s
        super().due(now)
        self._timer = min(self._timer or now, self._alive_s + KEEP_ALIVE_S, heard_s + AGAIN_S)
        self._timer = max(self._timer, now + 0.5)

    def receive(self, data: bytes, now: float) -> None:
        package = self._package
        for byte in data:
            if byte < 0x80:
                if package and package[0] == REAL_TIME and len(package) != PACKAGE_BYTES:
                    self._broken(len(package))
                package[:] = bytes((byte,))
            elif not package or len(package) >= PACKAGE_BYTES:
                self._broken()
                package.clear()
            else:
                package.append(byte)
                if len(package) == PACKAGE_BYTES and package[0] == REAL_TIME:
                    self._real_time(bytes(package), now)
        self._flush()

    def _real_time(self, package: bytes, now: float) -> None:
        signal, wave, _, pulse, spo2, _, _ = unpack(package)
        searching = bool(signal & 0x10 or wave & 0x80)
        finger = not signal & 0x80
        doubtful = bool(signal & 0x20) or signal & 0x0F < WEAK_SIGNAL
        absent = searching or spo2 == NO_SPO2 or pulse == NO_PULSE
        if finger:
            self._point(wave & 0x7F)
        self._frame(Frame(None if absent else spo2, None if absent else pulse, finger, doubtful), package, now)

"""Nonin 8000, OEM III, Xpod, WristOx in data format 2 or 7: a checksum in every frame. Pure.

Source: a real capture with all sums verified, and two open drivers. Five bytes a frame, 25 frames a packet, three
packets a second; the sum covers the first four bytes. Which format a module speaks is set on the module.
"""

from typing import ClassVar

from .base import LineSettings
from .oximeter import Frame, Oximeter

FRAME_BYTES = 5
PACKET_FRAMES = 25
SYNC, SENSOR_ALARM, OUT_OF_TRACK, ARTIFACT, DISCONNECTED = 0x01, 0x08, 0x10, 0x20, 0x40
NO_PULSE, NO_SPO2 = 511, 127


class Nonin2(Oximeter):
    """Format 2: 01, status, wave, data, sum. Shown after four packets, taken after fifteen (5 s)."""

    model: ClassVar[str] = "nonin"
    title: ClassVar[str] = "Nonin (format 2)"
    settings: ClassVar[LineSettings] = LineSettings(9_600)
    shown: ClassVar[int] = 4
    taken: ClassVar[int] = 15

    def _start(self, now: float) -> None:
        self._buffer = bytearray()
        self._packet: list[bytes] = []

    @staticmethod
    def _status(frame: bytes) -> int | None:
        return frame[1] if frame[0] == 1 and frame[1] & 0x80 else None

    @staticmethod
    def _wave(frame: bytes) -> int:
        return frame[2] >> 1

    def receive(self, data: bytes, now: float) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while at + FRAME_BYTES <= len(buffer):
            frame = bytes(buffer[at : at + FRAME_BYTES])
            status = self._status(frame)
            if status is None or sum(frame[:4]) & 0xFF != frame[4]:
                self._broken()
                self._packet.clear()
                at += 1
                continue
            at += FRAME_BYTES
            self._take(frame, status, now)
        del buffer[:at]
        self._flush()

    def _take(self, frame: bytes, status: int, now: float) -> None:
        packet = self._packet
        if status & SYNC:
            if packet:
                self._broken(FRAME_BYTES)
            packet[:] = [frame]
        elif packet:
            packet.append(frame)
        if not status & (DISCONNECTED | SENSOR_ALARM):
            self._point(self._wave(frame))
        self._good(FRAME_BYTES)
        if len(packet) == PACKET_FRAMES:
            self._whole(packet, now)
            packet.clear()

    def _whole(self, packet: list[bytes], now: float) -> None:
        data = [frame[3] for frame in packet]
        said = 0
        for frame in packet:
            said |= (self._status(frame) or 0) & ~SYNC
        pulse = (data[0] & 3) << 7 | data[1] & 0x7F
        spo2 = data[2] & 0x7F
        absent = bool(said & OUT_OF_TRACK) or pulse == NO_PULSE or spo2 == NO_SPO2
        finger = not said & (DISCONNECTED | SENSOR_ALARM)
        raw = b"".join(packet[:3])
        self._frame(Frame(None if absent else spo2, None if absent else pulse, finger, bool(said & ARTIFACT)), raw, now)


class Nonin7(Nonin2):
    """Format 7: status, wave in 16 bits, data, sum."""

    model: ClassVar[str] = "nonin-7"
    title: ClassVar[str] = "Nonin (format 7)"

    @staticmethod
    def _status(frame: bytes) -> int | None:
        return frame[0] if frame[0] & 0x80 else None

    @staticmethod
    def _wave(frame: bytes) -> int:
        return frame[1] >> 1

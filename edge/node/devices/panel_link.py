"""Frames of the panel link: COBS, CRC-16, and the messages of the table (firmware/PROTOCOL.md).

Bytes in, messages out, and the other way round. Knows no port and no clock.
"""

import binascii
import struct
from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, structs

from . import panel_protocol as table

RESIDUE = 0x1D0F
"""CRC over a whole good frame; not 0, so that zeros added at the end of a frame are found."""
OVERHEAD = 4
"""Sequence, type and CRC around a payload, in bytes."""

Message: TypeAlias = Struct
"""One of the structs of :mod:`panel_protocol`."""


class UnknownMessage(Struct, frozen=True):
    """A well-formed frame of a type that this release does not know."""

    code: int
    payload: bytes


class PanelFrameError(ValueError):
    """A message does not fit into a frame, or a value into its field."""


def encode_payload(message: Message) -> bytes:
    """The payload of a message. Raises PanelFrameError when a value does not fit."""
    kind = type(message)
    layout, tail = kind.LAYOUT, kind.TAIL  # type: ignore[attr-defined]
    values = structs.asdict(message)
    rest = values.pop(tail) if tail else b""
    try:
        return struct.pack(layout, *values.values()) + bytes(rest)
    except struct.error as error:
        raise PanelFrameError(f"{kind.__name__}: {error}") from error


def decode_payload(code: int, payload: bytes, known: Mapping[int, type[Struct]]) -> Message | UnknownMessage | None:
    """The message in a payload; None when its length is not that of its type."""
    kind = known.get(code)
    if kind is None:
        return UnknownMessage(code, payload)
    layout, tail = kind.LAYOUT, kind.TAIL  # type: ignore[attr-defined]
    size = struct.calcsize(layout)
    if len(payload) < size or (len(payload) > size and not tail):
        return None
    values: list[object] = list(struct.unpack_from(layout, payload))
    if tail:
        values.append(payload[size:])
    return kind(*values)


def encode_frame(sequence: int, message: Message) -> bytes:
    """One frame as it goes over the wire, delimiter included."""
    code: int = type(message).CODE  # type: ignore[attr-defined]
    body = bytes([sequence, code]) + encode_payload(message)
    if len(body) + 2 > table.FRAME_MAX:
        raise PanelFrameError(f"a frame has at most {table.FRAME_MAX} bytes, not {len(body) + 2}")
    body += (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")
    return b"".join(bytes([len(run) + 1]) + run for run in body.split(b"\0")) + b"\0"


def unstuff(frame: bytes) -> bytes | None:
    """COBS decoding of a frame without its delimiter; None when it is not one."""
    out = bytearray()
    at = 0
    while at < len(frame):
        code = frame[at]
        run = frame[at + 1 : at + code]
        if code == 0 or len(run) != code - 1:
            return None
        out += run
        at += code
        if at < len(frame) and code != 0xFF:
            out.append(0)
    return bytes(out)


class FrameReader:
    """Splits a byte stream into messages. ``known`` says which side is heard."""

    def __init__(self, known: Mapping[int, type[Struct]] = table.TO_NODE) -> None:
        self._known = known
        self._buffer = bytearray()
        self._overlong = False
        self.bad_frames = 0
        """Frames refused so far: stuffing, length, check sum."""
        self.unknown = 0
        """Well-formed frames of unknown type so far."""

    def feed(self, data: bytes) -> list[tuple[int, Message]]:
        """Takes bytes of the line; returns (sequence, message) for each good frame."""
        found: list[tuple[int, Message]] = []
        for byte in data:
            if byte:
                if len(self._buffer) <= table.FRAME_MAX + 1:
                    self._buffer.append(byte)
                else:
                    self._overlong = True
                continue
            if self._buffer:
                self._finish(found)
            self._buffer.clear()
            self._overlong = False
        return found

    def _finish(self, found: list[tuple[int, Message]]) -> None:
        body = None if self._overlong else unstuff(bytes(self._buffer))
        if body is None or not OVERHEAD <= len(body) <= table.FRAME_MAX or binascii.crc_hqx(body, 0xFFFF) != RESIDUE:
            self.bad_frames += 1
            return
        message = decode_payload(body[1], body[2:-2], self._known)
        if message is None:
            self.bad_frames += 1
        elif isinstance(message, UnknownMessage):
            self.unknown += 1
        else:
            found.append((body[0], message))

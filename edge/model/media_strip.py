"""Takes out of a photo what is no picture: place, time, names, thumbnails; the picture's own bytes stay as they are.

Phones write GPS positions and serial numbers into what they take. Kept are the picture, its colours, and which way is
up; everything else goes, also what stands behind the picture's end. Pure; for bytes that
:mod:`edge.model.media_probe` has found to be whole. Sources: ITU-T T.81 annex B, JFIF, Exif 2.32 §4.5 and tag 0x0112,
W3C PNG 3rd edition §11, RFC 9649 §2.7.
"""

import struct
import zlib
from collections.abc import Iterator

from .media import MediaType

_EXIF = b"Exif\0\0"
_PNG_KEPT = frozenset({b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"bKGD", b"pHYs"})
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"})
_ORIENTATION = 0x0112
_ENTRIES_MAX = 512


def strip(media_type: MediaType, content: bytes) -> bytes:
    """The same picture without what it tells about its taking; sound and clips as they are. Idempotent."""
    match media_type:
        case MediaType.JPEG:
            return _jpeg(content)
        case MediaType.PNG:
            return _png(content)
        case MediaType.WEBP:
            return _webp(content)
        case _:
            return content


def _jpeg(data: bytes) -> bytes:
    kept, at, turned, exif_done = [data[:2]], 2, b"", False
    while True:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            return b"".join([*kept, data[at : at + 2]])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at:end]
        if marker == 0xE1 and segment[4:10] == _EXIF and not exif_done:
            exif_done = True
            turned = _small_exif(segment[10:])
            if turned:
                kept.append(b"\xff\xe1" + (len(_EXIF) + len(turned) + 2).to_bytes(2, "big") + _EXIF + turned)
        elif _is_picture(marker, segment):
            kept.append(segment)
        at = end
        if marker == 0xDA:
            end = _end_of_scan(data, at)
            kept.append(data[at:end])
            at = end


def _is_picture(marker: int, segment: bytes) -> bool:
    if marker == 0xFE:
        return False  # a comment
    if not 0xE0 <= marker <= 0xEF:
        return True
    profile = marker == 0xE2 and segment[4:16] == b"ICC_PROFILE\0"
    plain_jfif = marker == 0xE0 and segment[4:9] == b"JFIF\0"
    return profile or plain_jfif or (marker == 0xEE and segment[4:9] == b"Adobe")


def _end_of_scan(data: bytes, at: int) -> int:
    while True:
        at = data.index(b"\xff", at)
        if data[at + 1] and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2


def _png(data: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while True:
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"eXIf":
            turned = _small_exif(data[at + 8 : end - 4])
            if turned:
                kept.append(len(turned).to_bytes(4, "big") + kind + turned + _crc(kind + turned))
        elif kind[:1].isupper() or kind in _PNG_KEPT:
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            return b"".join(kept)


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")


def _webp(data: bytes) -> bytes:
    kept: list[tuple[bytes, bytes]] = []
    for kind, body in _webp_chunks(data):
        if kind == b"EXIF":
            turned = _small_exif(body.removeprefix(_EXIF))
            if turned:
                kept.append((kind, turned))
        elif kind in _WEBP_KEPT:
            kept.append((kind, body))
    names = {kind for kind, _ in kept}
    out = []
    for kind, body in kept:
        if kind == b"VP8X":
            flags = (body[0] & ~0x0C) | (0x08 if b"EXIF" in names else 0)
            body = bytes((flags,)) + body[1:]
        out.append(kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2))
    whole = b"WEBP" + b"".join(out)
    return b"RIFF" + len(whole).to_bytes(4, "little") + whole


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    while at + 8 <= end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _small_exif(tiff: bytes) -> bytes:
    """A TIFF block that says which way is up and nothing else; empty when it is the usual way, or not told."""
    orientation = _orientation(tiff)
    if not 2 <= orientation <= 8:
        return b""
    return b"MM\0\x2a" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for place in range(min(count, _ENTRIES_MAX)):
            tag, kind, many, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * place)
            if (tag, kind, many) == (_ORIENTATION, 3, 1):
                return int(value)
    except struct.error:
        return 0
    return 0

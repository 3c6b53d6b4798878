"""What bytes really are: JPEG, PNG, WebP, Opus in Ogg, WebM, by their structure and not by their name.

Pure and bounded: walks headers through a reader, follows no length beyond the end, decodes nothing.
Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd edition §5, RFC 9649 (WebP), RFC 3533 and 7845 (Ogg
Opus), RFC 8794 and 9559 (EBML, Matroska).
"""

import struct
import zlib
from collections.abc import Callable

from .errors import Fault, Refusal
from .media import PARTS_MAX, Facts, MediaType

Read = Callable[[int, int], bytes]
"""(offset, length) → at most that many bytes."""

_STEPS_MAX = 200_000
"""Chunks, pages or elements of one file that are looked at."""


class _Damaged(Exception):
    """The structure does not hold."""


def probe(read: Read, size_bytes: int) -> Facts | Refusal:
    """Facts of a file, or why it is none that is taken here."""
    source = _Source(read, size_bytes)
    head = read(0, 16)
    for magic, at, look in _LOOKS:
        if head[at : at + len(magic)] == magic:
            try:
                return look(source)
            except (_Damaged, struct.error, OverflowError):
                text = "The file is damaged or only half there. Take or record it again."
                return Refusal("media_damaged", text, "", Fault.CALLER)
    text = "Only JPEG, PNG, WebP, Opus in Ogg and WebM are taken."
    return Refusal("media_type_unknown", text, "", Fault.CALLER)


class _Source:
    """Exact reads of a file of known size."""

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read = read
        self.size = size_bytes
        self._steps = 0

    def take(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise _Damaged
        data = self._read(offset, length)
        if len(data) != length:
            raise _Damaged
        return data

    def step(self) -> None:
        self._steps += 1
        if self._steps > _STEPS_MAX:
            raise _Damaged


def _jpeg(source: _Source) -> Facts:
    data = source.take(0, source.size)
    at, scans = 2, []
    frame: tuple[int, int, bool] | None = None
    while True:
        source.step()
        if at + 2 > len(data) or data[at] != 0xFF:
            raise _Damaged
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            break
        length = int.from_bytes(source.take(at + 2, 2), "big")
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7 or length < 2 or at + 2 + length > len(data):
            raise _Damaged
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker > 0xC2 or frame is not None or length < 8:
                raise _Damaged  # lossless, arithmetic or a second frame: no browser shows it
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            frame = (width, height, marker == 0xC2)
        at += 2 + length
        if marker == 0xDA:
            if frame is None:
                raise _Damaged
            at = _end_of_scan(source, data, at)
            scans.append(at)
    if frame is None or not scans:
        raise _Damaged
    width, height, progressive = frame
    parts = tuple(scans[:-1][:PARTS_MAX]) if progressive else ()
    return Facts(MediaType.JPEG, width, height, parts=parts)


def _end_of_scan(source: _Source, data: bytes, at: int) -> int:
    """Offset of the marker after entropy-coded data."""
    while True:
        source.step()
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _Damaged
        following = data[at + 1]
        if following and not 0xD0 <= following <= 0xD7:
            return at
        at += 2


def _png(source: _Source) -> Facts:
    at, seen_data = 8, False
    size = (0, 0)
    while True:
        source.step()
        length = int.from_bytes(source.take(at, 4), "big")
        kind = source.take(at + 4, 4)
        if at == 8:
            body = source.take(at + 4, 17)
            if kind != b"IHDR" or length != 13 or zlib.crc32(body) != int.from_bytes(source.take(at + 21, 4), "big"):
                raise _Damaged
            size = struct.unpack(">II", body[4:12])
        seen_data = seen_data or kind == b"IDAT"
        at += 12 + length
        if at > source.size:
            raise _Damaged
        if kind == b"IEND":
            break
    if not seen_data:
        raise _Damaged
    return Facts(MediaType.PNG, *size)


def _webp(source: _Source) -> Facts:
    head = source.take(0, 30)
    told = int.from_bytes(head[4:8], "little") + 8
    if head[8:12] != b"WEBP" or not told <= source.size <= told + 1:
        raise _Damaged
    kind, body = head[12:16], head[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    elif kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X" and not body[0] & 0x02:  # no animations
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    else:
        raise _Damaged
    return Facts(MediaType.WEBP, width, height)


def _ogg(source: _Source) -> Facts:
    at, granule, skipped, serial = 0, 0, 0, b""
    while at < source.size:
        source.step()
        head = source.take(at, 27)
        segments = source.take(at + 27, head[26])
        if head[:5] != b"OggS\x00":
            raise _Damaged
        body_at = at + 27 + len(segments)
        if at == 0:
            opus = source.take(body_at, 19)
            if opus[:8] != b"OpusHead" or opus[8] >> 4 or not 1 <= opus[9] <= 2:
                raise _Damaged
            skipped, serial = int.from_bytes(opus[10:12], "little"), head[14:18]
        elif head[14:18] != serial:
            raise _Damaged  # a second stream hides in it
        position = int.from_bytes(head[6:14], "little", signed=True)
        granule = max(granule, position)
        at = body_at + sum(segments)
    if at != source.size or granule <= skipped:
        raise _Damaged
    return Facts(MediaType.OGG_OPUS, duration_ms=(granule - skipped) // 48)


_EBML, _DOC_TYPE, _SEGMENT, _INFO, _TRACKS, _CLUSTER = (
    0x1A45DFA3,
    0x4282,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0x1F43B675,
)
_TRACK, _TYPE, _CODEC, _VIDEO, _WIDTH, _HEIGHT = 0xAE, 0x83, 0x86, 0xE0, 0xB0, 0xBA
_SCALE, _DURATION, _TIME, _GROUP, _BLOCK, _SIMPLE_BLOCK = 0x2AD7B1, 0x4489, 0xE7, 0xA0, 0xA1, 0xA3
_ENTERED = frozenset({_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER, _TRACK, _VIDEO, _GROUP})
_CODECS = {b"\x01": (b"V_VP8", b"V_VP9", b"V_AV1"), b"\x02": (b"A_OPUS",)}


def _vint(source: _Source, at: int, *, keep_marker: bool) -> tuple[int, int, bool]:
    """(value, length, whether all bits are ones: unknown)."""
    first = source.take(at, 1)[0]
    length = 9 - first.bit_length() if first else 9
    if length > (4 if keep_marker else 8):
        raise _Damaged
    value = int.from_bytes(source.take(at, length), "big")
    plain = value & ((1 << 7 * length) - 1)
    return (value if keep_marker else plain), length, plain == (1 << 7 * length) - 1


def _webm(source: _Source) -> Facts:
    at, doc_type = 0, b""
    scale_ns, told, cluster, last, clusters = 1_000_000, 0.0, 0, 0, 0
    width, height = 0, 0
    tracks: list[dict[int, bytes]] = []
    while at < source.size:
        source.step()
        name, name_length, _ = _vint(source, at, keep_marker=True)
        length, length_length, unknown = _vint(source, at + name_length, keep_marker=False)
        body_at = at + name_length + length_length
        if (at == 0) != (name == _EBML) or (unknown and name not in (_SEGMENT, _CLUSTER)):
            raise _Damaged
        if not unknown and body_at + length > source.size:
            raise _Damaged
        if name in _ENTERED:
            clusters += name == _CLUSTER
            if name == _TRACK:
                tracks.append({})
            at = body_at
            continue
        if name in (_BLOCK, _SIMPLE_BLOCK):
            _, track_length, _ = _vint(source, body_at, keep_marker=False)
            moment: int = struct.unpack(">h", source.take(body_at + track_length, 2))[0]
            last = max(last, cluster + moment)
        elif name == _DOC_TYPE:
            doc_type = source.take(body_at, min(length, 32)).rstrip(b"\0")
        elif name in (_CODEC, _TYPE) and tracks:
            tracks[-1][name] = source.take(body_at, min(length, 32)).rstrip(b"\0")
        elif name == _DURATION:
            told = struct.unpack(">f" if length == 4 else ">d", source.take(body_at, length))[0]
        elif name in (_WIDTH, _HEIGHT, _SCALE, _TIME):
            number = int.from_bytes(source.take(body_at, min(length, 8)), "big")
            width = number if name == _WIDTH else width
            height = number if name == _HEIGHT else height
            scale_ns = number if name == _SCALE else scale_ns
            cluster = number if name == _TIME else cluster
        at = body_at + length
    kinds = {track.get(_TYPE, b"") for track in tracks}
    known = all(track.get(_CODEC, b"") in _CODECS.get(track.get(_TYPE, b""), ()) for track in tracks)
    if doc_type != b"webm" or not tracks or not known or not clusters or not 0 <= told < 1e9:
        raise _Damaged
    duration_ms = min(int(max(told, last) * scale_ns / 1_000_000), 1 << 40)
    if b"\x01" in kinds:
        return Facts(MediaType.WEBM_VIDEO, width, height, duration_ms)
    return Facts(MediaType.WEBM_AUDIO, duration_ms=duration_ms)


_LOOKS: tuple[tuple[bytes, int, Callable[[_Source], Facts]], ...] = (
    (b"\xff\xd8\xff", 0, _jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, _png),
    (b"WEBP", 8, _webp),
    (b"OggS", 0, _ogg),
    (b"\x1aE\xdf\xa3", 0, _webm),
)

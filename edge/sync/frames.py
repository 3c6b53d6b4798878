"""Frames: what a packet carries once it is opened. Codec only; all frames are idempotent.

Types from 40 to 7f carry their length, so that a later release's can be passed over: an :class:`Unknown` is
acknowledged (up to 5f) and otherwise ignored, and so is a fragment of an unknown kind. Integers are big-endian; ``v``
is a LEB128 varint of at most 4 bytes. :func:`decode` takes any bytes and raises :class:`FrameRefused` for what is not a
sequence of frames (docs/protocol.md has the table).
"""

from itertools import pairwise
from typing import TypeAlias

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import seal
from .frontier import Ranges
from .versions import Reads, Span

KIND_BUNDLE = 1
KIND_DOWN = 2
KIND_SIGNAL = 3
KIND_STATE = 4
"""What is held (:mod:`edge.sync.holdings`); done when it has arrived."""
KIND_UPDATE = 5
"""Updates (:mod:`edge.sync.updating`); done when it has arrived."""
MESSAGE_MAX_BYTES = 300 * 1024
"""Largest message that is put together from fragments."""
ACK_BITMAP_MAX_BYTES = 32
PROBE_PAD_BYTES = 15
"""A probe is as long as a path challenge, so that an unproved address may be answered."""
ACK_MAX_BYTES = 9 + ACK_BITMAP_MAX_BYTES
"""In an outage a probe is so much longer: an ACK fits into the answer to a new address."""
QUARANTINED = 0x80
"""Bit of a STORED level: kept, but not readable."""


class FrameRefused(UpkendraError):
    """An authentic packet holds what is no frame of this release."""

    code = "frame_refused"
    fault = Fault.CALLER


class Frag(Struct, frozen=True):
    """A piece of a message. ``nonce`` and ``base`` stand only in SIGNAL frames (kind 3)."""

    kind: int
    """A kind of a later release is acknowledged and passed over."""
    cls: int
    message: int
    offset: int
    total: int
    data: bytes
    nonce: int = 0
    """A hub nonce younger than 30 s (node → hub)."""
    base: int = 0
    """Signals below this number are given up: do not wait for them."""


class Ack(Struct, frozen=True):
    """Packets received: ``cursor`` is the highest; bit i of the bitmap stands for cursor - 1 - i."""

    salt2: bytes
    """First two bytes of the salt of what is acknowledged (node → hub), zeros (hub → node)."""
    cursor: int
    delay_ms: int
    bitmap: bytes


class Probe(Struct, frozen=True):
    """Asks for an ACK at once and for TIME."""

    wide: bool = False
    """With room for an ACK beside the challenge; not told apart when it is read."""


class Time(Struct, frozen=True):
    unix_ms: int
    nonce: int


class Path(Struct, frozen=True):
    """Challenge from the hub and its echo from the node, on the path where it came."""

    echo: bool
    token: bytes


class Open(Struct, frozen=True):
    """Node → hub: the opening of an earlier epoch, before bundles sealed under it."""

    opening: bytes


class Wanted(Struct, frozen=True):
    """Hub → node: send me the opening of this epoch."""

    epoch_id: bytes


class Reseal(Struct, frozen=True):
    """Hub → node: this bundle can never be opened; seal its entries anew."""

    bundle_id: bytes


class Stored(Struct, frozen=True):
    """Hub → node: the bundle is durable."""

    bundle_id: bytes
    level: int


class StoredHere(Struct, frozen=True):
    """Hub → node: bundles that came as these messages of this session are durable."""

    level: int
    spans: tuple[tuple[int, int], ...]
    """First and last message number, ascending; no two touch."""

    def join(self, other: "StoredHere") -> "StoredHere | None":
        """Both in one frame; None when they do not fit into one."""
        numbers = Ranges()
        for first, last in (*self.spans, *other.spans):
            numbers.add(first, last + 1)
        spans = tuple((first, end - 1) for first, end in numbers.spans())
        return StoredHere(self.level, spans) if self.level == other.level and len(spans) <= SPANS_MAX else None


class DownStored(Struct, frozen=True):
    """Node → hub: the down blob is durable."""

    seq: int


class Hello(Struct, frozen=True):
    """Both ways, once a session: what this release reads. Fields are only appended, and unknown ones skipped."""

    reads: Reads


class Limit(Struct, frozen=True):
    """Node → hub: how much bulk it may send down, until the next one; at first anything."""

    held: bool
    """Nothing of classes 3 to 5."""
    bulk_bps: int | None
    """At most so much of classes 2 to 5, IP bits per second, in steps of 100."""


class UnlockAsk(Struct, frozen=True):
    """Node → hub: a person at the locked node asks the hub to open it. Said again until it is answered for good."""

    request: bytes
    """8 B, random, one for each time that somebody asks."""
    nonce: int
    """A hub nonce younger than 30 s."""


class Unlock(Struct, frozen=True):
    """Hub → node: how it stands with a request, in the session in which it was asked."""

    request: bytes
    state: int
    """1 a person has still to act, 2 refused, 3 released. A node takes any other for 1."""
    secret: bytes = b""
    """U, 32 B, only when released."""

    def __repr__(self) -> str:
        return f"Unlock({self.request.hex()}, {self.state})"


class Train(Struct, frozen=True):
    """One packet of a train that measures the way (:mod:`edge.sync.trains`); lost ones are not repeated."""

    number: int
    """Of the train."""
    index: int
    count: int
    pad: int
    """Bytes of padding behind it."""


class TrainSeen(Struct, frozen=True):
    """Hub → node: when the packets of a train came."""

    number: int
    ticks: tuple[int, ...]
    """For each packet 0, it did not come, or 1 + tenths of a millisecond after the first one that did."""


class Unknown(Struct, frozen=True):
    """A frame of a later release. Passed over."""

    type: int
    body: bytes


Frame: TypeAlias = (
    Limit
    | UnlockAsk
    | Unlock
    | Hello
    | Train
    | TrainSeen
    | Unknown
    | Frag
    | Ack
    | Probe
    | Time
    | Path
    | Open
    | Wanted
    | Reseal
    | Stored
    | StoredHere
    | DownStored
)

_PADDING = 0
_FRAG, _ACK, _PROBE, _TIME, _SIGNAL, _PATH, _OPEN, _WANTED, _RESEAL, _STORED, _DOWN_STORED, _STORED_HERE = range(1, 13)
_HELLO, _LIMIT, _UNLOCK_ASK, _UNLOCK = range(0x40, 0x44)
_TRAIN, _TRAIN_SEEN = 0x60, 0x61
_SIZED = range(0x40, 0x80)
"""Types whose length stands behind them."""
_QUIET = 0x60
"""From this type on they are not acknowledged."""
_HELLO_BYTES = 8
_LIMIT_BYTES = 3
_TRAIN_BYTES = 4
REQUEST_BYTES = 8
UNLOCK_WAITS, UNLOCK_REFUSED, UNLOCK_RELEASED = 1, 2, 3
_NO_LIMIT = 0xFFFF
FRAG_HEAD_MAX_BYTES = 24
SPANS_MAX = 64
"""Spans of messages in one STORED_HERE."""


def eliciting(frame: Frame) -> bool:
    """Whether a packet with this frame is to be acknowledged."""
    if isinstance(frame, Unknown):
        return frame.type < _QUIET
    return not isinstance(frame, Ack | Time | Path | Train | TrainSeen)


def in_passing(frame: Frame) -> bool:
    """Whether its ACK waits for a packet that leaves anyway. Who misses what this frame says asks for it."""
    return isinstance(frame, Stored | StoredHere | DownStored)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """One frame's bytes."""
    match frame:
        case Frag():
            piece = bytes((frame.kind << 4 | frame.cls,)) + varint(frame.message) + varint(frame.offset)
            piece += varint(frame.total) + varint(len(frame.data)) + frame.data
            if frame.kind == KIND_SIGNAL:
                return bytes((_SIGNAL,)) + frame.nonce.to_bytes(4, "big") + varint(frame.base) + piece
            return bytes((_FRAG,)) + piece
        case Ack():
            head = bytes((_ACK,)) + frame.salt2 + frame.cursor.to_bytes(3, "big")
            return head + frame.delay_ms.to_bytes(2, "big") + bytes((len(frame.bitmap),)) + frame.bitmap
        case Probe():
            return bytes((_PROBE,)) + bytes(PROBE_PAD_BYTES + (ACK_MAX_BYTES if frame.wide else 0))
        case Time():
            return bytes((_TIME,)) + frame.unix_ms.to_bytes(8, "big") + frame.nonce.to_bytes(4, "big")
        case Path():
            return bytes((_PATH, frame.echo)) + frame.token
        case Open():
            return bytes((_OPEN,)) + frame.opening
        case Wanted():
            return bytes((_WANTED,)) + frame.epoch_id
        case Reseal():
            return bytes((_RESEAL,)) + frame.bundle_id
        case Stored():
            return bytes((_STORED, frame.level)) + frame.bundle_id
        case StoredHere():
            body, before = b"", 0
            for first, last in frame.spans:
                body += varint(first - before) + varint(last - first)
                before = last
            return bytes((_STORED_HERE, frame.level, len(frame.spans))) + body
        case DownStored():
            return bytes((_DOWN_STORED,)) + frame.seq.to_bytes(8, "big")
        case Hello():
            return bytes((_HELLO, _HELLO_BYTES, *(number for span in frame.reads for number in span)))
        case Limit():
            rate = _NO_LIMIT if frame.bulk_bps is None else min(frame.bulk_bps // 100, _NO_LIMIT - 1)
            return bytes((_LIMIT, _LIMIT_BYTES, frame.held)) + rate.to_bytes(2, "big")
        case UnlockAsk():
            return _with_length(_UNLOCK_ASK, frame.request + frame.nonce.to_bytes(4, "big"))
        case Unlock():
            return _with_length(_UNLOCK, frame.request + bytes((frame.state,)) + frame.secret)
        case Train():
            return _with_length(_TRAIN, _train_head(frame.number, frame.index, frame.count) + bytes(frame.pad))
        case TrainSeen():
            head = frame.number.to_bytes(2, "big") + bytes((len(frame.ticks),))
            return _with_length(_TRAIN_SEEN, head + b"".join(map(varint, frame.ticks)))
        case Unknown():
            return bytes((frame.type,)) + varint(len(frame.body)) + frame.body


def _train_head(number: int, index: int, count: int) -> bytes:
    return number.to_bytes(2, "big") + bytes((index, count))


def _with_length(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + varint(len(body)) + body


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise FrameRefused("a frame ends early", code="frame_truncated")
        self.at += count
        return piece

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def varint(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise FrameRefused("a number is too long", code="frame_malformed")


def decode(plain: bytes) -> list[Frame]:
    """All frames of an opened packet. Raises FrameRefused."""
    reader = _Reader(plain)
    frames: list[Frame] = []
    while reader.at < len(plain):
        kind = reader.number(1)
        if kind != _PADDING:
            frames.append(_one(reader, kind))
    return frames


def _one(reader: _Reader, kind: int) -> Frame:
    if kind == _FRAG:
        return _frag(reader, 0, 0, signal=False)
    if kind == _SIGNAL:
        return _frag(reader, reader.number(4), reader.varint(), signal=True)
    if kind == _ACK:
        salt2, cursor, delay_ms = reader.take(2), reader.number(3), reader.number(2)
        length = reader.number(1)
        if length > ACK_BITMAP_MAX_BYTES:
            raise FrameRefused("an acknowledgement's bitmap is too long", code="frame_malformed")
        return Ack(salt2, cursor, delay_ms, reader.take(length))
    if kind == _PROBE:
        return Probe()
    if kind == _TIME:
        return Time(reader.number(8), reader.number(4))
    if kind == _PATH:
        return Path(bool(reader.number(1)), reader.take(8))
    if kind == _OPEN:
        return Open(reader.take(seal.OPENING_BYTES))
    if kind == _WANTED:
        return Wanted(reader.take(seal.EPOCH_ID_BYTES))
    if kind == _RESEAL:
        return Reseal(reader.take(seal.BUNDLE_ID_BYTES))
    if kind == _STORED:
        level = reader.number(1)
        return Stored(reader.take(seal.BUNDLE_ID_BYTES), level)
    if kind == _STORED_HERE:
        return _stored_here(reader)
    if kind == _DOWN_STORED:
        return DownStored(reader.number(8))
    if kind in _SIZED:
        return _sized(kind, reader.take(reader.varint()))
    raise FrameRefused("a frame that no release has", code="frame_unknown")


def _stored_here(reader: _Reader) -> StoredHere:
    level, count = reader.number(1), reader.number(1)
    spans, before = [], 0
    for _ in range(count):
        first = before + reader.varint()
        before = first + reader.varint()
        spans.append((first, before))
    if not 0 < count <= SPANS_MAX or spans[0][0] == 0 or any(b[0] - a[1] < 2 for a, b in pairwise(spans)):
        raise FrameRefused("message numbers that do not ascend", code="frame_malformed")
    return StoredHere(level, tuple(spans))


def _sized(kind: int, body: bytes) -> Frame:
    if kind == _LIMIT and len(body) >= _LIMIT_BYTES:
        rate = int.from_bytes(body[1:3], "big")
        return Limit(bool(body[0]), None if rate == _NO_LIMIT else rate * 100)
    if kind == _UNLOCK_ASK and len(body) >= REQUEST_BYTES + 4:
        return UnlockAsk(body[:REQUEST_BYTES], int.from_bytes(body[REQUEST_BYTES : REQUEST_BYTES + 4], "big"))
    if kind == _UNLOCK and len(body) > REQUEST_BYTES:
        return Unlock(body[:REQUEST_BYTES], body[REQUEST_BYTES], body[REQUEST_BYTES + 1 :])
    if kind == _TRAIN and len(body) >= _TRAIN_BYTES:
        return Train(int.from_bytes(body[:2], "big"), body[2], body[3], len(body) - _TRAIN_BYTES)
    if kind == _TRAIN_SEEN and len(body) >= 3:
        reader = _Reader(body[3:])
        return TrainSeen(int.from_bytes(body[:2], "big"), tuple(reader.varint() for _ in range(body[2])))
    if kind != _HELLO:
        return Unknown(kind, body)
    if len(body) < _HELLO_BYTES:
        raise FrameRefused("a greeting is too short", code="frame_malformed")
    spans = [Span(body[place], body[place + 1]) for place in range(0, _HELLO_BYTES, 2)]
    return Hello(Reads(*spans))


def _frag(reader: _Reader, nonce: int, base: int, *, signal: bool) -> Frag:
    first = reader.number(1)
    message, offset, total = reader.varint(), reader.varint(), reader.varint()
    data = reader.take(reader.varint())
    kind, cls = first >> 4, first & 15
    if not kind or signal != (kind == KIND_SIGNAL):
        raise FrameRefused("a fragment of no kind", code="frame_unknown")
    if not 0 < total <= MESSAGE_MAX_BYTES or not data or offset + len(data) > total:
        raise FrameRefused("a fragment does not fit its message", code="frame_malformed")
    return Frag(kind, cls, message, offset, total, data, nonce, base)

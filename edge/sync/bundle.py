"""What is inside a bundle: several entries of one log, compressed together, padded.

Two formats. ``01 ‖ dictionary1 ‖ length3 ‖ zstd(msgpack array)`` takes anything. ``02 ‖ model1 ‖ range code`` is what
:mod:`.compact` makes of entries that it can give back to the byte (tried each time); it is three times smaller.
Both end in zeros to a multiple of 32. Class, stream and run are in here, inside the ciphertext. Reading is bounded:
a bomb, a huge count or a length that lies is a :class:`BundleRefused`. Knows no keys.
"""

from functools import cache
from importlib import resources

import msgspec
import zstandard
from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import seal
from .compact import Malformed, Model, Walk
from .log import SignedHead
from .rangecoder import Reader, WorkExceeded, Writer
from .versions import Reads

FORMAT = 1
MODELLED = 2
HEADER_BYTES = 5
MODELLED_HEADER_BYTES = 2
PLAIN_MAX_BYTES = 1 << 20
"""Decompressed payloads are never larger (1 MiB)."""
ENTRIES_MAX = 4096
ENTRY_MAX_BYTES = 256 * 1024
NO_DICTIONARY = 0
CURRENT_DICTIONARY = 1
CURRENT_MODEL = 2
WORK_MAX = 250_000
"""Decisions of the range coder in one bundle. 50 visits take 165,000."""
WORK_FREE, WORK_PER_BYTE = 4_000, 64
"""What is read may cost so many decisions, and so many for each of its bytes; visits take 18 a byte, audit lines 28.
The hub reads in its event loop: without this a few bytes of a stolen node would stop it for everybody."""
MODELLED_PLAIN_MAX_BYTES = 640 * 1024
"""Larger payloads are not tried with the model."""
_WELL = 5
"""So many times smaller than the plain payload, and zstd is not tried as well."""
_DATA = resources.files("edge.sync").joinpath("data")
_SHIPPED = {number: _DATA.joinpath(f"dictionary-{number:03d}.bin").read_bytes() for number in (1, 2)}
"""Read when the process starts: no bundle waits for a disk, and none of a stranger's numbers looks there."""
_MODELS = {number: Model.load(_DATA.joinpath(f"model-{number:03d}.bin").read_bytes()) for number in (2,)}
_LEVEL = 19
_WINDOW_MAX_BYTES = 1 << 21
_SEQ_MAX = 1 << 48


class BundleRefused(UpkendraError):
    """A payload that is not what its seal promised. It is quarantined with this code; the rest goes on."""

    code = "bundle_refused"
    fault = Fault.CALLER


class BundlePayload(Struct, frozen=True, array_like=True):
    """Consecutive entries of one log."""

    cls: int
    """Priority class 0–5 (docs/protocol.md)."""
    run: bytes
    """8 B; the run of the log, which may be an earlier one than the epoch's."""
    stream: int
    """:class:`edge.sync.log.Stream`; a number of a later release is kept as it is."""
    first_seq: int
    entries: tuple[bytes, ...]
    """Raw bytes of :class:`edge.model.events.Entry`, never re-encoded."""
    head: SignedHead | None = None
    """The signed head after the last entry, where one was due."""


class Chunk(Struct, frozen=True):
    """One piece of a blob, as it is sealed (:mod:`edge.sync.blobs`)."""

    blob_id: str
    number: int
    """From 0."""
    count: int
    """How many chunks the blob has, so that "3 of 12" can be said before the manifest is here."""
    data: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(BundlePayload)


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict | None:
    """A shipped dictionary; None for number 0. Raises BundleRefused for one this release lacks."""
    if number == NO_DICTIONARY:
        return None
    if number not in _SHIPPED:
        raise BundleRefused("a dictionary this release does not have", code="dictionary_unknown")
    return zstandard.ZstdCompressionDict(_SHIPPED[number], dict_type=zstandard.DICT_TYPE_FULLDICT)


@cache
def _compressor(number: int, named: bool) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        window_log=20,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=named,
    )
    dictionary = _dictionary(number)
    if dictionary is None:
        return zstandard.ZstdCompressor(compression_params=parameters)
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary)


def _decompressor(number: int) -> zstandard.ZstdDecompressor:
    """A fresh one each time (14 µs): it must not be used by two threads, and downlink is read on another one."""
    dictionary = _dictionary(number)
    if dictionary is None:
        return zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS, max_window_size=_WINDOW_MAX_BYTES)
    return zstandard.ZstdDecompressor(
        dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS, max_window_size=_WINDOW_MAX_BYTES
    )


def compress(plain: bytes, dictionary: int = NO_DICTIONARY, *, named: bool = False) -> bytes:
    """zstd level 19 without magic, checksum and sizes; ``named``: the frame says which dictionary."""
    return _compressor(dictionary, named).compress(plain)


def dictionary_of(frame: bytes) -> int:
    """Which dictionary a frame names (RFC 8878 §3.1.1.1.3), 0 when none. Raises BundleRefused for what is no frame."""
    try:
        return int(zstandard.get_frame_parameters(frame, format=zstandard.FORMAT_ZSTD1_MAGICLESS).dict_id)
    except (zstandard.ZstdError, ValueError) as error:
        raise BundleRefused("the content does not decompress", code="compression") from error


def decompress(body: bytes, dictionary: int = NO_DICTIONARY, limit_bytes: int = PLAIN_MAX_BYTES) -> bytes:
    """Opposite of :func:`compress`, never more than ``limit_bytes``. Raises BundleRefused."""
    try:
        with _decompressor(dictionary).stream_reader(body) as reader:
            plain = reader.read(limit_bytes + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise BundleRefused("the content does not decompress", code="compression") from error
    if len(plain) > limit_bytes:
        raise BundleRefused("the content is larger than allowed", code="too_large")
    return plain


def pack_for(payload: BundlePayload, reads: Reads) -> bytes:
    """What :func:`pack` makes, in a format that the other side has said that it reads."""
    modelled = MODELLED in reads.formats and CURRENT_MODEL in reads.models
    dictionary = CURRENT_DICTIONARY if CURRENT_DICTIONARY in reads.dictionaries else NO_DICTIONARY
    return pack(payload, dictionary, CURRENT_MODEL if modelled else None)


def pack(payload: BundlePayload, dictionary: int = CURRENT_DICTIONARY, model: int | None = CURRENT_MODEL) -> bytes:
    """The bytes to seal, in the smaller of the two formats; without a ``model`` in format 01.

    Takes some milliseconds a visit: not in an event loop. Raises BundleRefused when a limit is exceeded: split the
    entries.
    """
    _check(payload)
    plain = _encoder.encode(payload)
    if len(plain) > PLAIN_MAX_BYTES:
        raise BundleRefused("too much for one bundle", code="too_large")
    packed = b"" if model is None or len(plain) > MODELLED_PLAIN_MAX_BYTES else _modelled(payload, model)
    if not packed or len(packed) * _WELL > len(plain):
        body = compress(plain, dictionary)
        other = bytes((FORMAT, dictionary)) + len(body).to_bytes(3, "big") + body
        packed = other if not packed or len(other) < len(packed) else packed
    packed = seal.pad(packed)
    if len(packed) + seal.BUNDLE_HEADER_BYTES + seal.TAG_BYTES > seal.BUNDLE_MAX_BYTES:
        raise BundleRefused("too much for one bundle", code="too_large")
    return packed


def unpack(packed: bytes) -> BundlePayload:
    """The payload in an opened bundle. Raises BundleRefused, and nothing else, for any bytes."""
    if len(packed) < HEADER_BYTES:
        raise BundleRefused("the payload has no header", code="truncated")
    if packed[0] == MODELLED:
        payload = _read_modelled(packed)
    elif packed[0] == FORMAT:
        payload = _read_plain(packed)
    else:
        raise BundleRefused("a payload format of a later release", code="format_unknown")
    _check(payload)
    return payload


def _read_plain(packed: bytes) -> BundlePayload:
    length = int.from_bytes(packed[2:HEADER_BYTES], "big")
    end = HEADER_BYTES + length
    if end > len(packed) or len(packed) - end >= seal.PAD_BYTES or any(packed[end:]):
        raise BundleRefused("the payload's length does not fit", code="truncated")
    plain = decompress(packed[HEADER_BYTES:end], packed[1])
    try:
        return _decoder.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleRefused("the payload is not a bundle's", code="payload_malformed") from error


def _modelled(payload: BundlePayload, number: int) -> bytes:
    """Format 02 without its padding, or nothing when the payload does not come back from it to the byte."""
    model = _MODELS[number]
    writer = Writer(model.slots(), WORK_MAX)
    walk = Walk(writer, model, reading=False)
    try:
        walk.payload(payload.cls, payload.run, payload.stream, payload.first_seq, payload.entries, payload.head)
        packed = bytes((MODELLED, number)) + writer.finish()
        return packed if _read_modelled(packed) == payload else b""
    except (WorkExceeded, Malformed, BundleRefused, ValueError):
        return b""


def _read_modelled(packed: bytes) -> BundlePayload:
    model = _MODELS.get(packed[1])
    if model is None:
        raise BundleRefused("a model this release does not have", code="dictionary_unknown")
    work = min(WORK_MAX, WORK_FREE + WORK_PER_BYTE * len(packed))
    reader = Reader(packed[MODELLED_HEADER_BYTES:], model.slots(), work)
    try:
        payload = BundlePayload(*Walk(reader, model, reading=True).payload())
    except (WorkExceeded, Malformed) as error:
        raise BundleRefused(str(error), code=error.refusal.code) from error
    if any(reader.rest):
        raise BundleRefused("something stands behind the payload", code="truncated")
    return payload


def _check(payload: BundlePayload) -> None:
    if not 0 <= payload.cls <= 5 or len(payload.run) != seal.RUN_BYTES:
        raise BundleRefused("class or run out of range", code="payload_malformed")
    if not 1 <= payload.stream <= 255 or not 1 <= payload.first_seq < _SEQ_MAX:
        raise BundleRefused("stream or sequence out of range", code="payload_malformed")
    if len(payload.entries) > ENTRIES_MAX:
        raise BundleRefused("too many entries", code="too_many_entries")
    if any(len(entry) > ENTRY_MAX_BYTES for entry in payload.entries):
        raise BundleRefused("an entry is too large", code="too_large")
    if payload.head is not None and payload.head.seq != payload.first_seq + len(payload.entries) - 1:
        raise BundleRefused("the head stands elsewhere than the last entry", code="payload_malformed")

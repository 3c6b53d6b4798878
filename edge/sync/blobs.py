"""Photos, notes and clips as chunks: names, checks, the chunk's wire format, what is held and what is missing.

A chunk travels in a sealed bundle of its own (payload format 03), so every bearer carries it, the
outbox keeps it, and it is acknowledged when it is durable, like any other bundle. Its names are
keyed with the visit's salt: who has no salt can confirm no guess, and once the salt is erased
nobody can. Without I/O; time is an argument. Knows no store and no visit.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from enum import StrEnum

from msgspec import Struct

from edge.model import media
from edge.model.ids import ID_BYTES, id_bytes, make_id
from edge.model.media import Facts, Manifest, Purpose

from . import seal
from .bundle import BundleRefused, Chunk
from .link import Cls

FORMAT = 3
"""First byte of a packed chunk; 1 and 2 are bundles of entries."""
HEADER_BYTES = 1 + ID_BYTES + 2 + 2 + 3
COUNT_MAX = 1 << 10
"""No manifest has more chunks; without one, a larger count is not believed."""
ASK_AGAIN_S = 600.0
"""What was asked for is asked for again after this."""

CLASS_OF: dict[Purpose, Cls] = {
    Purpose.PREVIEW: Cls.PREVIEW,
    Purpose.VOICE_NOTE: Cls.PREVIEW,
    Purpose.ANSWER: Cls.PREVIEW,
    Purpose.ORIGINAL: Cls.ORIGINAL,
    Purpose.CLIP: Cls.CLIP,
}
_PURPOSES = tuple(Purpose)


def pack_chunk(chunk: Chunk) -> bytes:
    """``03 ‖ blob_id10 ‖ number2 ‖ count2 ‖ length3 ‖ data ‖ zeros to a multiple of 32``: the bytes to seal."""
    head = bytes((FORMAT,)) + id_bytes(chunk.blob_id)
    head += chunk.number.to_bytes(2, "big") + chunk.count.to_bytes(2, "big") + len(chunk.data).to_bytes(3, "big")
    return seal.pad(head + chunk.data)


def unpack_chunk(packed: bytes) -> Chunk:
    """Opposite of :func:`pack_chunk`. Raises BundleRefused, and nothing else, for any bytes."""
    if len(packed) < HEADER_BYTES:
        raise BundleRefused("the chunk has no header", code="truncated")
    if packed[0] != FORMAT:
        raise BundleRefused("a payload format of a later release", code="format_unknown")
    number, count = int.from_bytes(packed[11:13], "big"), int.from_bytes(packed[13:15], "big")
    end = HEADER_BYTES + int.from_bytes(packed[15:HEADER_BYTES], "big")
    if end > len(packed) or len(packed) - end >= seal.PAD_BYTES or any(packed[end:]):
        raise BundleRefused("the chunk's length does not fit", code="truncated")
    data = packed[HEADER_BYTES:end]
    if not 0 <= number < count <= COUNT_MAX or not 1 <= len(data) <= media.CHUNK_MAX_BYTES:
        raise BundleRefused("a chunk that no blob has", code="chunk_malformed")
    return Chunk(make_id(packed[1:11]), number, count, data)


def is_chunk(packed: bytes) -> bool:
    """Whether an opened bundle says that it is a chunk."""
    return packed[:1] == bytes((FORMAT,))


# -- names and checks ---------------------------------------------------------------------------------


def blob_id_of(digest: bytes) -> str:
    """The name of a blob: 80 bits of its keyed digest."""
    return make_id(digest[:ID_BYTES])


def check_of(visit_salt: bytes, number: int, data: bytes) -> bytes:
    """``HMAC(HKDF(visit_salt, "blob check"), number4 ‖ data)[:8]``."""
    key = seal.hkdf(visit_salt, b"blob check")
    return hmac.digest(key, number.to_bytes(4, "big") + data, "sha256")[: media.CHECK_BYTES]


class Reader:
    """Reads a blob from its beginning and says how it is named; holds one chunk at a time."""

    def __init__(self, visit_salt: bytes, purpose: Purpose, size_bytes: int) -> None:
        self._salt = visit_salt
        self._purpose = purpose
        self._size = size_bytes
        self._length = media.chunk_bytes(size_bytes)
        self._hash = hmac.new(seal.hkdf(visit_salt, b"blob"), bytes((_PURPOSES.index(purpose),)), hashlib.sha256)
        self._buffer = bytearray()
        self._read = 0
        self._checks: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._hash.update(data)
        self._read += len(data)
        self._buffer += data
        while len(self._buffer) >= self._length:
            self._close_chunk(self._length)

    def _close_chunk(self, length: int) -> None:
        self._checks.append(check_of(self._salt, len(self._checks), bytes(self._buffer[:length])))
        del self._buffer[:length]

    def manifest(self, facts: Facts) -> Manifest:
        """The manifest of what was read. Raises ValueError when it is not as long as was said."""
        if self._read != self._size:
            raise ValueError(f"{self._read} bytes were read, not {self._size}")
        if self._buffer:
            self._close_chunk(len(self._buffer))
        digest = self._hash.digest()
        return Manifest(blob_id_of(digest), self._purpose, facts, self._size, digest, b"".join(self._checks))


def manifest_of(visit_salt: bytes, purpose: Purpose, facts: Facts, content: bytes) -> Manifest:
    """The manifest of bytes in memory."""
    reader = Reader(visit_salt, purpose, len(content))
    reader.feed(content)
    return reader.manifest(facts)


class Proof(Struct, frozen=True):
    """What came of checking all chunks against the manifest."""

    whole: bool
    bad: tuple[int, ...] = ()
    """Chunks that are not what the manifest says; all of them when only the whole does not fit."""


def prove(manifest: Manifest, visit_salt: bytes, chunk: Callable[[int], bytes]) -> Proof:
    """Check every chunk and the whole; ``chunk`` gives the bytes of a number."""
    reader = Reader(visit_salt, manifest.purpose, manifest.size_bytes)
    bad: list[int] = []
    count = media.chunk_count(manifest.size_bytes)
    for number in range(count):
        data = chunk(number)
        _, length = media.chunk_span(manifest.size_bytes, number)
        told = manifest.checks[number * media.CHECK_BYTES : (number + 1) * media.CHECK_BYTES]
        if len(data) != length or not hmac.compare_digest(check_of(visit_salt, number, data), told):
            bad.append(number)
        elif not bad:
            reader.feed(data)
    if bad:
        return Proof(False, tuple(bad))
    found = reader.manifest(manifest.facts)
    whole = hmac.compare_digest(found.digest, manifest.digest) and found.blob_id == manifest.blob_id
    return Proof(whole, () if whole else tuple(range(count)))


# -- what is held, what is missing ----------------------------------------------------------------------


def bitmap_of(numbers: Iterable[int]) -> bytes:
    """Bit i, least significant bit of the first byte first, stands for chunk i."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def numbers_of(bitmap: bytes) -> tuple[int, ...]:
    """Opposite of :func:`bitmap_of`; numbers no blob can have are left out."""
    bits = int.from_bytes(bitmap[: COUNT_MAX // 8], "little")
    return tuple(number for number in range(bits.bit_length()) if bits >> number & 1)


class Taken(StrEnum):
    """What became of a chunk that arrived."""

    FRESH = "fresh"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    """It is not of this blob's shape: keep it aside."""


class Receiving:
    """The receiver's side of one blob, built anew from what is stored: numbers held, and the shape if it is known."""

    def __init__(
        self,
        held: Iterable[int] = (),
        count: int = 0,
        manifest: Manifest | None = None,
        asked_s: float = float("-inf"),
    ) -> None:
        """``count``: as the first chunk told it; 0 before. ``asked_s``: when the sender was last asked."""
        self.held = set(held)
        self.manifest = manifest
        self.count = media.chunk_count(manifest.size_bytes) if manifest is not None else count
        self.asked_s = asked_s

    def take(self, chunk: Chunk) -> Taken:
        """A chunk arrived; store its data when it is FRESH."""
        if self.count and chunk.count != self.count:
            return Taken.REFUSED
        if self.manifest is not None and len(chunk.data) != media.chunk_span(self.manifest.size_bytes, chunk.number)[1]:
            return Taken.REFUSED
        if chunk.number in self.held:
            return Taken.DUPLICATE
        self.count = chunk.count
        self.held.add(chunk.number)
        return Taken.FRESH

    def learn(self, manifest: Manifest) -> tuple[int, ...]:
        """The manifest arrived: chunks that cannot be of this blob (all, when the counts differ); drop their data."""
        count = media.chunk_count(manifest.size_bytes)
        strays = tuple(sorted(self.held)) if self.count not in (0, count) else ()
        self.manifest, self.count = manifest, count
        self.held -= set(strays)
        return strays

    @property
    def complete(self) -> bool:
        """Every chunk is here; :func:`prove` says whether they are the right ones."""
        return self.manifest is not None and len(self.held) == self.count

    def missing(self) -> tuple[int, ...]:
        return tuple(number for number in range(self.count) if number not in self.held)

    def lose(self, numbers: Iterable[int]) -> None:
        """These did not prove right, or are gone from the disk."""
        self.held -= set(numbers)

    def ask(self, now: float) -> bytes:
        """Bitmap of what to ask the sender for; empty when it was asked a moment ago or nothing is missing.

        For what was acknowledged and then lost. The sender leaves aside what was never acknowledged: that
        comes by itself.
        """
        missing = self.missing()
        if not missing or now - self.asked_s < ASK_AGAIN_S:
            return b""
        self.asked_s = now
        return bitmap_of(missing)

    def shown_bytes(self) -> int:
        """How much of the beginning is worth showing: the finest part of a progressive picture that is here."""
        if self.manifest is None:
            return 0
        if self.complete:
            return self.manifest.size_bytes
        first = next(number for number in range(self.count) if number not in self.held)
        have, _ = media.chunk_span(self.manifest.size_bytes, first)
        return max((part for part in self.manifest.facts.parts if part <= have), default=0)


class Sending:
    """The sender's side of one blob, built anew from what is stored: what is sealed, what is acknowledged."""

    def __init__(self, manifest: Manifest, sealed: Iterable[int] = (), acked: Iterable[int] = ()) -> None:
        self.blob_id = manifest.blob_id
        self.cls = CLASS_OF[manifest.purpose]
        self.count = media.chunk_count(manifest.size_bytes)
        self._size = manifest.size_bytes
        self.sealed = set(sealed)
        self.acked = set(acked)

    def to_seal(self, budget_bytes: int) -> tuple[int, ...]:
        """Chunks to seal next, in order, of about so many bytes in all (at least one)."""
        chosen: list[int] = []
        for number in range(self.count):
            if number in self.sealed:
                continue
            chosen.append(number)
            budget_bytes -= media.chunk_span(self._size, number)[1]
            if budget_bytes <= 0:
                break
        return tuple(chosen)

    def wanted(self, bitmap: bytes) -> tuple[int, ...]:
        """The receiver lacks these: what it had acknowledged is to be sealed and sent anew."""
        again = tuple(number for number in numbers_of(bitmap) if number in self.acked)
        self.sealed -= set(again)
        self.acked -= set(again)
        return again

    @property
    def settled(self) -> bool:
        return len(self.acked) == self.count

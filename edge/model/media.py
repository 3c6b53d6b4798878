"""What a photo, voice note or clip is, how large it may be, and what a visit may hold of them.

Pure: whoever has the bytes asks :mod:`edge.model.media_probe` what they really are and this module
whether that may be attached. Node and hub ask the same questions, so that a node that lies is found
out. Codes of refusals are listed in ``docs/errors.md``.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .errors import Fault, Refusal
from .ids import Id
from .records import ShortText

DIGEST_BYTES = 32
CHECK_BYTES = 8
"""Bytes of ``Manifest.checks`` for each chunk: they find the chunk that is damaged; the digest proves the whole."""
CHUNK_MIN_BYTES = 8 * 1024
CHUNK_MAX_BYTES = 128 * 1024
CHUNKS_AIM = 64
PARTS_MAX = 16
PER_VISIT_MAX = 24
SIDE_MAX_PX = 8_192
AREA_MAX_PX = 40_000_000
ANSWER_PART_BYTES = 16 * 1024
"""Length of the parts of a spoken answer; the last one may be shorter."""


class Purpose(StrEnum):
    """What a blob is for; it decides limits and priority."""

    PREVIEW = "preview"
    ORIGINAL = "original"
    VOICE_NOTE = "voice_note"
    CLIP = "clip"
    ANSWER = "answer"
    """A doctor's spoken answer, on its way down."""


class MediaType(StrEnum):
    """What is taken, by its own bytes. Nothing else is stored."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    OGG_OPUS = "audio/ogg"
    WEBM_AUDIO = "audio/webm"
    WEBM_VIDEO = "video/webm"


class Limit(Struct, frozen=True):
    """What one purpose allows."""

    size_bytes: int
    types: frozenset[MediaType]
    side_px: int = 0
    """Longest side of a picture; 0 for sound."""
    duration_ms: int = 0
    """0 for pictures. Some recorders write no length: then only the size bounds it."""


IMAGES = frozenset({MediaType.JPEG, MediaType.PNG, MediaType.WEBP})
SOUNDS = frozenset({MediaType.OGG_OPUS, MediaType.WEBM_AUDIO})

LIMITS: dict[Purpose, Limit] = {
    Purpose.PREVIEW: Limit(8_000, IMAGES, side_px=640),
    Purpose.ORIGINAL: Limit(2 << 20, IMAGES, side_px=SIDE_MAX_PX),
    Purpose.VOICE_NOTE: Limit(512 * 1024, SOUNDS, duration_ms=185_000),
    Purpose.CLIP: Limit(8 << 20, frozenset({MediaType.WEBM_VIDEO}), side_px=1_920, duration_ms=65_000),
    Purpose.ANSWER: Limit(512 * 1024, SOUNDS, duration_ms=185_000),
}


class Facts(Struct, frozen=True, array_like=True):
    """What the bytes say about themselves."""

    media_type: MediaType
    width_px: int = 0
    height_px: int = 0
    duration_ms: int = 0
    """0: not told by the file."""
    parts: tuple[int, ...] = ()
    """Offsets at which a progressive picture can be shown a little sharper."""


class Manifest(Struct, frozen=True, array_like=True):
    """Names a blob and everything needed to put it together and to prove that it is whole."""

    blob_id: Id
    """Of the first 10 bytes of ``digest``."""
    purpose: Purpose
    facts: Facts
    size_bytes: Annotated[int, Meta(ge=1)]
    digest: bytes
    """32 B, keyed with the visit's salt (:mod:`edge.sync.blobs`): nobody without the salt can confirm a guess."""
    checks: bytes
    """8 B for each chunk, keyed as well."""
    preview_id: str = ""
    """The preview that belongs to this original or clip."""
    caption: ShortText = ""


class Upload(Struct, frozen=True):
    """What has come from a tablet so far, not attached to anything yet."""

    upload_id: str
    visit_id: str
    purpose: Purpose
    size_bytes: int
    held_bytes: int
    manifest: Manifest | None = None
    """Once everything is here and is what it should be."""
    refusal: Refusal | None = None
    """Why it will never be attached."""


def chunk_bytes(size_bytes: int) -> int:
    """Length of a chunk (the last one may be shorter): 8 KiB, doubled until about 64 do, at most 128 KiB.

    A restart may lose two chunks that were half sent: at most a tenth of a photo of 160 kB, a
    twentieth of one of 300 kB.
    """
    length = CHUNK_MIN_BYTES
    while length * CHUNKS_AIM < size_bytes and length < CHUNK_MAX_BYTES:
        length *= 2
    return length


def chunk_count(size_bytes: int) -> int:
    """How many chunks a blob has."""
    return -(-size_bytes // chunk_bytes(size_bytes))


def chunk_span(size_bytes: int, number: int) -> tuple[int, int]:
    """Offset and length of chunk ``number`` (from 0)."""
    length = chunk_bytes(size_bytes)
    return number * length, min(length, size_bytes - number * length)


def too_large(purpose: Purpose, size_bytes: int) -> Refusal | None:
    """Whether a size is allowed, before a byte of it is taken."""
    limit = LIMITS[purpose].size_bytes
    if 1 <= size_bytes <= limit:
        return None
    text = f"At most {limit} bytes are taken for this purpose, and not none. Make it smaller."
    return Refusal("media_too_large", text, "size_bytes", Fault.CALLER)


def check(purpose: Purpose, facts: Facts, size_bytes: int) -> Refusal | None:
    """Whether bytes with these facts may be attached for this purpose."""
    limit = LIMITS[purpose]
    refusal = too_large(purpose, size_bytes)
    if refusal is not None:
        return refusal
    if facts.media_type not in limit.types:
        allowed = ", ".join(sorted(limit.types))
        return Refusal("media_purpose", f"For this purpose only {allowed} will do.", "purpose", Fault.CALLER)
    if limit.side_px:
        sides = (facts.width_px, facts.height_px)
        if min(sides) < 1 or max(sides) > limit.side_px or sides[0] * sides[1] > AREA_MAX_PX:
            text = f"The picture has to have between 1 and {limit.side_px} pixels a side."
            return Refusal("media_dimensions", text, "", Fault.CALLER)
    if limit.duration_ms and facts.duration_ms > limit.duration_ms:
        text = f"At most {limit.duration_ms // 1000} seconds are taken. Record it shorter."
        return Refusal("media_too_long", text, "", Fault.CALLER)
    return None


def is_sound(manifest: Manifest) -> bool:
    """Whether a manifest from somebody else can be believed so far as to collect chunks for it."""
    if check(manifest.purpose, manifest.facts, manifest.size_bytes) is not None:
        return False
    parts = manifest.facts.parts
    if len(parts) > PARTS_MAX or list(parts) != sorted(set(parts)) or (parts and parts[-1] > manifest.size_bytes):
        return False
    count = chunk_count(manifest.size_bytes)
    return len(manifest.digest) == DIGEST_BYTES and len(manifest.checks) == CHECK_BYTES * count

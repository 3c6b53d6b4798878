"""An update's release: what a file is, for which machine, and the hash of each of its blocks. Pure.

A release is a JSON file signed by the update key, which is kept off line (``NAME.update.json`` and ``NAME.update.sig``
beside the file). It names a hash for each block, so that a copy can be checked while it is made, goes on after a
break, and knows where a bad stick begins to lie.
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from . import seal
from .courier import CourierRefused

BLOCK_BYTES: Final = 1 << 20
FILE_MAX_BYTES: Final = 2 << 30
"""Every block's hash has to fit into one file of a stick."""
BLOCK_HASH_BYTES: Final = 16
RELEASE_MAX_BYTES: Final = 400 * 1024
_CONTEXT: Final = b"upkendra update 1\0"


class ReleaseRefused(CourierRefused):
    """An update is not for this machine, not signed, or not what its release says. It is not kept."""

    code = "update_malformed"


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """What an update is."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$(?!\n)")]
    """Of what there is one version at a time: system, panel."""
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,39}$(?!\n)")]
    target: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$(?!\n)")]
    """The board it is made for: rpi, amd64."""
    size_bytes: Annotated[int, Meta(ge=1, le=FILE_MAX_BYTES)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    blocks: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})+$(?!\n)")]
    """First 16 bytes of the SHA-256 of each MiB, in hexadecimal digits."""

    def __post_init__(self) -> None:
        if len(self.blocks) != 2 * BLOCK_HASH_BYTES * -(-self.size_bytes // BLOCK_BYTES):
            raise ValueError("a release has one hash for each block")

    def is_block(self, number: int, content: bytes) -> bool:
        """Whether these are the bytes of block ``number`` (from 0)."""
        at = 2 * BLOCK_HASH_BYTES * number
        return block_hash(content) == self.blocks[at : at + 2 * BLOCK_HASH_BYTES]

    @property
    def block_count(self) -> int:
        return -(-self.size_bytes // BLOCK_BYTES)


_releases = msgspec.json.Decoder(Release)


def block_hash(content: bytes) -> str:
    """How a release names a block."""
    return hashlib.sha256(content).digest()[:BLOCK_HASH_BYTES].hex()


def describe(name: str, version: str, target: str, blocks: Iterable[bytes]) -> bytes:
    """The JSON of a release, from the file's blocks of 1 MiB. Raises ReleaseRefused for words that do not fit."""
    whole, size_bytes, hashes = hashlib.sha256(), 0, []
    for block in blocks:
        whole.update(block)
        size_bytes += len(block)
        hashes.append(block_hash(block))
    content = {"name": name, "version": version, "target": target, "size_bytes": size_bytes}
    raw = msgspec.json.encode({**content, "sha256": whole.hexdigest(), "blocks": "".join(hashes)})
    parse_release(raw)
    return raw


def parse_release(raw: bytes) -> Release:
    """Raises ReleaseRefused, and nothing else, for any bytes."""
    if len(raw) > RELEASE_MAX_BYTES:
        raise ReleaseRefused("a release that is larger than any of ours")
    try:
        return _releases.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReleaseRefused("not the release of an update") from error


def sign_release(update_private: bytes, raw: bytes) -> bytes:
    """The update key's signature, 64 B, over the JSON's raw bytes."""
    return seal.sign(update_private, _CONTEXT + raw)


def check_release(raw: bytes, signature: bytes, update_public: bytes) -> None:
    """Raises ReleaseRefused(update_signature) unless the update key signed it."""
    if not seal.verify(update_public, _CONTEXT + raw, signature):
        raise ReleaseRefused("the release is not signed by the update key", code="update_signature")

"""A release on disk: manifest, signature, block map, image; each is checked before it is used."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import zstandard
from msgspec import Struct

from . import bmap, manifest
from .errors import ImageRefused

PIECE_BYTES = 1 << 20
ZSTD_WINDOW_MAX_BYTES = 128 * 1024 * 1024
MANIFEST_SUFFIX = ".manifest.json"
SIGNATURE_SUFFIX = ".manifest.sig"

Progress = Callable[[str, int, int], None]
"""(what is being done, bytes done, bytes in all)"""


class Release(Struct, frozen=True):
    """A release whose manifest and block map are as they were signed; the image itself is checked by :func:`check`."""

    folder: Path
    manifest: manifest.Manifest
    manifest_sha256: str
    block_map: bmap.BlockMap

    @property
    def packed(self) -> Path:
        return self.folder / self.manifest.packed.name


def load(path: Path, public: bytes) -> Release:
    """Open ``NAME.manifest.json`` and what lies beside it. Raises ImageRefused, OSError."""
    content = _small(path, manifest.MANIFEST_MAX_BYTES)
    if not path.name.endswith(MANIFEST_SUFFIX):
        raise ImageRefused(f"Name the manifest: a file that ends in {MANIFEST_SUFFIX}.", code="manifest_wrong")
    signed = path.with_name(path.name.removesuffix(MANIFEST_SUFFIX) + SIGNATURE_SUFFIX)
    found = manifest.open_signed(content, _small(signed, 1024), public)
    map_content = _small(path.with_name(found.bmap.name), bmap.MAP_MAX_BYTES)
    if hashlib.sha256(map_content).hexdigest() != found.bmap.sha256:
        raise ImageRefused(
            f"{found.bmap.name} is not the block map of this release. Download it again.", code="image_damaged"
        )
    block_map = bmap.parse(map_content)
    if block_map.image_bytes != found.image.size_bytes:
        raise ImageRefused("Block map and manifest speak of images of different size.", code="bmap_wrong")
    return Release(path.parent, found, hashlib.sha256(content).hexdigest(), block_map)


def check(release: Release, progress: Progress) -> None:
    """Compare the downloaded image with the manifest. Raises ImageRefused, OSError."""
    wanted = release.manifest.packed
    digest = hashlib.sha256()
    with release.packed.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size != wanted.size_bytes:
            raise ImageRefused(
                f"{wanted.name} has {size} bytes instead of {wanted.size_bytes}. Download it again.",
                code="image_damaged",
            )
        done = 0
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            done += len(piece)
            progress("check", done, size)
    if digest.hexdigest() != wanted.sha256:
        raise ImageRefused(f"{wanted.name} is damaged. Download it again.", code="image_damaged")


@contextmanager
def unpacked(release: Release) -> Iterator[BinaryIO]:
    """The image's bytes, from the start, unpacked on the way."""
    with release.packed.open("rb") as file:
        if not release.packed.name.endswith(".zst"):
            yield file
            return
        opener = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX_BYTES)
        with opener.stream_reader(file, read_size=PIECE_BYTES) as reader:
            yield reader


def _small(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ImageRefused(f"{path.name} is too large to be one of ours.", code="manifest_wrong")
    return content

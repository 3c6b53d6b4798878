"""Making a release of a raw image: block map, zstd, manifest, signature. The same image gives the same bytes."""

import hashlib
import os
from pathlib import Path

import zstandard

from . import bmap, manifest
from .source import MANIFEST_SUFFIX, PIECE_BYTES, SIGNATURE_SUFFIX, Progress

LEVEL = 10


def pack(
    image: Path,
    out: Path,
    private: bytes,
    about: manifest.Manifest,
    progress: Progress,
) -> Path:
    """Write the five files of a release to ``out``; the manifest's path.

    ``about``: board, version, date and where the boot partition is; its sizes and hashes are replaced. Raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    name = f"upkendra-{about.board}-{about.version}"
    block_map = bmap.of_file(image)
    map_content = bmap.encode(block_map)
    _keep(out / f"{name}.bmap", map_content)
    plain, packed = _compress(image, out / f"{name}.img.zst", progress)
    content = manifest.encode(
        manifest.Manifest(
            manifest.FORMAT,
            about.board,
            about.version,
            about.made_on,
            manifest.FileOf(f"{name}.img", *plain),
            manifest.FileOf(f"{name}.img.zst", *packed),
            manifest.FileOf(f"{name}.bmap", len(map_content), hashlib.sha256(map_content).hexdigest()),
            about.boot_offset_bytes,
            about.boot_bytes,
        )
    )
    path = out / f"{name}{MANIFEST_SUFFIX}"
    _keep(out / f"{name}{SIGNATURE_SUFFIX}", manifest.sign(private, content))
    _keep(path, content)
    return path


def _compress(image: Path, out: Path, progress: Progress) -> tuple[tuple[int, str], tuple[int, str]]:
    """(bytes, SHA-256) of the image and of the packed file."""
    plain, size, done = hashlib.sha256(), image.stat().st_size, 0
    # One thread: several would make other bytes on another number of cores.
    engine = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    with image.open("rb") as file, out.open("wb") as packed:
        with engine.stream_writer(packed, size=size, closefd=False) as writer:
            while piece := file.read(PIECE_BYTES):
                plain.update(piece)
                writer.write(piece)
                done += len(piece)
                progress("pack", done, size)
        packed.flush()
        os.fsync(packed.fileno())
    with out.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256")
    return (size, plain.hexdigest()), (out.stat().st_size, digest.hexdigest())


def _keep(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

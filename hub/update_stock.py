"""Updates that lie at the hub for nodes that fetch them by link: ``updates/`` of the data folder. Blocking.

``<sha256>.bundle`` is the file, ``.json`` its release as it was signed, ``.sig`` the update key's signature (64 B,
zeros without one). The release comes last: a file without it is not whole.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct

from edge.sync import release, seal

_NAME: Final = re.compile(r"[0-9a-f]{64}")
RESERVE_BYTES: Final = 1_000_000_000
"""What stays free for records."""


class Stocked(Struct, frozen=True):
    """One update that is here."""

    file: Path
    release: bytes
    release_signature: bytes
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """A piece of it, straight from the disk. Raises OSError. Blocking."""
        handle = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(handle, length, offset)
        finally:
            os.close(handle)


def put(folder: Path, file: Path, raw: bytes, signature: bytes) -> release.Release:
    """Copy an update in, each block compared with its release. Raises ReleaseRefused, OSError. Blocking."""
    found = release.parse_release(raw)
    folder.mkdir(mode=0o700, exist_ok=True)
    if shutil.disk_usage(folder).free < found.size_bytes + RESERVE_BYTES:
        raise release.ReleaseRefused("There is not enough room for this update.", code="update_no_room")
    part = folder / f"{found.sha256}.part"
    whole = hashlib.sha256()
    with part.open("wb") as out, file.open("rb") as source:
        blocks = iter(lambda: source.read(release.BLOCK_BYTES), b"")
        for number, content in enumerate(blocks):
            if number >= found.block_count or not found.is_block(number, content):
                part.unlink()
                raise release.ReleaseRefused("The file is not what its release says.", code="update_damaged")
            whole.update(content)
            out.write(content)
        out.flush()
        os.fsync(out.fileno())
    if whole.hexdigest() != found.sha256:
        part.unlink()
        raise release.ReleaseRefused("The file is not what its release says.", code="update_damaged")
    _write(folder / f"{found.sha256}.sig", signature)
    part.replace(folder / f"{found.sha256}.bundle")
    _write(folder / f"{found.sha256}.json", raw)
    return found


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def find(folder: Path, sha256: str) -> Stocked | None:
    """An update that lies here whole. Blocking."""
    if not _NAME.fullmatch(sha256):
        return None
    file = folder / f"{sha256}.bundle"
    try:
        raw, signature = (folder / f"{sha256}.json").read_bytes(), (folder / f"{sha256}.sig").read_bytes()
        found = release.parse_release(raw)
        size_bytes = file.stat().st_size
    except (OSError, release.ReleaseRefused):
        return None
    whole = found.sha256 == sha256 and size_bytes == found.size_bytes and len(signature) == seal.SIGNATURE_BYTES
    return Stocked(file, raw, signature, size_bytes) if whole else None


def is_there(folder: Path, sha256: str) -> bool:
    """Whether an update lies here, without reading it. Blocking, a moment."""
    return (folder / f"{sha256}.json").exists()

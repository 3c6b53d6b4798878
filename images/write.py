"""Writing an image to a card, and reading it back.

The first MiB (partition table, first blocks of the boot partition) is emptied first and written last, so that a card
whose writing broke off never looks like a good one. Blocking; knows nothing of who asks.
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import zstandard

from .bmap import BlockMap, Range
from .errors import CardRefused, ImageRefused, WriteFailed
from .source import PIECE_BYTES, Progress

HEAD_BYTES = 1 << 20
SYNC_EVERY_BYTES = 32 << 20
"""Written to the card after so much, so that progress is the card's and not the memory's."""
_BLKFLSBUF = 0x1261
"""linux/fs.h: write out and forget what is cached of a block device."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A card, held so that nothing can mount it, or a file that does not exist yet. Raises CardRefused, OSError."""
    flags = 0 if path.is_block_device() else os.O_CREAT
    try:
        fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC | flags, 0o600)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise CardRefused(f"{path} is in use. Eject it first.", code="card_dangerous") from None
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def write(fd: int, image: BinaryIO, block_map: BlockMap, progress: Progress) -> None:
    """Write every mapped range. Raises WriteFailed, ImageRefused (the image is not what its map says)."""
    is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    total, done, unsynced = block_map.mapped_bytes, 0, 0
    head: list[tuple[int, bytes]] = []
    try:
        if is_file:
            os.ftruncate(fd, block_map.image_bytes)
        _put(fd, 0, bytes(min(HEAD_BYTES, block_map.image_bytes)))
        os.fsync(fd)
        at = 0
        for part in block_map.ranges:
            start, length = block_map.span(part)
            at = _skip(image, at, start)
            digest = hashlib.sha256()
            while at < start + length:
                piece = _read(image, min(PIECE_BYTES, start + length - at))
                digest.update(piece)
                if at < HEAD_BYTES:
                    head.append((at, piece[: HEAD_BYTES - at]))
                    _put(fd, HEAD_BYTES, piece[HEAD_BYTES - at :])
                else:
                    _put(fd, at, piece)
                at += len(piece)
                done += len(piece)
                unsynced += len(piece)
                if unsynced >= SYNC_EVERY_BYTES:
                    os.fdatasync(fd)
                    unsynced = 0
                progress("write", done, total)
            _same(digest.hexdigest(), part)
        os.fsync(fd)
        for offset, piece in head:
            _put(fd, offset, piece)
        os.fsync(fd)
    except OSError as error:
        raise WriteFailed(
            f"The card refused to be written after {done} of {total} bytes ({error.strerror}). "
            "Do not use it. Try another card or another reader.",
            code="write_failed",
        ) from None


def empty(fd: int, image_bytes: int) -> None:
    """A card that is not good must not look like one: nothing starts from it any more. As far as it still can be."""
    with suppress(OSError):
        _put(fd, 0, bytes(min(HEAD_BYTES, image_bytes)))
        os.fsync(fd)


def forget_cache(fd: int) -> None:
    """Let the next reading come from the card itself."""
    os.fsync(fd)
    if stat.S_ISBLK(os.fstat(fd).st_mode):
        fcntl.ioctl(fd, _BLKFLSBUF, 0)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def read_back(fd: int, block_map: BlockMap, progress: Progress) -> None:
    """Compare what the card gives back with the map. Raises WriteFailed at the first difference."""
    total, done = block_map.mapped_bytes, 0
    for part in block_map.ranges:
        start, length = block_map.span(part)
        digest = hashlib.sha256()
        at = start
        while at < start + length:
            try:
                piece = os.pread(fd, min(PIECE_BYTES, start + length - at), at)
            except OSError as error:
                raise _unlike(at, error.strerror or "read error") from None
            if not piece:
                raise _unlike(at, "it ends there")
            digest.update(piece)
            at += len(piece)
            done += len(piece)
            progress("read back", done, total)
        if digest.hexdigest() != part.sha256:
            raise _unlike(start, "other bytes came back")


def _unlike(offset: int, why: str) -> WriteFailed:
    return WriteFailed(
        f"The card does not give back what was written, near byte {offset}: {why}. "
        "It is worn out or not as large as it says. Do not use it; take another card.",
        code="card_lies",
    )


def _same(sha256: str, part: Range) -> None:
    if sha256 != part.sha256:
        raise ImageRefused(
            f"Blocks {part.first} to {part.last} of the image are not what its map says. Download the image again. "
            "The card is empty now.",
            code="image_damaged",
        )


def _put(fd: int, offset: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(fd, view, offset)
        offset += written
        view = view[written:]


def _read(image: BinaryIO, length: int) -> bytes:
    try:
        piece = image.read(length)
    except (zstandard.ZstdError, OSError):
        raise ImageRefused("The image cannot be unpacked. Download it again.", code="image_damaged") from None
    if not piece:
        raise ImageRefused("The image ends before its map does. Download it again.", code="image_damaged")
    return piece


def _skip(image: BinaryIO, at: int, start: int) -> int:
    """Pass over what the map leaves out."""
    while at < start:
        at += len(_read(image, min(PIECE_BYTES, start - at)))
    return at

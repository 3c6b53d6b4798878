"""Large files on a stick: read and written block by block, each block checked against a signed release. Blocking.

Nothing is believed of names and sizes. Writing goes on where it ended; what was written is read back before it
gets its name, since a counterfeit stick forgets what is beyond its true size.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.sync.faults import point
from edge.sync.release import BLOCK_BYTES, Release

from .usb import Stick, StickRefused, read_upto, sync_file
from .usb_stick import Folder, part_name, payload_name

SYNC_EVERY: Final = 16
"""Blocks between two syncs: what a kill or a pulled stick costs at most."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Progress = Callable[[int], None]
"""Told how many blocks are done."""


@contextlib.contextmanager
def open_payload(stick: Stick, release: Release) -> Iterator[Callable[[int], bytes] | None]:
    """A reader of the payload's blocks by number; None when no regular file of its name is there.

    A block that cannot be read, or that is not there, is empty. The reader raises StickRefused: stick_gone, stick_slow.
    """
    try:
        handle = os.open(payload_name(release.sha256), _READ, dir_fd=stick.made(Folder.FLEET))
    except OSError:
        yield None
        return
    try:
        yield _reader(stick, handle) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def _reader(stick: Stick, handle: int) -> Callable[[int], bytes]:
    def block(number: int) -> bytes:
        stick.in_time()
        try:
            os.lseek(handle, number * BLOCK_BYTES, os.SEEK_SET)
            content = read_upto(handle, BLOCK_BYTES)
            os.posix_fadvise(handle, number * BLOCK_BYTES, BLOCK_BYTES, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            if not stick.is_there():
                raise stick.refusal(error) from None
            return b""
        return content

    return block


def is_whole(stick: Stick, release: Release) -> bool:
    """Whether the payload lies on the stick, every block of it. Raises StickRefused."""
    with open_payload(stick, release) as block:
        return block is not None and all(release.is_block(at, block(at)) for at in range(release.block_count))


def write_payload(stick: Stick, hub: bytes, release: Release, source: Path, progress: Progress) -> None:
    """Put the payload on the stick, whole or not at all; a part of this hub that is there is gone on with.

    Raises StickRefused: stick_full, stick_untrue, stick_gone, stick_slow …; OSError when the source cannot be read.
    """
    folder = stick.made(Folder.FLEET)
    name, part = payload_name(release.sha256), part_name(hub, release.sha256)
    with source.open("rb") as file:
        try:
            _fill(stick, folder, part, release, file.fileno(), progress)
            _read_back(stick, folder, part, release)
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            sync_file(folder, name)
            os.fsync(folder)
        except StickRefused as error:
            if error.refusal.code == "stick_untrue":
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)
            raise
        except OSError as error:
            refusal = stick.refusal(error)
            if refusal.refusal.code == "stick_full":  # records need the room more than half an update does
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)
            raise refusal from None


def _fill(stick: Stick, folder: int, part: str, release: Release, source: int, progress: Progress) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(part, flags, 0o600, dir_fd=folder)
    try:
        there = 0
        while there < release.block_count and release.is_block(there, read_upto(handle, BLOCK_BYTES)):
            stick.in_time()
            there += 1
        os.ftruncate(handle, there * BLOCK_BYTES if there < release.block_count else release.size_bytes)
        os.lseek(handle, 0, os.SEEK_END)
        os.lseek(source, there * BLOCK_BYTES, os.SEEK_SET)
        for number in range(there, release.block_count):
            stick.in_time()
            left = memoryview(read_upto(source, BLOCK_BYTES))
            while left:
                left = left[os.write(handle, left) :]
            if number % SYNC_EVERY == SYNC_EVERY - 1:
                os.fsync(handle)
                point("usb.payload")
            progress(number + 1)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _read_back(stick: Stick, folder: int, part: str, release: Release) -> None:
    handle = os.open(part, _READ, dir_fd=folder)
    try:
        for number in range(release.block_count):
            stick.in_time()
            if not release.is_block(number, read_upto(handle, BLOCK_BYTES)):
                raise StickRefused(
                    "The stick does not give back what was written to it: it is broken or a counterfeit. Take another.",
                    code="stick_untrue",
                )
            os.posix_fadvise(handle, number * BLOCK_BYTES, BLOCK_BYTES, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)

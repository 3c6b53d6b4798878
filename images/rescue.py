"""Copying what is readable from a failing card: the data partition as a file, then its files. The card is only read.

What cannot be read is left as zeros and counted. All on that partition is sealed; a copy opens as little as the card.
"""

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from .errors import CardRefused, ImageRefused
from .source import Progress

LABEL = "UPK-DATA"
LBA_BYTES = 512
ENTRIES_MAX = 1024
ENTRY_MIN_BYTES = 128
PIECE_BYTES = 1 << 20
SECTOR_BYTES = 4096
TIMEOUT_S = 1800.0
FSCK_MENDED_MAX = 3
"""e2fsck(8): 0 nothing to mend, 1 mended, 2 mended and a restart is wished; more is trouble."""


class Rescued(Struct, frozen=True):
    """What was copied."""

    image: str
    image_bytes: int
    unreadable_bytes: int
    files: int
    folder: str


def where(card: Path) -> tuple[int, int]:
    """(offset, bytes) of the data partition, by the first partition table or the one at the end. Raises CardRefused."""
    source = os.open(card, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = os.lseek(source, 0, os.SEEK_END)
        for at in (LBA_BYTES, end - LBA_BYTES):
            if found := _in_table(source, at):
                return found
    finally:
        os.close(source)
    raise CardRefused("No node's data partition is on this card, or its table is broken.", code="no_data_partition")


def _in_table(source: int, at: int) -> tuple[int, int] | None:
    """Where the table with its header at ``at`` says that the data lies (UEFI 2.10 section 5.3)."""
    header = _read(source, at, 92)
    if len(header) != 92 or not header.startswith(b"EFI PART"):
        return None
    first, count, size = struct.unpack_from("<QII", header, 72)
    if not (count <= ENTRIES_MAX and ENTRY_MIN_BYTES <= size <= LBA_BYTES):
        return None
    entries = _read(source, first * LBA_BYTES, count * size)
    for row in range(0, len(entries) - size + 1, size):
        start, last = struct.unpack_from("<QQ", entries, row + 32)
        name = entries[row + 56 : row + 128].decode("utf-16-le", "replace").rstrip("\0")
        if name == LABEL and start <= last:
            return start * LBA_BYTES, (last - start + 1) * LBA_BYTES
    return None


def rescue(card: Path, out: Path, progress: Progress) -> Rescued:
    """Copy into a new folder. Raises CardRefused, ImageRefused (nothing of it can be made out), OSError."""
    at, size = where(card)
    out.mkdir(mode=0o700, parents=True)
    image = out / "data.img"
    unreadable = _copy(card, at, size, image, progress)
    # A copy of a running system's disk has an open journal; this closes it, and mends what the holes broke.
    if _run(["e2fsck", "-f", "-y", image])[0] > FSCK_MENDED_MAX:
        raise ImageRefused(f"The file system is too broken; {image} holds what was read.", code="rescue_broken")
    folder = out / "files"
    folder.mkdir()
    for name in ("upkendra", "lost+found"):  # the second: what the first had where its table could not be read
        _run(["debugfs", "-R", f"rdump /{name} {folder.name}", image.name], out)
    files = sum(path.is_file() for path in folder.rglob("*"))
    if not files:
        raise ImageRefused(f"No file could be made out; {image} holds what was read.", code="rescue_broken")
    return Rescued(str(image), size, unreadable, files, str(folder))


def _copy(card: Path, at: int, size: int, image: Path, progress: Progress) -> int:
    """Copy piece by piece, a bad piece sector by sector; the bytes that could not be read."""
    unreadable = 0
    source = os.open(card, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with image.open("wb") as copy:
            copy.truncate(size)
            for place in range(0, size, PIECE_BYTES):
                wanted = min(PIECE_BYTES, size - place)
                content = _read(source, at + place, wanted)
                if len(content) == wanted:
                    found = [(place, content)]
                else:
                    sectors = range(place, place + wanted, SECTOR_BYTES)
                    found = [(one, _read(source, at + one, min(SECTOR_BYTES, size - one))) for one in sectors]
                for where_to, piece in found:
                    if piece.strip(b"\0"):
                        copy.seek(where_to)
                        copy.write(piece)
                unreadable += wanted - sum(len(piece) for _, piece in found)
                progress("rescue", place + wanted, size)
            copy.flush()
            os.fsync(copy.fileno())
    finally:
        os.close(source)
    return unreadable


def _read(source: int, at: int, size: int) -> bytes:
    try:
        return os.pread(source, size, at)
    except OSError:
        return b""


def _run(argv: Sequence[str | Path], folder: Path | None = None) -> tuple[int, bytes]:
    """Code and output. ``folder``: where it runs; debugfs parts its words at spaces, which a stick's name may have."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, capture_output=True, check=False, timeout=TIMEOUT_S, cwd=folder, env={**os.environ, "PATH": path}
        )
    except FileNotFoundError:
        raise CardRefused(f"{words[0]} is not installed: apt-get install e2fsprogs.", code="no_lsblk") from None
    return done.returncode, done.stdout

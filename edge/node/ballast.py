"""Room that is kept for the worst moment: a file of nothing on the data partition, thrown away when the disk is full.

A full disk must not refuse a RED patient nor keep the records closed. There are two: what is recorded of everybody
throws its own, and leaves that of emergencies and of the way into the records. What is thrown away comes back with
the next start that finds room; until then the check "disk" calls for a technician. Knows no HTTP. Blocking.
"""

import contextlib
import os
from pathlib import Path

SIZE_BYTES = 4 << 20
"""Some hundreds of visits."""
ROOM_BYTES = 64 << 20
"""Kept only where so much is left beside it."""


class Ballast:
    """One file of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take_in(self) -> None:
        """Lay it down, where it is not there and there is room; a disk that has none for it has none for us."""
        if self._path.exists():
            return
        room = os.statvfs(self._path.parent)
        if room.f_bavail * room.f_frsize < ROOM_BYTES + SIZE_BYTES:
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, SIZE_BYTES)
            finally:
                os.close(descriptor)

    def throw(self) -> bool:
        """Give its room away; False when it was given before."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

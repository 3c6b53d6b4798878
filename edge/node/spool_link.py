"""A copy of an update that comes by link, piece behind piece, into the file that a stick's copy goes on with too.

Blocking. Beside ``<24 digits>.part`` lies ``.offer``, the hub's signed offer: the copy goes on after a restart. Each
MiB is compared with the release as soon as it is whole; what is not right is cut off and fetched again.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from edge.sync import courier, release, updating
from edge.sync.faults import point

from .config import write_private
from .spool import OFFER_SUFFIX, RESERVE_BYTES, Spool

SYNC_BYTES: Final = 256 * 1024
TAKEN_FILE: Final = "taken-by-link"
TAKEN_MAX: Final = 32


class LinkCopy:
    """The copy that is under way, if any."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.offer: courier.UpdateFile | None = None
        self.release: release.Release | None = None
        self._unsynced = 0
        self._handle: int | None = None
        """Kept open: the installer's watch wakes whenever a file in the folder that was written is closed."""

    def resume(self) -> None:
        """Go on with what a process before this one began."""
        for path in sorted(self._spool.folder.glob("*" + OFFER_SUFFIX)):
            try:
                self.begin(path.read_bytes())
            except (OSError, courier.CourierRefused):
                path.unlink(missing_ok=True)

    def begin(self, raw: bytes) -> bool:
        """Take an offer of the hub, checked like a stick's; False when the update was taken before.

        Raises CourierRefused, ReleaseRefused as :meth:`Spool.look`.
        """
        offer = courier.parse(raw)
        if not isinstance(offer, courier.UpdateFile):
            raise courier.CourierRefused("not an offer", code="courier_malformed")
        found = self._spool.look(offer)
        if found is None:
            self._spool.path_of(release.parse_release(offer.release), OFFER_SUFFIX).unlink(missing_ok=True)
            return False
        write_private(self._spool.path_of(found, OFFER_SUFFIX), raw)
        self.forget()
        self.offer, self.release, self._unsynced = offer, found, 0
        return True

    def position(self) -> int:
        """So many bytes lie here; also what a stick has brought of it."""
        assert self.release is not None
        part = self._spool.path_of(self.release, ".part")
        return min(part.stat().st_size, self.release.size_bytes) if part.exists() else 0

    @property
    def is_gone(self) -> bool:
        """Whether the copy ended without us: a stick brought the rest, or another update."""
        return self.release is None or not self._spool.path_of(self.release, OFFER_SUFFIX).exists()

    def has_room(self, size_bytes: int = updating.WINDOW * updating.PIECE_BYTES) -> bool:
        """Whether so much may come now: the room that was there at the beginning may have gone to photos since."""
        return shutil.disk_usage(self._spool.folder).free >= RESERVE_BYTES + size_bytes

    def append(self, at: int, data: bytes) -> int:
        """Write behind what lies here; where it ends then. That is not ``at + len(data)`` if another one has written,
        or if a block was not what the release says. Raises ReleaseRefused: update_busy, update_no_room; OSError.
        """
        assert self.release is not None
        found = self.release
        with self._spool.alone():
            there = self.position()
            if there != at:
                return there
            if not self.has_room(len(data)):
                raise release.ReleaseRefused("The rest of the room is for records.", code="update_no_room")
            handle = self._open(self._spool.path_of(found, ".part"))
            point("update.piece")
            os.pwrite(handle, data, at)
            self._unsynced += len(data)
            end = at + len(data)
            if self._unsynced >= SYNC_BYTES:
                os.fsync(handle)
                self._unsynced = 0
            first, last = at // release.BLOCK_BYTES, end // release.BLOCK_BYTES
            for number in range(first, last + (end == found.size_bytes and end % release.BLOCK_BYTES > 0)):
                begin = number * release.BLOCK_BYTES
                content = os.pread(handle, min(release.BLOCK_BYTES, found.size_bytes - begin), begin)
                if not found.is_block(number, content):
                    os.ftruncate(handle, begin)
                    os.fsync(handle)
                    return begin
            return end

    def _open(self, path: Path) -> int:
        """The file as it is there now: a stick's copy may have put another one in its place."""
        if self._handle is not None and (not path.exists() or os.fstat(self._handle).st_ino != path.stat().st_ino):
            self._close()
        if self._handle is None:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return self._handle

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def finish(self, now_ms: int) -> bool:
        """Check the whole file once more and leave it to the installer; False if a part has to come again.

        Raises CourierRefused, ReleaseRefused: update_busy and update_no_room pass, for others it is given up.
        """
        assert self.release is not None
        assert self.offer is not None
        found, offer = self.release, self.offer
        self._close()
        missing = False

        def not_here(number: int) -> bytes:
            nonlocal missing
            missing = True
            return b""

        if self._spool.look(offer) is not None:
            try:
                self._spool.copy(offer, found, not_here, now_ms, lambda done: None)
            except release.ReleaseRefused:
                if missing:
                    return False
                raise
        self._note_taken(found.sha256)
        self.forget()
        return True

    def drop(self) -> None:
        """The hub does not offer it any more, or it is no good: its room is free."""
        if self.release is None:
            return
        with self._spool.alone():
            for suffix in (".part", OFFER_SUFFIX):
                self._spool.path_of(self.release, suffix).unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """The copy has ended, here or by another one's hand."""
        self._close()
        self.offer = self.release = None

    def refuse(self) -> None:
        """Drop it, and never fetch it by link again. Raises ReleaseRefused(update_busy): nothing was done then."""
        if self.release is not None:
            sha256 = self.release.sha256
            self.drop()
            self._note_taken(sha256)

    def taken(self) -> frozenset[str]:
        """SHA-256 of updates that are not fetched by link again, whatever became of them: a stick may bring them."""
        return frozenset(self._taken()) | self._spool.known_hashes()

    def _taken(self) -> list[str]:
        try:
            return (self._spool.folder / TAKEN_FILE).read_text("ascii").split()[-TAKEN_MAX:]
        except (OSError, UnicodeDecodeError):
            return []

    def _note_taken(self, sha256: str) -> None:
        names = [*(one for one in self._taken() if one != sha256), sha256][-TAKEN_MAX:]
        write_private(self._spool.folder / TAKEN_FILE, "\n".join(names).encode())

    def begun(self) -> str:
        """First digits of the SHA-256 of a copy that lies here in part, whoever began it."""
        return next((path.stem for path in sorted(self._spool.folder.glob("*.part"))), "")

"""A stick as a folder of any file system, trusted in nothing. Blocking.

Only regular files are opened, links are never followed, names are never believed or shown, sizes
are found out by reading, and everything is bounded: entries, files, bytes, seconds. A file is
written as a draft, synced, read back, renamed, and both are synced; FAT knows no other safety.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError
from edge.sync.courier import FILE_MAX_BYTES
from edge.sync.faults import point

from .usb_stick import ROOT, Folder, draft_of, first_name, free_name, is_draft, is_ours, is_payload, looks_ours

ENTRIES_MAX: Final = 100_000
"""Names of one folder that are looked at."""
FILES_MAX: Final = 20_000
"""Files of one folder that are read."""
READ_MAX_BYTES: Final = 1 << 30
"""Bytes that are read in one visit."""
DEFAULT_SECONDS: Final = 900.0
README: Final = (
    b"Upkendra courier stick.\r\n\r\n"
    b"The files in this folder are sealed. Nobody on the way can read or change them.\r\n"
    b"Please do not delete, rename or edit anything in here. Other files on the stick are not touched.\r\n"
)
_README_NAME: Final = "README.TXT"
_GONE: Final = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOENT, errno.ENOTCONN})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class StickRefused(UpkendraError):
    """The stick cannot be used, or no longer. What was done before holds; nothing is lost."""

    code = "stick_refused"
    fault = Fault.STATE


class Limits(Struct, frozen=True):
    """What one visit may cost."""

    entries: int = ENTRIES_MAX
    files: int = FILES_MAX
    read_bytes: int = READ_MAX_BYTES
    seconds: float = DEFAULT_SECONDS


class Stick:
    """One visit to a stick. Enter it; only one process can."""

    def __init__(self, path: Path, now_s: Callable[[], float], limits: Limits = Limits()) -> None:  # noqa: B008
        """``now_s``: a clock that never runs backwards."""
        self._path = path
        self._now_s = now_s
        self._limits = limits
        self._until_s = now_s() + limits.seconds
        self._read_left = limits.read_bytes
        self._root = -1
        self._folders: dict[Folder, int] = {}
        self._names: dict[Folder, set[str]] = {}
        self._damaged: dict[Folder, set[str]] = {}
        self.payloads: list[str] = []
        """Names of whole payloads, by the last scan of their folder."""
        self.parts: list[str] = []
        """Names of payloads that are not whole."""
        self.counts: Counter[str] = Counter()
        """``junk`` (not ours), ``unreadable``, ``too_large``, ``passed_over`` (beyond a limit)."""

    def __enter__(self) -> Self:
        """Raises StickRefused: stick_missing, stick_layout, stick_busy, stick_read_only, stick_gone."""
        try:
            outer = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise StickRefused("There is no stick here. Put it in and try again.", code="stick_missing") from None
        try:
            root = self._folder(outer, ROOT, make=True)
            assert root is not None
            self._root = root
        finally:
            os.close(outer)
        try:
            fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._root)
            self._root = -1
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise StickRefused("Another program is at work on this stick.", code="stick_busy") from None
            raise self.refusal(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in [*self._folders.values(), self._root]:
            if handle >= 0:
                os.close(handle)
        self._folders.clear()
        self._root = -1

    # -- reading ------------------------------------------------------------------------------------

    def scan(self, folder: Folder) -> Iterator[tuple[str, bytes]]:
        """Every file that may be ours, one in memory at a time: (name, content). Content is not believed."""
        handle = self._open(folder, make=False)
        if handle is None:
            self._names[folder] = set()
            return
        names = self._list(folder, handle)
        for number, name in enumerate(names):
            self.in_time()
            if number >= self._limits.files or self._read_left <= 0:
                self.counts["passed_over"] += len(names) - number
                return
            content = self._read(handle, name)
            if content is not None:
                yield name, content

    def _list(self, folder: Folder, handle: int) -> list[str]:
        """Files that may be ours, in order of their names. Drafts go; only names like ours are remembered."""
        taken = self._names[folder] = set()
        if folder is Folder.FLEET:
            self.payloads.clear()
            self.parts.clear()
        names: list[str] = []
        drafts: list[str] = []
        try:
            with os.scandir(handle) as entries:
                for number, entry in enumerate(entries):
                    if number >= self._limits.entries:
                        self.counts["passed_over"] += 1
                        break
                    if number % 1_000 == 0:
                        self.in_time()
                    if not looks_ours(entry.name):
                        self.counts["junk"] += 1
                        continue
                    taken.add(entry.name.lower())
                    if not _is_regular(entry):
                        self.counts["junk"] += 1
                    elif is_ours(entry.name):
                        names.append(entry.name)
                    elif is_draft(entry.name):
                        drafts.append(entry.name)
                    elif folder is not Folder.FLEET:
                        self.counts["junk"] += 1
                    elif is_payload(entry.name):
                        self.payloads.append(entry.name)
                    else:
                        self.parts.append(entry.name)
        except OSError as error:
            raise self.refusal(error) from None
        for draft in drafts:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=handle)
                taken.discard(draft.lower())
        return sorted(names)

    def _read(self, folder: int, name: str) -> bytes | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            if error.errno in _GONE and not self.is_there():
                raise self.refusal(error) from None
            self.counts["unreadable"] += 1
            return None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                self.counts["junk"] += 1
                return None
            content = read_upto(handle, FILE_MAX_BYTES + 1)
        except OSError as error:
            if not self.is_there():
                raise self.refusal(error) from None
            self.counts["unreadable"] += 1
            return None
        finally:
            os.close(handle)
        self._read_left -= len(content)
        if len(content) > FILE_MAX_BYTES:
            self.counts["too_large"] += 1
            return None
        return content

    def mark_damaged(self, folder: Folder, name: str) -> None:
        """What lies under this name is no whole file: a whole one may take its place."""
        self._damaged.setdefault(folder, set()).add(name.lower())

    # -- writing ------------------------------------------------------------------------------------

    def write(self, folder: Folder, raw: bytes) -> str:
        """Write a file so that it is whole or not there; its name. Scan the folder first. A file beyond the limits of
        the scan that says the same is not written once more.

        Raises StickRefused: stick_full, stick_read_only, stick_untrue, stick_gone, stick_slow.
        """
        self.in_time()
        handle = self.made(folder)
        there = first_name(raw)
        if there in self._names.setdefault(folder, set()) and self._holds(handle, there, raw):
            return there
        name = free_name(raw, self._names[folder], self._damaged.get(folder, ()))
        draft = draft_of(name)
        try:
            self._write_draft(handle, draft, raw)
            os.rename(draft, name, src_dir_fd=handle, dst_dir_fd=handle)
            point("usb.renamed")
            sync_file(handle, name)
            os.fsync(handle)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=handle)
            raise self.refusal(error) from None
        except StickRefused:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=handle)
            raise
        point("usb.written")
        self._names[folder].add(name)
        return name

    def _holds(self, folder: int, name: str, raw: bytes) -> bool:
        """Whether this very content lies under a name; what cannot be read is other content."""
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(handle).st_mode) and read_upto(handle, len(raw) + 1) == raw
        except OSError:
            return False
        finally:
            os.close(handle)

    def _write_draft(self, folder: int, draft: str, raw: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(draft, flags, 0o600, dir_fd=folder)
        try:
            point("usb.begun")
            left = memoryview(raw)
            while left:
                left = left[os.write(handle, left) :]
            point("usb.filled")
            os.fsync(handle)
            point("usb.synced")
            # What the page cache remembers proves nothing about a counterfeit stick.
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)
        handle = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            kept = read_upto(handle, len(raw) + 1)
        finally:
            os.close(handle)
        if kept != raw:
            raise StickRefused(
                "The stick does not give back what was written to it: it is broken or a counterfeit. Take another.",
                code="stick_untrue",
            )
        point("usb.checked")

    def delete(self, folder: Folder, name: str) -> None:
        """Delete a file that was scanned. One that is gone already is no error. Raises StickRefused."""
        self.in_time()
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.made(folder))
        except OSError as error:
            raise self.refusal(error) from None
        point("usb.deleted")

    def settle(self, folder: Folder) -> None:
        """Make deletions durable. Raises StickRefused."""
        try:
            os.fsync(self.made(folder))
        except OSError as error:
            raise self.refusal(error) from None

    def explain(self) -> None:
        """Put a note for people on the stick, once. Nobody reads it back; a stick without room goes without."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            handle = os.open(_README_NAME, flags, 0o600, dir_fd=self._root)
            try:
                os.write(handle, README)
            finally:
                os.close(handle)

    # -- inside -------------------------------------------------------------------------------------

    def _open(self, folder: Folder, *, make: bool) -> int | None:
        handle = self._folders.get(folder)
        if handle is None:
            handle = self._folder(self._root, folder.value, make=make)
            if handle is not None:
                self._folders[folder] = handle
        return handle

    def made(self, folder: Folder) -> int:
        """Handle of a folder, made where it was not. Raises StickRefused."""
        handle = self._open(folder, make=True)
        assert handle is not None
        return handle

    def _folder(self, parent: int, name: str, *, make: bool) -> int | None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                return os.open(name, flags, dir_fd=parent)
            except FileNotFoundError:
                if not make:
                    return None
                os.mkdir(name, 0o700, dir_fd=parent)
                os.fsync(parent)
                return os.open(name, flags, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise StickRefused(
                    "Something that is no folder stands where ours should be. Empty the stick.", code="stick_layout"
                ) from None
            raise self.refusal(error) from None

    def in_time(self) -> None:
        """Raises StickRefused(stick_slow) when the time of this visit is over."""
        if self._now_s() > self._until_s:
            raise StickRefused(
                "The stick is too slow, or holds too much. What was done is safe; try again or take another.",
                code="stick_slow",
            )

    def is_there(self) -> bool:
        """Whether the stick still answers."""
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError:
            return False
        return os.fstat(self._root).st_nlink > 0

    def refusal(self, error: OSError) -> StickRefused:
        """What an error of the file system means for people."""
        if error.errno in _FULL:
            return StickRefused("The stick is full. Make room or take another.", code="stick_full")
        if error.errno in _READ_ONLY:
            return StickRefused("The stick cannot be written to. Look for a switch on it.", code="stick_read_only")
        if error.errno in _GONE:
            return StickRefused("The stick was pulled out or has failed. Put it in again.", code="stick_gone")
        return StickRefused("The stick does not work here. Take another.", code="stick_refused")


def sync_file(folder: int, name: str) -> None:
    """Sync a file once more after it was renamed: on FAT size and place of the content stand in the entry of its name,
    and Linux writes them there with the file, not with the folder."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_regular(entry: "os.DirEntry[str]") -> bool:
    """Asked of the listing, or of the file where the listing does not say it; one that cannot be asked is none."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def read_upto(handle: int, limit: int) -> bytes:
    """At most ``limit`` bytes from where the handle stands; fewer at the end of the file only."""
    pieces: list[bytes] = []
    while limit > 0 and (piece := os.read(handle, min(limit, 1 << 16))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)

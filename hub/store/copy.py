"""The second copy: every committed change, in order, fsynced in a folder on another disk.

The statements of each transaction are kept in the database itself, in that transaction, until the folder holds
them; so a kill between the two loses nothing, and a slow or dead second disk delays no first acknowledgement. A
history begins with a snapshot (the base) and goes on in segments; both together are the hub as it was at the last
frame. Another kind (the word of a PostgreSQL replica, say) implements :class:`SecondCopy`. SQLite only.
"""

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from edge.model.errors import Fault, UpkendraError
from edge.sync import faults
from edge.web.logs import say

from .engine import Store
from .schema import copy_log, copy_state

logger = logging.getLogger("hub.copy")

SEGMENT_BYTES: Final = 64 << 20
BATCH_BYTES: Final = 16 << 20
"""Changes that are read into memory together: so many bytes, and one more."""
POLL_S: Final = 1.0
"""How soon changes by another process (a command) are seen."""
RETRY_S: Final = 5.0
_HEAD_BYTES = 12
_CHECK_BYTES = 16
_statements = msgspec.msgpack.Decoder(tuple[tuple[str, tuple[Any, ...]], ...])

Frame: TypeAlias = tuple[int, bytes]
"""Number of the change (lsn), and its statements as msgpack."""


class CopyRefused(UpkendraError):
    """The second copy cannot be used as it is. The message says what to do; nothing was changed."""

    code = "copy_refused"
    fault = Fault.STATE


class SecondCopy(Protocol):
    """Where changes go a second time. Blocking; used by one thread."""

    def tip(self, history: str) -> int | None:
        """Number of the last change that is held of a history; None when its beginning is not here."""

    def draft(self, history: str, database: Path) -> int:
        """Take a snapshot of the running database, durably; the number of the last change in it. Raises OSError.

        It counts for nothing before :meth:`begin`: until then the history before it goes on.
        """

    def begin(self, history: str) -> None:
        """A history begins with the snapshot that was drafted for it. Raises OSError."""

    def keep(self, history: str, frames: Sequence[Frame]) -> None:
        """Make consecutive changes durable. Raises OSError."""

    def drop_others(self, history: str) -> None:
        """Delete all histories but this one, whose beginning is durable. Raises OSError."""


class FolderCopy:
    """A folder, on another disk than the database: ``base-HISTORY.db`` and ``log-HISTORY-NUMBER.upk``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._size_bytes = 0

    def tip(self, history: str) -> int | None:
        base = self._folder / f"base-{history}.db"
        if not base.is_file():
            return None
        last = _lsn_in(base, history)
        for lsn, _ in self.frames(history, last):
            last = lsn
        return last

    def draft(self, history: str, database: Path) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.glob("base-*.db.part*"):  # what an attempt that was killed has left
            path.unlink()
        if shutil.disk_usage(self._folder).free < database.stat().st_size:
            raise OSError(errno.ENOSPC, "there is no room for a second snapshot beside the first")
        draft = self._draft(history)
        try:
            _snapshot(database, draft, history)
            _sync(draft)
            _sync(self._folder)
        except BaseException:
            draft.unlink(missing_ok=True)  # a full disk is not filled any further
            raise
        return _lsn_in(draft, history)

    def begin(self, history: str) -> None:
        self.close()  # a segment of an older one may be open
        self._draft(history).rename(self.base(history))
        _sync(self._folder)

    def keep(self, history: str, frames: Sequence[Frame]) -> None:
        try:
            if not self.base(history).is_file():
                raise FileNotFoundError("the snapshot with which the copy begins is gone")
            if self._file is None or self._size_bytes > SEGMENT_BYTES:
                self._open(history, frames[0][0])
            assert self._file is not None
            raw = b"".join(_frame(lsn, body) for lsn, body in frames)
            view = memoryview(raw)
            while view:
                view = view[os.write(self._file, view) :]
            faults.point("copy.written")
            os.fsync(self._file)
            if os.fstat(self._file).st_nlink == 0:
                raise FileNotFoundError("the segment was deleted while it was written")
            self._size_bytes += len(raw)
        except OSError:
            self.close()  # the next one goes into a new segment: what stands behind a torn frame is not read
            raise

    def _open(self, history: str, lsn: int) -> None:
        self.close()
        path = self._folder / f"log-{history}-{lsn:016d}.upk"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._size_bytes = 0
        _sync(self._folder)

    def close(self) -> None:
        """Close the segment; the next change begins another one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def drop_others(self, history: str) -> None:
        for path in (*self._folder.glob("base-*.db*"), *self._folder.glob("log-*.upk")):
            if path.name.split("-")[1].partition(".")[0] != history:
                path.unlink()
        _sync(self._folder)

    def histories(self) -> list[str]:
        """Histories with a base, the latest first."""
        bases = sorted(self._folder.glob("base-*.db"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [path.name[len("base-") : -len(".db")] for path in bases]

    def base(self, history: str) -> Path:
        """The snapshot with which a history begins."""
        return self._folder / f"base-{history}.db"

    def _draft(self, history: str) -> Path:
        return self._folder / f"base-{history}.db.part"

    def frames(self, history: str, after: int) -> Iterator[Frame]:
        """Changes behind ``after``, without a hole; a torn end of a segment ends that segment."""
        last = after
        for path in sorted(self._folder.glob(f"log-{history}-*.upk")):
            for lsn, body in _read(path):
                if lsn > last + 1:
                    return
                if lsn == last + 1:
                    last = lsn
                    yield lsn, body


def _snapshot(database: Path, target: Path, history: str) -> None:
    """One moment of a running database as the beginning of a history."""
    reading = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    writing = sqlite3.connect(target)
    try:
        reading.backup(writing)
        writing.execute("UPDATE copy_state SET history = ?", (history,))
        writing.execute("DELETE FROM copy_log")
        writing.commit()
    finally:
        writing.close()
        reading.close()
    target.chmod(0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _frame(lsn: int, body: bytes) -> bytes:
    head = len(body).to_bytes(4, "big") + lsn.to_bytes(8, "big")
    return head + body + hashlib.sha256(head + body).digest()[:_CHECK_BYTES]


def _read(path: Path) -> Iterator[Frame]:
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        while len(head := file.read(_HEAD_BYTES)) == _HEAD_BYTES:
            length = int.from_bytes(head[:4], "big")
            if length > size_bytes - file.tell():  # torn; a whole one is read, however large its transaction was
                return
            body, check = file.read(length), file.read(_CHECK_BYTES)
            if hashlib.sha256(head + body).digest()[:_CHECK_BYTES] != check:
                return
            yield int.from_bytes(head[4:], "big"), body


def _lsn_in(database: Path, history: str) -> int:
    reading = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        row = reading.execute("SELECT lsn FROM copy_state WHERE history = ?", (history,)).fetchone()
    except sqlite3.Error as error:
        raise CopyRefused("The second copy's database is damaged.", code="copy_damaged") from error
    finally:
        reading.close()
    if row is None:
        raise CopyRefused("This database belongs to another history.", code="copy_other")
    return int(row[0])


def replay(database: Path, copy: FolderCopy) -> int:
    """Bring a database up to the end of its history in ``copy``; how many changes that were. Blocking.

    Raises CopyRefused when the database has no history, or the copy does not hold it.
    """
    writing = sqlite3.connect(database, isolation_level=None)
    try:
        row = writing.execute("SELECT history, lsn FROM copy_state").fetchone()
        if row is None or not copy.base(row[0]).is_file():
            raise CopyRefused("The second copy does not go on where this database ends.", code="copy_other")
        history, lsn = str(row[0]), int(row[1])
        writing.execute("PRAGMA synchronous = FULL")
        count = 0
        for number, body in copy.frames(history, lsn):
            writing.execute("BEGIN IMMEDIATE")
            for sql, values in _statements.decode(body):
                writing.execute(sql, values).fetchall()
            writing.execute("UPDATE copy_state SET lsn = ?", (number,))
            writing.execute("COMMIT")
            count += 1
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        text = "A change in the second copy does not fit. Restore with the release that made it."
        raise CopyRefused(text, code="copy_damaged") from error
    finally:
        writing.close()
    return count


class Copier:
    """Carries changes from the database to the second copy, on a thread of its own."""

    def __init__(self, store: Store, copy: SecondCopy, database: Path) -> None:
        """Blocking: looks at both ends, takes a snapshot where none fits. Raises CopyRefused (copy_ahead), OSError."""
        self._store, self._copy = store, copy
        self._history = ""
        self.held = 0
        """Number of the last change in the second copy."""
        self.failure = ""
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._database = database
        self._anew_for: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._scrubbed_for = 0
        """So many of them the database was scrubbed for."""
        self._begin(database)
        store.on_commit = self._wake.set
        self._thread = threading.Thread(target=self._run, name="hub-copy", daemon=True)
        self._thread.start()

    def _begin(self, database: Path) -> None:
        found = self._store.read_now(_state)
        tip = self._copy.tip(found[0]) if found is not None else None
        if found is not None and tip is not None:
            history, lsn, first = found
            if tip > lsn:
                text = "The second copy holds more than this database: `hub restore --copy` brings it back."
                raise CopyRefused(text, code="copy_ahead")
            if tip == lsn or (first is not None and first <= tip + 1):
                self._history, self.held = history, tip
                return
        self._anew(database)

    def _anew(self, database: Path) -> None:
        """A new snapshot, then a new history. Should the first fail, the history before it goes on."""
        history = secrets.token_hex(8)
        self._store.write_now(_count)
        lsn = self._copy.draft(history, database)
        self._store.write_now(lambda connection: _start_history(connection, history, lsn))
        self._copy.begin(history)
        self._history = history
        self._reached(lsn)
        say(logger, "second_copy_begun", lsn=lsn)

    async def begin_anew(self) -> None:
        """Take a new snapshot and delete the older ones with all that followed them: something was erased.

        Returns when they are gone. Until then the older ones are the second copy.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._anew_for.append((loop, future))
        self._wake.set()
        await future

    async def reached(self, lsn: int, timeout_s: float | None = None) -> bool:
        """Wait until a change is in the second copy; False when it is not within the time."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self.held >= lsn:
                return True
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((lsn, loop, future))
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return False
        finally:
            with self._lock:  # who gave up is not kept until a dead disk comes back
                self._waiting = [row for row in self._waiting if row[2] is not future]
        return True

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(POLL_S)
            self._wake.clear()
            try:
                while self._carry():
                    pass
                self._renew()
                self.failure = ""
            except Exception as error:
                if not self.failure:
                    say(logger, "second_copy_failed", logging.ERROR, error=type(error).__name__)
                self.failure = type(error).__name__
                time.sleep(0 if self._stopping else RETRY_S)

    def _renew(self) -> None:
        with self._lock:
            asking, self._anew_for = self._anew_for, []
        if not asking:
            return
        try:
            if self._scrubbed_for != len(asking):  # not again while the snapshot fails: nobody writes meanwhile
                self._store.scrub_now()  # the snapshot takes the file as it is, with what was deleted from it
                self._scrubbed_for = len(asking)
            self._anew(self._database)
            self._copy.drop_others(self._history)
            self._scrubbed_for = 0
        except BaseException:
            with self._lock:
                self._anew_for = asking + self._anew_for
            raise
        for loop, future in asking:
            loop.call_soon_threadsafe(_settle, future)

    def _carry(self) -> bool:
        """One batch; whether there was anything."""
        after = self.held
        frames = self._store.read_now(lambda connection: _frames_after(connection, after))
        if not frames:
            return False
        if frames[0][0] != after + 1:
            raise CopyRefused("Changes are missing. Restart the hub: it takes a new snapshot.", code="copy_gap")
        self._copy.keep(self._history, frames)
        faults.point("copy.synced")
        last = frames[-1][0]
        self._reached(last)
        self._store.write_later(lambda connection: _forget(connection, last))
        return True

    def _reached(self, lsn: int) -> None:
        with self._lock:
            self.held = lsn
            due = [row for row in self._waiting if row[0] <= lsn]
            self._waiting = [row for row in self._waiting if row[0] > lsn]
        for _, loop, future in due:
            loop.call_soon_threadsafe(_settle, future)

    def close(self) -> None:
        """Carry what is committed, and stop. Blocking; before the store is closed."""
        self._stopping = True
        self._wake.set()
        self._thread.join()


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _state(connection: Connection) -> tuple[str, int, int | None] | None:
    row = connection.execute(select(copy_state.c.history, copy_state.c.lsn)).first()
    if row is None:
        return None
    first = connection.execute(select(func.min(copy_log.c.lsn))).scalar()
    return str(row.history), int(row.lsn), first


def _frames_after(connection: Connection, lsn: int) -> list[Frame]:
    found: list[Frame] = []
    left = BATCH_BYTES
    with connection.execute(select(copy_log).where(copy_log.c.lsn > lsn).order_by(copy_log.c.lsn)) as rows:
        for row in rows:
            found.append((row.lsn, bytes(row.body)))
            left -= len(row.body)
            if left <= 0:
                break
    return found


def _forget(connection: Connection, lsn: int) -> None:
    connection.execute(delete(copy_log).where(copy_log.c.lsn <= lsn))


def _count(connection: Connection) -> None:
    """From now on changes are kept, of no history yet where there is none."""
    if _state(connection) is None:
        connection.execute(insert(copy_state).values(history="", lsn=0))


def _start_history(connection: Connection, history: str, lsn: int) -> None:
    """What is changed after ``lsn`` belongs to this history. Changes are counted on, whatever history they are of."""
    _forget(connection, lsn)
    connection.execute(update(copy_state).values(history=history))


def has_history(connection: Connection) -> bool:
    """Whether changes are being kept for a second copy."""
    return _state(connection) is not None


def end_history(connection: Connection) -> None:
    """From now on no changes are kept for a second copy: one that begins later needs a new snapshot."""
    connection.execute(delete(copy_log))
    connection.execute(delete(copy_state))

"""The node's two files and the threads that may touch them: one writer, one reader.

The event loop asks and waits; every blocking step happens on one of the two threads. Knows the
journal, the views and the outbox, and nothing of HTTP, links or calls.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edge.model.errors import UpkendraError
from edge.sync.link import BundleAcked
from edge.web.refusals import Locked, failure_of

from .config import LOCK_FILE, RECORDS_FILE, NodeConfig
from .database import Database
from .here import Everybody, Here
from .journal import Journal, Secrets
from .outbox import OutboxDb
from .views import Views

T = TypeVar("T")
U = TypeVar("U")


class AlreadyServed(UpkendraError):
    """Another process serves this data folder. Stop it first: two would give the same token twice."""

    code = "already_served"


def _hold(folder: Path) -> int:
    """Lock the folder until the descriptor is closed or the process ends, however it ends. Raises AlreadyServed."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyServed("Another process serves this data folder. Stop it first.") from None
    return descriptor


class Store:
    """``outbox.db`` at once, ``records.db`` from the unlocking on."""

    def __init__(self, folder: Path, config: NodeConfig, run: bytes) -> None:
        self._folder = folder
        self._config = config
        self._run = run
        self._writer = ThreadPoolExecutor(1, "writer")
        self._reader = ThreadPoolExecutor(1, "reader")
        self._outbox: OutboxDb | None = None
        self._journal: Journal | None = None
        self._opened: Journal | None = None
        """The same, as the writer thread knows it: from the moment in which it has learned from the outbox."""
        self._views: Views | None = None
        self._views_db: Database | None = None
        self._everybody: Everybody | None = None
        self._held: int | None = None
        self.unreadable = False
        """Somebody gave the right key since the start, and the records did not open with it, disk permitting."""

    @property
    def locked(self) -> bool:
        """True until :meth:`unlock` has succeeded."""
        return self._journal is None

    async def open(self) -> None:
        """Take the folder for this process and open the outbox. Raises AlreadyServed."""
        self._held = await self._on(self._writer, lambda: _hold(self._folder))
        self._outbox = await self._on(self._writer, lambda: OutboxDb(self._folder))

    async def unlock(self, dmk: bytes) -> Secrets:
        """Open the records; the keys inside them. Raises WrongKey."""
        outbox = self._outbox
        assert outbox is not None

        def opened() -> tuple[Journal, Secrets]:
            journal = Journal(self._folder, dmk, self._config, outbox, self._run)
            journal.learn_levels()
            keys = journal.secrets()
            journal.import_locked(keys.records)
            self._opened = journal
            return journal, keys

        def opened_for_reading() -> Database:
            return Database(self._folder / RECORDS_FILE, dmk)

        try:
            journal, secrets = await self._on(self._writer, opened)
            self._views_db = await self._on(self._reader, opened_for_reading)
        except Exception as error:
            self.unreadable = failure_of(error).code != "storage_full"
            raise
        self.unreadable = False
        self._views = Views(self._views_db)
        self._everybody = Everybody(self._views, journal.touched)
        self._journal = journal
        return secrets

    async def write(self, work: Callable[[Journal], T]) -> T:
        """Run ``work`` on the writer thread. Raises Locked."""
        journal = self._journal
        if journal is None:
            raise Locked("The node is locked. Unlock it with a badge and its PIN.")
        return await self._on(self._writer, lambda: work(journal))

    async def either(self, locked: Callable[[OutboxDb], T], opened: Callable[[Journal], U]) -> T | U:
        """Run one of them on the writer thread: ``opened`` once what was recorded while locked is in."""
        outbox = self._outbox
        assert outbox is not None
        return await self._on(self._writer, lambda: locked(outbox) if self._opened is None else opened(self._opened))

    async def acknowledged(self, words: Sequence[BundleAcked], at_ms: int) -> set[str]:
        """Keep the hub's words about bundles, also while locked; the visits in them, once the records are open.

        Decided on the writer thread: a word that comes while the records are opened lies in the outbox before they
        learn from it, or is told to them. One that did neither would show as unsent until the next unlock.
        """
        outbox = self._outbox
        assert outbox is not None

        def keep() -> set[str]:
            if self._opened is not None:
                return self._opened.acknowledged(words, at_ms)
            outbox.acknowledge_all(words)
            return set()

        return await self._on(self._writer, keep)

    async def read(self, work: Callable[[Views], T]) -> T:
        """Run ``work`` on the reader thread. Raises Locked."""
        views = self._views
        if views is None:
            raise Locked("The node is locked. Unlock it with a badge and its PIN.")
        return await self._on(self._reader, lambda: work(views))

    async def here(self, now_ms: int) -> tuple[Here, ...]:
        """The visits of the queue's page. Raises Locked."""
        everybody = self._everybody
        if everybody is None:
            raise Locked("The node is locked. Unlock it with a badge and its PIN.")
        if not everybody.is_fresh(now_ms):
            await self._on(self._reader, lambda: everybody.renew(now_ms))
        return everybody.rows(now_ms)

    async def outbox(self, work: Callable[[OutboxDb], T]) -> T:
        """Run ``work`` with the outbox on the writer thread; works while locked."""
        outbox = self._outbox
        assert outbox is not None
        return await self._on(self._writer, lambda: work(outbox))

    async def close(self) -> None:
        """Close the files after what was asked for before."""
        if self._views_db is not None:
            await self._on(self._reader, self._views_db.close)
        if self._journal is not None:
            await self._on(self._writer, self._journal.close)
        if self._outbox is not None:
            await self._on(self._writer, self._outbox.close)
        self._journal = self._opened = self._views = self._everybody = None
        if self._held is not None:
            os.close(self._held)
            self._held = None
        self._reader.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    @staticmethod
    async def _on(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

"""One writer thread with group commit, and a few readers. Knows threads and engines, no table's meaning.

Whatever is asked to be written while a commit is under way shares the next transaction, each in a
savepoint of its own, so that many bundles cost one fsync and one bad job spoils only itself. An
awaited :meth:`Store.write` returns after the commit: what it returned is durable.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

from edge.sync import faults

from .dialect import make_engine, require_store
from .migrate import upgrade

T = TypeVar("T")
GROUP_LIMIT = 256
"""Most jobs in one transaction."""


class _Job:
    """A piece of writing and what waits for it."""

    __slots__ = ("_outcome", "fail", "run")

    def __init__(self, work: Callable[[Connection], T], future: "Future[T]") -> None:
        self._outcome: Callable[[], None] | None = None

        def run(connection: Connection) -> None:
            try:
                with connection.begin_nested():
                    value = work(connection)
            except Exception as error:
                refused = error
                self._outcome = lambda: future.set_exception(refused)
            else:
                self._outcome = lambda: future.set_result(value)

        self.run = run
        self.fail: Callable[[BaseException], None] = future.set_exception

    def settle(self) -> None:
        """Tell the waiting side; called after the commit."""
        if self._outcome is not None:
            self._outcome()


class Store:
    """The hub's database."""

    def __init__(self, url: str, *, create: bool = False) -> None:
        """Open, and bring the schema up to date. Blocking. Raises StoreGone unless ``create``."""
        if not create:
            require_store(url)
        self.engine: Engine = make_engine(url)
        upgrade(self.engine)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="hub-read")
        self._writer = threading.Thread(target=self._write_forever, name="hub-write", daemon=True)
        self._writer.start()
        self.commits = 0
        """How many transactions the writer committed."""

    def write_later(self, work: Callable[[Connection], T]) -> "Future[T]":
        """Queue ``work``; the future is settled after its transaction is committed."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._jobs.put(_Job(work, future))
        return future

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the writer thread; returns when it is durable. Raises what ``work`` raises."""
        return await asyncio.wrap_future(self.write_later(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reader thread, in a transaction that sees only committed rows."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """As :meth:`read`, blocking."""
        with self.engine.connect() as connection, connection.begin():
            return work(connection)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """As :meth:`write`, blocking."""
        return self.write_later(work).result()

    def close(self) -> None:
        """Finish what is queued and close. Blocking."""
        self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown()
        self.engine.dispose()

    def _write_forever(self) -> None:
        while True:
            first = self._jobs.get()
            if first is None:
                return
            group = [first]
            stop = False
            while len(group) < GROUP_LIMIT:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._write_group(group)
            if stop:
                return

    def _write_group(self, group: list[_Job]) -> None:
        try:
            with self.engine.connect().execution_options(writing=True) as connection, connection.begin():
                for job in group:
                    job.run(connection)
                faults.point("hub-before-commit")
        except Exception as error:
            for job in group:
                job.fail(error)
            return
        faults.point("hub-after-commit")
        self.commits += 1
        for job in group:
            job.settle()

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

import msgspec
from sqlalchemy import Connection, Engine, event, insert, select, update

from edge.sync import faults

from .dialect import AT_COMMIT, Value, is_deadlock, make_engine, require_store, scrub
from .migrate import upgrade
from .schema import copy_log, copy_state

T = TypeVar("T")
Statement = tuple[str, tuple[Value, ...]]
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE"})
_NOT_COPIED = ("copy_log", "copy_state")
_LSN = select(copy_state.c.lsn)
GROUP_LIMIT = 256
"""Most jobs in one transaction."""
DEADLOCK_TRIES = 3
"""Two processes that want two visits in opposite order: one of them is undone, and tries again."""


class _Job:
    """A piece of writing and what waits for it."""

    __slots__ = ("_outcome", "deadlocks", "fail", "run")

    def __init__(self, work: Callable[[Connection], T], future: "Future[T]") -> None:
        self._outcome: Callable[[], None] | None = None
        self.deadlocks = 0
        """How often it was undone so that another process could go on."""

        def run(connection: Connection) -> bool:
            try:
                with connection.begin_nested():
                    value = work(connection)
            except Exception as error:
                refused = error
                self.deadlocks += is_deadlock(error)
                self._outcome = lambda: future.set_exception(refused)
                return False
            self._outcome = lambda: future.set_result(value)
            return True

        self.run: Callable[[Connection], bool] = run
        """Do the work; False when it was rolled back."""
        self.fail: Callable[[BaseException], None] = future.set_exception

    def settle(self) -> None:
        """Tell the waiting side; called after the commit."""
        if self._outcome is not None:
            self._outcome()


class _Scrub:
    """The database is to be written anew, between two transactions."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()


class Store:
    """The hub's database."""

    def __init__(self, url: str, *, create: bool = False) -> None:
        """Open, and bring the schema up to date. Blocking. Raises StoreGone unless ``create``."""
        if not create:
            require_store(url)
        self.engine: Engine = make_engine(url)
        upgrade(self.engine)
        self._said: list[Statement] = []
        """What the transaction under way has changed so far."""
        event.listen(self.engine, "before_cursor_execute", self._note)
        self._jobs: queue.Queue[_Job | _Scrub | None] = queue.Queue()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="hub-read")
        self._writer = threading.Thread(target=self._write_forever, name="hub-write", daemon=True)
        self._writer.start()
        self.commits = 0
        """How many transactions the writer committed."""
        self.lsn = 0
        """Number of the last committed change, while a second copy is kept."""
        self.on_commit: Callable[[], None] = lambda: None

    def write_later(self, work: Callable[[Connection], T]) -> "Future[T]":
        """Queue ``work``; the future is settled after its transaction is committed."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._jobs.put(_Job(work, future))
        return future

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the writer thread; returns when it is durable. Raises what ``work`` raises."""
        return await asyncio.wrap_future(self.write_later(work))

    async def settled(self) -> None:
        """Returns when everything that was asked to be written before this is committed, or was refused."""
        await self.write(lambda connection: None)

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

    def scrub_now(self) -> None:
        """As :meth:`scrub`, blocking."""
        self._scrub_later().result()

    async def scrub(self) -> None:
        """Leave nothing in the database's files of what was deleted. Whoever writes waits meanwhile."""
        await asyncio.wrap_future(self._scrub_later())

    def _scrub_later(self) -> "Future[None]":
        job = _Scrub()
        self._jobs.put(job)
        return job.future

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
            if isinstance(first, _Scrub):
                self._scrub(first)
                continue
            group = [first]
            stop = False
            behind: _Scrub | None = None
            while len(group) < GROUP_LIMIT:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                if isinstance(following, _Scrub):
                    behind = following
                    break
                group.append(following)
            self._write_group(group)
            if behind is not None:
                self._scrub(behind)
            if stop:
                return

    def _scrub(self, job: _Scrub) -> None:
        try:
            scrub(self.engine)
        except Exception as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(None)

    def _write_group(self, group: list[_Job]) -> None:
        while group:
            group = self._write_some(group)

    def _write_some(self, group: list[_Job]) -> list[_Job]:
        """One transaction; the jobs that are left for the next."""
        try:
            with self.engine.connect().execution_options(writing=True) as connection, connection.begin():
                self._said.clear()
                done = self._run_jobs(connection, group)
                lsn = self._keep_for_copy(connection)
                faults.point("hub-before-commit")
        except Exception as error:
            for job in group:
                job.fail(error)
            return []
        faults.point("hub-after-commit")
        self.commits += 1
        self.lsn = lsn
        for job in group[:done]:
            job.settle()
        self.on_commit()
        return group[done:]

    def _run_jobs(self, connection: Connection, group: list[_Job]) -> int:
        """Each job, then what they left to be done last; how many. Of a job that was rolled back nothing is left.

        One that a deadlock ended is tried again after the commit: what the others wait for may be held by jobs before
        it in this transaction, and is given free by nothing else.
        """
        last: list[Callable[[Connection], None]] = []
        connection.info[AT_COMMIT] = last
        done = 0
        try:
            for job in group:
                kept, kept_last, before = len(self._said), len(last), job.deadlocks
                if not job.run(connection):
                    del self._said[kept:], last[kept_last:]
                    if before < job.deadlocks < DEADLOCK_TRIES:
                        break
                done += 1
        finally:
            del connection.info[AT_COMMIT]  # the pool keeps it with the connection
        for work in last:
            work(connection)
        return done

    def _note(
        self, connection: Connection, cursor: object, statement: str, parameters: object, context: object, many: bool
    ) -> None:
        """Remember a change. Every value is in its parameters, so that it can be done again elsewhere."""
        if threading.current_thread() is not self._writer or statement[:6].upper() not in _CHANGES:
            return
        if any(name in statement for name in _NOT_COPIED):
            return
        # A list for an executemany; several rows of one INSERT come flat, as the one statement that they are.
        rows = parameters if isinstance(parameters, list) else [parameters]
        for row in rows:
            assert isinstance(row, tuple | dict)
            self._said.append((statement, tuple(row)))

    def _keep_for_copy(self, connection: Connection) -> int:
        """The changes of this transaction, for the second copy if one is kept; their number."""
        state = connection.execute(_LSN).first()
        if state is None:
            return 0
        if not self._said:
            return int(state.lsn)
        lsn = int(state.lsn) + 1
        connection.execute(insert(copy_log).values(lsn=lsn, body=msgspec.msgpack.encode(self._said)))
        connection.execute(update(copy_state).values(lsn=lsn))
        return lsn

"""Which process of a hub leads: it asks doctors, writes to the nodes what all should hear, and serves the courier.

A lock of PostgreSQL that lives as long as its connection: when the process dies, another one has it a second later.
One that was stopped (SIGSTOP, a frozen machine) keeps its connection; so whoever leads also counts a beat, and when
that has stood still the others have the database end the connection. Each leader has a *term*: what it writes as the
leader is refused by :meth:`Leader.check` when a later term has begun, however late it wakes up. No wall clock is asked.
On SQLite there is one process, and it leads.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, pool, select, text
from sqlalchemy.exc import SQLAlchemyError

from edge.model.errors import Fault, UpkendraError
from edge.web.logs import say

from .store.dialect import add_row
from .store.schema import leadership

logger = logging.getLogger("hub.leader")
T = TypeVar("T")
LEADER_LOCK = 0x75706B_6C656164
"""Of the whole database; other locks are of a transaction and hashed names."""
KEEPALIVE = "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c lock_timeout=4000"
STILL_S = 8.0
"""A beat that has stood still for so long is that of a process that was stopped."""
SURE_S = 6.0
"""So long after the last answer of the database a process believes that it leads: less than the others wait."""

GIVE_UP = {
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Our side of the same: without it a question to a server that vanished hangs for a quarter of an hour."""
_END_HOLDER = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND classid = :high AND objid = :low AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
).bindparams(high=LEADER_LOCK >> 32, low=LEADER_LOCK & 0xFFFFFFFF)


class LeadsNoMore(UpkendraError):
    """Another process of this hub leads now: what this one was about to write as the leader was not written."""

    code = "leads_no_more"
    fault = Fault.STATE


class Leader:
    """Asks for the lock, and looks whether it is still there."""

    def __init__(self, engine: Engine, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._leads = self._always = engine.dialect.name == "sqlite"
        self._monotonic_s = monotonic_s
        # A connection of its own that is never lent to a query; a machine that vanished loses it within seconds.
        self._engine = (
            None
            if self._always
            else create_engine(
                engine.url,
                poolclass=pool.NullPool,
                hide_parameters=True,
                connect_args={"options": KEEPALIVE, **GIVE_UP},
            )
        )
        self._held: Connection | None = None
        self._term = 0
        self._sure_until_s = 0.0
        self._seen: tuple[tuple[int, int], float] | None = None
        """Term and beat of another leader, and since when they stand so; None before the first look."""

    @property
    def leads(self) -> bool:
        """Whether this process leads now. One that was stopped knows better as soon as it goes on."""
        return self._always or (self._leads and self._monotonic_s() < self._sure_until_s)

    def look(self) -> bool:
        """Whether this process leads from now on. Blocking; a database that is away means no."""
        if self._engine is None:
            return self._always
        asked_s = self._monotonic_s()
        try:
            if self._held is None:
                self._held = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            leads = self._beat(self._held) if self._leads else self._try(self._held)
        except SQLAlchemyError:
            self.close()
            return False
        if leads != self._leads:
            say(logger, "leads" if leads else "leads_no_more")
        self._leads, self._sure_until_s = leads, asked_s + SURE_S
        if not leads and self._term:  # a later one has begun: the lock, if we have it still, is for whoever comes
            self.close()
        return leads

    def _try(self, held: Connection) -> bool:
        self._term = 0
        if held.exec_driver_sql(f"SELECT pg_try_advisory_lock({LEADER_LOCK})").scalar():
            self._term = add_row(held, leadership, {"name": "term", "number": 1}, "number")
            return True
        now_s, stands = self._monotonic_s(), (_number(held, "term"), _number(held, "beat"))
        if self._seen is None or stands != self._seen[0]:
            self._seen = stands, now_s
        elif now_s - self._seen[1] >= STILL_S:
            say(logger, "leader_stopped", logging.WARNING)
            held.execute(_END_HOLDER)  # the lock is free at the next look
        return False

    def _beat(self, held: Connection) -> bool:
        """Say that we live. Who has the lock asks only whether the connection lives, and the lock with it."""
        add_row(held, leadership, {"name": "beat", "number": 1}, "number")
        return _number(held, "term") == self._term

    def fenced(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """``work`` as it is written by the leader of this term and by no other."""

        def act(connection: Connection) -> T:
            self.check(connection)
            return work(connection)

        return act

    def check(self, connection: Connection) -> None:
        """Make sure that no later term begins before this transaction has ended. Raises LeadsNoMore."""
        if self._always:
            return
        term = select(leadership.c.number).where(leadership.c.name == "term").with_for_update(read=True)
        if not self._term or connection.execute(term).scalar() != self._term:
            raise LeadsNoMore("Another process of this hub leads now.")

    def close(self) -> None:
        """Let another process lead. Blocking."""
        held, self._held = self._held, None
        if held is not None:
            held.invalidate()
            held.close()
        if self._leads and not self._always:
            say(logger, "leads_no_more")
        self._leads, self._term = self._always, 0


def _number(connection: Connection, name: str) -> int:
    query = select(leadership.c.number).where(leadership.c.name == name)
    return int(connection.execute(query).scalar() or 0)

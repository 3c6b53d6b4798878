"""Which process of a hub leads: it asks doctors, writes to the nodes what all should hear, and serves the courier.

A lock of PostgreSQL that lives as long as its connection: when the process dies, another one has it a second later.
On SQLite there is one process, and it leads.
"""

import logging

from sqlalchemy import Connection, Engine, create_engine, pool
from sqlalchemy.exc import SQLAlchemyError

from edge.web.logs import say

logger = logging.getLogger("hub.leader")
LEADER_LOCK = 0x75706B_6C656164
"""Of the whole database; other locks are of a transaction and hashed names."""
KEEPALIVE = "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"

GIVE_UP = {
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Our side of the same: without it a question to a server that vanished hangs for a quarter of an hour."""


class Leader:
    """Asks for the lock, and looks whether it is still there."""

    def __init__(self, engine: Engine) -> None:
        self.leads = engine.dialect.name == "sqlite"
        self._always = self.leads
        # A connection of its own that is never lent to a query; a machine that vanished loses it within seconds.
        self._engine = (
            None
            if self.leads
            else create_engine(
                engine.url,
                poolclass=pool.NullPool,
                hide_parameters=True,
                connect_args={"options": KEEPALIVE, **GIVE_UP},
            )
        )
        self._held: Connection | None = None

    def look(self) -> bool:
        """Whether this process leads from now on. Blocking; a database that is away means no."""
        if self._always or self._engine is None:
            return self.leads
        try:
            if self._held is None:
                self._held = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            # Who has it already asks only whether the connection lives, and the lock with it.
            question = "SELECT true" if self.leads else f"SELECT pg_try_advisory_lock({LEADER_LOCK})"
            leads = bool(self._held.exec_driver_sql(question).scalar())
        except SQLAlchemyError:
            self.close()
            leads = False
        if leads != self.leads:
            say(logger, "leads" if leads else "leads_no_more")
        self.leads = leads
        return leads

    def close(self) -> None:
        """Let another process lead. Blocking."""
        held, self._held = self._held, None
        if held is not None:
            held.invalidate()
            held.close()
        self.leads = self._always

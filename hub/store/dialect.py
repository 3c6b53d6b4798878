"""The only file that knows which database it talks to: connecting, begin, insert-or-ignore.

SQLite runs in WAL with synchronous=FULL, so that a commit that returned survives a power cut.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.dml import ReturningInsert

from edge.model.errors import Fault, UpkendraError

DATABASE_FILE = "hub.db"
Value = bytes | str | int | float | bool | None
Row = Mapping[str, Value]
"""Column name → value."""


class _Sqlite(Protocol):
    isolation_level: str | None

    def execute(self, sql: str) -> object: ...


IDLE_MS = 30_000
"""A process that was stopped in the middle of a transaction holds what others wait for no longer than this."""
SCRUB_TRIES = 4
"""Each waits as long as a lock may be waited for."""
AT_COMMIT = "at_commit"
"""Where a writer's connection keeps what is done last in its transaction (``Connection.info``)."""


def default_url(data: Path) -> str:
    """The embedded database of a hub that was given no ``--database``."""
    return f"sqlite:///{data / DATABASE_FILE}"


def make_engine(url: str) -> Engine:
    """An engine whose transactions are durable when commit returns, and whose errors quote no value of a statement."""
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, hide_parameters=True)
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        return engine
    # A server, database or role may have been set to answer a commit before it is on the disk: not for us.
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_pre_ping=True,
        connect_args={"options": f"-c synchronous_commit=on -c idle_in_transaction_session_timeout={IDLE_MS}"},
        hide_parameters=True,
    )


class StoreGone(UpkendraError):
    """The hub's database is missing, empty or damaged, but its keys are here. Put a backup back: ``hub restore``."""

    code = "store_gone"
    fault = Fault.STATE


def require_store(url: str) -> None:
    """Make sure that there is a database of a hub, and not the beginning of a new one. Raises StoreGone. Blocking."""
    path = make_url(url).database if url.startswith("sqlite") else None
    if path is not None and not (Path(path).is_file() and Path(path).stat().st_size):
        raise StoreGone("The hub's database is missing or empty. Put a backup back with `hub restore`.")
    engine = make_engine(url)
    try:
        tables = set(inspect(engine).get_table_names())
    except DatabaseError as error:
        if path is None:
            raise
        raise StoreGone("The hub's database is damaged. Put a backup back with `hub restore`.") from error
    finally:
        engine.dispose()
    if not {"alembic_version", "nodes", "entries"} <= tables:
        raise StoreGone("The hub's database holds no hub. Put a backup back with `hub restore`.")


def _on_sqlite_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    raw: _Sqlite = connection  # type: ignore[assignment]
    raw.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        raw.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def scrub(engine: Engine) -> None:
    """Write the database anew, so that nothing of what was deleted stays in its files. Blocking; in no transaction.

    SQLite: the file and its journal. PostgreSQL: the tables; what stands in its WAL goes when that is used again.
    Raises OperationalError when the journal could not be emptied because somebody reads for too long.
    """
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (FULL)")
        return
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("VACUUM")
        for _ in range(SCRUB_TRIES):
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy:
                return
    raise OperationalError("wal_checkpoint", {}, RuntimeError("the journal is being read"))


def lock(connection: Connection, name: str) -> None:
    """Have ``name`` alone until this writer's transaction ends: other processes of the hub wait for it here.

    SQLite has one writer at a time and needs none; whoever only reads takes none.
    """
    if connection.dialect.name == "sqlite" or not connection.get_execution_options().get("writing", False):
        return
    connection.execute(select(func.pg_advisory_xact_lock(_lock_key(name))))


def share(connection: Connection, name: str) -> None:
    """Keep whoever has ``name`` alone (:func:`lock`) out until this writer's transaction ends, and nobody else."""
    if connection.dialect.name == "sqlite" or not connection.get_execution_options().get("writing", False):
        return
    connection.execute(select(func.pg_advisory_xact_lock_shared(_lock_key(name))))


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def is_deadlock(error: BaseException) -> bool:
    """Whether PostgreSQL ended this so that another process could go on: it is worth a second try."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") == "40P01"


def at_commit(connection: Connection, work: Callable[[Connection], None]) -> None:
    """Do ``work`` last in the writer's transaction; at once where no writer keeps a list.

    For what all processes have to do one after the other: its lock is then held for the commit only, and whoever
    holds it waits for nobody.
    """
    waiting: list[Callable[[Connection], None]] | None = connection.info.get(AT_COMMIT)
    if waiting is None:
        work(connection)
    else:
        waiting.append(work)


def insert_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert a row unless one with its primary or unique key is there. True when it was new.

    Asks for the new key instead of a row count, which not every driver gives for an INSERT.
    """
    statement = _insert_new(connection.dialect.name, table)
    return connection.execute(statement, dict(row)).first() is not None


@cache
def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert_new(dialect: str, table: Table) -> ReturningInsert[Any]:
    """Made once: to build a statement costs more than to run it."""
    return _insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key.columns)


@cache
def _insert_many_new(dialect: str, table: Table, column: str) -> ReturningInsert[Any]:
    return _insert(dialect, table).on_conflict_do_nothing().returning(table.c[column])


@cache
def _put(dialect: str, table: Table, columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    keys = [column.name for column in table.primary_key.columns]
    statement = _insert(dialect, table)
    rest = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)


def insert_many_new(connection: Connection, table: Table, rows: Sequence[Row], column: str) -> set[Value]:
    """Insert the rows whose primary or unique key is not there, at once; ``column`` of those that were new."""
    if not rows:
        return set()
    statement = _insert_many_new(connection.dialect.name, table, column)
    return set(connection.execute(statement, [dict(row) for row in rows]).scalars())


def put_row(connection: Connection, table: Table, row: Row) -> None:
    """Insert a row, or replace all columns of the one with its primary key."""
    connection.execute(_put(connection.dialect.name, table, tuple(row)), dict(row))


def put_many(connection: Connection, table: Table, rows: Sequence[Row], column: str) -> None:
    """Insert the rows at once, or replace ``column`` of those whose primary key is there."""
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [one.name for one in table.primary_key.columns]
    statement = insert(table)
    replaced = statement.on_conflict_do_update(index_elements=keys, set_={column: statement.excluded[column]})
    connection.execute(replaced, [dict(row) for row in rows])


def add_row(connection: Connection, table: Table, row: Row, column: str) -> int:
    """Insert a row, or add its ``column`` to that of the one with its primary key; what stands there then."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [one.name for one in table.primary_key.columns]
    added = table.c[column] + row[column]
    statement = insert(table).values(dict(row)).on_conflict_do_update(index_elements=keys, set_={column: added})
    return int(connection.execute(statement.returning(table.c[column])).scalar_one())

"""A backup of a PostgreSQL hub, and putting one back: the same file as of a SQLite hub, row by row.

Read in one transaction that sees one moment, while the hub serves. So a backup of either database goes into either. No
program of PostgreSQL is needed.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, create_engine, func, insert, select, text
from sqlalchemy.engine import Engine

from edge.sync import faults

from .store.dialect import make_engine
from .store.engine import Store
from .store.schema_rights import metadata

ROWS: Final = 2_000
"""Read and written at once."""
OF_A_PROCESS: Final = frozenset({"copy_state", "copy_log"})
"""Tables that speak of a second copy, which belongs to one SQLite file."""


def export(url: str, target: Path) -> int:
    """Write one moment of a running hub into a new SQLite file; how many rows. Blocking."""
    Store(f"sqlite:///{target}", create=True).close()
    reading, writing = make_engine(url), create_engine(f"sqlite:///{target}", hide_parameters=True)
    try:
        at_once = reading.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with at_once as source, source.begin(), writing.begin() as sink:
            count = sum(_copy(source, sink, table) for table in _tables())
    finally:
        reading.dispose()
        writing.dispose()
    _fold(target)
    return count


def is_empty(url: str) -> bool:
    """Whether there is no row of a hub in this database. Makes its tables where there are none. Blocking."""
    store = Store(url, create=True)
    try:
        return store.read_now(lambda connection: not any(_has_rows(connection, table) for table in _tables()))
    finally:
        store.close()


def fill(source: Path, url: str) -> int:
    """Put the rows of a SQLite file of this release into an empty database, all or none; how many. Blocking."""
    reading: Engine = create_engine(f"sqlite:///file:{source}?mode=ro&uri=true", hide_parameters=True)
    writing = make_engine(url)
    try:
        with reading.connect() as rows, writing.connect() as sink, sink.begin():
            count = sum(_copy(rows, sink, table) for table in _tables())
            for table in _tables():
                _count_on(sink, table)
            faults.point("backup-filled")
    finally:
        reading.dispose()
        writing.dispose()
    return count


def _tables() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.name not in OF_A_PROCESS]


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(*table.primary_key.columns).limit(1)).first() is not None


def _copy(source: Connection, sink: Connection, table: Table) -> int:
    count = 0
    with source.execution_options(stream_results=True, yield_per=ROWS).execute(select(table)) as found:
        for some in found.mappings().partitions(ROWS):
            sink.execute(insert(table), [dict(row) for row in some])
            count += len(some)
    return count


def _count_on(connection: Connection, table: Table) -> None:
    """The numbers that the database gives by itself go on behind those that are there."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name == "sqlite":
        return
    last = connection.execute(select(func.max(column))).scalar()
    name = text("SELECT pg_get_serial_sequence(:table, :column)")
    sequence = connection.execute(name, {"table": table.name, "column": column.name}).scalar()
    if last is not None and sequence is not None:
        connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _fold(target: Path) -> None:
    """Leave one file without a journal."""
    engine = create_engine(f"sqlite:///{target}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = DELETE").all()
    finally:
        engine.dispose()

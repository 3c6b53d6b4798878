"""SQLite files as the node uses them: WAL, synchronous=FULL, BEGIN IMMEDIATE, one writer thread.

``records.db`` is SQLCipher; errors are sqlcipher3's, never ``sqlite3.Error``. Knows no tables.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlcipher3
import sqlcipher3.dbapi2

from edge.model.errors import UpkendraError
from edge.sync.seal import hkdf

from .touched import Touched

DatabaseError = sqlcipher3.dbapi2.DatabaseError
"""Whatever the store refuses: damage, a full disk, a broken constraint."""
CACHE_KIB = 8192
"""Pages kept open, a connection: each page that is not there is read and deciphered again."""
PLAIN_CACHE_KIB = 512
Value = str | int | float | bytes | None
Columns = dict[str, type]
_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bytes: "BLOB"}


class WrongKey(UpkendraError):
    """The store does not open with this key, or is damaged."""

    code = "wrong_key"


class Database:
    """One connection. May move between threads, but is used by one at a time."""

    def __init__(self, path: Path, dmk: bytes | None = None) -> None:
        """Open or make the file; ``dmk`` given: encrypted with HKDF(DMK, "db"). Raises WrongKey. Blocking.

        A plain file is kept by the system's own cache already, and gets little of ours.
        """
        path.touch(mode=0o600)
        self._connection = sqlcipher3.connect(str(path), isolation_level=None, check_same_thread=False, timeout=20.0)
        if dmk is not None:
            self._connection.execute(f"PRAGMA key = \"x'{hkdf(dmk, b'db').hex()}'\"")
        try:
            self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlcipher3.dbapi2.DatabaseError:
            self._connection.close()
            raise WrongKey("The store does not open with this key.") from None
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.execute(f"PRAGMA cache_size = -{PLAIN_CACHE_KIB if dmk is None else CACHE_KIB}")
        self.touched = Touched()
        """By transactions of this connection."""

    def table(self, name: str, columns: Columns, key: str | tuple[str, ...], indexes: Sequence[Sequence[str]]) -> None:
        """Make a table and its indexes where they do not exist yet."""
        keys = (key,) if isinstance(key, str) else key
        rows = [f'"{column}" {_TYPES[kind]}' for column, kind in columns.items()]
        rows.append(f"PRIMARY KEY ({_names(keys)})")
        self._connection.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({", ".join(rows)})')
        for index in indexes:
            called = "_".join(("idx", name, *index))
            self._connection.execute(f'CREATE INDEX IF NOT EXISTS "{called}" ON "{name}" ({_names(index)})')

    def index_some(self, name: str, column: str, which: str) -> None:
        """Make an index of the few rows that ``which`` (constants, no values) picks; the others cost it nothing."""
        called = f"some_{name}_{column}"
        self._connection.execute(f'CREATE INDEX IF NOT EXISTS "{called}" ON "{name}" ("{column}") WHERE {which}')

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        found: list[tuple[Any, ...]] = self._connection.execute(sql, values).fetchall()
        return found

    def row(self, sql: str, *values: Value) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, *values: Value) -> int:
        """Execute a statement; how many rows it changed."""
        count: int = self._connection.execute(sql, values).rowcount
        return count

    def run_many(self, sql: str, values: Sequence[Sequence[Value]]) -> None:
        """Execute a statement once for each row of values."""
        self._connection.executemany(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE … COMMIT; rolled back when the block raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have rolled back already
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self.touched.ended()

    def close(self) -> None:
        """Close the connection (and fold the WAL back, if it is the last). Blocking."""
        self._connection.close()


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)

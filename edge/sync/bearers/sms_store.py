"""``sms.db``: which SMS came and went, on a thread of its own. Both sides use it; the modem hangs on one machine.

Contents are stored as the caller gives them: sealed. The names of all messages that ever came are kept, since they are
what recognises a replay.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")
DAY_MS = 86_400_000
RECEIPT, RECEIPTS_MAX, RECEIPT_AGAIN_MS = 32, 3, 10 * 60_000
"""A receipt may be lost, so a message that comes again is told again; each costs an SMS, so not without end."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS got (node BLOB, name BLOB, kind INTEGER, visit BLOB, number TEXT, content BLOB, "
    "at_ms INTEGER, PRIMARY KEY (node, name))",
    "CREATE INDEX IF NOT EXISTS got_by_visit ON got (visit)",
    "CREATE TABLE IF NOT EXISTS gone (node BLOB, name BLOB, kind INTEGER, visit BLOB, digest BLOB, content BLOB, "
    "at_ms INTEGER, state TEXT, PRIMARY KEY (node, name))",
    "CREATE INDEX IF NOT EXISTS gone_by_visit ON gone (visit)",
    "CREATE INDEX IF NOT EXISTS gone_by_digest ON gone (digest)",
    "CREATE TABLE IF NOT EXISTS spent (at_ms INTEGER)",
)


class GotSms(Struct, frozen=True):
    """A message that came."""

    node: bytes
    name: bytes
    kind: int
    visit: bytes
    number: str
    content: bytes
    """As the application sealed it for rest."""
    at_ms: int


class GoneSms(Struct, frozen=True):
    """A message that was made. ``state``: waiting, left, delivered, kept, or the code of what went wrong."""

    node: bytes
    name: bytes
    kind: int
    visit: bytes
    digest: bytes
    """Tells whether the same was said before."""
    content: bytes
    at_ms: int
    state: str = "waiting"


class SmsStore:
    """The file. Awaited writes are durable when they return."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "sms")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or make the file, readable by its owner only."""

        def opened() -> sqlite3.Connection:
            self._path.touch(mode=0o600)
            db = sqlite3.connect(self._path, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA secure_delete=ON")
            for table in _TABLES:
                db.execute(table)
            db.commit()
            return db

        self._db = await asyncio.get_running_loop().run_in_executor(self._thread, opened)

    async def close(self) -> None:
        """Finish what was asked for, and close."""
        if self._db is not None:
            await self._do(lambda db: db.close())
            self._db = None
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._db
        assert db is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, db)

    # -- caps ---------------------------------------------------------------------------------------

    async def spent(self, now_ms: int) -> list[int]:
        """When the SMS of the last day left; older ones are forgotten."""

        def look(db: sqlite3.Connection) -> list[int]:
            with db:
                db.execute("DELETE FROM spent WHERE at_ms < ?", (now_ms - DAY_MS,))
            return [row[0] for row in db.execute("SELECT at_ms FROM spent")]

        return await self._do(look)

    def spend(self, at_ms: int) -> None:
        """Note one SMS; may be called from the loop, does not wait."""

        def note(db: sqlite3.Connection) -> None:
            with db:
                db.execute("INSERT INTO spent VALUES (?)", (at_ms,))

        if self._db is not None:
            self._thread.submit(note, self._db)

    # -- messages -----------------------------------------------------------------------------------

    async def take(self, got: GotSms, confirmed: tuple[bytes, ...] = ()) -> bool:
        """Keep a message that came, and what it confirms; False when its name was here before."""

        def keep(db: sqlite3.Connection) -> bool:
            with db:
                row = (got.node, got.name, got.kind, got.visit, got.number, got.content, got.at_ms)
                fresh = db.execute("INSERT OR IGNORE INTO got VALUES (?,?,?,?,?,?,?)", row).rowcount > 0
                for name in confirmed:
                    db.execute("UPDATE gone SET state = 'kept' WHERE node = ? AND name = ?", (got.node, name))
            return fresh

        return await self._do(keep)

    async def number_of(self, node: bytes, name: bytes) -> str:
        """From which number a message came first; empty for one that never came."""
        sql = "SELECT number FROM got WHERE node = ? AND name = ?"
        row = await self._do(lambda db: db.execute(sql, (node, name)).fetchone())
        return str(row[0]) if row else ""

    async def made(self, gone: GoneSms) -> None:
        """Note a message before it is sent."""

        def note(db: sqlite3.Connection) -> None:
            with db:
                row = (gone.node, gone.name, gone.kind, gone.visit, gone.digest, gone.content, gone.at_ms, gone.state)
                db.execute("INSERT INTO gone VALUES (?,?,?,?,?,?,?,?)", row)

        await self._do(note)

    async def may_confirm(self, node: bytes, digest: bytes, now_ms: int) -> bool:
        """Whether the receipt of this digest may be made (again)."""
        sql = "SELECT count(*), coalesce(max(at_ms), 0) FROM gone WHERE digest = ? AND node = ? AND kind = ?"
        many, last_ms = await self._do(lambda db: db.execute(sql, (digest, node, RECEIPT)).fetchone())
        return bool(many == 0 or (many < RECEIPTS_MAX and now_ms - last_ms >= RECEIPT_AGAIN_MS))

    async def became(self, name: bytes, state: str) -> None:
        """What became of it; a receipt outranks what the network says."""

        def note(db: sqlite3.Connection) -> None:
            with db:
                db.execute("UPDATE gone SET state = ? WHERE name = ? AND state != 'kept'", (state, name))

        await self._do(note)

    async def got(self, kind: int, since_ms: int = 0) -> list[GotSms]:
        """What came of a kind, oldest first."""
        sql = "SELECT * FROM got WHERE kind = ? AND at_ms >= ? ORDER BY at_ms, rowid"
        return [GotSms(*row) for row in await self._do(lambda db: db.execute(sql, (kind, since_ms)).fetchall())]

    async def gone(self, visit: bytes) -> list[GoneSms]:
        """What was made about a visit, oldest first."""
        sql = "SELECT * FROM gone WHERE visit = ? ORDER BY at_ms, rowid"
        return [GoneSms(*row) for row in await self._do(lambda db: db.execute(sql, (visit,)).fetchall())]

    async def unsent(self) -> None:
        """After a restart: what had not left is lost with the process, and says so."""

        def note(db: sqlite3.Connection) -> None:
            with db:
                db.execute("UPDATE gone SET state = 'sms_lost' WHERE state = 'waiting'")

        await self._do(note)

"""The second copy of photos, notes and clips: sealed files on another shelf, carried in the background.

Chunks that wait are in the database and so in its second copy; they are dropped only when their whole blob lies on the
second shelf too. So at every moment the second copy alone has all that was acknowledged at level 2. Knows no key.
"""

import asyncio
import logging

from sqlalchemy import Connection

from edge.model.errors import UpkendraError
from edge.sync import faults
from edge.web.logs import say
from edge.web.refusals import failure_of

from . import blob_rows
from .blob_rows import BlobRow
from .shelf import Shelf, ShelfFailed
from .store.engine import Store

logger = logging.getLogger("hub.blobs")
RETRY_S = 30.0
_WHOLE_BYTES = 1 << 30


def name_of(row: BlobRow) -> str:
    """The name of a blob on any shelf."""
    return f"{row.node_id}/{row.blob_id}"


class BlobCopy:
    """What lies on the first shelf and not yet on the second."""

    def __init__(self, store: Store, first: Shelf, second: Shelf | None, *, look: bool) -> None:
        """``look``: see at the start what the first shelf has lost (a folder that was restored, say)."""
        self._store, self._first, self._second, self._look = store, first, second, look
        self._due: dict[tuple[str, str], BlobRow] = {}
        self._known = False
        """What is due is known: everything that was whole at the start has been looked at."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure = ""

    @property
    def kept(self) -> bool:
        """Whether there is a second shelf."""
        return self._second is not None

    def start(self, lost: "asyncio.Queue[BlobRow]") -> None:
        """Look and carry; what neither shelf has is put into ``lost``."""
        self._task = asyncio.create_task(self._run(lost), name="hub-blob-copy")

    async def close(self) -> None:
        """Stop carrying; the next start goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._second is not None:
            await self._second.close()

    def add(self, row: BlobRow) -> None:
        """A blob is whole on the first shelf, in a transaction that is committed."""
        if self._second is not None:
            self._due[row.node_id, row.blob_id] = row
            self._wake.set()

    def holds(self, node_id: str, blob_id: str) -> bool:
        """Whether nothing of this blob is on the first shelf alone."""
        return self._second is not None and self._known and (node_id, blob_id) not in self._due

    def holds_all_of(self, node_id: str) -> bool:
        """Whether nothing of a node is on the first shelf alone."""
        return self._second is not None and self._known and not any(owner == node_id for owner, _ in self._due)

    async def forget(self, row: BlobRow) -> None:
        """A blob was taken back. Raises ShelfFailed."""
        await self.discard(row.node_id, row.blob_id)

    async def discard(self, node_id: str, blob_id: str) -> None:
        """As :meth:`forget`, of a blob of which nothing else is known any more."""
        self._due.pop((node_id, blob_id), None)
        if self._second is not None:
            await self._second.delete(f"{node_id}/{blob_id}")

    async def bring_back(self, row: BlobRow) -> bool:
        """Put what the first shelf lost or damaged back from the second; False when it is not there either."""
        if self._second is None:
            return False
        try:
            content = await self._second.read(name_of(row), 0, _WHOLE_BYTES)
            if content:
                await self._first.put(name_of(row), content)
        except ShelfFailed:
            return False
        return bool(content)

    async def _run(self, lost: "asyncio.Queue[BlobRow]") -> None:
        while True:
            try:
                if not self._known:
                    await self._look_at_all(lost)
                    self._known = True
                while self._due:
                    await self._carry(next(iter(self._due.values())))
                self.failure = ""
                self._wake.clear()
                if not self._due:
                    await self._wake.wait()
            except Exception as error:  # a shelf that fails, or a database that went away: both come back
                code = error.refusal.code if isinstance(error, UpkendraError) else failure_of(error).code
                if not self.failure:
                    say(logger, "blob_copy_failed", logging.ERROR, code=code, why=type(error).__name__)
                self.failure = code
                await asyncio.sleep(RETRY_S)

    async def _look_at_all(self, lost: "asyncio.Queue[BlobRow]") -> None:
        left = await self._store.read(blob_rows.whole_with_chunks)
        for node_id, blob_id in left if self._second is None else ():  # there was a second shelf before
            await self._store.write(lambda c: blob_rows.drop_chunks(c, node_id, blob_id))  # noqa: B023
        if self._second is None and not self._look:
            return
        for row in await self._store.read(blob_rows.whole):
            here = not self._look or await self._first.size(name_of(row)) is not None
            if not here and not await self.bring_back(row):
                lost.put_nowait(row)
                continue
            place = (row.node_id, row.blob_id)
            if self._second is not None and (place in left or await self._second.size(name_of(row)) is None):
                self._due[place] = row

    async def _carry(self, row: BlobRow) -> None:
        assert self._second is not None
        content = await self._first.read(name_of(row), 0, _WHOLE_BYTES)
        if content:
            await self._second.put(name_of(row), content)
            faults.point("hub-blob-copied")

        def drop(connection: Connection) -> bool:
            now = blob_rows.load(connection, row.node_id, row.blob_id)
            if now is not None and now.state == "whole":
                blob_rows.drop_chunks(connection, row.node_id, row.blob_id)
            return now is None or now.state == "removed"

        if await self._store.write(drop):
            await self._second.delete(name_of(row))
        self._due.pop((row.node_id, row.blob_id), None)

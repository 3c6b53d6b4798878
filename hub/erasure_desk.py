"""What the leading process does about erasures that two people agreed to: erase, tell the node, leave no bytes.

Whoever wrote it down, a page or a command, it is seen here within moments (:mod:`hub.erasures`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, select, update

from edge.web.logs import say

from . import audit, down, erased, erasure
from .blobs import Blobs
from .erasures import APPROVED, DONE, REFUSED
from .leader import Leader
from .store.copy import Copier
from .store.engine import Store
from .store.schema_rights import erased_files, erasures

logger = logging.getLogger("hub.erasure")
AGAIN_MS: Final = 60_000
"""After a failure the files are tried again so much later."""


class ErasureDesk:
    """What the leading process does about requests."""

    def __init__(
        self,
        store: Store,
        speaker: down.Speaker,
        blobs: Blobs,
        copier: Copier | None,
        leader: Leader,
        folder: Path,
        wall_ms: Callable[[], int],
        send_down: Callable[[down.DownBlob], None],
    ) -> None:
        self._store, self._speaker, self._blobs, self._copier = store, speaker, blobs, copier
        self._leader, self._folder, self._wall_ms, self._send_down = leader, folder, wall_ms, send_down
        self._not_before_ms = 0
        self._one = asyncio.Lock()

    async def step(self) -> None:
        """Carry out what was agreed to, then take its bytes away. Called every few seconds; one at a time."""
        async with self._one:
            await self._step()

    async def _step(self) -> None:
        for erasure_id in await self._store.read(_approved):
            blobs = await self._store.write(self._leader.fenced(self._carrier(erasure_id)))
            for blob in blobs:
                self._send_down(blob)
        unscrubbed = await self._store.read(_unscrubbed)
        if not unscrubbed or self._wall_ms() < self._not_before_ms:
            return
        self._not_before_ms = self._wall_ms() + AGAIN_MS
        await asyncio.to_thread(erased.write_list, self._folder, await self._store.read(erased.listed))
        for name in await self._store.read(_files):
            node_id, _, blob_id = name.partition("/")
            await self._blobs.discard(node_id, blob_id)
            await self._store.write(_dropper(name))
        if self._copier is not None:
            await self._copier.begin_anew()
        else:
            await self._store.scrub()
        await self._store.write(_scrubber(unscrubbed, self._wall_ms()))
        self._not_before_ms = 0
        say(logger, "erased", requests=len(unscrubbed))

    def _carrier(self, erasure_id: str) -> Callable[[Connection], Sequence[down.DownBlob]]:
        def act(connection: Connection) -> Sequence[down.DownBlob]:
            now_ms = self._wall_ms()
            erased.going(connection)
            mine = (erasures.c.erasure_id == erasure_id, erasures.c.state == APPROVED)
            row = connection.execute(select(erasures.c.patient_id, erasures.c.node_id).where(*mine)).first()
            made = None if row is None else erasure.plan(connection, row.patient_id, now_ms)
            if row is None:
                return ()
            if made is None or not made.goes:  # something was said of it meanwhile
                connection.execute(update(erasures).where(*mine).values(state=REFUSED, patient_id=""))
                audit.record(connection, now_ms, "", "erasure_void", erasure_id)
                return ()
            done = erasure.carry_out(connection, self._speaker.keys, made, erasure_id, now_ms)
            counts = {"visits": done.visits, "entries": done.entries, "blobs": done.blobs}
            connection.execute(update(erasures).where(*mine).values(state=DONE, patient_id="", **counts))
            audit.record(connection, now_ms, "", "erased", erasure_id, f"{done.visits} visits {done.entries} entries")
            blobs = erasure.tell(connection, self._speaker, row.node_id, done.names, now_ms) if done.names else []
            return [blob for blob in blobs if blob.blob]

        return act


def _approved(connection: Connection) -> Sequence[str]:
    return connection.execute(select(erasures.c.erasure_id).where(erasures.c.state == APPROVED)).scalars().all()


def _unscrubbed(connection: Connection) -> Sequence[str]:
    due = (erasures.c.state == DONE, erasures.c.scrubbed_ms == 0)
    return connection.execute(select(erasures.c.erasure_id).where(*due)).scalars().all()


def _files(connection: Connection) -> Sequence[str]:
    return connection.execute(select(erased_files.c.name)).scalars().all()


def _dropper(name: str) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        connection.execute(delete(erased_files).where(erased_files.c.name == name))

    return act


def _scrubber(ids: Sequence[str], now_ms: int) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        connection.execute(update(erasures).where(erasures.c.erasure_id.in_(ids)).values(scrubbed_ms=now_ms))

    return act

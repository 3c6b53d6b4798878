"""Photos, notes and clips at the hub: chunks from any bearer → proof → the shelf → a doctor's screen.

A chunk is acknowledged when it is in the database. When all of a blob are there they are proved
against the manifest that the node signed, looked at for what they really are, sealed under a key of
their own, put on the shelf, and only then forgotten as chunks. What does not prove is kept aside and
asked for again. Every look is in the audit log.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection

from edge.model import events as ev
from edge.model.errors import NotFound, Refused, UpkendraError
from edge.model.media import Purpose
from edge.model.media_probe import probe
from edge.sync import blobs as core
from edge.sync import faults, vault
from edge.sync.link import Cls
from edge.sync.one_each import OneEach
from edge.web.logs import say

from . import audit, blob_rows, down, views
from .blob_copy import BlobCopy, name_of
from .blob_rows import BlobRow
from .quarantine import put_aside
from .shelf import Shelf
from .store.engine import Store

logger = logging.getLogger("hub.blobs")
STALE_MS = 3_600_000
"""What was announced so long ago and is still not whole is asked for when its node is seen anew."""
ASK_STALE_MS = 24 * 3_600_000
LOOK_MS = 3_600_000
"""Ranges that a person reads so long after the last beginning go on with it; a later one is a new look."""
MISSING_AGAIN_S = 5.0


class Look(Enum):
    """How somebody reads content."""

    NEW = "new"
    RANGE = "range"
    """The next piece of what was begun, says the request."""
    NOTED = "noted"
    """Whoever asks has written it down already, or it is the patient's own."""


class BlobState(Struct, frozen=True):
    """One blob as a doctor's page sees it."""

    blob_id: str
    purpose: Purpose
    state: str
    """waiting, whole, or refused: it is not what the node said, and is not shown."""
    parts_here: int
    parts: int
    shown_bytes: int
    """How much of the beginning can be shown already; the size when it is whole."""
    size_bytes: int


class Content(Struct, frozen=True):
    """Bytes that may be shown, and how to get at them."""

    media_type: str
    size_bytes: int
    name: str
    read: Callable[[int, int], Awaitable[bytes]]


class Blobs:
    """The hub's blobs."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        speaker: down.Speaker,
        wall_ms: Callable[[], int],
        send_down: Callable[[down.DownBlob], None],
        changed: Callable[[str], None],
        copy: BlobCopy,
    ) -> None:
        self.copy = copy
        self._missing: asyncio.Queue[BlobRow] = asyncio.Queue()
        self._mourning: asyncio.Task[None] | None = None
        self._store = store
        self._shelf = shelf
        self._speaker = speaker
        self._keys = speaker.keys
        self._wall_ms = wall_ms
        self._send_down = send_down
        self._changed = changed
        self._at_work: OneEach[tuple[str, str]] = OneEach()

    async def start(self) -> None:
        """Finish what a dead process left complete and unproved, seal what an older release left unsealed."""
        while await self._store.read(blob_rows.has_loose):
            await self._store.write(lambda connection: blob_rows.seal_loose(connection, self._keys))
        for node_id, blob_id in await self._store.read(blob_rows.waiting):
            await self.settle(node_id, blob_id)
        self.copy.start(self._missing)
        self._mourning = asyncio.create_task(self._ask_for_missing(), name="hub-blobs-missing")

    async def close(self) -> None:
        await self.copy.close()
        if self._mourning is not None:
            self._mourning.cancel()
            await asyncio.gather(self._mourning, return_exceptions=True)
        await self._shelf.close()

    async def _ask_for_missing(self) -> None:
        """What no shelf has any more (a backup without its blobs, a damaged disk): its node is asked for it."""
        while True:
            row = await self._missing.get()
            try:
                await self._lost(row)
            except Exception:  # a database that went away comes back
                logger.exception("a blob that is lost could not be asked for")
                self._missing.put_nowait(row)
                await asyncio.sleep(MISSING_AGAIN_S)

    async def are_copied(self, node_id: str) -> bool:
        """Whether all that a node has announced is whole, and in a second copy."""
        waits_for_none = await self._store.read(lambda connection: blob_rows.all_whole(connection, node_id))
        return waits_for_none and self.copy.holds_all_of(node_id)

    # -- arriving -------------------------------------------------------------------------------------

    async def settle(self, node_id: str, blob_id: str) -> None:
        """See whether a blob is whole now. Never raises: what fails is tried again at the next chunk or start."""
        async with self._at_work.turn((node_id, blob_id)):
            try:
                await self._settle(node_id, blob_id)
            except Exception as error:
                code = error.refusal.code if isinstance(error, UpkendraError) else "internal"
                logger.exception("a blob could not be settled")
                say(logger, "blob_not_settled", logging.ERROR, node_id=node_id, blob=blob_id, code=code)

    async def settle_visits(self, visit_ids: frozenset[str]) -> None:
        """Manifests or salts of these visits have come: chunks that were here before them count now."""
        for visit_id in sorted(visit_ids):
            for row in await self._rows(visit_id):
                if row.state == "waiting":
                    await self.settle(row.node_id, row.blob_id)
                elif row.state == "removed" and row.whole_ms:
                    await self._forget(row)

    async def _forget(self, row: BlobRow) -> None:
        await self.copy.forget(row)
        await self._shelf.delete(name_of(row))
        await self._store.write(lambda connection: blob_rows.mark_gone(connection, row))

    async def discard(self, node_id: str, blob_id: str) -> None:
        """Delete what was erased by law from every shelf; its key is gone. Raises ShelfFailed."""
        await self.copy.discard(node_id, blob_id)
        await self._shelf.delete(f"{node_id}/{blob_id}")

    async def _rows(self, visit_id: str) -> list[BlobRow]:
        return await self._store.read(lambda connection: blob_rows.of_visit(connection, visit_id))

    async def _settle(self, node_id: str, blob_id: str) -> None:
        def look(connection: Connection) -> tuple[BlobRow, bytes, dict[int, bytes]] | None:
            row = blob_rows.load(connection, node_id, blob_id)
            if row is None or row.state != "waiting" or not blob_rows.receiving(connection, row).complete:
                return None
            salt = blob_rows.salt_of(connection, row)
            return (
                None if salt is None else (row, salt, blob_rows.load_chunks(connection, self._keys, node_id, blob_id))
            )

        found = await self._store.read(look)
        if found is None:
            return
        row, salt, chunks = found
        proof = await asyncio.to_thread(core.prove, row.manifest, salt, chunks.__getitem__)
        if not proof.whole:
            await self._put_bad_aside(row, {number: chunks[number] for number in proof.bad})
            return
        content = b"".join(chunks[number] for number in sorted(chunks))
        facts = await asyncio.to_thread(probe, lambda at, length: content[at : at + length], len(content))
        if facts != row.manifest.facts:
            await self._refuse(row, content)
            return
        fresh = self._keys.protect(secrets.token_bytes(vault.KEY_BYTES), _label(row))
        key_sealed = await self._store.write(lambda connection: blob_rows.claim_key(connection, row, fresh))
        if not key_sealed:
            return
        key = self._keys.reveal(key_sealed, _label(row))
        sealed = await asyncio.to_thread(lambda: b"".join(vault.seal_file(key, content)))
        await self._shelf.put(name_of(row), sealed)
        faults.point("hub-blob-shelved")

        def finish(connection: Connection) -> bool:
            if not self.copy.kept:
                blob_rows.drop_chunks(connection, node_id, blob_id)  # otherwise when the second copy has it too
            return blob_rows.set_state(connection, row, "whole", key_sealed, self._wall_ms())

        if await self._store.write(finish):
            self.copy.add(row)
        else:
            await self._shelf.delete(name_of(row))  # taken back while it was being put there
        faults.point("hub-blob-whole")
        self._changed(row.visit_id)

    async def _put_bad_aside(self, row: BlobRow, bad: dict[int, bytes]) -> None:
        def act(connection: Connection) -> down.DownBlob | None:
            now_ms = self._wall_ms()
            for data in bad.values():
                put_aside(connection, self._keys, bytes.fromhex(row.node_id), data, "chunk_mismatch", now_ms)
            blob_rows.drop_chunks(connection, row.node_id, row.blob_id, tuple(bad))
            return self._ask(connection, row, now_ms)

        self._tell(await self._store.write(act))

    async def _refuse(self, row: BlobRow, content: bytes) -> None:
        def act(connection: Connection) -> None:
            put_aside(connection, self._keys, bytes.fromhex(row.node_id), content, "media_untrue", self._wall_ms())
            blob_rows.set_state(connection, row, "refused")
            blob_rows.drop_chunks(connection, row.node_id, row.blob_id)

        await self._store.write(act)
        self._changed(row.visit_id)

    def _ask(self, connection: Connection, row: BlobRow, now_ms: int) -> down.DownBlob | None:
        """Ask the node for what is missing, at most once in a while."""
        bitmap = blob_rows.receiving(connection, row).ask(now_ms / 1000)
        if not bitmap:
            return None
        blob_rows.mark_asked(connection, row, now_ms)
        wanted = ev.MediaWanted(row.visit_id, row.blob_id, bitmap)
        return down.speak(connection, self._speaker, row.node_id, (wanted,), "", now_ms, Cls.PREVIEW)

    def _tell(self, blob: down.DownBlob | None) -> None:
        if blob is not None:
            self._send_down(blob)

    async def node_seen(self, node_id: str) -> None:
        """A node is there again: ask for what should long have been whole (a hub restored from a backup)."""

        def act(connection: Connection) -> list[down.DownBlob]:
            now_ms = self._wall_ms()
            rows = blob_rows.of_node(connection, node_id, now_ms - STALE_MS)
            due = [row for row in rows if now_ms - row.asked_ms >= ASK_STALE_MS]
            return [blob for row in due if (blob := self._ask(connection, row, now_ms)) is not None]

        rows = await self._store.read(lambda c: blob_rows.of_node(c, node_id, self._wall_ms() - STALE_MS))
        for blob in await self._store.write(act) if rows else ():
            self._tell(blob)
        for row in rows:  # all of it may be here, and the shelf could not take it then
            await self.settle(row.node_id, row.blob_id)

    # -- looking --------------------------------------------------------------------------------------

    async def states(self, visit_id: str) -> tuple[BlobState, ...]:
        """How far each blob of a visit has come. Raises NotFound for no such visit."""

        def look(connection: Connection) -> tuple[BlobState, ...]:
            if views.load_visit(connection, visit_id) is None:
                raise NotFound("There is no such visit here. It may not have arrived yet.")
            rows = blob_rows.of_visit(connection, visit_id)
            return tuple(_state(connection, row) for row in rows if row.state != "removed")

        return await self._store.read(look)

    async def open(self, visit_id: str, blob_id: str, doctor_id: str, look: Look) -> Content:
        """Content for a doctor. A new look is audited, and the node hears of it; so is a range of one who has begun
        none within an hour.

        Raises NotFound, Refused(media_not_whole, media_refused), VaultRefused.
        """

        since_ms = self._wall_ms() - LOOK_MS

        def load(connection: Connection) -> tuple[BlobRow, core.Receiving, bool]:
            rows = blob_rows.of_visit(connection, visit_id)
            row = next((one for one in rows if one.blob_id == blob_id), None)
            if row is None or row.state == "removed":
                raise NotFound("There is no such photo or note here. It may not have arrived yet.")
            begun = audit.said_since(connection, doctor_id, visit_id, blob_id, since_ms)
            return row, blob_rows.receiving(connection, row), begun

        row, receiving, begun = await self._store.read(load)
        if row.state == "refused":
            raise Refused("This is not what the clinic's computer said it is. It is kept aside.", code="media_refused")
        shown = row.manifest.size_bytes if row.state == "whole" else receiving.shown_bytes()
        if not shown:
            held = len(receiving.held)
            raise Refused(
                f"{held} of {receiving.count} parts are here. It can be opened later.", code="media_not_whole"
            )
        if look is Look.NEW or (look is Look.RANGE and not begun):
            await self._noted(row, doctor_id)
        read = await self._reader(row, shown)
        return Content(row.manifest.facts.media_type.value, shown, f"{blob_id}{_suffix(row)}", read)

    async def _noted(self, row: BlobRow, doctor_id: str) -> None:
        def act(connection: Connection) -> down.DownBlob | None:
            now_ms = self._wall_ms()
            preview = row.manifest.purpose is Purpose.PREVIEW
            action = "preview_opened" if preview else "media_opened"
            audit.record(connection, now_ms, doctor_id, action, row.visit_id, row.blob_id)
            owned = views.load_visit(connection, row.visit_id)
            item = next((one for one in owned.visit.media if one.blob_id == row.blob_id), None) if owned else None
            if preview or item is None or item.seen_ms:
                return None
            seen = ev.MediaSeen(row.visit_id, row.blob_id, doctor_id)
            return down.speak(connection, self._speaker, row.node_id, (seen,), doctor_id, now_ms)

        self._tell(await self._store.write(act))

    async def _reader(self, row: BlobRow, shown: int) -> Callable[[int, int], Awaitable[bytes]]:
        if row.state == "whole":
            return partial(self._read_shelf, row, self._keys.reveal(row.key_sealed, _label(row)))
        chunks = await self._store.read(lambda c: blob_rows.load_chunks(c, self._keys, row.node_id, row.blob_id))
        begin = b"".join(chunks[number] for number in sorted(chunks) if all(n in chunks for n in range(number)))[:shown]

        async def read(start: int, length: int) -> bytes:
            return begin[start : start + length]

        return read

    async def _read_shelf(self, row: BlobRow, key: bytes, start: int, length: int) -> bytes:
        size = row.manifest.size_bytes
        first, last = vault.sealed_span(start, length)
        for brought_back in (False, True):
            header = await self._shelf.read(name_of(row), 0, len(vault.HEADER))
            text = await self._shelf.read(name_of(row), first, last - first)

            def sealed(at: int, count: int, header: bytes = header, text: bytes = text) -> bytes:
                return header if at == 0 else text[at - first : at - first + count]

            try:
                return b"".join(vault.open_range(key, size, start, length, sealed))
            except vault.VaultRefused:
                if brought_back or not await self.copy.bring_back(row):
                    await self._lost(row)
                    raise
        raise AssertionError("unreachable")

    async def _lost(self, row: BlobRow) -> None:
        """The shelf lost or damaged what it had: it is waited for again, and the node is asked."""

        def act(connection: Connection) -> down.DownBlob | None:
            now_ms = self._wall_ms()
            audit.record(connection, now_ms, "", "media_lost", row.blob_id)
            blob_rows.set_state(connection, row, "waiting")
            return self._ask(connection, row, now_ms)

        say(logger, "blob_lost", logging.ERROR, node_id=row.node_id, blob=row.blob_id)
        self._tell(await self._store.write(act))


def _state(connection: Connection, row: BlobRow) -> BlobState:
    receiving = blob_rows.receiving(connection, row)
    whole = row.state == "whole"
    return BlobState(
        row.blob_id,
        row.manifest.purpose,
        row.state,
        receiving.count if whole else len(receiving.held),
        receiving.count,
        row.manifest.size_bytes if whole else receiving.shown_bytes(),
        row.manifest.size_bytes,
    )


def _label(row: BlobRow) -> str:
    return f"blob {row.node_id} {row.blob_id}"


def _suffix(row: BlobRow) -> str:
    return "." + row.manifest.facts.media_type.value.partition("/")[2]

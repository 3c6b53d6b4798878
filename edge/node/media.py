"""Photos, notes and clips at the node: taken in pieces, sealed at rest, judged, sealed once more to travel.

Each piece of an upload is a file of its own, sealed under a key that lies in ``records.db``: a file
without its row is noise, and a row is written only when its file is durable. What is attached is
cut into chunks for the outbox, previews and notes first, the rest behind them. Bytes are read and
written off the event loop, never more than one blob in memory.
"""

import asyncio
import errno
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from msgspec import Struct

from edge.model import media as rules
from edge.model.errors import BadInput, NotFound, Refusal, Refused
from edge.model.fold import FINAL_STATES, Visit
from edge.model.fold_media import MediaItem
from edge.model.media import Manifest, Upload
from edge.model.media_probe import probe
from edge.model.media_strip import strip
from edge.model.progress import ItemLine, Line, Parts, SyncState
from edge.model.records import Colour
from edge.sync import blobs, faults, vault
from edge.sync.bundle import Chunk
from edge.sync.link import BundleRef
from edge.sync.one_each import OneEach
from edge.web.logs import say

from .clinic import Clinic
from .journal import Journal, Outgoing
from .media_rows import Kept, Progress, Segment, Withdrawn
from .views import Views

logger = logging.getLogger("edge.node.media")
FOLDER = "blobs"
PART_MAX_BYTES = 256 * 1024
"""Longest piece of an upload: the body limit of the API."""
HOLD_S = 4.0
"""So long an attached photo stays here alone, so that a wrong one can be taken back unsent. RED waits for nothing."""
BATCH_BYTES = 256 * 1024
UPLOADS_MAX = 100
UPLOAD_LIFE_MS = 24 * 3600 * 1000
RESERVE_BYTES = 128 << 20
"""What photos leave free on the disk for records."""


class Shown(Struct, frozen=True):
    """Content that may be read here."""

    manifest: Manifest
    read: Callable[[int, int], Awaitable[bytes]]


class MediaDesk:
    """Uploads, files and chunks of one node."""

    def __init__(self, clinic: Clinic, folder: Path, seal_chunk: Callable[[Chunk], BundleRef]) -> None:
        """``seal_chunk`` seals under the link's present epoch, on the event loop."""
        self._clinic = clinic
        self._folder = folder / FOLDER
        self._seal_chunk = seal_chunk
        self._one_upload: OneEach[str] = OneEach()
        self._one_sealer = asyncio.Lock()
        self._held: dict[str, float] = {}
        self._writing: set[str] = set()
        self.on_withdrawn: list[Callable[[bytes], None]] = []
        clinic.on_unlocked.append(self._unlocked)
        clinic.more_lines.append(self.lines)
        clinic.more_to_seal = self.seal_due
        clinic.rest_to_seal = self.seal_all

    async def _unlocked(self) -> None:
        """Forget what nobody attached and what nobody has a key for, then seal what is left to seal."""
        before_ms = self._clinic.clock.now().wall_ms - UPLOAD_LIFE_MS

        # Listed before the records are asked: a part that is committed in between is not there to be swept.
        found = await asyncio.to_thread(self._listed)
        known = await self._clinic.store.write(lambda journal: journal.media.tidy(before_ms, UPLOADS_MAX))
        await asyncio.to_thread(self._sweep, found, known)
        self._clinic.later(self.seal_due())

    def _listed(self) -> list[Path]:
        self._folder.mkdir(0o700, exist_ok=True)
        return [path for path in self._folder.iterdir() if path.stem not in self._writing]

    def _sweep(self, found: list[Path], known: set[str]) -> None:
        left = [path for path in found if path.stem not in known]
        for path in left:
            path.unlink(missing_ok=True)
        if left:
            say(logger, "blob_files_swept", count=len(left))

    # -- uploads --------------------------------------------------------------------------------------

    async def begin(self, upload: Upload) -> Upload:
        """Begin an upload, or see how far it has come. Raises BadInput, NotFound, Refused, OSError for a full disk."""
        visit = await self._clinic.visit(upload.visit_id)
        if visit.state in FINAL_STATES:
            raise Refused("This visit is closed; open a new one.", code="visit_closed")
        refusal = rules.too_large(upload.purpose, upload.size_bytes)
        if refusal is not None:
            raise BadInput(refusal.message, field=refusal.field, code=refusal.code)
        await asyncio.to_thread(self._need_room, upload.size_bytes)
        now_ms = self._clinic.clock.now().wall_ms
        async with self._one_upload.turn(upload.upload_id):  # its last piece may be being judged: once is enough
            found = await self._clinic.store.write(lambda journal: journal.media.begin(upload, now_ms))
            assert found is not None
            same = (found.visit_id, found.purpose, found.size_bytes)
            if same != (upload.visit_id, upload.purpose, upload.size_bytes):
                raise Refused("This upload id was used for something else. Make a new one.", code="upload_reused")
            return await self._judged(found)

    def _need_room(self, size_bytes: int) -> None:
        self._folder.mkdir(0o700, exist_ok=True)
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES + size_bytes:
            raise OSError(errno.ENOSPC, "too little room for photos")

    async def put_part(self, visit_id: str, upload_id: str, offset: int, body: bytes) -> Upload:
        """Keep the next piece durably; one that is here already changes nothing. Raises NotFound, Refused, BadInput."""
        async with self._one_upload.turn(upload_id):
            found = await self._find(visit_id, upload_id)
            end = offset + len(body)
            if not body or len(body) > PART_MAX_BYTES or end > found.size_bytes:
                raise BadInput("This piece does not fit into the upload.", field="offset")
            if end > found.held_bytes:
                if offset != found.held_bytes:
                    raise Refused(f"Go on at byte {found.held_bytes}.", code="upload_gap")
                segment = Segment(offset, len(body), secrets.token_bytes(vault.KEY_BYTES), secrets.token_hex(12))
                self._writing.add(segment.file)
                try:
                    await asyncio.to_thread(self._write, segment, body)
                    await self._clinic.store.write(lambda journal: journal.media.add_segment(upload_id, segment))
                finally:
                    self._writing.discard(segment.file)
                faults.point("media.kept")
                found = await self._find(visit_id, upload_id)
            return await self._judged(found)

    async def drop(self, visit_id: str, upload_id: str) -> None:
        """Forget an upload that is attached to nothing. Raises NotFound."""
        await self._find(visit_id, upload_id)
        gone = await self._clinic.store.write(lambda journal: journal.media.drop(upload_id))
        await asyncio.to_thread(self._remove, gone)

    async def content(self, visit_id: str, upload_id: str) -> bytes:
        """What was uploaded, whole and judged good. Raises NotFound, Refused."""
        async with self._one_upload.turn(upload_id):
            found = await self._judged(await self._find(visit_id, upload_id))
        if found.refusal is not None:
            raise Refused(found.refusal.message, code=found.refusal.code)
        if found.manifest is None:
            raise Refused("The upload is not complete; send the rest of it first.", code="upload_incomplete")
        segments = await self._clinic.store.read(lambda views: views.media.segments(upload_id))
        return await asyncio.to_thread(self._read, segments, 0, found.manifest.size_bytes)

    async def _find(self, visit_id: str, upload_id: str) -> Upload:
        found = await self._clinic.store.write(lambda journal: journal.media.upload(upload_id))
        if found is None or found.visit_id != visit_id:
            raise NotFound("There is no such upload here. Begin it first.")
        return found

    def _write(self, segment: Segment, body: bytes) -> None:
        """A sealed file, durable under its name. Blocking."""
        self._folder.mkdir(0o700, exist_ok=True)
        path = self._folder / segment.file
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in vault.seal_file(segment.key, body):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            faults.point("media.filled")
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        faults.point("media.written")

    def _remove(self, files: Iterable[str]) -> None:
        for name in files:
            (self._folder / name).unlink(missing_ok=True)

    async def _judged(self, upload: Upload) -> Upload:
        """Once everything is here: what it is, and its name."""
        if upload.manifest is not None or upload.refusal is not None or upload.held_bytes < upload.size_bytes:
            return upload

        def load(views: Views) -> tuple[bytes, tuple[Segment, ...]]:
            return views.salt(upload.visit_id) or b"", views.media.segments(upload.upload_id)

        salt, segments = await self._clinic.store.read(load)
        instead = Segment(0, 0, secrets.token_bytes(vault.KEY_BYTES), secrets.token_hex(12))
        self._writing.add(instead.file)
        try:
            found, kept = await asyncio.to_thread(self._judge, upload, salt, segments, instead)
            old = await self._clinic.store.write(lambda journal: journal.media.judged(upload.upload_id, found, kept))
        finally:
            self._writing.discard(instead.file)
        faults.point("media.judged")
        await asyncio.to_thread(self._remove, old)
        return await self._find(upload.visit_id, upload.upload_id)

    def _judge(
        self, upload: Upload, salt: bytes, segments: tuple[Segment, ...], fresh: Segment
    ) -> tuple[Manifest | Refusal, Segment | None]:
        """What an upload is, and the file that takes its place when a photo told more than it shows. Blocking."""
        content = self._read(segments, 0, upload.size_bytes)
        facts = probe(lambda at, length: content[at : at + length], len(content))
        if isinstance(facts, Refusal):
            return facts, None
        instead: Segment | None = None
        stripped = strip(facts.media_type, content)
        if stripped != content:
            content = stripped
            facts = probe(lambda at, length: content[at : at + length], len(content))
            if isinstance(facts, Refusal):
                return facts, None
            instead = Segment(0, len(content), fresh.key, fresh.file)
        refusal = rules.check(upload.purpose, facts, len(content))
        if refusal is not None:
            return refusal, None
        if instead is not None:
            self._write(instead, content)
        return blobs.manifest_of(salt, upload.purpose, facts, content), instead

    def _read(self, segments: tuple[Segment, ...], start: int, length: int) -> bytes:
        """A range over several files. Raises VaultRefused. Blocking."""
        out = bytearray()
        for segment in segments:
            begin, end = max(start, segment.start), min(start + length, segment.start + segment.size_bytes)
            if begin < end:
                out += self._read_one(segment, begin - segment.start, end - begin)
        if len(out) != length:
            raise vault.VaultRefused("A part of the file is missing.")
        return bytes(out)

    def _read_one(self, segment: Segment, start: int, length: int) -> bytes:
        try:
            with (self._folder / segment.file).open("rb") as file:

                def read(at: int, count: int) -> bytes:
                    file.seek(at)
                    return file.read(count)

                return b"".join(vault.open_range(segment.key, segment.size_bytes, start, length, read))
        except FileNotFoundError:
            raise vault.VaultRefused("The file of a photo is gone.") from None

    # -- attached ---------------------------------------------------------------------------------------

    async def attached(self, visit: Visit | None) -> None:
        """A command attached or removed something: hold what is fresh for a moment, forget what is gone."""
        for gone in await self._clinic.store.write(_withdrawn):
            for ref in gone.refs:
                for listener in self.on_withdrawn:
                    listener(ref)
            await asyncio.to_thread(self._remove, gone.files)
        if visit is None:
            return
        hold_s = 0.0 if visit.colour is Colour.RED else HOLD_S
        for item in visit.media:
            if not item.removed_ms:
                self._held.setdefault(item.blob_id, time.monotonic() + hold_s)
        self._clinic.later(self._seal_after(hold_s))

    async def _seal_after(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self.seal_due()

    async def seal_due(self) -> None:
        """Cut and seal what is attached, into the outbox, a little at a time."""
        async with self._one_sealer:
            while not self._clinic.locked:
                now_s = time.monotonic()
                self._held = {blob_id: until_s for blob_id, until_s in self._held.items() if until_s > now_s}
                held = frozenset(self._held)
                found = await self._clinic.store.read(_unsealed(held))
                if found is None or not await self._seal_some(*found):
                    return

    async def seal_all(self) -> None:
        """Seal everything that is attached now. What can still be taken back is waited for; it is some seconds."""
        now_s = time.monotonic()
        ends_s = [until_s for until_s in self._held.values() if now_s < until_s < float("inf")]
        if ends_s:
            await asyncio.sleep(max(ends_s) - now_s)
        await self.seal_due()

    async def _seal_some(self, kept: Kept, sending: blobs.Sending) -> bool:
        size = kept.manifest.size_bytes
        numbers = sending.to_seal(BATCH_BYTES)
        spans = [rules.chunk_span(size, number) for number in numbers]
        try:
            pieces = await asyncio.to_thread(lambda: [self._read(kept.segments, *span) for span in spans])
        except (OSError, vault.VaultRefused) as error:
            say(logger, "blob_unreadable", logging.ERROR, blob=sending.blob_id, why=type(error).__name__)
            self._held[sending.blob_id] = float("inf")
            return True
        refs = [
            (number, self._seal_chunk(Chunk(sending.blob_id, number, sending.count, data)))
            for number, data in zip(numbers, pieces, strict=True)
        ]
        if await self._clinic.store.write(lambda journal: journal.media.sealed(sending.blob_id, refs)):
            for _, ref in refs:
                for listener in self._clinic.on_sealed:
                    listener(Outgoing(ref, sending.cls))
        return True

    async def prune(self, before_ms: int, keep_visits: int) -> int:
        """Remove originals, notes and clips of old visits that lie in a second copy; previews stay. How many files."""
        files = await self._clinic.store.write(lambda journal: journal.media.prune(before_ms, keep_visits))
        faults.point("media.pruned")
        await asyncio.to_thread(self._remove, files)
        return len(files)

    # -- looking ----------------------------------------------------------------------------------------

    async def lines(self, visit: Visit) -> list[ItemLine]:
        """How far each photo, note and clip of a visit has come."""
        sent = frozenset(self._clinic.sent)
        items = [item for item in visit.media if not item.removed_ms]

        def load(views: Views) -> list[Progress]:
            return [views.media.progress(item.blob_id, item.chunks) for item in items]

        found = await self._clinic.store.read(load)
        return [line_of(item, progress, sent) for item, progress in zip(items, found, strict=True)]

    async def open(self, visit_id: str, blob_id: str) -> Shown:
        """Content that lies here. Raises NotFound."""
        kept = await self._clinic.store.read(lambda views: views.media.kept(visit_id, blob_id))
        if kept is None:
            raise NotFound("There is no such photo or note here.")

        async def read(start: int, length: int) -> bytes:
            return await asyncio.to_thread(self._read, kept.segments, start, length)

        return Shown(kept.manifest, read)


def line_of(item: MediaItem, progress: Progress, sent: frozenset[bytes]) -> ItemLine:
    """The honest line of one blob: what its furthest-behind chunk allows, then what the doctor did."""
    levels = progress.levels
    parts = Parts(progress.chunks - len(levels), levels.count(0), levels.count(1), sum(level >= 2 for level in levels))
    if len(levels) == progress.chunks and all(levels):
        state = SyncState.HUB_HAS_IT if 1 in levels else SyncState.SECOND_COPY
        line = Line(state, progress.level_ms)
        if item.seen_ms:
            line = Line(SyncState.DOCTOR_OPENED, item.seen_ms)
    elif any(levels) or any(ref in sent for ref in progress.refs):
        line = Line(SyncState.SENT, item.at_ms)
    else:
        line = Line(SyncState.WAITING, item.at_ms)
    return ItemLine("attachment", line.state, line.at_ms, item.blob_id, parts)


def _withdrawn(journal: Journal) -> list[Withdrawn]:
    return journal.media.take_withdrawn()


def _unsealed(held: frozenset[str]) -> Callable[[Views], tuple[Kept, blobs.Sending] | None]:
    return lambda views: views.media.unsealed(held)

"""Photos, notes and clips in ``records.db``: uploads, the sealed files they lie in and their keys, chunks and acks.

:class:`MediaRows` works on one connection, like :mod:`edge.node.views`; :class:`MediaLog` is the writer's side.
Knows no file and no link.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from edge.model import events as ev
from edge.model.errors import Refusal
from edge.model.media import Manifest, Purpose, Upload, chunk_count, chunk_span
from edge.sync import faults
from edge.sync.blobs import CLASS_OF, Sending
from edge.sync.link import BundleRef

from .database import Database
from .outbox import OutboxDb

_manifest = msgspec.msgpack.Decoder(Manifest)
_refusal = msgspec.msgpack.Decoder(Refusal)
_encode = msgspec.msgpack.Encoder().encode


class Segment(Struct, frozen=True):
    """A piece of an upload, sealed in a file of its own under a key of its own."""

    start: int
    size_bytes: int
    key: bytes
    file: str

    def __repr__(self) -> str:
        return f"Segment({self.file})"


class Kept(Struct, frozen=True):
    """A blob that lies here, and where."""

    manifest: Manifest
    visit_id: str
    segments: tuple[Segment, ...]


class Unfinished(Struct, frozen=True):
    """A blob that the hub does not hold whole yet."""

    size_bytes: int
    left_bytes: int
    """Of chunks that it has not acknowledged, sealed or not."""
    begun_ms: int


class Withdrawn(Struct, frozen=True):
    """What is left over of blobs that were taken back: bundles not to be sent, files without a key."""

    refs: tuple[bytes, ...] = ()
    files: tuple[str, ...] = ()


class Progress(Struct, frozen=True):
    """How far the chunks of a blob have come."""

    chunks: int
    refs: tuple[bytes, ...]
    levels: tuple[int, ...]
    """Of those that were sealed; 0: not acknowledged."""
    level_ms: int = 0
    """When the last of them was acknowledged; 0 when that is not known."""


def make_tables(db: Database) -> None:
    """The tables of this module."""
    db.table(
        "uploads",
        {
            "upload_id": str,
            "visit_id": str,
            "purpose": str,
            "size_bytes": int,
            "begun_ms": int,
            "blob_id": str,
            "manifest": bytes,
            "refusal": bytes,
            "attached": int,
        },
        "upload_id",
        [["blob_id"], ["attached"], ["visit_id"]],
    )
    db.table(
        "segments",
        {"upload_id": str, "start": int, "size_bytes": int, "key": bytes, "file": str},
        ("upload_id", "start"),
        [["file"]],
    )
    db.table(
        "media_chunks",
        {"blob_id": str, "number": int, "ref": bytes, "level": int, "level_ms": int},
        ("blob_id", "number"),
        [["ref"], ["level"]],
    )


class MediaRows:
    """Queries and writes on one connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # -- uploads --------------------------------------------------------------------------------------

    def begin(self, upload: Upload, at_ms: int) -> None:
        """Note an upload; one of the same id stays as it is."""
        self._db.run(
            "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, ?, '', x'', x'', 0)",
            upload.upload_id,
            upload.visit_id,
            upload.purpose.value,
            upload.size_bytes,
            at_ms,
        )

    def upload(self, upload_id: str) -> Upload | None:
        """An upload as far as it has come."""
        row = self._db.row(
            "SELECT u.visit_id, u.purpose, u.size_bytes, coalesce(sum(s.size_bytes), 0), u.manifest, u.refusal "
            "FROM uploads u LEFT JOIN segments s ON s.upload_id = u.upload_id WHERE u.upload_id = ? GROUP BY u.rowid",
            upload_id,
        )
        if row is None:
            return None
        manifest = _manifest.decode(row[4]) if row[4] else None
        refusal = _refusal.decode(row[5]) if row[5] else None
        held_bytes = row[3] if manifest is None else row[2]  # what was taken out of it does not come again
        return Upload(upload_id, row[0], Purpose(row[1]), row[2], held_bytes, manifest, refusal)

    def add_segment(self, upload_id: str, segment: Segment) -> None:
        """A sealed file is durable: from now on it belongs to the upload."""
        self._db.run(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
            upload_id,
            segment.start,
            segment.size_bytes,
            segment.key,
            segment.file,
        )

    def segments(self, upload_id: str) -> tuple[Segment, ...]:
        """The files of an upload, in order."""
        sql = "SELECT start, size_bytes, key, file FROM segments WHERE upload_id = ? ORDER BY start"
        return tuple(Segment(*row) for row in self._db.rows(sql, upload_id))

    def judged(self, upload_id: str, found: Manifest | Refusal) -> None:
        """What a whole upload turned out to be."""
        if isinstance(found, Refusal):
            self._db.run("UPDATE uploads SET refusal = ? WHERE upload_id = ?", _encode(found), upload_id)
            return
        self._db.run(
            "UPDATE uploads SET manifest = ?, blob_id = ? WHERE upload_id = ?", _encode(found), found.blob_id, upload_id
        )

    def replace_segments(self, upload_id: str, segment: Segment) -> None:
        """The content lies in another file now."""
        self._db.run("DELETE FROM segments WHERE upload_id = ?", upload_id)
        self.add_segment(upload_id, segment)

    def drop_upload(self, upload_id: str) -> None:
        """Forget an upload that is attached to nothing; its files have no key then."""
        self._db.run("DELETE FROM uploads WHERE upload_id = ? AND attached = 0", upload_id)
        self._db.run("DELETE FROM segments WHERE upload_id NOT IN (SELECT upload_id FROM uploads)")

    def drop_stale(self, before_ms: int, keep: int) -> None:
        """Forget uploads that nobody attached: older than ``before_ms``, or more than ``keep`` in all."""
        self._db.run("DELETE FROM uploads WHERE attached = 0 AND begun_ms < ?", before_ms)
        sql = "SELECT upload_id FROM uploads WHERE attached = 0 ORDER BY begun_ms DESC LIMIT -1 OFFSET ?"
        self._db.run(f"DELETE FROM uploads WHERE upload_id IN ({sql})", keep)  # noqa: S608
        self._db.run("DELETE FROM segments WHERE upload_id NOT IN (SELECT upload_id FROM uploads)")

    def prune(self, before_ms: int, keep_visits: int) -> list[str]:
        """Forget what is large of old closed visits and lies in a second copy, chunk by chunk; its files.

        Old: opened before, and not among the last ``keep_visits``; the rows of visits may be gone already.
        """
        rows = self._db.rows(
            "SELECT upload_id, manifest FROM uploads WHERE attached = 1 AND visit_id NOT IN (SELECT visit_id FROM "
            "visits WHERE state NOT IN ('completed', 'referred', 'no_show', 'cancelled') OR opened_ms >= ? "
            "OR visit_id IN (SELECT visit_id FROM visits ORDER BY opened_ms DESC LIMIT ?))",
            before_ms,
            keep_visits,
        )
        files: list[str] = []
        for upload_id, raw in rows:
            manifest = _manifest.decode(raw)
            if manifest.purpose is Purpose.PREVIEW:
                continue
            levels = self._db.rows("SELECT level FROM media_chunks WHERE blob_id = ?", manifest.blob_id)
            if len(levels) < chunk_count(manifest.size_bytes) or any(level < 2 for (level,) in levels):
                continue
            files += [segment.file for segment in self.segments(upload_id)]
            self._db.run("DELETE FROM segments WHERE upload_id = ?", upload_id)
            self._db.run("DELETE FROM uploads WHERE upload_id = ?", upload_id)
        return files

    def files(self) -> set[str]:
        """Names of all files that belong to something."""
        return {row[0] for row in self._db.rows("SELECT file FROM segments")}

    # -- blobs ----------------------------------------------------------------------------------------

    def recorded(self, event: ev.Event) -> Withdrawn:
        """An event of ours that is about to be committed; what is left over of a blob that it takes back."""
        match event:
            case ev.MediaAttached(_, manifest):
                self._db.run(
                    "UPDATE uploads SET attached = 1, manifest = ? WHERE rowid = "
                    "(SELECT min(rowid) FROM uploads WHERE blob_id = ?)",
                    _encode(manifest),
                    manifest.blob_id,
                )
            case ev.MediaRemoved(_, blob_id):
                refs = self._db.rows("SELECT ref FROM media_chunks WHERE blob_id = ?", blob_id)
                files = self._db.rows(
                    "SELECT s.file FROM segments s JOIN uploads u ON u.upload_id = s.upload_id WHERE u.blob_id = ?",
                    blob_id,
                )
                self._db.run("DELETE FROM media_chunks WHERE blob_id = ?", blob_id)
                self._db.run("DELETE FROM uploads WHERE blob_id = ?", blob_id)
                self._db.run("DELETE FROM segments WHERE upload_id NOT IN (SELECT upload_id FROM uploads)")
                return Withdrawn(tuple(row[0] for row in refs), tuple(row[0] for row in files))
            case _:
                pass
        return Withdrawn()

    def kept(self, visit_id: str, blob_id: str) -> Kept | None:
        """A blob that is attached to this visit and lies here."""
        row = self._db.row(
            "SELECT upload_id, manifest FROM uploads WHERE blob_id = ? AND visit_id = ? AND attached = 1",
            blob_id,
            visit_id,
        )
        return None if row is None else Kept(_manifest.decode(row[1]), visit_id, self.segments(row[0]))

    def has_left(self, blob_ids: Iterable[str]) -> bool:
        """Whether the hub has acknowledged anything of these."""
        sql = "SELECT 1 FROM media_chunks WHERE blob_id = ? AND level > 0 LIMIT 1"
        return any(self._db.row(sql, blob_id) is not None for blob_id in blob_ids)

    def unsealed(self, held: frozenset[str]) -> tuple[Kept, Sending] | None:
        """The blob whose chunks are to be sealed next: previews and notes first. ``held``: not these yet."""
        rows = self._db.rows(
            "SELECT u.blob_id, u.visit_id, u.manifest FROM uploads u WHERE u.attached = 1 AND u.size_bytes > 0 "
            "ORDER BY u.begun_ms, u.rowid"
        )
        found: tuple[int, str, Manifest] | None = None
        for blob_id, visit_id, raw in rows:
            if blob_id in held:
                continue
            manifest = _manifest.decode(raw)
            cls = CLASS_OF[manifest.purpose]
            if (found is None or cls < found[0]) and self.sending(manifest).to_seal(1):
                found = (cls, visit_id, manifest)
        if found is None:
            return None
        kept = self.kept(found[1], found[2].blob_id)
        return None if kept is None else (kept, self.sending(found[2]))

    def sending(self, manifest: Manifest) -> Sending:
        """What of a blob is sealed and acknowledged."""
        rows = self._db.rows("SELECT number, level FROM media_chunks WHERE blob_id = ?", manifest.blob_id)
        return Sending(manifest, (row[0] for row in rows), (row[0] for row in rows if row[1]))

    def sealed(self, blob_id: str, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Chunks lie sealed in the outbox, by number and bundle; False when the blob was taken back meanwhile."""
        if self._db.row("SELECT 1 FROM uploads WHERE blob_id = ? AND attached = 1", blob_id) is None:
            return False
        for number, ref in chunks:
            self._db.run("INSERT OR REPLACE INTO media_chunks VALUES (?, ?, ?, 0, 0)", blob_id, number, ref)
        return True

    def learn(self, ref: bytes, level: int, at_ms: int) -> None:
        """The hub has acknowledged a bundle; it may be a chunk."""
        self._db.run(
            "UPDATE media_chunks SET level = max(level, ?), level_ms = CASE WHEN ? > level THEN ? ELSE level_ms END "
            "WHERE ref = ?",
            level,
            level,
            at_ms,
            ref,
        )

    def forget_ref(self, ref: bytes) -> None:
        """This bundle is no more: its chunk is sealed anew."""
        self._db.run("DELETE FROM media_chunks WHERE ref = ?", ref)

    def unacknowledged(self) -> list[bytes]:
        """Bundles of chunks that should lie in the outbox."""
        return [row[0] for row in self._db.rows("SELECT ref FROM media_chunks WHERE level = 0")]

    def waiting(self) -> list[tuple[int, bytes, int]]:
        """(class, bundle id, when the upload began in Unix ms) of chunks that the hub has not acknowledged."""
        rows = self._db.rows(
            "SELECT u.purpose, c.ref, u.begun_ms FROM media_chunks c JOIN uploads u ON u.blob_id = c.blob_id "
            "AND u.attached = 1 WHERE c.level = 0"
        )
        return [(int(CLASS_OF[Purpose(purpose)]), ref, at_ms) for purpose, ref, at_ms in rows]

    def unfinished(self) -> list[Unfinished]:
        """Attached blobs with chunks that the hub has not acknowledged, the oldest first."""
        rows = self._db.rows(
            "SELECT size_bytes, begun_ms, manifest FROM uploads WHERE attached = 1 AND size_bytes > 0 ORDER BY begun_ms"
        )
        found: list[Unfinished] = []
        for size_bytes, begun_ms, raw in rows:
            sending = self.sending(_manifest.decode(raw))
            left = [number for number in range(sending.count) if number not in sending.acked]
            if left:
                left_bytes = sum(chunk_span(size_bytes, number)[1] for number in left)
                found.append(Unfinished(size_bytes, left_bytes, begun_ms))
        return found

    def visit_of(self, ref: bytes) -> str:
        """The visit whose blob a bundle is a chunk of; empty for none."""
        row = self._db.row(
            "SELECT u.visit_id FROM media_chunks c JOIN uploads u ON u.blob_id = c.blob_id AND u.attached = 1 "
            "WHERE c.ref = ?",
            ref,
        )
        return str(row[0]) if row else ""

    def wanted(self, event: ev.MediaWanted) -> None:
        """The hub lacks chunks that it had acknowledged: they are sealed and sent anew, if they are still here."""
        kept = self.kept(event.visit_id, event.blob_id)
        if kept is None:
            return
        for number in self.sending(kept.manifest).wanted(event.missing):
            self._db.run("DELETE FROM media_chunks WHERE blob_id = ? AND number = ?", event.blob_id, number)

    def progress(self, blob_id: str, chunks: int) -> Progress:
        """How far a blob has come."""
        sql = "SELECT ref, level, level_ms FROM media_chunks WHERE blob_id = ? ORDER BY number"
        rows = self._db.rows(sql, blob_id)
        times_ms = [row[2] for row in rows]
        since_ms = max(times_ms, default=0) if all(times_ms) else 0
        return Progress(chunks, tuple(row[0] for row in rows), tuple(row[1] for row in rows), since_ms)


class MediaLog:
    """The writer's side: each step in a transaction of its own, the outbox first."""

    def __init__(self, db: Database, rows: MediaRows, outbox: OutboxDb) -> None:
        self._db = db
        self._rows = rows
        self._outbox = outbox
        self._withdrawn: list[Withdrawn] = []

    def begin(self, upload: Upload, at_ms: int) -> Upload | None:
        """Note that an upload has begun; what is noted under its id."""
        with self._db.transaction():
            self._rows.begin(upload, at_ms)
        return self._rows.upload(upload.upload_id)

    def upload(self, upload_id: str) -> Upload | None:
        """An upload as far as it has come."""
        return self._rows.upload(upload_id)

    def add_segment(self, upload_id: str, segment: Segment) -> None:
        """A sealed file of an upload is durable: keep its key."""
        with self._db.transaction():
            self._rows.add_segment(upload_id, segment)

    def judged(self, upload_id: str, found: Manifest | Refusal, instead: Segment | None = None) -> list[str]:
        """What a whole upload turned out to be, and the file that takes the place of its files; those are returned."""
        old = [segment.file for segment in self._rows.segments(upload_id)] if instead is not None else []
        with self._db.transaction():
            if instead is not None:
                self._rows.replace_segments(upload_id, instead)
            self._rows.judged(upload_id, found)
        return old

    def drop(self, upload_id: str) -> list[str]:
        """Forget an upload that is attached to nothing; the files that are noise now."""
        before = self._rows.files()
        with self._db.transaction():
            self._rows.drop_upload(upload_id)
        return sorted(before - self._rows.files())

    def tidy(self, before_ms: int, keep: int) -> set[str]:
        """Forget uploads that nobody attached; the files that are left to something."""
        with self._db.transaction():
            self._rows.drop_stale(before_ms, keep)
        return self._rows.files()

    def prune(self, before_ms: int, keep_visits: int) -> list[str]:
        """As :meth:`MediaRows.prune`."""
        with self._db.transaction():
            return self._rows.prune(before_ms, keep_visits)

    def sealed(self, blob_id: str, refs: Sequence[tuple[int, BundleRef]]) -> bool:
        """Keep sealed chunks in the outbox, then note them; False when their blob was taken back meanwhile."""
        self._outbox.add_all([ref for _, ref in refs])
        with self._db.transaction():
            kept = self._rows.sealed(blob_id, [(number, ref.bundle_id) for number, ref in refs])
        faults.point("media.covered")
        if not kept:
            self._outbox.forget([ref.bundle_id for _, ref in refs])
        return kept

    def taken_back(self, withdrawn: Iterable[Withdrawn]) -> None:
        """Blobs were taken back, and that is committed: nothing of them is sent."""
        for gone in withdrawn:
            if gone.refs or gone.files:
                self._outbox.forget(list(gone.refs))
                self._withdrawn.append(gone)

    def take_withdrawn(self) -> list[Withdrawn]:
        """What is left over of blobs that were taken back since this was asked last."""
        taken, self._withdrawn = self._withdrawn, []
        return taken

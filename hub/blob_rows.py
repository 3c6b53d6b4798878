"""Blobs in the hub's database: manifests as nodes said them, chunks that wait for the rest.

Everything here runs inside a transaction of the store. A node can speak only about blobs of its own
visits. A chunk lies sealed, as its whole blob will: whoever reads the database, its journal or its second copy sees no
part of a picture. Knows no shelf and no doctor.
"""

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update
from sqlalchemy import Row as Row_

from edge.model import events as ev
from edge.model import media
from edge.model.errors import UpkendraError
from edge.model.media import Manifest
from edge.sync import blobs as core
from edge.sync import faults
from edge.sync.link import ChunkArrived

from . import audit, erased, views
from .keys import Keyring
from .quarantine import put_aside
from .receive import Received, aside
from .store.dialect import Row, insert_new
from .store.schema import blob_chunks, blobs, entries, visits

LOOSE_MAX_BYTES = 64 << 20
"""Chunks of one node that wait for the rest of their blobs. What does not fit is not acknowledged and comes again."""
SEALED_AT_ONCE = 64
FORGOTTEN_MS = 30 * 24 * 3_600_000
"""A blob to which nothing has come for so long gives way when there is no room: its manifest never came, or its node
was replaced. Should it go on after all, what was dropped is asked for again."""
_manifest = msgspec.msgpack.Decoder(Manifest)
_encode = msgspec.msgpack.Encoder().encode
_OWNER = select(visits.c.node_id).where(visits.c.visit_id == bindparam("visit"))
_MEDIA = (
    select(entries.c.raw)
    .where(
        entries.c.visit_id == bindparam("visit"),
        entries.c.node_id == bindparam("node"),
        entries.c.kind.in_((ev.KIND_OF[ev.MediaAttached], ev.KIND_OF[ev.MediaRemoved])),
    )
    .order_by(entries.c.stamp, entries.c.id)
)
_OF_VISIT = select(blobs).where(blobs.c.visit_id == bindparam("visit"))
"""Asked for each bundle, so made once."""


class LooseLimit(UpkendraError):
    """A node has sent more pieces of unfinished photos than the hub keeps for it. They stay with the node."""

    code = "blob_limit"


class BlobRow(Struct, frozen=True):
    """What is known of one blob."""

    node_id: str
    visit_id: str
    manifest: Manifest
    state: str
    """waiting, whole, removed, or refused (it is not what its manifest says)."""
    key_sealed: bytes
    asked_ms: int
    whole_ms: int
    """When it was put on the shelf; 0: nothing lies there."""

    @property
    def blob_id(self) -> str:
        return self.manifest.blob_id


def note(connection: Connection, keys: Keyring, node_id: str, visit_ids: frozenset[str], now_ms: int) -> None:
    """Take over what the entries say about blobs of these visits, if the visits are this node's."""
    for visit_id in sorted(visit_ids - {""}):
        if connection.execute(_OWNER, {"visit": visit_id}).scalar() != node_id:
            continue
        for row in connection.execute(_MEDIA, {"visit": visit_id, "node": node_id}):
            found = views.readable(bytes(row.raw))
            event = found[1] if found is not None else None
            if isinstance(event, ev.MediaAttached):
                _attached(connection, keys, node_id, event, now_ms)
            elif isinstance(event, ev.MediaRemoved):
                remove(connection, node_id, event.blob_id)


def _attached(connection: Connection, keys: Keyring, node_id: str, event: ev.MediaAttached, now_ms: int) -> None:
    manifest = event.media
    if not media.is_sound(manifest) or core.blob_id_of(manifest.digest) != manifest.blob_id:
        put_aside(connection, keys, bytes.fromhex(node_id), _encode(event), "manifest_malformed", now_ms)
        return
    row: Row = {
        "node_id": node_id,
        "blob_id": manifest.blob_id,
        "visit_id": event.visit_id,
        "manifest": _encode(manifest),
        "state": "waiting",
        "key_sealed": b"",
        "noted_ms": now_ms,
        "asked_ms": 0,
        "whole_ms": 0,
    }
    if not insert_new(connection, blobs, row):
        return
    receiving = core.Receiving(*_held(connection, node_id, manifest.blob_id))
    strays = set(receiving.learn(manifest))
    for number, data in load_chunks(connection, keys, node_id, manifest.blob_id).items():
        if number in strays or len(data) != media.chunk_span(manifest.size_bytes, number)[1]:
            put_aside(connection, keys, bytes.fromhex(node_id), data, "chunk_stray", now_ms)
            drop_chunks(connection, node_id, manifest.blob_id, (number,))


def remove(connection: Connection, node_id: str, blob_id: str) -> None:
    """The node took it back: what is here of it goes."""
    mine = (blobs.c.node_id == node_id, blobs.c.blob_id == blob_id)
    connection.execute(update(blobs).where(*mine).values(state="removed", key_sealed=b""))
    connection.execute(delete(blob_chunks).where(blob_chunks.c.node_id == node_id, blob_chunks.c.blob_id == blob_id))


def take_chunk(connection: Connection, keys: Keyring, arrived: ChunkArrived, now_ms: int) -> Received:
    """Store a chunk, whatever brought it. Idempotent. Raises LooseLimit: then it is not to be acknowledged."""
    node_id, chunk = arrived.node_id.hex(), arrived.chunk
    known = load(connection, node_id, chunk.blob_id)
    if known is not None and known.state != "waiting":
        return Received(0)
    if known is None and chunk.blob_id in erased.among(connection, keys, (chunk.blob_id,)):
        return Received(0)
    held, count = _held(connection, node_id, chunk.blob_id)
    receiving = core.Receiving(held, count, known.manifest if known is not None else None)
    taken = receiving.take(chunk)
    if taken is core.Taken.REFUSED:
        return aside(connection, keys, arrived.node_id, arrived.sealed, "chunk_stray", now_ms)
    if taken is core.Taken.DUPLICATE:
        return Received(0)
    if _loose_bytes(connection, node_id) + len(chunk.data) > LOOSE_MAX_BYTES:
        _drop_forgotten(connection, node_id, chunk.blob_id, now_ms)
    if _loose_bytes(connection, node_id) + len(chunk.data) > LOOSE_MAX_BYTES:
        raise LooseLimit("This node has too many unfinished photos here; finish them first.")
    row: Row = {
        "node_id": node_id,
        "blob_id": chunk.blob_id,
        "number": chunk.number,
        "parts": chunk.count,
        "size_bytes": len(chunk.data),
        "data": keys.protect(chunk.data, _label(node_id, chunk.blob_id, chunk.number)),
        "received_ms": now_ms,
    }
    insert_new(connection, blob_chunks, row)
    faults.point("hub-chunk-stored")
    return Received(1)


def _unfinished(node_id: str) -> ColumnElement[bool]:
    """Chunks that wait for others; those of a whole blob only wait for its second copy."""
    finished = select(blobs.c.blob_id).where(blobs.c.node_id == node_id, blobs.c.state == "whole")
    return (blob_chunks.c.node_id == node_id) & blob_chunks.c.blob_id.not_in(finished)


def _loose_bytes(connection: Connection, node_id: str) -> int:
    loose = select(func.coalesce(func.sum(blob_chunks.c.size_bytes), 0)).where(_unfinished(node_id))
    return int(connection.execute(loose).scalar() or 0)


def _drop_forgotten(connection: Connection, node_id: str, coming: str, now_ms: int) -> None:
    latest = func.max(blob_chunks.c.received_ms)
    stale = select(blob_chunks.c.blob_id).where(_unfinished(node_id), blob_chunks.c.blob_id != coming)
    stale = stale.group_by(blob_chunks.c.blob_id).having(latest < now_ms - FORGOTTEN_MS)
    for row in connection.execute(stale).all():
        drop_chunks(connection, node_id, row.blob_id)
        audit.record(connection, now_ms, "", "chunks_dropped", row.blob_id)


def _held(connection: Connection, node_id: str, blob_id: str) -> tuple[list[int], int]:
    mine = (blob_chunks.c.node_id == node_id, blob_chunks.c.blob_id == blob_id)
    rows = connection.execute(select(blob_chunks.c.number, blob_chunks.c.parts).where(*mine)).all()
    return [row.number for row in rows], rows[0].parts if rows else 0


def receiving(connection: Connection, row: BlobRow) -> core.Receiving:
    """How far a blob has come."""
    held, _ = _held(connection, row.node_id, row.blob_id)
    asked_s = row.asked_ms / 1000 if row.asked_ms else float("-inf")
    return core.Receiving(held, 0, row.manifest, asked_s)


def load_chunks(connection: Connection, keys: Keyring, node_id: str, blob_id: str) -> dict[int, bytes]:
    """The chunks that wait here, by number. Raises KeysRefused for one that is damaged."""
    mine = (blob_chunks.c.node_id == node_id, blob_chunks.c.blob_id == blob_id)
    rows = connection.execute(select(blob_chunks).where(*mine)).all()
    return {
        row.number: keys.reveal(bytes(row.data), _label(node_id, blob_id, row.number))
        if len(row.data) != row.size_bytes
        else bytes(row.data)
        for row in rows
    }


def has_loose(connection: Connection) -> bool:
    """Whether a release before this one kept chunks as they came."""
    plain = select(blob_chunks.c.number).where(func.length(blob_chunks.c.data) == blob_chunks.c.size_bytes).limit(1)
    return connection.execute(plain).first() is not None


def seal_loose(connection: Connection, keys: Keyring) -> int:
    """Seal what a release before this one kept as it came: no longer than its content. How many chunks."""
    plain = select(blob_chunks).where(func.length(blob_chunks.c.data) == blob_chunks.c.size_bytes).limit(SEALED_AT_ONCE)
    rows = connection.execute(plain).all()
    for row in rows:
        sealed = keys.protect(bytes(row.data), _label(row.node_id, row.blob_id, row.number))
        mine = (blob_chunks.c.node_id == row.node_id, blob_chunks.c.blob_id == row.blob_id)
        connection.execute(update(blob_chunks).where(*mine, blob_chunks.c.number == row.number).values(data=sealed))
    return len(rows)


def _label(node_id: str, blob_id: str, number: int) -> str:
    return f"chunk {node_id}/{blob_id}/{number}"


def drop_chunks(connection: Connection, node_id: str, blob_id: str, numbers: tuple[int, ...] | None = None) -> None:
    """Forget chunks; all without ``numbers``."""
    mine = [blob_chunks.c.node_id == node_id, blob_chunks.c.blob_id == blob_id]
    if numbers is not None:
        mine.append(blob_chunks.c.number.in_(numbers))
    connection.execute(delete(blob_chunks).where(*mine))


def load(connection: Connection, node_id: str, blob_id: str) -> BlobRow | None:
    """One blob, or None while its manifest has not come."""
    row = connection.execute(select(blobs).where(blobs.c.node_id == node_id, blobs.c.blob_id == blob_id)).first()
    return None if row is None else _row(row)


def of_visit(connection: Connection, visit_id: str) -> list[BlobRow]:
    """All blobs of a visit."""
    return [_row(row) for row in connection.execute(_OF_VISIT, {"visit": visit_id})]


def of_node(connection: Connection, node_id: str, noted_before_ms: int) -> list[BlobRow]:
    """Blobs of a node that are not whole although they were announced long ago."""
    mine = (blobs.c.node_id == node_id, blobs.c.state == "waiting", blobs.c.noted_ms <= noted_before_ms)
    return [_row(row) for row in connection.execute(select(blobs).where(*mine))]


def waiting(connection: Connection) -> list[tuple[str, str]]:
    """(node, blob) of everything that is not whole."""
    rows = connection.execute(select(blobs.c.node_id, blobs.c.blob_id).where(blobs.c.state == "waiting"))
    return [(row.node_id, row.blob_id) for row in rows]


def whole(connection: Connection) -> list[BlobRow]:
    """Everything that lies on the shelf."""
    return [_row(row) for row in connection.execute(select(blobs).where(blobs.c.state == "whole"))]


def whole_with_chunks(connection: Connection) -> set[tuple[str, str]]:
    """(node, blob) of what lies on the shelf and whose chunks are here still."""
    both = (blobs.c.node_id == blob_chunks.c.node_id) & (blobs.c.blob_id == blob_chunks.c.blob_id)
    query = select(blobs.c.node_id, blobs.c.blob_id).join(blob_chunks, both).where(blobs.c.state == "whole").distinct()
    return {(row.node_id, row.blob_id) for row in connection.execute(query)}


def all_whole(connection: Connection, node_id: str) -> bool:
    """Whether nothing of a node is waited for."""
    mine = (blobs.c.node_id == node_id, blobs.c.state == "waiting")
    return connection.execute(select(blobs.c.blob_id).where(*mine).limit(1)).first() is None


def set_state(connection: Connection, row: BlobRow, state: str, key_sealed: bytes = b"", whole_ms: int = 0) -> bool:
    """Change what is known of a blob; False when it was removed meanwhile."""
    mine = (blobs.c.node_id == row.node_id, blobs.c.blob_id == row.blob_id, blobs.c.state != "removed")
    done = connection.execute(update(blobs).where(*mine).values(state=state, key_sealed=key_sealed, whole_ms=whole_ms))
    return done.rowcount > 0


def claim_key(connection: Connection, row: BlobRow, key_sealed: bytes) -> bytes:
    """The key that seals a blob: the first one offered is everybody's, so that all processes put the same bytes away.

    Empty when the blob waits no more.
    """
    mine = (blobs.c.node_id == row.node_id, blobs.c.blob_id == row.blob_id, blobs.c.state == "waiting")
    connection.execute(update(blobs).where(*mine, blobs.c.key_sealed == b"").values(key_sealed=key_sealed))
    return bytes(connection.execute(select(blobs.c.key_sealed).where(*mine)).scalar() or b"")


def mark_gone(connection: Connection, row: BlobRow) -> None:
    """What was removed lies on the shelf no more."""
    mine = (blobs.c.node_id == row.node_id, blobs.c.blob_id == row.blob_id, blobs.c.state == "removed")
    connection.execute(update(blobs).where(*mine).values(whole_ms=0))


def mark_asked(connection: Connection, row: BlobRow, now_ms: int) -> None:
    """The node was asked for what is missing."""
    mine = (blobs.c.node_id == row.node_id, blobs.c.blob_id == row.blob_id)
    connection.execute(update(blobs).where(*mine).values(asked_ms=now_ms))


def salt_of(connection: Connection, row: BlobRow) -> bytes | None:
    """The salt of the blob's visit; None while its opening has not come, or after it was erased."""
    raw = connection.execute(
        select(entries.c.raw).where(
            entries.c.visit_id == row.visit_id,
            entries.c.node_id == row.node_id,
            entries.c.kind == views.VISIT_OPENED,
        )
    ).scalar()
    found = views.readable(bytes(raw)) if raw is not None else None
    return found[1].salt if found is not None and isinstance(found[1], ev.VisitOpened) else None


def _row(row: "Row_[tuple[object, ...]]") -> BlobRow:
    return BlobRow(
        row.node_id,
        row.visit_id,
        _manifest.decode(row.manifest),
        row.state,
        bytes(row.key_sealed),
        row.asked_ms,
        row.whole_ms,
    )

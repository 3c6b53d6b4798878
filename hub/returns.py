"""What this hub lacks of a node and a node lacks of the hub, found by comparing and sent again.

The hub's half of :mod:`edge.sync.holdings`: after a restore on either side entries come back from the other. What a
node gives back of the hub's own log counts only with H's signature over it. Knows no socket.
"""

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from edge.model import events as ev
from edge.sync import holdings, seal
from edge.sync.bundle import BundlePayload, BundleRefused, unpack
from edge.sync.frontier import Ranges
from edge.sync.link import BundleArrived
from edge.sync.log import Stream
from edge.sync.seal import NodeRecord

from . import audit, views
from .down import DownBlob, Speaker, seal_payload
from .store.dialect import Row, insert_new
from .store.schema import down, entries, notices, quarantine, visits

SHARED_STREAMS = (Stream.URGENT, Stream.CLINICAL, Stream.MEDIA, Stream.AUDIT, Stream.HUB)
BLOB_PLAIN_BYTES = 48 * 1024
KEPT_DAYS, KEPT_VISITS = 90, 1_000
"""What a node that lost more than that is sent back."""
BLOBS_MAX = 1_000
"""Blobs that one answer sends back; the next meeting goes on."""
_CLASS_OF = {Stream.HUB: 1, Stream.AUDIT: 5}
_ORDER = {Stream.URGENT: 0, Stream.CLINICAL: 1, Stream.HUB: 2, Stream.MEDIA: 3, Stream.AUDIT: 4}
_downs = msgspec.msgpack.Decoder(seal.SignedDown)


class Answer(Struct, frozen=True):
    """What the hub says to a node's holdings, and what it sends."""

    message: holdings.Message
    blobs: tuple[DownBlob, ...] = ()
    complete: bool = False
    """All that the node named was compared: what is not asked for is held here."""


def answer(
    connection: Connection, speaker: Speaker, record: NodeRecord, told: holdings.Holdings, now_ms: int
) -> Answer:
    """Compare, and make what goes back to the node durable."""
    node_id = record.node_id.hex()
    held = _held(connection, node_id, told.refused)
    difference = holdings.compare(told, held)
    if difference.unclear:
        return Answer(holdings.AskAll())
    blobs: list[DownBlob] = []
    old = _old_visits(connection, node_id, now_ms) if difference.surplus else frozenset()
    for span in sorted(difference.surplus, key=lambda span: _ORDER.get(Stream(span.stream), 9)):
        if len(blobs) >= BLOBS_MAX:
            break
        blobs += _give_back(connection, speaker, record, span, old, now_ms)
    if blobs:
        audit.record(connection, now_ms, "", "entries_returned", node_id, str(len(blobs)))
    if difference.lacking:
        count = sum(span.last - span.first + 1 for span in difference.lacking)
        audit.record(connection, now_ms, "", "entries_wanted", node_id, str(count))
    return Answer(holdings.Wanted(difference.lacking), tuple(blobs), difference.complete)


def _held(connection: Connection, node_id: str, refused: tuple[int, ...]) -> dict[holdings.Log, Ranges]:
    """What is here, less what is on its way to the node or was refused there."""
    mine = (entries.c.node_id == node_id, entries.c.stream.in_([stream.value for stream in SHARED_STREAMS]))
    counted = connection.execute(
        select(
            entries.c.run,
            entries.c.stream,
            func.count().label("many"),
            func.min(entries.c.seq).label("first"),
            func.max(entries.c.seq).label("last"),
        )
        .where(*mine)
        .group_by(entries.c.run, entries.c.stream)
    ).all()
    held: dict[holdings.Log, Ranges] = {}
    for row in counted:
        whole = row.many == row.last - row.first + 1
        log = (bytes(row.run), int(row.stream))
        held[log] = Ranges((row.first, row.last + 1)) if whole else _pieces(connection, node_id, log)
    moving = select(down.c.run, down.c.stream, down.c.first_seq, down.c.last_seq).where(
        down.c.node_id == node_id, (down.c.stored_ms == 0) | down.c.seq.in_(refused[:1000])
    )
    for row in connection.execute(moving):
        found = held.get((bytes(row.run or b""), row.stream or 0))
        if found is not None:
            found.remove(row.first_seq, row.last_seq + 1)
    return held


def _pieces(connection: Connection, node_id: str, log: holdings.Log) -> Ranges:
    spans: list[tuple[int, int]] = []
    place = (entries.c.node_id == node_id, entries.c.run == log[0], entries.c.stream == log[1])
    for row in connection.execute(select(entries.c.seq).where(*place).order_by(entries.c.seq)):
        if spans and spans[-1][1] == row.seq:
            spans[-1] = (spans[-1][0], row.seq + 1)
        else:
            spans.append((row.seq, row.seq + 1))
    return Ranges(*spans)


def _old_visits(connection: Connection, node_id: str, now_ms: int) -> frozenset[str]:
    """Visits that a node need not keep: older than 90 days and not among the last 1,000. One unknown is not old."""
    old = select(visits.c.visit_id).where(
        visits.c.node_id == node_id, visits.c.arrived_ms < now_ms - KEPT_DAYS * 86_400_000
    )
    last = select(visits.c.visit_id).where(visits.c.node_id == node_id)
    last = last.order_by(visits.c.arrived_ms.desc()).limit(KEPT_VISITS)
    kept = {row.visit_id for row in connection.execute(last)}
    return frozenset(row.visit_id for row in connection.execute(old) if row.visit_id not in kept)


def _give_back(
    connection: Connection,
    speaker: Speaker,
    record: NodeRecord,
    span: holdings.Span,
    old: frozenset[str],
    now_ms: int,
) -> list[DownBlob]:
    """In blobs; entries of old visits and old audit lines stay here."""
    oldest = now_ms - KEPT_DAYS * 86_400_000 if span.stream == Stream.AUDIT else 0
    found = connection.execute(
        select(entries.c.seq, entries.c.raw, entries.c.visit_id, entries.c.stamp)
        .where(
            entries.c.node_id == record.node_id.hex(),
            entries.c.run == span.run,
            entries.c.stream == span.stream,
            entries.c.seq.between(span.first, span.last),
        )
        .order_by(entries.c.seq)
    ).all()
    rows = [row for row in found if row.visit_id not in old and row.stamp >> 16 >= oldest]
    cls = _CLASS_OF.get(Stream(span.stream), 2)
    blobs: list[DownBlob] = []
    chunk: list[bytes] = []
    size_bytes = first = 0
    for row in rows:
        raw = bytes(row.raw)
        if chunk and (size_bytes + len(raw) > BLOB_PLAIN_BYTES or row.seq != first + len(chunk)):
            payload = BundlePayload(cls, span.run, span.stream, first, tuple(chunk))
            blobs.append(seal_payload(connection, speaker, record, payload, now_ms))
            chunk, size_bytes = [], 0
        if not chunk:
            first = row.seq
        chunk.append(raw)
        size_bytes += len(raw)
    if chunk:
        payload = BundlePayload(cls, span.run, span.stream, first, tuple(chunk))
        blobs.append(seal_payload(connection, speaker, record, payload, now_ms))
    return blobs


def take_returned(
    connection: Connection, speaker_public: bytes, arrived: BundleArrived, record: NodeRecord, now_ms: int
) -> tuple[int, set[str], str]:
    """What the node gives back of the hub's own log: fresh entries, their visits, and why it was refused if it was."""
    node_id = record.node_id.hex()
    fresh = 0
    visit_ids: set[str] = set()
    for raw in arrived.payload.entries:
        try:
            said = _downs.decode(raw)
            seal.check_down(said, record.node_id, record.records_public, speaker_public)
            payload = unpack(said.payload)
        except (msgspec.MsgspecError, seal.SealRefused, BundleRefused):
            return fresh, visit_ids, "returned_refused"
        if payload.stream != Stream.HUB:
            return fresh, visit_ids, "returned_refused"
        for seq, entry_raw in enumerate(payload.entries, payload.first_seq):
            found = views.readable(entry_raw)
            kind, stamp, visit_id = (found[0].kind, found[0].stamp, ev.visit_of(found[1])) if found else (0, 0, "")
            row: Row = {
                "node_id": node_id,
                "run": payload.run,
                "stream": payload.stream,
                "seq": seq,
                "raw": entry_raw,
                "kind": kind,
                "stamp": min(max(stamp, 0), (1 << 63) - 1),
                "visit_id": visit_id,
                "patient_id": "",
                "received_ms": now_ms,
            }
            if insert_new(connection, entries, row):
                fresh += 1
                visit_ids.add(visit_id)
    return fresh, visit_ids - {""}, ""


def put_notice(connection: Connection, node_id: str, code: str, count: int, now_ms: int) -> None:
    """Keep something that the technician and the coordinator have to know; it stands in ``hub status``."""
    mine = (notices.c.node_id == node_id, notices.c.code == code[:40])
    done = connection.execute(
        update(notices).where(*mine).values(count=notices.c.count + count, last_ms=now_ms).returning(notices.c.code)
    ).first()
    if done is None:
        row: Row = {"node_id": node_id, "code": code[:40], "count": count, "first_ms": now_ms, "last_ms": now_ms}
        insert_new(connection, notices, row)
    audit.record(connection, now_ms, node_id, "notice", node_id, code)


def load_notices(connection: Connection) -> list[dict[str, object]]:
    """All notices, latest first."""
    rows = connection.execute(select(notices).order_by(notices.c.last_ms.desc()))
    return [dict(row._mapping) for row in rows]


def unknown_kinds(connection: Connection) -> dict[str, int]:
    """Entries of kinds that this release does not know, by kind: kept, passed on, shown by a later release."""
    query = select(entries.c.kind, func.count().label("many")).where(entries.c.kind.not_in([0, *ev.KINDS]))
    return {str(row.kind): row.many for row in connection.execute(query.group_by(entries.c.kind))}


def quarantined_by_reason(connection: Connection) -> dict[str, int]:
    """What lies aside, by the reason for it."""
    query = select(quarantine.c.reason, func.count().label("many")).group_by(quarantine.c.reason)
    return {row.reason: row.many for row in connection.execute(query)}

"""What a node sent, into the store: entries, chains, quarantine, views, in one transaction a group.

An acknowledgement leaves only after the commit that holds the entries. Duplicates are recognised by
(node, run, stream, seq); gaps are allowed; what cannot be read is kept aside with its reason and
the rest goes on. Knows no socket.
"""

import logging

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, select, union_all, update

from edge.model import events as ev
from edge.sync import faults
from edge.sync.bundle import BundlePayload
from edge.sync.link import BundleArrived, BundleQuarantined
from edge.sync.log import Chain, Position, SignedHead, Stream, salt_of, verify_head
from edge.sync.seal import Grade, NodeRecord
from edge.web.logs import say

from . import audit, erased, returns, views
from . import nodes as nodes_view
from .keys import Keyring
from .quarantine import OF_A_LATER_RELEASE, put_aside
from .store.dialect import Row, insert_many_new, insert_new
from .store.schema import entries, former_nodes, heads, nodes

logger = logging.getLogger("hub.receive")

NODE_STREAMS = frozenset({Stream.URGENT, Stream.CLINICAL, Stream.MEDIA, Stream.AUDIT})
DEVICE_STREAMS = frozenset({Stream.URGENT, Stream.AUDIT})
"""What a locked node may say (SEALING.md: telemetry and flagged emergencies)."""
_heads = msgspec.msgpack.Decoder(SignedHead)
_encode = msgspec.msgpack.Encoder().encode
_REACHED = (
    update(entries).where(entries.c.id == bindparam("entry_id")).values(c=bindparam("commitment"), h=bindparam("head"))
)
_LOG = (
    entries.c.node_id == bindparam("node"),
    entries.c.run == bindparam("log_run"),
    entries.c.stream == bindparam("log_stream"),
)
_STORED = select(entries.c.raw).where(*_LOG, entries.c.seq == bindparam("at"))
_LAST = (
    select(entries.c.seq, entries.c.c, entries.c.h)
    .where(*_LOG, entries.c.h.is_not(None))
    .order_by(entries.c.seq.desc())
    .limit(1)
)
_AFTER = (
    select(entries.c.id, entries.c.seq, entries.c.raw, entries.c.c)
    .where(*_LOG, entries.c.seq > bindparam("after"))
    .order_by(entries.c.seq)
)
_OPENING = select(entries.c.raw).where(
    entries.c.visit_id == bindparam("visit"),
    entries.c.node_id == bindparam("node"),
    entries.c.kind == views.VISIT_OPENED,
)
_THERE = and_(
    entries.c.node_id == heads.c.node_id,
    entries.c.run == heads.c.run,
    entries.c.stream == heads.c.stream,
    entries.c.seq == heads.c.seq,
)
_HEADS = select(heads.c.seq, heads.c.signed, entries.c.h).where(
    heads.c.node_id == bindparam("node"),
    heads.c.run == bindparam("log_run"),
    heads.c.stream == bindparam("log_stream"),
    heads.c.seq >= bindparam("first"),
    heads.c.seq <= bindparam("last"),
    heads.c.state == "waiting",
    _THERE,
    entries.c.h.is_not(None),
)
_JUDGED = (
    update(heads)
    .where(
        heads.c.node_id == bindparam("node"),
        heads.c.run == bindparam("log_run"),
        heads.c.stream == bindparam("log_stream"),
        heads.c.seq == bindparam("at"),
    )
    .values(state=bindparam("judged"))
)
_SIGNERS = union_all(
    *(
        select(table.c.log_public, table.c.device_public).where(table.c.node_id == bindparam("node"))
        for table in (nodes, former_nodes)
    )
)
_SEEN = update(nodes).where(nodes.c.node_id == bindparam("node")).values(seen_ms=bindparam("now"))
"""What each bundle asks, made once: to build a statement costs more than to run it."""


class Received(Struct, frozen=True):
    """What a bundle changed."""

    fresh: int
    """Entries that were not there before."""
    visit_ids: frozenset[str] = frozenset()
    quarantined: str = ""
    """Why the bundle lies in quarantine; empty when it was taken."""


def receive_bundle(
    connection: Connection, arrived: BundleArrived, record: NodeRecord, keys: Keyring, now_ms: int
) -> Received:
    """Store a bundle's entries. Idempotent. Runs inside a writer's transaction.

    Raises QuarantineFull: then nothing of it is kept, and it is not to be acknowledged.
    """
    payload = arrived.payload
    if payload.stream == Stream.RETURNED and arrived.grade is Grade.LOG:
        return _receive_returned(connection, arrived, record, keys, now_ms)
    reason = _objection(payload, arrived.grade)
    if reason:
        return aside(connection, keys, arrived.node_id, arrived.sealed, reason, now_ms)
    node_id = arrived.node_id.hex()
    visit_ids: set[str] = set()
    patient_ids: set[str] = set()
    found = [views.readable(raw) for raw in payload.entries]
    places = [_index(one) for one in found]
    gone = erased.among(connection, keys, (one for place in places for one in place[2:]))
    gone = gone.without(one for *_, one in places if one in gone and views.has_visit(connection, one))
    rows: list[Row] = [
        {
            "node_id": node_id,
            "run": payload.run,
            "stream": payload.stream,
            "seq": seq,
            "raw": raw,
            "c": None,
            "kind": kind,
            "stamp": stamp,
            "visit_id": visit_id,
            "patient_id": patient_id,
            "received_ms": now_ms,
        }
        for seq, (raw, (kind, stamp, visit_id, patient_id)) in enumerate(
            zip(payload.entries, places, strict=True), payload.first_seq
        )
    ]
    if gone is not erased.NONE:
        rows = [_emptied(row, one, gone) for row, one in zip(rows, found, strict=True)]
    fresh = insert_many_new(connection, entries, rows, "seq")
    for offset, (raw, one, place) in enumerate(zip(payload.entries, found, places, strict=True)):
        _, stamp, visit_id, patient_id = place
        seq = payload.first_seq + offset
        if visit_id in gone or patient_id in gone:
            continue
        if one is None:
            put_aside(connection, keys, arrived.node_id, raw, "entry_malformed", now_ms)
        if seq in fresh:
            if one is not None:
                nodes_view.fold(connection, node_id, payload.stream, one[1], stamp)
                if isinstance(one[1], ev.ErasureDone) and payload.stream == Stream.CLINICAL:
                    erased.node_has_erased(connection, node_id, one[1].names, now_ms)
            visit_ids.add(visit_id)
            patient_ids.add(patient_id)
        elif _stored(connection, node_id, payload, seq) not in (raw, b""):  # empty: erased
            put_aside(connection, keys, arrived.node_id, raw, "fork", now_ms)
        faults.point("hub-entry-stored")
    if payload.head is not None:
        head_row: Row = {
            "node_id": node_id,
            "run": payload.run,
            "stream": payload.stream,
            "seq": payload.head.seq,
            "signed": _encode(payload.head),
            "state": "waiting",
        }
        insert_new(connection, heads, head_row)
    if fresh or payload.head is not None:
        said = (payload.head.seq,) if payload.head is not None else ()
        _advance(connection, record, payload.run, Stream(payload.stream), said, now_ms)
        connection.execute(_SEEN, {"node": node_id, "now": now_ms})
        views.refold(connection, visit_ids, patient_ids, now_ms)
        faults.point("hub-views-folded")
    return Received(len(fresh), frozenset(visit_ids - {""}))


def _emptied(row: Row, found: tuple[ev.Entry, ev.Event | ev.Unknown] | None, gone: erased.Gone) -> Row:
    """Of an entry about what was erased its place in the chain alone."""
    if found is None or not (str(row["visit_id"]) in gone or str(row["patient_id"]) in gone):
        return row
    raw, stream, seq = row["raw"], row["stream"], row["seq"]
    assert isinstance(raw, bytes) and isinstance(stream, int) and isinstance(seq, int)
    kept = erased.tombstone(raw, found[1], gone, stream, seq)
    return {**row, "raw": b"", "c": kept, "kind": 0, "stamp": 0, "visit_id": "", "patient_id": ""}


def _receive_returned(
    connection: Connection, arrived: BundleArrived, record: NodeRecord, keys: Keyring, now_ms: int
) -> Received:
    fresh, visit_ids, refused = returns.take_returned(connection, keys, arrived, record, now_ms)
    if refused:
        return aside(connection, keys, arrived.node_id, arrived.sealed, refused, now_ms)
    views.refold(connection, visit_ids, (), now_ms)
    return Received(fresh, frozenset(visit_ids))


def receive_poison(connection: Connection, keys: Keyring, poison: BundleQuarantined, now_ms: int) -> Received:
    """Keep an authentic bundle whose contents sync could not read; opened, when a later release may read it."""
    later = poison.packed and poison.reason in OF_A_LATER_RELEASE
    content = poison.grade.value.encode() + poison.packed if later else poison.sealed
    return aside(connection, keys, poison.node_id, content, poison.reason, now_ms)


def aside(connection: Connection, keys: Keyring, node_id: bytes, content: bytes, reason: str, now_ms: int) -> Received:
    """A whole bundle into quarantine. Raises QuarantineFull: then it is not to be acknowledged."""
    put_aside(connection, keys, node_id, content, reason, now_ms)
    return Received(0, quarantined=reason)


def _objection(payload: BundlePayload, grade: Grade) -> str:
    if payload.stream in (Stream.HUB, Stream.FLEET):
        return "stream_forbidden"
    if payload.stream not in NODE_STREAMS:
        return "stream_unknown"
    if grade is Grade.DEVICE and payload.stream not in DEVICE_STREAMS:
        return "grade_too_low"
    return ""


def _index(found: tuple[ev.Entry, ev.Event | ev.Unknown] | None) -> tuple[int, int, str, str]:
    """Kind, stamp, visit and patient under which an entry is found again; zeros for one without."""
    if found is None:
        return 0, 0, "", ""
    entry, event = found
    stamp = min(max(entry.stamp, 0), (1 << 63) - 1)
    kind = entry.kind if 0 <= entry.kind < 1 << 31 else 0
    return kind, stamp, ev.visit_of(event), views.patient_of(event)


def _stored(connection: Connection, node_id: str, payload: BundlePayload, seq: int) -> bytes:
    log = {"node": node_id, "log_run": payload.run, "log_stream": payload.stream}
    value = connection.execute(_STORED, {**log, "at": seq}).scalar()
    return bytes(value) if value is not None else b""


def _advance(
    connection: Connection, record: NodeRecord, run: bytes, stream: Stream, said: tuple[int, ...], now_ms: int
) -> None:
    """Continue the chain as far as entries and salts are there, then check the heads: those reached, and ``said``.

    Of the others each was checked when it came or when it was reached.
    """
    node_id = record.node_id.hex()
    log: Row = {"node": node_id, "log_run": run, "log_stream": stream.value}
    last = connection.execute(_LAST, log).first()
    chain = Chain(record.node_id, run, stream, Position(last.seq, last.c, last.h) if last else None)
    before = chain.seq
    rows = connection.execute(_AFTER, {**log, "after": before}).all()
    salts: dict[str, bytes] = {}
    reached: list[Row] = []
    for row in rows:
        if row.seq != chain.seq + 1:
            break
        if not row.raw:
            if row.c is None:
                break
            place = chain.append_commitment(bytes(row.c))
        else:
            salt = salt_for(connection, node_id, bytes(row.raw), salts)
            if salt is None:
                break
            place = chain.append(bytes(row.raw), salt)
        reached.append({"entry_id": row.id, "commitment": place.commitment, "head": place.head})
    if reached:
        connection.execute(_REACHED, reached)
    if reached:
        _check_heads(connection, record, run, stream, (before + 1, chain.seq), now_ms)
    for seq in said:
        if seq <= before:
            _check_heads(connection, record, run, stream, (seq, seq), now_ms)


def salt_for(connection: Connection, node_id: str, raw: bytes, salts: dict[str, bytes]) -> bytes | None:
    """The salt under which an entry was committed, from its visit's opening; None while that is not here."""
    found = views.readable(raw)
    if found is None:
        return bytes(16)
    entry, event = found
    visit_id = ev.visit_of(event)
    if visit_id and visit_id not in salts:
        opening = connection.execute(_OPENING, {"visit": visit_id, "node": node_id}).scalar()
        opened = views.readable(bytes(opening)) if opening is not None else None
        if opened is not None and isinstance(opened[1], ev.VisitOpened):
            salts[visit_id] = opened[1].salt
    return salt_of(entry, salts)


def _check_heads(
    connection: Connection, record: NodeRecord, run: bytes, stream: Stream, span: tuple[int, int], now_ms: int
) -> None:
    """Check what waits of the heads of these entries, the first and the last of them included."""
    node_id = record.node_id.hex()
    log: Row = {"node": node_id, "log_run": run, "log_stream": stream.value}
    for row in connection.execute(_HEADS, {**log, "first": span[0], "last": span[1]}).all():
        signed = _heads.decode(row.signed)
        publics = _signers(connection, record, Grade.LOG if signed.grade == Grade.LOG else Grade.DEVICE)
        good = signed.head == bytes(row.h)
        good = good and any(verify_head(signed, record.node_id, run, stream, public) for public in publics)
        connection.execute(_JUDGED, {**log, "at": row.seq, "judged": "good" if good else "bad"})
        if not good:
            audit.record(connection, now_ms, node_id, "head_mismatch", node_id, f"{run.hex()}:{stream.value}:{row.seq}")
            say(logger, "head_mismatch", logging.ERROR, node_id=node_id, run=run.hex(), seq=row.seq)


def _signers(connection: Connection, record: NodeRecord, grade: Grade) -> list[bytes]:
    """Who may have signed a head of this node: ``record``, the machine that stands there now, and those before it.

    A head may wait for entries that come only when another machine has taken the place.
    """
    rows = connection.execute(_SIGNERS, {"node": record.node_id.hex()}).all()
    pairs = [(record.log_public, record.device_public), *((row.log_public, row.device_public) for row in rows)]
    return [bytes(log if grade is Grade.LOG else device) for log, device in pairs]

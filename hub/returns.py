"""What this hub lacks of a node and a node lacks of the hub, found by comparing and sent again.

The hub's half of :mod:`edge.sync.holdings`: after a restore on either side entries come back from the other. What a
node gives back of the hub's own log counts only with H's signature over it. Knows no socket.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from edge.model import events as ev
from edge.sync import holdings, seal
from edge.sync.bundle import BundleRefused, unpack
from edge.sync.frontier import Ranges
from edge.sync.link import BundleArrived
from edge.sync.log import Stream
from edge.sync.seal import NodeRecord

from . import audit, erased, erasures, giving, views
from .keys import Keyring
from .store.dialect import Row, insert_new
from .store.schema import down, entries, notices, quarantine

SHARED_STREAMS = (Stream.URGENT, Stream.CLINICAL, Stream.MEDIA, Stream.AUDIT, Stream.HUB)
IN_MAX = 500
"""Numbers in one question to the database."""
_downs = msgspec.msgpack.Decoder(seal.SignedDown)


class Answer(Struct, frozen=True):
    """What the hub says to a node's holdings, and what goes back to it."""

    message: holdings.Message
    pieces: tuple[giving.Piece, ...] = ()
    """Still to be sealed, in this order (:func:`hub.giving.pack_piece`, then ``seal_piece``)."""
    complete: bool = False
    """All that the node named was compared: what is not asked for is held here."""
    left: holdings.Held | None = None
    """Of a list of all logs: what the node lacks and is not sent back. None: nothing new is known about that."""


def answer(
    connection: Connection, node_id: str, told: holdings.Holdings, now_ms: int, left: holdings.Held | None = None
) -> Answer:
    """Compare, and plan what goes back to the node. Writes nothing. ``left``: of the last answer that knew it."""
    held = _held(connection, node_id, told.refused)
    difference = holdings.compare(told, held, left or {})
    if difference.unclear:
        return Answer(holdings.AskAll())
    pieces = giving.plan(connection, node_id, difference.surplus, now_ms)
    left = _left(difference, pieces) if told.whole and len(pieces) < giving.PIECES_MAX else None
    return Answer(holdings.Wanted(difference.lacking), tuple(pieces), difference.complete, left)


def is_news(found: Answer) -> bool:
    """Whether an answer says that something is lacking on a side."""
    return bool(found.pieces) or (isinstance(found.message, holdings.Wanted) and bool(found.message.spans))


def audit_answer(connection: Connection, node_id: str, found: Answer, now_ms: int) -> None:
    """Put down what goes back to the node and what it is asked for."""
    if found.pieces:
        audit.record(connection, now_ms, "", "entries_returned", node_id, str(len(found.pieces)))
    if isinstance(found.message, holdings.Wanted) and found.message.spans:
        count = sum(span.last - span.first + 1 for span in found.message.spans)
        audit.record(connection, now_ms, "", "entries_wanted", node_id, str(count))


def _left(difference: holdings.Difference, pieces: Iterable[giving.Piece]) -> dict[holdings.Log, Ranges]:
    """What the node lacks, less what is sent back."""
    left: dict[holdings.Log, Ranges] = {}
    for span in difference.surplus:
        left.setdefault((span.run, span.stream), Ranges()).add(span.first, span.last + 1)
    for piece in pieces:
        left[piece.log].remove(piece.first, piece.last + 1)
    return left


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
    moving = [down.c.stored_ms == 0]
    moving += [down.c.seq.in_(refused[at : at + IN_MAX]) for at in range(0, len(refused), IN_MAX)]
    for some in moving:
        rows = connection.execute(
            select(down.c.run, down.c.stream, down.c.first_seq, down.c.last_seq).where(down.c.node_id == node_id, some)
        )
        for row in rows:
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


def take_returned(
    connection: Connection, keys: Keyring, arrived: BundleArrived, record: NodeRecord, now_ms: int
) -> tuple[int, set[str], str]:
    """What the node gives back of the hub's own log: fresh entries, their visits, and why it was refused if it was."""
    node_id = record.node_id.hex()
    fresh = 0
    visit_ids: set[str] = set()
    again: dict[bytes, str] = {}
    """What was erased before this hub was restored from an older copy."""
    for raw in arrived.payload.entries:
        try:
            said = _downs.decode(raw)
            seal.check_down(said, record.node_id, record.records_public, keys.sign_public)
            payload = unpack(said.payload)
        except (msgspec.MsgspecError, seal.SealRefused, BundleRefused):
            return fresh, visit_ids, "returned_refused"
        if payload.stream != Stream.HUB:
            return fresh, visit_ids, "returned_refused"
        read = [views.readable(entry_raw) for entry_raw in payload.entries]
        gone = erased.among(connection, keys, (ev.visit_of(one[1]) for one in read if one))
        for seq, (entry_raw, found) in enumerate(zip(payload.entries, read, strict=True), payload.first_seq):
            if found and isinstance(found[1], ev.RecordsErased):
                again |= dict.fromkeys(found[1].names, node_id)
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
            if visit_id in gone:
                kept = erased.tombstone(entry_raw, found[1], gone, payload.stream, seq) if found else None
                row = {**row, "raw": b"", "c": kept, "kind": 0, "visit_id": ""}
            if insert_new(connection, entries, row):
                fresh += 1
                visit_ids.add("" if visit_id in gone else visit_id)
    if again:
        erasures.again(connection, keys, again, now_ms)
    return fresh, visit_ids - {""}, ""


def put_notice(
    connection: Connection, node_id: str, code: str, count: int, now_ms: int, *, total: bool = False
) -> bool:
    """Keep something that the technician and the coordinator have to know; it stands in ``hub status``.

    ``total``: the count is of all there is, and may be said at each meeting; otherwise it is added. False: nothing new.
    """
    code = code[:40]
    mine = (notices.c.node_id == node_id, notices.c.code == code)
    known = connection.execute(select(notices.c.count).where(*mine)).scalar()
    if known is None:
        row: Row = {"node_id": node_id, "code": code, "count": count, "first_ms": now_ms, "last_ms": now_ms}
        insert_new(connection, notices, row)
    else:
        counted = max(known, count) if total else known + count
        connection.execute(update(notices).where(*mine).values(count=counted, last_ms=now_ms))
        if counted == known:
            return False
    audit.record(connection, now_ms, node_id, "notice", node_id, code)
    return True


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

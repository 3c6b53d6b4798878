"""What a node that lost entries is sent back: newest first, in pieces that are planned at once and sealed one by one.

A plan names places in logs and holds no content, so that a site's whole past costs little memory. Planning and packing
only read; each piece is sealed in a transaction of its own, so that no other node waits for it. Knows no socket.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from sqlalchemy import Connection, func, select

from edge.sync.bundle import BundlePayload, pack_for
from edge.sync.holdings import Log, Span
from edge.sync.link import Cls
from edge.sync.log import Stream
from edge.sync.seal import NodeRecord

from .down import DownBlob, Speaker, seal_packed
from .store.schema import entries, visits

PIECE_PLAIN_BYTES = 48 * 1024
"""Entries of about this size share a blob: some 18 visits, 4 kB packed."""
KEPT_DAYS, KEPT_VISITS = 90, 1_000
"""What a node that lost more than that is sent back."""
PIECES_MAX = 1_000
"""Pieces that one answer sends back; the next meeting goes on."""
DAY_MS = 86_400_000
RESTORED_CLASS = Cls.PREVIEW
"""As what a node seals again: behind what is new, before photos."""


class Piece(Struct, frozen=True):
    """Consecutive entries of one log that share a blob."""

    log: Log
    first: int
    last: int
    stamp: int
    """Of its newest entry."""
    cls: int


def plan(connection: Connection, node_id: str, lacking: Iterable[Span], now_ms: int) -> list[Piece]:
    """Everything that the node lacks and has to keep, newest first.

    Visits older than 90 days and not among the last 1,000 stay here, and audit lines older than 90 days.
    """
    spans = tuple(lacking)
    if not spans:
        return []
    old = _old_visits(connection, node_id, now_ms)
    pieces = [piece for span in spans for piece in _pieces(connection, node_id, span, old, now_ms)]
    return sorted(pieces, key=lambda piece: piece.stamp, reverse=True)[:PIECES_MAX]


def _old_visits(connection: Connection, node_id: str, now_ms: int) -> frozenset[str]:
    """Visits that a node need not keep. One that is unknown is not old."""
    old = select(visits.c.visit_id).where(
        visits.c.node_id == node_id, visits.c.arrived_ms < now_ms - KEPT_DAYS * DAY_MS
    )
    last = select(visits.c.visit_id).where(visits.c.node_id == node_id)
    last = last.order_by(visits.c.arrived_ms.desc()).limit(KEPT_VISITS)
    kept = {row.visit_id for row in connection.execute(last)}
    return frozenset(row.visit_id for row in connection.execute(old) if row.visit_id not in kept)


def _pieces(connection: Connection, node_id: str, span: Span, old: frozenset[str], now_ms: int) -> Iterator[Piece]:
    """A span cut where an entry stays here, and where a piece is full."""
    oldest_ms = now_ms - KEPT_DAYS * DAY_MS if span.stream == Stream.AUDIT else 0
    rows = connection.execute(
        select(entries.c.seq, func.length(entries.c.raw).label("size"), entries.c.visit_id, entries.c.stamp)
        .where(
            entries.c.node_id == node_id,
            entries.c.run == span.run,
            entries.c.stream == span.stream,
            entries.c.seq.between(span.first, span.last),
        )
        .order_by(entries.c.seq)
    )
    first = end = stamp = size_bytes = 0
    for row in rows:
        if row.visit_id in old or row.stamp >> 16 < oldest_ms or not row.size:  # an empty one was erased
            continue
        if first and (row.seq != end + 1 or size_bytes + row.size > PIECE_PLAIN_BYTES):
            yield _piece(span, first, end, stamp, now_ms)
            first = 0
        if not first:
            first, stamp, size_bytes = row.seq, 0, 0
        end, stamp, size_bytes = row.seq, max(stamp, row.stamp), size_bytes + row.size
    if first:
        yield _piece(span, first, end, stamp, now_ms)


def _piece(span: Span, first: int, last: int, stamp: int, now_ms: int) -> Piece:
    """What a doctor said today goes before all else; audit, and the names of people long not seen, behind photos."""
    age_ms = now_ms - (stamp >> 16)
    cls = RESTORED_CLASS
    if span.stream == Stream.HUB and age_ms < DAY_MS:
        cls = Cls.CLINICAL
    elif span.stream == Stream.AUDIT or age_ms > KEPT_DAYS * DAY_MS:
        cls = Cls.TELEMETRY
    return Piece((span.run, span.stream), first, last, stamp, cls)


class Packed(Struct, frozen=True):
    """A piece, ready to be sealed."""

    payload: BundlePayload
    packed: bytes


def pack_piece(connection: Connection, speaker: Speaker, record: NodeRecord, piece: Piece) -> Packed | None:
    """Read and pack a piece of a plan, which takes tens of milliseconds; None when its entries are here no more."""
    run, stream = piece.log
    raws = connection.execute(
        select(entries.c.raw)
        .where(
            entries.c.node_id == record.node_id.hex(),
            entries.c.run == run,
            entries.c.stream == stream,
            entries.c.seq.between(piece.first, piece.last),
        )
        .order_by(entries.c.seq)
    ).all()
    if len(raws) != piece.last - piece.first + 1 or not all(row.raw for row in raws):
        return None
    payload = BundlePayload(piece.cls, run, stream, piece.first, tuple(bytes(row.raw) for row in raws))
    return Packed(payload, pack_for(payload, speaker.reads(record.node_id)))


def seal_piece(connection: Connection, speaker: Speaker, record: NodeRecord, packed: Packed, now_ms: int) -> DownBlob:
    """Seal a packed piece for the node."""
    return seal_packed(connection, speaker, record, packed.payload, packed.packed, now_ms)

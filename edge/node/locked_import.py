"""Taking what was recorded while the records were closed into them: once, in order, never in the way of opening.

Works on the journal's database, inside its thread; the journal gives the fold and the insert.
"""

import logging
from collections.abc import Callable

from msgspec import Struct

from edge.model import events as ev
from edge.model.errors import UpkendraError
from edge.sync import faults, locked
from edge.sync.log import NO_SALT, Position, Stream, Writer, decode_entry, own_salt

from .database import Database, DatabaseError
from .outbox import OutboxDb
from .views import Views

logger = logging.getLogger("edge.node")


class Taken(Struct):
    """What was taken in."""

    entries: int = 0
    stamp: int = 0
    """The highest stamp."""
    visits: set[str] = set()
    left: int = 0
    """Pieces that could not be taken in."""
    writers: list[Writer] = []
    """Of each log as far as it goes now."""


class LockedImport:
    """One import."""

    def __init__(
        self,
        db: Database,
        views: Views,
        outbox: OutboxDb,
        node_id: bytes,
        fold: Callable[[ev.Event | ev.Unknown, int, str], object],
        insert: Callable[[Writer, bytes, ev.Entry, bytes, str], None],
    ) -> None:
        self._db, self._views, self._outbox, self._node_id = db, views, outbox, node_id
        self._fold, self._insert = fold, insert
        self._done = Taken()

    def run(self, records: bytes) -> Taken:
        """Take in every piece. ``records``: R, 32 B.

        A piece and its being dropped are two steps: one that is there already is known by its place in its log.
        """
        for row, sealed in self._outbox.locked():
            try:
                piece = locked.open_piece(records, self._node_id, sealed)
                with self._db.transaction():
                    self._take(piece)
            except (UpkendraError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, DatabaseError):
                # It stays where it is; the others, and the unlocking, go on without it.
                logger.exception("a piece of a locked time was not taken in")
                self._done.left += 1
                continue
            faults.point("journal.locked_taken")
            self._outbox.drop_locked(row)
        return self._done

    def _take(self, piece: locked.Piece) -> None:
        stream = Stream(piece.stream)
        last = self._db.row(
            "SELECT seq, h FROM entries WHERE run = ? AND stream = ? ORDER BY seq DESC LIMIT 1", piece.run, int(stream)
        )
        at = Position(last[0], b"", last[1]) if last is not None else None
        expected = (at.seq if at is not None else 0) + 1
        if piece.first_seq > expected:
            raise LookupError("entries before it are missing")
        if piece.first_seq < expected:
            return
        writer = Writer(self._node_id, piece.run, stream, at)
        for raw in piece.entries:
            entry = decode_entry(raw)
            event = ev.event_of(entry)
            self._fold(event, entry.stamp, entry.actor)
            visit_id = ev.visit_of(event)
            salt = own_salt(event) or (self._views.salt(visit_id) if visit_id else NO_SALT)
            self._insert(writer, raw, entry, salt or NO_SALT, visit_id)
            self._done.visits.add(visit_id)
            self._done.stamp = max(self._done.stamp, entry.stamp)
        self._done.writers.append(writer)
        self._done.entries += len(piece.entries)

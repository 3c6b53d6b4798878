"""Which entries no bundle covers yet, in pieces fit to be sealed. On the journal's connection; writes nothing."""

from collections.abc import Callable, Iterable

import msgspec

from edge.sync import bundle, seal
from edge.sync.log import Position, Stream, Writer

from .database import Database
from .held import BUNDLE_PLAIN_BYTES

_CLASS_OF = {Stream.URGENT: 0, Stream.CLINICAL: 1, Stream.MEDIA: 2, Stream.AUDIT: 5}


class Pending(msgspec.Struct, frozen=True):
    """Entries that no bundle covers yet, ready to be sealed."""

    payload: bundle.BundlePayload
    last_seq: int
    head_due: bool
    """A signed head is still due after this bundle."""
    wanted: int = 0
    """Row of the wanted range that this is; 0 for entries that were never sealed."""


class Uncovered:
    """Of the logs of one node."""

    def __init__(self, db: Database, node_id: bytes, log_key: Callable[[], bytes]) -> None:
        """``log_key`` gives L, with which heads are signed."""
        self._db, self._node_id, self._log_key = db, node_id, log_key
        self._logs: set[tuple[bytes, int]] | None = None

    def look_again(self) -> None:
        """Entries of earlier runs have come: look at all logs the next time."""
        self._logs = None

    def pending(self, own: Iterable[tuple[bytes, int]], *, audit: bool) -> list[Pending]:
        """The pieces of all logs; ``own``: those that are written now. Without ``audit`` that stream is left out."""
        found: list[Pending] = []
        for run, number, upto, head_due in self._unsealed(own):
            if audit or number != Stream.AUDIT:
                found += self._pending_of(run, Stream(number), upto, head_due)
        return found

    def _unsealed(self, own: Iterable[tuple[bytes, int]]) -> list[tuple[bytes, int, int, bool]]:
        """(run, stream, sealed up to, a head is due) of the logs that have something to seal, by stream.

        All logs are looked at once; an earlier run that is sealed gets no more entries. So those of years are not
        gone through for each bundle.
        """
        if self._logs is None:
            self._logs = {(run, stream) for run, stream in self._db.rows("SELECT DISTINCT run, stream FROM entries")}
        found: list[tuple[bytes, int, int, bool]] = []
        for run, stream in self._logs.union(own):
            row = self._db.row(
                "SELECT coalesce((SELECT max(seq) FROM entries WHERE run = ?1 AND stream = ?2), 0), "
                "coalesce((SELECT sealed_upto FROM logs WHERE run = ?1 AND stream = ?2), 0), "
                "coalesce((SELECT head_due FROM logs WHERE run = ?1 AND stream = ?2), 0)",
                run,
                stream,
            )
            assert row is not None
            last, upto, head_due = row
            if last and (last > upto or head_due == 1):
                found.append((run, stream, upto, head_due == 1))
        self._logs &= {(run, stream) for run, stream, _, _ in found}
        return sorted(found, key=lambda log: log[1])

    def _pending_of(self, run: bytes, stream: Stream, upto: int, head_due: bool) -> list[Pending]:
        sql = "SELECT seq, raw, h FROM entries WHERE run = ? AND stream = ? AND seq > ? ORDER BY seq"
        rows = self._db.rows(sql, run, int(stream), upto)
        if not rows and upto:
            # Only the head is due: it goes with the last entry, which the hub knows already.
            rows = self._db.rows(sql, run, int(stream), upto - 1)
        found: list[Pending] = []
        while rows:
            chunk = [rows.pop(0)]
            size_bytes = len(chunk[0][1])
            while rows and size_bytes + len(rows[0][1]) <= BUNDLE_PLAIN_BYTES:
                size_bytes += len(rows[0][1])
                chunk.append(rows.pop(0))
            last_seq, _, last_h = chunk[-1]
            head = None
            if head_due and not rows:
                # Also of a run that was killed before it could sign: what is promised is the chain as it stands here.
                log = Writer(self._node_id, run, stream, Position(last_seq, b"", last_h))
                head = log.sign_head(self._log_key(), seal.Grade.LOG)
            raws = tuple(raw for _, raw, _ in chunk)
            payload = bundle.BundlePayload(_CLASS_OF[stream], run, int(stream), chunk[0][0], raws, head)
            found.append(Pending(payload, last_seq, head_due and bool(rows)))
        return found

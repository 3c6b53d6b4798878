"""What the records hold, compared with what the hub holds; entries that go again, entries that come back.

The unlocked half of :mod:`edge.sync.holdings`. Everything runs on the store's writer thread. A range that is wanted is
a row until its bundle lies in the outbox, so that a kill in between forgets nothing.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from edge.model import events as ev
from edge.model.fold import Visit, fold_patient, fold_visit
from edge.sync import bundle, holdings, seal
from edge.sync.frontier import Ranges
from edge.sync.holdings import Span
from edge.sync.log import NO_SALT, Position, Stream, Writer, own_salt

from .config import NodeConfig
from .database import Database
from .views import Views

BUNDLE_PLAIN_BYTES = 96 * 1024
"""Entries of about this size share one bundle at most: some 35 visits, 3 kB packed."""
AGAIN_CLASS = 2
"""What goes again after a restore waits behind what is new."""
LISTED_HUB_RUNS = 2
RETENTION_DAYS = 90
RETENTION_VISITS = 1_000
"""Visits that are younger, or among the latest so many, keep their content also when there is a second copy."""
QUESTIONS_MAX = 8
"""Questions of which an answer may still be under way."""
OWN_STREAMS = frozenset({Stream.URGENT, Stream.CLINICAL, Stream.MEDIA, Stream.AUDIT})


class Again(msgspec.Struct, frozen=True):
    """A wanted range, ready to be sealed."""

    rowid: int
    payload: bundle.BundlePayload
    last_seq: int


class Imported(msgspec.Struct, frozen=True):
    """What a blob of the hub changed here."""

    visits: frozenset[str]
    answers: tuple[ev.Event, ...] = ()
    """What we recorded in answer to it."""


class HeldLogs:
    """Works inside the journal's database; every method makes its own transaction unless it says otherwise."""

    def __init__(self, db: Database, views: Views, config: NodeConfig, run: bytes) -> None:
        self._db, self._views, self._config, self._run = db, views, config, run
        self._asked = 0
        self._acked_since: OrderedDict[int, set[bytes]] = OrderedDict()
        """Question → acknowledged after it was put: the hub's answer to it says nothing about them."""

    # -- saying what is here ----------------------------------------------------------------------

    def describe(self, refused: Sequence[int], *, whole: bool) -> holdings.Holdings:
        """What to tell the hub."""
        self._asked += 1
        self._acked_since[self._asked] = set()
        while len(self._acked_since) > QUESTIONS_MAX:
            self._acked_since.popitem(last=False)
        held: dict[holdings.Log, Ranges] = {}
        for table in ("entries", "hub_entries"):
            sql = (
                f"SELECT run, stream, count(*), min(seq), max(seq) FROM {table} "  # noqa: S608
                "GROUP BY run, stream ORDER BY max(rowid)"
            )
            for run, stream, count, first, last in self._db.rows(sql):
                held[(run, stream)] = (
                    Ranges((first, last + 1)) if count == last - first + 1 else self._pieces(table, run, stream)
                )
        sql = "SELECT run, stream, first_seq, last_seq FROM bundles WHERE quarantined = 1"
        for run, stream, first, last in self._db.rows(sql):
            if (run, stream) in held:
                held[(run, stream)].remove(first, last + 1)
        return holdings.describe(held, self._moving(), refused, whole=whole, question=self._asked)

    def _pieces(self, table: str, run: bytes, stream: int) -> Ranges:
        sql = f"SELECT seq FROM {table} WHERE run = ? AND stream = ? ORDER BY seq"  # noqa: S608
        spans: list[tuple[int, int]] = []
        for (seq,) in self._db.rows(sql, run, stream):
            if spans and spans[-1][1] == seq:
                spans[-1] = (spans[-1][0], seq + 1)
            else:
                spans.append((seq, seq + 1))
        return Ranges(*spans)

    def _moving(self) -> set[holdings.Log]:
        """Logs in which something is on its way, which would spoil the digest."""
        rows = self._db.rows(
            "SELECT run, stream FROM bundles WHERE level = 0 UNION SELECT run, stream FROM wanted UNION "
            "SELECT e.run, e.stream FROM (SELECT run, stream, max(seq) AS last FROM entries GROUP BY run, stream) e "
            "LEFT JOIN logs l ON l.run = e.run AND l.stream = e.stream WHERE e.last > coalesce(l.sealed_upto, 0)"
        )
        rows += self._db.rows("SELECT DISTINCT run, stream FROM entries WHERE run = ?", self._run)
        rows += self._db.rows(
            "SELECT run, stream FROM hub_entries GROUP BY run, stream ORDER BY max(rowid) DESC LIMIT ?", LISTED_HUB_RUNS
        )
        return {(run, stream) for run, stream in rows}

    def noted(self, ref: bytes) -> None:
        """A bundle was acknowledged just now."""
        for since in self._acked_since.values():
            since.add(ref)

    def copied(self, question: int, *, media: bool) -> None:
        """The hub's answer: what it held when it was asked lies in a second copy, with ``media`` photos and notes too.

        What was acknowledged after that question is left out; an answer to a question that is forgotten counts nothing.
        """
        since = self._acked_since.get(question)
        if since is None:
            return
        with self._db.transaction():
            for (ref,) in self._db.rows("SELECT ref FROM media_chunks WHERE level = 1") if media else ():
                if ref not in since:
                    self._db.run("UPDATE media_chunks SET level = 2 WHERE ref = ?", ref)
            for (ref,) in self._db.rows("SELECT ref FROM bundles WHERE level = 1 AND quarantined = 0"):
                if ref not in since:
                    self._db.run("UPDATE bundles SET level = 2 WHERE ref = ?", ref)

    # -- sealing again ----------------------------------------------------------------------------

    def want(self, spans: Sequence[Span]) -> int:
        """The hub lacks these: they are to be sealed again, unless they are on their way. Entries that are gone."""
        gone = 0
        with self._db.transaction():
            for span in spans:
                if span.stream == Stream.HUB:
                    self._want_said(span)
                elif span.stream in OWN_STREAMS:
                    gone += self._want_entries(span)
        return gone

    def _want_said(self, span: Span) -> None:
        sql = (
            "SELECT first_seq, last_seq FROM hub_said WHERE run = ? AND last_seq >= ? AND first_seq <= ? "
            "ORDER BY first_seq"
        )
        waits = (
            "SELECT count(*) FROM bundles WHERE run = ? AND stream = ? AND level = 0 "
            "AND ? BETWEEN first_seq AND last_seq"
        )
        for first, last in self._db.rows(sql, span.run, span.first, span.last):
            row = self._db.row(waits, span.run, int(Stream.RETURNED), first)
            if row is not None and not row[0]:
                self._add_wanted(span.run, Stream.RETURNED, first, last, 1)

    def _want_entries(self, span: Span) -> int:
        row = self._db.row("SELECT sealed_upto FROM logs WHERE run = ? AND stream = ?", span.run, span.stream)
        again = Ranges((span.first, min(span.last, row[0] if row else 0) + 1))
        overlapping = self._db.rows(
            "SELECT ref, first_seq, last_seq, cls, level FROM bundles WHERE run = ? AND stream = ? "
            "AND last_seq >= ? AND first_seq <= ?",
            span.run,
            span.stream,
            span.first,
            span.last,
        )
        for _, first, last, _, level in overlapping:
            if level == 0:
                again.remove(first, last + 1)
        gone = 0
        for start, end in again.spans():
            gone += self._want_range(span.run, span.stream, start, end - 1)
        for ref, first, last, cls, level in overlapping:
            if level > 0:
                self._trim(ref, Span(span.run, span.stream, first, last), again, cls, level)
        return gone

    def _trim(self, ref: bytes, covers: Span, again: Ranges, cls: int, level: int) -> None:
        """A bundle speaks no longer for what goes again."""
        left = Ranges((covers.first, covers.last + 1))
        for start, end in again.spans():
            left.remove(start, end)
        if left.spans() == [(covers.first, covers.last + 1)]:
            return
        self._db.run("DELETE FROM bundles WHERE ref = ?", ref)
        for start, end in left.spans():
            self._cover(Span(covers.run, covers.stream, start, end - 1), cls, level)

    def _cover(self, span: Span, cls: int, level: int) -> None:
        """These entries are at the hub, though no bundle of ours says so."""
        name = span.run + bytes((span.stream,)) + span.first.to_bytes(8, "big") + span.last.to_bytes(8, "big")
        self._db.run(
            "INSERT OR REPLACE INTO bundles (ref, run, stream, first_seq, last_seq, cls, level, level_ms, quarantined) "
            "VALUES (?,?,?,?,?,?,?,0,0)",
            hashlib.sha256(b"covered" + name).digest()[: seal.BUNDLE_ID_BYTES],
            span.run,
            span.stream,
            span.first,
            span.last,
            cls,
            level,
        )

    def _want_range(self, run: bytes, stream: int, first: int, last: int, cls: int = AGAIN_CLASS) -> int:
        """In pieces fit to be sealed, inside a transaction. How many entries have no content any more."""
        sql = "SELECT seq, length(raw) FROM entries WHERE run = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        begin = end = size_bytes = gone = 0
        for seq, length in self._db.rows(sql, run, stream, first, last):
            if not length:
                gone += 1
                continue
            if begin and (seq != end + 1 or size_bytes + length > BUNDLE_PLAIN_BYTES):
                self._add_wanted(run, stream, begin, end, cls)
                begin = 0
            if not begin:
                begin, size_bytes = seq, 0
            end, size_bytes = seq, size_bytes + length
        if begin:
            self._add_wanted(run, stream, begin, end, cls)
        return gone

    def _add_wanted(self, run: bytes, stream: int, first: int, last: int, cls: int) -> None:
        self._db.run(
            "INSERT OR IGNORE INTO wanted (run, stream, first_seq, last_seq, cls) VALUES (?,?,?,?,?)",
            run,
            int(stream),
            first,
            last,
            cls,
        )

    def reseal(self, run: bytes, stream: int, first: int, last: int, cls: int) -> None:
        """A bundle is lost, or its key is gone: what was in it goes again. Inside a transaction."""
        if stream == Stream.RETURNED:
            self._add_wanted(run, stream, first, last, cls)
        else:
            self._want_range(run, stream, first, last, cls)

    def again(self) -> list[Again]:
        """Every wanted range."""
        found = []
        for rowid, run, stream, first, last, cls in self._db.rows(
            "SELECT rowid, run, stream, first_seq, last_seq, cls FROM wanted ORDER BY rowid"
        ):
            if stream == Stream.RETURNED:
                payload = self._said(run, first, last, cls)
            else:
                payload = self._entries(run, Stream(stream), first, last, cls)
            if payload is not None:
                found.append(Again(rowid, payload, last))
        return found

    def _said(self, run: bytes, first: int, last: int, cls: int) -> bundle.BundlePayload | None:
        row = self._db.row(
            "SELECT seq, payload, signature FROM hub_said WHERE run = ? AND first_seq = ? AND last_seq = ?",
            run,
            first,
            last,
        )
        if row is None:
            return None
        raw = msgspec.msgpack.encode(seal.SignedDown(*row))
        return bundle.BundlePayload(cls, run, int(Stream.RETURNED), first, (raw,))

    def _entries(self, run: bytes, stream: Stream, first: int, last: int, cls: int) -> bundle.BundlePayload | None:
        sql = "SELECT raw, h FROM entries WHERE run = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        rows = self._db.rows(sql, run, int(stream), first, last)
        end = self._db.row("SELECT max(seq) FROM entries WHERE run = ? AND stream = ?", run, int(stream))
        if not rows or any(not raw for raw, _ in rows):
            return None
        head = None
        if end is not None and end[0] == last and rows[-1][1] and run != self._run:
            key = self._db.row("SELECT value FROM meta WHERE name = 'log_key'")
            log = Writer(self._config.node_id, run, stream, Position(last, b"", rows[-1][1]))
            head = log.sign_head(key[0], seal.Grade.LOG) if key is not None else None
        return bundle.BundlePayload(cls, run, int(stream), first, tuple(raw for raw, _ in rows), head)

    def sealed(self, rowid: int) -> None:
        """The bundle of a wanted range lies in the outbox. Inside a transaction."""
        self._db.run("DELETE FROM wanted WHERE rowid = ?", rowid)

    # -- coming back ------------------------------------------------------------------------------

    def keep_said(self, down: seal.SignedDown, payload: bundle.BundlePayload) -> None:
        """Keep what the hub signed, to give it back should the hub lose it. Inside a transaction."""
        if payload.entries:
            self._db.run(
                "INSERT OR IGNORE INTO hub_said (seq, run, first_seq, last_seq, payload, signature) "
                "VALUES (?,?,?,?,?,?)",
                down.seq,
                payload.run,
                payload.first_seq,
                payload.first_seq + len(payload.entries) - 1,
                down.payload,
                down.signature,
            )

    def take_back(self, payload: bundle.BundlePayload) -> set[str]:
        """Own entries that these records had lost; inside a transaction. The visits to be folded anew."""
        visits: set[str] = set()
        amended = False
        if payload.run == self._run or payload.stream not in OWN_STREAMS:
            return visits
        stream = Stream(payload.stream)
        for seq, raw in enumerate(payload.entries, payload.first_seq):
            entry = msgspec.msgpack.decode(raw, type=ev.Entry)
            event = ev.event_of(entry)
            visit_id = ev.visit_of(event)
            place = self._place(payload.run, stream, seq, raw, self._salt(event, visit_id))
            fresh = self._db.run(
                "INSERT OR IGNORE INTO entries (run, stream, seq, raw, c, h, stamp, kind, visit_id) "
                "VALUES (?,?,?,?,?,?,?,?,?)",
                payload.run,
                int(stream),
                seq,
                raw,
                place.commitment,
                place.head,
                entry.stamp,
                entry.kind,
                visit_id,
            )
            if not fresh:
                continue
            self._views.take_back(event, entry.stamp)
            if isinstance(event, ev.PatientRegistered) and self._views.patient(event.patient_id) is None:
                patient = fold_patient(None, event, entry.stamp >> 16)
                if patient is not None:
                    self._views.put_patient(patient)
            amended |= isinstance(event, ev.PatientAmended)
            if visit_id:
                if isinstance(event, ev.VisitOpened):
                    self.refold({visit_id})  # its salt is needed for the entries behind it
                visits.add(visit_id)
        last = payload.first_seq + len(payload.entries) - 1
        self._chain_on(payload.run, stream, last)
        self._db.run(  # an updated hub has read what lay aside there
            "DELETE FROM bundles WHERE quarantined = 1 AND run = ? AND stream = ? AND first_seq >= ? AND last_seq <= ?",
            payload.run,
            payload.stream,
            payload.first_seq,
            last,
        )
        self._cover(Span(payload.run, payload.stream, payload.first_seq, last), payload.cls, 1)
        self._db.run(
            "INSERT INTO logs (run, stream, sealed_upto, head_due) VALUES (?, ?, ?, 0) ON CONFLICT (run, stream) "
            "DO UPDATE SET sealed_upto = max(sealed_upto, excluded.sealed_upto)",
            payload.run,
            int(stream),
            last,
        )
        if amended:
            self._refold_patients()
        return visits

    def _salt(self, event: ev.Event | ev.Unknown, visit_id: str) -> bytes | None:
        return own_salt(event) or (self._views.salt(visit_id) if visit_id else NO_SALT)

    def _place(self, run: bytes, stream: Stream, seq: int, raw: bytes, salt: bytes | None) -> Position:
        """Where the entry stands in its chain; empty hashes while something before it is missing."""
        before = self._db.row(
            "SELECT h FROM entries WHERE run = ? AND stream = ? AND seq = ?", run, int(stream), seq - 1
        )
        if salt is None or (seq > 1 and (before is None or not before[0])):
            return Position(seq, b"", b"")
        at = Position(seq - 1, b"", before[0]) if before is not None else None
        return Writer(self._config.node_id, run, stream, at).append(raw, salt)

    def _chain_on(self, run: bytes, stream: Stream, last: int) -> None:
        """What came back before the entries ahead of it has its place in the chain now."""
        rows = self._db.rows(
            "SELECT seq, raw FROM entries WHERE run = ? AND stream = ? AND seq > ? AND h = x'' AND raw != x'' "
            "ORDER BY seq",
            run,
            int(stream),
            last,
        )
        for seq, raw in rows:
            event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
            place = self._place(run, stream, seq, raw, self._salt(event, ev.visit_of(event)))
            if not place.head:
                return
            self._db.run(
                "UPDATE entries SET c = ?, h = ? WHERE run = ? AND stream = ? AND seq = ?",
                place.commitment,
                place.head,
                run,
                int(stream),
                seq,
            )

    def refold(self, visit_ids: set[str]) -> None:
        """Compute visits anew from all entries about them, in causal order. Inside a transaction."""
        for visit_id in visit_ids:
            rows = self._db.rows(
                "SELECT raw FROM entries WHERE visit_id = ? UNION ALL SELECT raw FROM hub_entries WHERE visit_id = ?",
                visit_id,
                visit_id,
            )
            found = [msgspec.msgpack.decode(raw, type=ev.Entry) for (raw,) in rows if raw]
            visit: Visit | None = None
            salt: bytes | None = None
            late: list[ev.Entry] = []
            for entry in sorted(found, key=lambda entry: entry.stamp):
                event = ev.event_of(entry)
                if visit is None and not isinstance(event, ev.VisitOpened):
                    late.append(entry)
                    continue
                if isinstance(event, ev.VisitOpened):
                    salt = salt or event.salt
                for each in (entry, *late):
                    visit = fold_visit(visit, ev.event_of(each), each.stamp, each.actor)
                late.clear()
            if visit is not None:
                self._views.put_visit(visit, salt)

    def _refold_patients(self) -> None:
        rows = self._db.rows("SELECT raw FROM entries WHERE kind IN (1, 2) AND raw != x'' ORDER BY stamp")
        for (raw,) in rows:
            entry = msgspec.msgpack.decode(raw, type=ev.Entry)
            event = ev.event_of(entry)
            if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
                known = None if isinstance(event, ev.PatientRegistered) else self._views.patient(event.patient_id)
                patient = fold_patient(known, event, entry.stamp >> 16)
                if patient is not None:
                    self._views.put_patient(patient)

    # -- retention --------------------------------------------------------------------------------

    def prune(self, before_ms: int, keep_visits: int) -> int:
        """Drop the content of closed visits that are older and have a second copy; hashes stay. How many visits."""
        rows = self._db.rows(
            "SELECT visit_id FROM visits WHERE state IN ('completed', 'referred', 'no_show', 'cancelled') "
            "AND opened_ms < ? AND visit_id NOT IN (SELECT visit_id FROM visits ORDER BY opened_ms DESC LIMIT ?)",
            before_ms,
            keep_visits,
        )
        pruned = 0
        for (visit_id,) in rows:
            behind = self._db.row(
                "SELECT count(*) FROM entries e LEFT JOIN bundles b ON b.run = e.run AND b.stream = e.stream AND "
                "e.seq BETWEEN b.first_seq AND b.last_seq WHERE e.visit_id = ? AND e.raw != x'' "
                "AND (coalesce(b.level, 0) < 2 OR b.quarantined = 1 OR e.c = x'')",
                visit_id,
            )
            if behind is None or behind[0]:
                continue
            with self._db.transaction():
                self._db.run("UPDATE entries SET raw = x'' WHERE visit_id = ?", visit_id)
                self._db.run("UPDATE hub_entries SET raw = x'' WHERE visit_id = ?", visit_id)
                self._db.run("DELETE FROM visits WHERE visit_id = ?", visit_id)
                self._views.expected.drop(visit_id)
            pruned += 1
        if pruned:
            with self._db.transaction():
                self._db.run(
                    "DELETE FROM hub_said WHERE NOT EXISTS (SELECT 1 FROM hub_entries h WHERE h.run = hub_said.run "
                    "AND h.seq BETWEEN hub_said.first_seq AND hub_said.last_seq AND h.raw != x'')"
                )
        return pruned

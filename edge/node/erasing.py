"""What the hub says was erased by law, erased in these records too: entries become their hashes, all else of them goes.

A name (:mod:`edge.sync.erased`) is kept for good, so that an older copy, or what the hub sends back, brings nothing
again. Nothing goes before the hub has acknowledged it: it holds a hash in its place. A person stays as long as a visit
of hers does, and is said to the hub anew, which may have erased her name before it knew that she came again. On the
journal's connection, in pieces: a log of years is looked through, and whoever writes meanwhile goes first.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edge.model import events as ev
from edge.model.age import told_anew
from edge.model.clock import Instant
from edge.sync import faults
from edge.sync.erased import NAMES_MAX, name_of

from .database import Database
from .media_rows import Withdrawn
from .replies import Replies, ids_in
from .views import Views

if TYPE_CHECKING:
    from .journal import Journal

_entry = msgspec.msgpack.Decoder(ev.Entry)
DISPENSED = ev.KIND_OF[ev.Dispensed]
OPENED = ev.KIND_OF[ev.VisitOpened]
REGISTERED = ev.KIND_OF[ev.PatientRegistered]
PERSON_KINDS = (REGISTERED, ev.KIND_OF[ev.PatientAmended])
VISITS_AT_ONCE = 500
"""In one piece, of all that the log knows."""
ENTRIES_AT_ONCE = 2_000
REPLIES_AT_ONCE = 200


class Erasing:
    """:meth:`run` makes its own transactions; the others work inside the journal's."""

    def __init__(self, db: Database, views: Views, replies: Replies) -> None:
        self._db, self._views, self._replies = db, views, replies
        self._heard = True
        """Something may be left to be erased."""
        self._again: set[bytes] = set()
        """Names of which something came while :meth:`run` was under way."""
        self._held: list[Callable[[], bool]] = []
        """What the last look has left, each with whether it still has to stay."""

    def is_due(self) -> bool:
        """Whether to :meth:`run`, which reads the whole log: the hub has said something, or what had to stay may go."""
        return self._heard or not all(stays() for stays in self._held)

    def hear(self, event: ev.Event | ev.Unknown) -> set[str]:
        """The hub has said something; the visit it is about, or "" for none."""
        if isinstance(event, ev.RecordsErased):
            self._heard = True
            for name in event.names:
                self._db.run("INSERT OR IGNORE INTO erased (name, done, person) VALUES (?, 0, 0)", name)
        return self.reopen({ev.visit_of(event)})

    def reopen(self, visit_ids: set[str]) -> set[str]:
        """Something about these visits has come: what was erased of them is looked at again. The same ids."""
        if self._db.row("SELECT 1 FROM erased LIMIT 1") is not None:
            for name in map(name_of, visit_ids):
                if self._db.run("UPDATE erased SET done = 0 WHERE name = ?", name):
                    self._heard = True
                    self._again.add(name)
        return visit_ids

    def run(
        self,
        told: Callable[[tuple[bytes, ...]], None],
        withdrawn: Callable[[list[Withdrawn]], None],
        named: Callable[[str], None],
    ) -> Iterator[None]:
        """Erase what may go now, a piece at each step; between two of them others may write.

        ``told`` hears the names of which nothing is left here, ``withdrawn`` what is left over of photos, ``named`` who
        is here again and unknown to the hub. A step that raises, or a kill, loses nothing: all is looked at again.
        """
        self._heard = False
        self._again.clear()
        try:
            yield from self._run(told, withdrawn, named)
        except BaseException:
            self._heard = True
            raise

    def _run(
        self,
        told: Callable[[tuple[bytes, ...]], None],
        withdrawn: Callable[[list[Withdrawn]], None],
        named: Callable[[str], None],
    ) -> Iterator[None]:
        due = {bytes(name) for (name,) in self._db.rows("SELECT name FROM erased WHERE done = 0")}
        held: list[Callable[[], bool]] = []
        left: set[bytes] = set()
        if due:
            for visit_id in (yield from self._visits(due)):
                if self._waits("e.visit_id = ?", visit_id):
                    left.add(name_of(visit_id))
                    held.append(partial(self._waits, "e.visit_id = ?", visit_id))
                    continue
                with self._db.transaction():
                    over = self._erase_visit(visit_id)
                    faults.point("erasing")
                withdrawn(over)
                yield
            people, upto = yield from self._people(due)
            for patient_id in people:
                rowids = [*people[patient_id], *self._lately(patient_id, upto)]
                if self._person_stays(patient_id, rowids):
                    left.add(name_of(patient_id))
                    held.append(partial(self._person_stays, patient_id, rowids))
                    if not self._is_told_again(rowids):
                        if self._is_here_again(patient_id):
                            named(patient_id)
                            yield
                        else:
                            held.append(lambda one=patient_id: not self._is_here_again(one))  # type: ignore[misc]
                    continue
                with self._db.transaction():
                    self._erase_person(patient_id, rowids)
                    faults.point("erasing")
                yield
            yield from self._forget_replies(due - left)
            yield from self._end(due, left, told)
        self._held = held

    def _end(self, due: set[bytes], left: set[bytes], told: Callable[[tuple[bytes, ...]], None]) -> Iterator[None]:
        """Said first, then noted: a kill between the two says it again."""
        done = due - left - self._again
        if left:  # a photo's name is done with its visit's
            done -= self._of_photos(left)
        if not done:
            return
        told(tuple(sorted(done)))
        yield
        with self._db.transaction():
            for name in done - self._again:
                self._db.run("UPDATE erased SET done = 1 WHERE name = ?", name)

    def _visits(self, due: set[bytes]) -> Generator[None, None, list[str]]:
        """Visits whose names are due."""
        found: dict[str, None] = {}
        for table in ("entries", "hub_entries"):
            sql = f"SELECT DISTINCT visit_id FROM {table} WHERE visit_id > ? ORDER BY visit_id LIMIT ?"  # noqa: S608
            after = ""
            while page := [one for (one,) in self._db.rows(sql, after, VISITS_AT_ONCE)]:
                found.update((one, None) for one in page if name_of(one) in due)
                after = page[-1]
                yield
        return list(found)

    def _of_photos(self, left: set[bytes]) -> set[bytes]:
        """Names of the photos of visits that stay."""
        rows = self._db.rows("SELECT visit_id, blob_id FROM uploads WHERE attached = 1")
        return {name_of(blob_id) for visit_id, blob_id in rows if name_of(visit_id) in left}

    def _waits(self, which: str, *values: str | int) -> bool:
        """Whether the hub has not acknowledged all of these entries."""
        covers = (  # by this index the first bundle that is looked at is the one, where it was acknowledged
            "bundles b INDEXED BY idx_bundles_run_stream_last_seq WHERE b.run = e.run AND b.stream = e.stream "
            "AND b.last_seq >= e.seq AND b.first_seq <= e.seq AND b.level >= 1"
        )
        sql = f"SELECT 1 FROM entries e WHERE {which} AND e.raw != x'' AND NOT EXISTS (SELECT 1 FROM {covers}) LIMIT 1"  # noqa: S608
        return self._db.row(sql, *values) is not None

    def _person_stays(self, patient_id: str, rowids: Sequence[int]) -> bool:
        """Whether a visit of hers is here, or the hub has not acknowledged all that these entries say of her."""
        marks = ",".join("?" * len(rowids))
        here = self._db.row("SELECT 1 FROM visits WHERE patient_id = ? LIMIT 1", patient_id)
        return here is not None or self._waits(f"e.rowid IN ({marks})", *rowids)

    def _is_here_again(self, patient_id: str) -> bool:
        """Whether the hub has the beginning of a visit of hers that is not erased: it takes her name again then."""
        here = [one for (one,) in self._db.rows("SELECT visit_id FROM visits WHERE patient_id = ?", patient_id)]
        stay = [one for one in here if self._db.row("SELECT 1 FROM erased WHERE name = ?", name_of(one)) is None]
        return any(not self._waits("e.visit_id = ? AND e.kind = ?", one, OPENED) for one in stay)

    def _is_told_again(self, rowids: Sequence[int]) -> bool:
        """Whether she was registered a second time in the log, since the hub has erased the first."""
        marks = ",".join("?" * len(rowids))
        sql = f"SELECT count(*) FROM entries WHERE rowid IN ({marks}) AND kind = ?"  # noqa: S608
        row = self._db.row(sql, *rowids, REGISTERED)
        return row is not None and row[0] > 1

    def _erase_visit(self, visit_id: str) -> list[Withdrawn]:
        stamps = "SELECT stamp FROM entries WHERE visit_id = ? AND kind = ?"
        self._db.run(f"DELETE FROM stock WHERE stamp IN ({stamps})", visit_id, DISPENSED)  # noqa: S608
        self._forget_said("SELECT run, seq FROM hub_entries WHERE visit_id = ?", visit_id)
        self._forget_wanted("e.visit_id = ?", visit_id)
        self._db.run("UPDATE entries SET raw = x'', visit_id = '' WHERE visit_id = ?", visit_id)
        self._db.run("UPDATE hub_entries SET raw = x'', visit_id = '' WHERE visit_id = ?", visit_id)
        self._db.run("DELETE FROM visits WHERE visit_id = ?", visit_id)
        self._views.expected.drop(visit_id)
        self._forget_forms(visit_id)
        blob_ids = [row[0] for row in self._db.rows("SELECT blob_id FROM uploads WHERE visit_id = ?", visit_id)]
        gone = [self._views.media.recorded(ev.MediaRemoved(visit_id, blob_id)) for blob_id in blob_ids if blob_id]
        files = self._db.rows(
            "SELECT s.file FROM segments s JOIN uploads u ON u.upload_id = s.upload_id WHERE u.visit_id = ?", visit_id
        )
        self._db.run("DELETE FROM uploads WHERE visit_id = ?", visit_id)
        self._db.run("DELETE FROM segments WHERE upload_id NOT IN (SELECT upload_id FROM uploads)")
        return [*gone, Withdrawn((), tuple(row[0] for row in files))]

    def _people(self, due: set[bytes]) -> Generator[None, None, tuple[dict[str, list[int]], int]]:
        """Patients whose names are due, with the rows of their entries, up to that row."""
        found: dict[str, list[int]] = {}
        upto = self._last_row()
        for after in range(0, upto, ENTRIES_AT_ONCE):
            for rowid, patient_id in self._persons(after, min(after + ENTRIES_AT_ONCE, upto)):
                if name_of(patient_id) in due:
                    found.setdefault(patient_id, []).append(rowid)
            yield
        return found, upto

    def _lately(self, patient_id: str, after: int) -> list[int]:
        """Rows about this person that were written since."""
        return [rowid for rowid, found in self._persons(after, self._last_row()) if found == patient_id]

    def _last_row(self) -> int:
        row = self._db.row("SELECT coalesce(max(rowid), 0) FROM entries")
        return int(row[0]) if row is not None else 0

    def _persons(self, after: int, upto: int) -> Iterator[tuple[int, str]]:
        sql = "SELECT rowid, raw FROM entries WHERE rowid > ? AND rowid <= ? AND kind IN (?, ?) AND raw != x''"
        for rowid, raw in self._db.rows(sql, after, upto, *PERSON_KINDS):
            event = ev.event_of(_entry.decode(raw))
            if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
                yield rowid, event.patient_id

    def _erase_person(self, patient_id: str, rowids: Sequence[int]) -> None:
        marks = ",".join("?" * len(rowids))
        self._forget_wanted(f"e.rowid IN ({marks})", *rowids)
        self._db.run(f"UPDATE entries SET raw = x'' WHERE rowid IN ({marks})", *rowids)  # noqa: S608
        row = self._db.row("SELECT rowid FROM patients WHERE patient_id = ?", patient_id)
        if row is not None:
            self._db.run("DELETE FROM found_by WHERE patient = ?", row[0])
            self._db.run("DELETE FROM patients WHERE patient_id = ?", patient_id)
            self._db.run("UPDATE erased SET person = 1 WHERE name = ?", name_of(patient_id))
        self._forget_forms(patient_id)

    def _forget_said(self, sql: str, visit_id: str) -> None:
        """What the hub signed is kept in whole pieces: one with an erased entry goes."""
        for run, seq in self._db.rows(sql, visit_id):
            self._db.run("DELETE FROM hub_said WHERE run = ? AND first_seq <= ? AND last_seq >= ?", run, seq, seq)

    def _forget_wanted(self, which: str, *values: str | int) -> None:
        """Ranges to be sealed again that hold an erased entry; the hub asks for the rest at the next meeting."""
        rows = self._db.rows(f"SELECT e.run, e.stream, e.seq FROM entries e WHERE {which}", *values)  # noqa: S608
        for run, stream, seq in rows:
            sql = "DELETE FROM wanted WHERE run = ? AND stream = ? AND first_seq <= ? AND last_seq >= ?"
            self._db.run(sql, run, stream, seq, seq)

    def _forget_forms(self, identifier: str) -> None:
        """Half-filled ones that name it."""
        self._db.run("DELETE FROM drafts WHERE instr(key, ?) OR instr(body, ?)", identifier, identifier)

    def _forget_replies(self, names: set[bytes]) -> Iterator[None]:
        """Those in which one of these visits or patients stands."""
        last = self._replies.last_row()
        for after in range(0, last, REPLIES_AT_ONCE):
            with self._db.transaction():
                self._replies.forget(
                    lambda raw: any(name_of(one) in names for one in ids_in(raw)), after, after + REPLIES_AT_ONCE
                )
            yield


def sweep(journal: "Journal", at: Instant) -> Iterator[None]:
    """Erase what may go now, in pieces, and say so in the log. Each step on the writer's thread."""

    def told(names: tuple[bytes, ...]) -> None:
        for first in range(0, len(names), NAMES_MAX):
            journal.record((ev.ErasureDone(names[first : first + NAMES_MAX]),), "", at)

    def named(patient_id: str) -> None:
        known = journal.views.patient(patient_id)
        if known is not None:
            person = told_anew(known.person, known.registered_ms, at.wall_ms)
            journal.record((ev.PatientRegistered(patient_id, known.local_id, person),), "", at)

    return journal.erasing.run(told, journal.media.taken_back, named)

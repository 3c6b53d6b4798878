"""What the hub says was erased by law, erased in these records too: entries become their hashes, all else of them goes.

A name (:mod:`edge.sync.erased`) is kept for good, so that an older copy, or what the hub sends back, brings nothing
again. Nothing goes before the hub has acknowledged it: it holds a hash in its place. A person stays as long as a visit
of hers does: the hub may not know yet that she came again. On the journal's connection.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edge.model import events as ev
from edge.model.clock import Instant
from edge.sync import faults
from edge.sync.erased import NAMES_MAX, name_of

from .database import Database
from .media_rows import Withdrawn
from .replies import Replies
from .views import Views

if TYPE_CHECKING:
    from .journal import Journal

_entry = msgspec.msgpack.Decoder(ev.Entry)
DISPENSED = ev.KIND_OF[ev.Dispensed]
PERSON_KINDS = (ev.KIND_OF[ev.PatientRegistered], ev.KIND_OF[ev.PatientAmended])


class Erasing:
    """:meth:`run` makes its own transaction; the others work inside the journal's."""

    def __init__(self, db: Database, views: Views, replies: Replies) -> None:
        self._db, self._views, self._replies = db, views, replies
        self._heard = True
        """Something may be left to be erased."""
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
            for one in visit_ids:
                self._heard |= bool(self._db.run("UPDATE erased SET done = 0 WHERE name = ?", name_of(one)))
        return visit_ids

    def run(self) -> tuple[tuple[bytes, ...], list[Withdrawn]]:
        """Erase what may go now. The names of which nothing is left here, and what is left over of photos."""
        held: list[Callable[[], bool]] = []
        with self._db.transaction():
            found = self._run(held)
            faults.point("erasing")
        self._heard, self._held = False, held
        return found

    def _run(self, held: list[Callable[[], bool]]) -> tuple[tuple[bytes, ...], list[Withdrawn]]:
        due = {bytes(name) for (name,) in self._db.rows("SELECT name FROM erased WHERE done = 0")}
        if not due:
            return (), []
        withdrawn: list[Withdrawn] = []
        left: set[bytes] = set()
        for visit_id in self._visits():
            name = name_of(visit_id)
            if name not in due:
                continue
            if self._waits("e.visit_id = ?", visit_id):
                left.add(name)
                held.append(partial(self._waits, "e.visit_id = ?", visit_id))
                continue
            withdrawn += self._erase_visit(visit_id)
        for patient_id, rowids in self._people(due).items():
            if self._person_stays(patient_id, rowids):
                left.add(name_of(patient_id))
                held.append(partial(self._person_stays, patient_id, rowids))
                continue
            self._erase_person(patient_id, rowids)
        done = due - left
        if left:  # a photo's name is done with its visit's
            done -= {name for name in due if name not in left and self._of_a_photo(name, left)}
        for name in done:
            self._db.run("UPDATE erased SET done = 1 WHERE name = ?", name)
        return tuple(sorted(done)), withdrawn

    def _visits(self) -> list[str]:
        sql = "SELECT visit_id FROM entries UNION SELECT visit_id FROM hub_entries"
        return [visit_id for (visit_id,) in self._db.rows(sql) if visit_id]

    def _of_a_photo(self, name: bytes, left: set[bytes]) -> bool:
        rows = self._db.rows("SELECT visit_id, blob_id FROM uploads WHERE attached = 1")
        return any(name_of(blob_id) == name and name_of(visit_id) in left for visit_id, blob_id in rows)

    def _waits(self, which: str, *values: str | int) -> bool:
        """Whether the hub has not acknowledged all of these entries."""
        sql = (
            "SELECT 1 FROM entries e LEFT JOIN bundles b ON b.run = e.run AND b.stream = e.stream AND "  # noqa: S608
            f"e.seq BETWEEN b.first_seq AND b.last_seq WHERE {which} AND e.raw != x'' "
            "GROUP BY e.rowid HAVING max(coalesce(b.level, 0)) < 1 LIMIT 1"
        )
        return self._db.row(sql, *values) is not None

    def _person_stays(self, patient_id: str, rowids: Sequence[int]) -> bool:
        """Whether a visit of hers is here, or the hub has not acknowledged all that these entries say of her."""
        marks = ",".join("?" * len(rowids))
        here = self._db.row("SELECT 1 FROM visits WHERE patient_id = ? LIMIT 1", patient_id)
        return here is not None or self._waits(f"e.rowid IN ({marks})", *rowids)

    def _erase_visit(self, visit_id: str) -> list[Withdrawn]:
        stamps = "SELECT stamp FROM entries WHERE visit_id = ? AND kind = ?"
        self._db.run(f"DELETE FROM stock WHERE stamp IN ({stamps})", visit_id, DISPENSED)  # noqa: S608
        self._forget_said("SELECT run, seq FROM hub_entries WHERE visit_id = ?", visit_id)
        self._forget_wanted("e.visit_id = ?", visit_id)
        self._db.run("UPDATE entries SET raw = x'', visit_id = '' WHERE visit_id = ?", visit_id)
        self._db.run("UPDATE hub_entries SET raw = x'', visit_id = '' WHERE visit_id = ?", visit_id)
        self._db.run("DELETE FROM visits WHERE visit_id = ?", visit_id)
        self._views.expected.drop(visit_id)
        self._forget_words(visit_id)
        blob_ids = [row[0] for row in self._db.rows("SELECT blob_id FROM uploads WHERE visit_id = ?", visit_id)]
        gone = [self._views.media.recorded(ev.MediaRemoved(visit_id, blob_id)) for blob_id in blob_ids if blob_id]
        files = self._db.rows(
            "SELECT s.file FROM segments s JOIN uploads u ON u.upload_id = s.upload_id WHERE u.visit_id = ?", visit_id
        )
        self._db.run("DELETE FROM uploads WHERE visit_id = ?", visit_id)
        self._db.run("DELETE FROM segments WHERE upload_id NOT IN (SELECT upload_id FROM uploads)")
        return [*gone, Withdrawn((), tuple(row[0] for row in files))]

    def _people(self, due: set[bytes]) -> dict[str, list[int]]:
        """Patients whose names are due, with the rows of their entries."""
        found: dict[str, list[int]] = {}
        for rowid, raw in self._db.rows(
            "SELECT rowid, raw FROM entries WHERE kind IN (?, ?) AND raw != x''", *PERSON_KINDS
        ):
            event = ev.event_of(_entry.decode(raw))
            if isinstance(event, ev.PatientRegistered | ev.PatientAmended) and name_of(event.patient_id) in due:
                found.setdefault(event.patient_id, []).append(rowid)
        return found

    def _erase_person(self, patient_id: str, rowids: Sequence[int]) -> None:
        marks = ",".join("?" * len(rowids))
        self._forget_wanted(f"e.rowid IN ({marks})", *rowids)
        self._db.run(f"UPDATE entries SET raw = x'' WHERE rowid IN ({marks})", *rowids)  # noqa: S608
        row = self._db.row("SELECT rowid FROM patients WHERE patient_id = ?", patient_id)
        if row is not None:
            self._db.run("DELETE FROM found_by WHERE patient = ?", row[0])
            self._db.run("DELETE FROM patients WHERE patient_id = ?", patient_id)
            self._db.run("UPDATE erased SET person = 1 WHERE name = ?", name_of(patient_id))
        self._forget_words(patient_id)

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

    def _forget_words(self, identifier: str) -> None:
        """Half-filled forms and replies that name it."""
        self._db.run("DELETE FROM drafts WHERE instr(key, ?) OR instr(body, ?)", identifier, identifier)
        self._replies.forget(identifier)


def erase_due(journal: "Journal", at: Instant) -> bool:
    """Erase what may go now, and say so in the log; whether anything was said. On the writer's thread."""
    if not journal.erasing.is_due():
        return False
    names, withdrawn = journal.erasing.run()
    journal.media.taken_back(withdrawn)
    for first in range(0, len(names), NAMES_MAX):
        journal.record((ev.ErasureDone(names[first : first + NAMES_MAX]),), "", at)
    return bool(names)

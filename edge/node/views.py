"""Reading the records: patients, visits, queue, search, drafts, staff, and how far each item has come.

Works on one connection; writers call the ``put_`` methods inside their own transaction, readers have
a connection of their own. What is shown about sync is computed from real acknowledgements.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from edge.model import spoken, stock
from edge.model.events import (
    KIND_OF,
    KINDS,
    Entry,
    Event,
    StaffListed,
    StaffPublished,
    Unknown,
    VisitAssigned,
    event_of,
)
from edge.model.fold import Patient, Visit
from edge.model.progress import Carried, ItemLine, Line, item_lines, visit_line
from edge.model.queue import stays
from edge.model.records import OPEN_STATES, STANDING_STATES, Role
from edge.model.watched import LinkWatched

from . import media_rows
from .carried import lines_behind
from .database import Database
from .expected import Expected
from .search import SearchIndex


class Staff(msgspec.Struct, frozen=True):
    """A staff member."""

    staff_id: str
    name: str
    name_hi: str
    role: Role
    has_pin: bool = True
    """False: came back to a replaced node by name; needs a new badge and PIN before the first log-in."""


class Draft(msgspec.Struct, frozen=True):
    """Something typed and not sent yet; ``body`` is JSON text made by the tablet."""

    key: str
    body: str
    revision: int
    staff_id: str
    saved_ms: int


DRAFTS_MAX = 1_000
"""So many half-filled forms are kept, the latest; a clinic has a few at a time."""

_patient = msgspec.msgpack.Decoder(Patient)
_visit = msgspec.msgpack.Decoder(Visit)
_entry = msgspec.msgpack.Decoder(Entry)
_encode = msgspec.msgpack.Encoder().encode
_OPEN = ",".join(f"'{state.value}'" for state in sorted(OPEN_STATES))
STANDING_MOST_MS = 30 * 24 * 3600 * 1000
"""What nobody has closed for so long leaves the lists; it stays in the record."""
_STANDING = ",".join(f"'{state.value}'" for state in sorted(STANDING_STATES))


OF_STAFF = f"kind = {KIND_OF[StaffListed]}"
"""Entries that say who works here: each opening asks for them, and they are few in a long log."""


def make_tables(db: Database) -> None:
    """The tables of ``records.db``."""
    db.table("meta", {"name": str, "value": bytes}, "name", [])
    entry = {"run": bytes, "stream": int, "seq": int, "raw": bytes}
    more = {"c": bytes, "h": bytes, "stamp": int, "kind": int, "visit_id": str}
    db.table("entries", {**entry, **more}, ("run", "stream", "seq"), [["visit_id"], ["stamp"]])
    db.index_some("entries", "stamp", OF_STAFF)
    db.table("hub_entries", {**entry, "visit_id": str}, ("run", "stream", "seq"), [["visit_id"]])
    said = {"seq": int, "run": bytes, "first_seq": int, "last_seq": int, "payload": bytes, "signature": bytes}
    db.table("hub_said", said, "seq", [["run", "first_seq"]])
    wanted = {"run": bytes, "stream": int, "first_seq": int, "last_seq": int, "cls": int}
    db.table("wanted", wanted, ("run", "stream", "first_seq", "last_seq"), [])
    db.table("logs", {"run": bytes, "stream": int, "sealed_upto": int, "head_due": int}, ("run", "stream"), [])
    db.table(
        "bundles",
        {
            "ref": bytes,
            "run": bytes,
            "stream": int,
            "first_seq": int,
            "last_seq": int,
            "cls": int,
            "level": int,
            "level_ms": int,
            "quarantined": int,
        },
        "ref",
        [["run", "stream", "first_seq"], ["run", "stream", "last_seq"], ["level"]],
    )
    db.table("heard", {"ref": bytes, "at_ms": int}, "ref", [])
    db.table("erased", {"name": bytes, "done": int, "person": int}, "name", [["done"]])
    db.table("commands", {"command_id": str, "reply": bytes}, "command_id", [])
    db.table(
        "patients",
        {"patient_id": str, "body": bytes, "seen_ms": int},
        "patient_id",
        [["seen_ms"]],
    )
    SearchIndex.make_table(db)
    Expected.make_table(db)
    db.table(
        "visits",
        {
            "visit_id": str,
            "patient_id": str,
            "state": str,
            "token_day": int,
            "token_serial": int,
            "opened_ms": int,
            "salt": bytes,
            "body": bytes,
        },
        "visit_id",
        [["patient_id"], ["state"], ["token_day"], ["opened_ms"]],
    )
    db.table(
        "drafts", {"key": str, "body": str, "revision": int, "staff_id": str, "saved_ms": int}, "key", [["staff_id"]]
    )
    db.table(
        "staff",
        {"staff_id": str, "name": str, "name_hi": str, "role": str, "salt": bytes, "verifier": bytes},
        "staff_id",
        [],
    )
    move = {"drug_id": str, "stamp": int, "units": int, "counted": int}
    db.table("stock", move, ("drug_id", "stamp"), [])
    watched = {"day": int, "part": bytes, "ran_s": int, "offline_s": int}
    db.table("watched", watched, ("day", "part"), [])
    media_rows.make_tables(db)


class Views:
    """Queries and writes of the folded records on one connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.media = media_rows.MediaRows(db)
        self.finder = SearchIndex(db)
        self.expected = Expected(db)

    # -- patients and visits ----------------------------------------------------------------------

    def clear(self) -> None:
        """Forget what is folded from the entries; drafts and staff are no such thing and stay."""
        self._db.run("DELETE FROM patients")
        self._db.run("DELETE FROM visits")
        self._db.run("DELETE FROM stock")
        self._db.run("DELETE FROM watched")
        self.finder.clear()
        self.expected.clear()

    def patient(self, patient_id: str) -> Patient | None:
        """A patient as the last entry left her."""
        row = self._db.row("SELECT body FROM patients WHERE patient_id = ?", patient_id)
        return _patient.decode(row[0]) if row else None

    def put_patient(self, patient: Patient) -> None:
        """Write a patient's folded state and what she is found by."""
        known = self._db.run("UPDATE patients SET body = ? WHERE patient_id = ?", _encode(patient), patient.patient_id)
        if not known:
            sql = "INSERT INTO patients (patient_id, body, seen_ms) VALUES (?, ?, ?)"
            self._db.run(sql, patient.patient_id, _encode(patient), patient.registered_ms)
        self.finder.put(patient)

    def count_patients(self) -> int:
        """Patients registered here so far, those whose names were erased with them: no number is given twice."""
        row = self._db.row("SELECT (SELECT count(*) FROM patients) + (SELECT count(*) FROM erased WHERE person = 1)")
        return int(row[0]) if row else 0

    def visit(self, visit_id: str) -> Visit | None:
        """A visit as the entries left it."""
        row = self._db.row("SELECT body FROM visits WHERE visit_id = ?", visit_id)
        return _visit.decode(row[0]) if row else None

    def put_visit(self, visit: Visit, salt: bytes | None) -> None:
        """Write a visit's folded state; ``salt`` with its opening."""
        self._db.run(
            "INSERT INTO visits (visit_id, patient_id, state, token_day, token_serial, opened_ms, salt, body) "
            "VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (visit_id) DO UPDATE SET state = excluded.state, "
            "token_day = excluded.token_day, token_serial = excluded.token_serial, body = excluded.body",
            visit.visit_id,
            visit.patient_id,
            visit.state.value,
            visit.token_day,
            visit.token_serial,
            visit.opened_ms,
            salt or b"",
            _encode(visit),
        )
        self.expected.put(visit)
        if salt is not None:
            self._db.run(
                "UPDATE patients SET seen_ms = max(seen_ms, ?) WHERE patient_id = ?", visit.opened_ms, visit.patient_id
            )

    def salt(self, visit_id: str) -> bytes | None:
        """The salt of a visit's hashes."""
        row = self._db.row("SELECT salt FROM visits WHERE visit_id = ?", visit_id)
        return row[0] if row else None

    def visits_of(self, patient_id: str) -> list[Visit]:
        """A patient's visits, latest first."""
        rows = self._db.rows("SELECT body FROM visits WHERE patient_id = ? ORDER BY opened_ms DESC", patient_id)
        return [_visit.decode(row[0]) for row in rows]

    def open_visits(self, since_ms: int) -> list[Visit]:
        """Visits that are not closed and were opened after ``since_ms``, in the order of their opening."""
        rows = self._db.rows(
            f"SELECT body FROM visits WHERE state IN ({_OPEN}) AND opened_ms >= ? ORDER BY opened_ms",  # noqa: S608
            since_ms,
        )
        return [_visit.decode(row[0]) for row in rows]

    def standing_visits(self, since_ms: int) -> list[Visit]:
        """:meth:`open_visits`, and before them those with a token that still stay (:func:`edge.model.queue.stays`):
        a case of Saturday that is answered on Monday must be found, printed and closed."""
        sql = (
            f"SELECT body FROM visits WHERE state IN ({_STANDING}) AND opened_ms BETWEEN ? AND ? "  # noqa: S608
            "ORDER BY opened_ms"
        )
        older = [_visit.decode(row[0]) for row in self._db.rows(sql, since_ms - STANDING_MOST_MS, since_ms - 1)]
        return [visit for visit in older if stays(visit, since_ms)] + self.open_visits(since_ms)

    def absent_visits(self, day: int) -> list[Visit]:
        """Visits of that day's tokens whose patient did not come when called, and that nobody has closed."""
        sql = "SELECT body FROM visits WHERE token_day = ? AND state = 'no_show' ORDER BY token_serial"
        return [visit for row in self._db.rows(sql, day) if not (visit := _visit.decode(row[0])).closed_ms]

    def visits_between(self, from_ms: int, until_ms: int) -> list[Visit]:
        """Visits that were opened in this time, in the order of their opening."""
        sql = "SELECT body FROM visits WHERE opened_ms >= ? AND opened_ms < ? ORDER BY opened_ms"
        return [_visit.decode(row[0]) for row in self._db.rows(sql, from_ms, until_ms)]

    def people_between(self, from_ms: int, until_ms: int) -> list[tuple[Visit, Patient]]:
        """:meth:`visits_between` with their patients; without those whose patient is not known here yet."""
        sql = (
            "SELECT v.body, p.body FROM visits v JOIN patients p ON p.patient_id = v.patient_id "
            "WHERE v.opened_ms >= ? AND v.opened_ms < ? ORDER BY v.opened_ms"
        )
        rows = self._db.rows(sql, from_ms, until_ms)
        return [(_visit.decode(visit), _patient.decode(person)) for visit, person in rows]

    def lines_behind(self, visits: Sequence[Visit], sent: frozenset[bytes]) -> dict[str, list[ItemLine]]:
        """The lines of the visits that the hub has not all of; ``sent``: bundles that have left."""
        return lines_behind(self._db, [visit.visit_id for visit in visits], sent)

    def day_serial(self, day: int) -> int:
        """The highest token serial of an Indian calendar day, or the last before a number that nobody here holds.

        A clock that was wrong by a day must not give a number that somebody who still waits has in hand.
        """
        row = self._db.row("SELECT coalesce(max(token_serial), 0) FROM visits WHERE token_day = ?", day)
        serial = int(row[0]) if row else 0
        sql = f"SELECT token_serial FROM visits WHERE token_day != ? AND state IN ({_OPEN})"  # noqa: S608
        held = {int(found[0]) for found in self._db.rows(sql, day)}
        while serial + 1 in held:
            serial += 1
        return serial

    def queue_length(self, day: int) -> int:
        """Open visits with a token of that day."""
        sql = f"SELECT count(*) FROM visits WHERE token_day = ? AND state IN ({_OPEN})"  # noqa: S608
        row = self._db.row(sql, day)
        return int(row[0]) if row else 0

    # -- the shelf ----------------------------------------------------------------------------------

    def put_move(self, move: stock.Move) -> None:
        """A line of the book; what a later count has made void is dropped."""
        self._db.run(
            "INSERT INTO stock (drug_id, stamp, units, counted) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (drug_id, stamp) DO UPDATE SET units = 0 WHERE excluded.units = 0 AND NOT counted",
            move.drug_id,
            move.stamp,
            move.units,
            int(move.counted),
        )
        self._db.run(
            "DELETE FROM stock WHERE drug_id = ? AND stamp < "
            "(SELECT coalesce(max(stamp), 0) FROM stock WHERE drug_id = ? AND counted = 1)",
            move.drug_id,
            move.drug_id,
        )

    def put_down(self, event: Event | Unknown, stamp: int) -> None:
        """What is of no visit, or of more than its own: a line of the shelf's book, a day of the link."""
        move = stock.move_of(event, stamp)
        if move is not None:
            self.put_move(move)
        if isinstance(event, LinkWatched):
            self._db.run(
                "INSERT INTO watched (day, part, ran_s, offline_s) VALUES (?, ?, ?, ?) ON CONFLICT (day, part) "
                "DO UPDATE SET ran_s = max(ran_s, excluded.ran_s), offline_s = max(offline_s, excluded.offline_s)",
                *(event.day, event.part, event.ran_s, event.offline_s),
            )

    def watched(self) -> list[LinkWatched]:
        """All that the log says of the link's days."""
        return [LinkWatched(*row) for row in self._db.rows("SELECT day, part, ran_s, offline_s FROM watched")]

    def take_back(self, event: Event | Unknown, stamp: int) -> None:
        """An own entry that was lost here has come back: :meth:`put_down`, and the list of people learns it."""
        self.put_down(event, stamp)
        if isinstance(event, StaffListed):
            self.list_staff(Staff(event.staff_id, event.name, event.name_hi, event.role, has_pin=False))

    def stock_levels(self) -> list[stock.Level]:
        """What the book says of each medicine."""
        rows = self._db.rows("SELECT drug_id, stamp, units, counted FROM stock")
        return stock.levels(stock.Move(drug_id, stamp, units, bool(counted)) for drug_id, stamp, units, counted in rows)

    def answers(self, visit: Visit) -> list[spoken.Answer]:
        """The doctors' spoken answers to a visit, as far as they are here."""
        if not visit.answers:
            return []
        rows = self._db.rows("SELECT raw FROM hub_entries WHERE visit_id = ? AND length(raw) > 0", visit.visit_id)
        events = [event_of(_entry.decode(raw)) for (raw,) in rows]
        return [spoken.put_together(one.answer_id, one.size_bytes, one.parts, events) for one in visit.answers]

    def doctors(self) -> list[tuple[str, str]]:
        """(id, name) of the doctors of whom the hub has spoken, by name."""
        found: dict[str, str] = {}
        for (raw,) in self._db.rows("SELECT raw FROM hub_entries WHERE length(raw) > 0 ORDER BY rowid"):
            event = event_of(_entry.decode(raw))
            if isinstance(event, VisitAssigned) and event.doctor_name:
                found[event.doctor_id] = event.doctor_name
            elif isinstance(event, StaffPublished) and event.role is Role.DOCTOR:
                found[event.person_id] = event.name
        return sorted(found.items(), key=lambda one: one[1])

    # -- how far it has come ------------------------------------------------------------------------

    def lines(self, visit: Visit, sent: frozenset[bytes]) -> tuple[list[ItemLine], Line]:
        """A line for each item of a visit, and its one honest line as a whole; ``sent``: bundles that have left."""
        carried = [
            Carried(kind, at_ms, bool(ref), ref in sent, level, level_ms)
            for kind, at_ms, level, level_ms, ref in self.carried(visit.visit_id)
        ]
        return item_lines(carried, visit.prescriptions), visit_line(carried, visit.seen_ms, visit.prescriptions)

    def carried(self, visit_id: str) -> list[tuple[int, int, int, int, bytes]]:
        """(kind, recorded at in ms, level, acknowledged at in ms, bundle or empty) of our entries of a visit, in order.

        The bundle is looked for from the latest back (``+`` keeps SQLite from the other index): who is asked for came
        lately, and of a long run every earlier bundle begins before an entry, few end after it.
        """
        rows = self._db.rows(
            "SELECT e.kind, e.stamp, max(b.level), b.level_ms, b.ref FROM entries e LEFT JOIN bundles b "
            "ON b.run = e.run AND b.stream = e.stream AND b.last_seq >= e.seq AND +b.first_seq <= e.seq "
            "WHERE e.visit_id = ? GROUP BY e.rowid ORDER BY e.stamp",
            visit_id,
        )
        return [
            (kind, stamp >> 16, level or 0, level_ms or 0, ref or b"") for kind, stamp, level, level_ms, ref in rows
        ]

    def lags_ms(self, from_ms: int, until_ms: int, now_ms: int) -> list[int]:
        """How long each bundle of visits (streams 1 and 2) that began in this time took until the hub first
        acknowledged it, or waits until now.

        One of which that is not known (acknowledged while the node was locked, or before it was kept) is left out.
        """
        rows = self._db.rows(
            "SELECT e.stamp, h.at_ms FROM entries e JOIN bundles b ON b.run = e.run AND b.stream = e.stream "
            "AND b.first_seq = e.seq LEFT JOIN heard h ON h.ref = b.ref WHERE e.stamp >= ? AND e.stamp < ? "
            "AND b.stream IN (1, 2) AND (b.level = 0 OR h.at_ms > 0)",
            from_ms << 16,
            until_ms << 16,
        )
        return [max(0, (heard_ms or now_ms) - (stamp >> 16)) for stamp, heard_ms in rows]

    def last_ms(self) -> int:
        """When the last entry of ours was recorded, Unix ms; 0 for none."""
        row = self._db.row("SELECT max(stamp) FROM entries")
        return (row[0] or 0) >> 16 if row else 0

    # -- for the technician ---------------------------------------------------------------------------

    def unacknowledged(self) -> list[tuple[int, bytes, int | None]]:
        """(class, bundle id, when its first entry was recorded in Unix ms) of what the hub has not acknowledged.

        None for a bundle of no entry that is here, such as a head of the log.
        """
        rows = self._db.rows(
            "SELECT b.cls, b.ref, e.stamp FROM bundles b LEFT JOIN entries e ON e.run = b.run "
            "AND e.stream = b.stream AND e.seq = b.first_seq WHERE b.level = 0"
        )
        entries = [(cls, ref, None if stamp is None else stamp >> 16) for cls, ref, stamp in rows]
        return [*entries, *self.media.waiting()]

    def quarantined(self) -> int:
        """Bundles whose contents the hub could not read; it keeps them aside."""
        row = self._db.row("SELECT count(*) FROM bundles WHERE quarantined = 1")
        return int(row[0]) if row else 0

    def unsealed(self) -> int:
        """Entries that no bundle covers yet."""
        row = self._db.row(
            "SELECT count(*) FROM entries e LEFT JOIN logs l ON l.run = e.run AND l.stream = e.stream "
            "WHERE e.seq > coalesce(l.sealed_upto, 0)"
        )
        return int(row[0]) if row else 0

    def later_kinds(self) -> dict[tuple[int, int], int]:
        """(kind, version) → number of the hub's entries that this release keeps but cannot read."""
        found: dict[tuple[int, int], int] = {}
        for (raw,) in self._db.rows("SELECT raw FROM hub_entries WHERE length(raw) > 0"):
            entry = _entry.decode(raw)
            if entry.kind not in KINDS or entry.version != 1:
                found[entry.kind, entry.version] = found.get((entry.kind, entry.version), 0) + 1
        return found

    # -- drafts --------------------------------------------------------------------------------------

    def put_draft(self, draft: Draft) -> bool:
        """Keep a draft unless this revision or a newer one is here with other words; whether it was kept."""
        changed = self._db.run(
            "INSERT INTO drafts (key, body, revision, staff_id, saved_ms) VALUES (?,?,?,?,?) ON CONFLICT (key) DO "
            "UPDATE SET body = excluded.body, revision = excluded.revision, staff_id = excluded.staff_id, "
            "saved_ms = excluded.saved_ms WHERE excluded.revision > drafts.revision "
            "OR (excluded.revision = drafts.revision AND excluded.body = drafts.body)",
            draft.key,
            draft.body,
            draft.revision,
            draft.staff_id,
            draft.saved_ms,
        )
        row = self._db.row("SELECT count(*) FROM drafts")
        if row is not None and row[0] > DRAFTS_MAX:
            sql = "DELETE FROM drafts WHERE key IN (SELECT key FROM drafts ORDER BY saved_ms DESC LIMIT -1 OFFSET ?)"
            self._db.run(sql, DRAFTS_MAX)
        return changed > 0

    def drafts(self) -> list[Draft]:
        """All drafts, latest first."""
        sql = "SELECT key, body, revision, staff_id, saved_ms FROM drafts ORDER BY saved_ms DESC LIMIT 100"
        return [Draft(*row) for row in self._db.rows(sql)]

    def draft(self, key: str) -> Draft | None:
        """One draft."""
        row = self._db.row("SELECT key, body, revision, staff_id, saved_ms FROM drafts WHERE key = ?", key)
        return Draft(*row) if row else None

    def drop_draft(self, key: str) -> None:
        """Forget a draft."""
        self._db.run("DELETE FROM drafts WHERE key = ?", key)

    # -- staff ---------------------------------------------------------------------------------------

    def put_staff(self, staff: Staff, salt: bytes, verifier: bytes) -> None:
        """Add or replace a staff member with the verifier of the PIN."""
        self._db.run(
            "INSERT OR REPLACE INTO staff (staff_id, name, name_hi, role, salt, verifier) VALUES (?,?,?,?,?,?)",
            staff.staff_id,
            staff.name,
            staff.name_hi,
            staff.role.value,
            salt,
            verifier,
        )

    def list_staff(self, staff: Staff) -> None:
        """Somebody who worked here when the records were lost; without a PIN unless one is known."""
        self._db.run(
            "INSERT OR IGNORE INTO staff (staff_id, name, name_hi, role, salt, verifier) VALUES (?,?,?,?,x'',x'')",
            staff.staff_id,
            staff.name,
            staff.name_hi,
            staff.role.value,
        )

    def staff(self) -> list[Staff]:
        """Everyone who works here, by name; who has no PIN yet cannot log in."""
        sql = "SELECT staff_id, name, name_hi, role, length(verifier) FROM staff ORDER BY name"
        return [_staff_of(row) for row in self._db.rows(sql)]

    def staff_member(self, staff_id: str) -> Staff | None:
        """One staff member."""
        sql = "SELECT staff_id, name, name_hi, role, length(verifier) FROM staff WHERE staff_id = ?"
        row = self._db.row(sql, staff_id)
        return _staff_of(row) if row else None

    def verifier(self, staff_id: str) -> tuple[bytes, bytes] | None:
        """(salt, verifier) of a staff member's PIN; None for somebody who has none."""
        row = self._db.row("SELECT salt, verifier FROM staff WHERE staff_id = ? AND verifier != x''", staff_id)
        return (row[0], row[1]) if row else None


def _staff_of(row: tuple[Any, ...]) -> Staff:
    return Staff(row[0], row[1], row[2], Role(row[3]), bool(row[4]))

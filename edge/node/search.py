"""Finding a patient while the nurse types: a table of keys beside the patients, inside SQLCipher.

What the keys are is said in :mod:`edge.model.finding`; here they are kept and looked up. The fold
writes them with the patient, ``rebuild`` makes them anew, and so does the first opening by a release
whose keys are others. Works on one connection, as :mod:`edge.node.views` does.

What may be many rows comes as one, made by SQLite: between two rows another thread takes Python's lock, and
while the node has other work each row then waits for it (8,000 rows: up to 2.4 s, measured, beside one busy thread).
"""

from collections.abc import Iterable

import msgspec

from edge.model import finding, spelling
from edge.model.fold import Patient
from edge.model.records import OPEN_STATES, Person

from .database import Database, Value

CANDIDATES_MAX = 600
"""So many patients are looked at more closely; a search that means more shows the latest of them."""
COMMON_KEYS = 8_000
"""A word that finds so many keys tells nobody apart."""
WALK_MAX = 5_000
"""A search of such words alone looks at so many patients first, the latest; at all of them when too few answer."""
ALIKE_MAX = 200
VILLAGES_MAX = 200
_LAST = "\U0010ffff"
"""Behind every key that begins alike."""
_VERSION = f"{spelling.VERSION}.1".encode()
"""Of the keys: the rules of spelling, and what else is kept here."""
_OPEN = ",".join(f"'{state.value}'" for state in sorted(OPEN_STATES))
_patient = msgspec.msgpack.Decoder(Patient)
_numbers = msgspec.json.Decoder(list[int])
_bodies = msgspec.json.Decoder(list[tuple[str, int]])


class Found(msgspec.Struct, frozen=True):
    """A patient whom a search has found."""

    patient: Patient
    seen_ms: int
    """When the last visit was opened, or the patient was registered."""
    open_visit_id: str = ""
    """The latest visit that is still open; empty when there is none."""
    open_token: str = ""


class SearchIndex:
    """Keys of patients on one connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @staticmethod
    def make_table(db: Database) -> None:
        """The table of keys, where it does not exist yet."""
        db.run(
            "CREATE TABLE IF NOT EXISTS found_by (key TEXT, patient INTEGER, PRIMARY KEY (key, patient)) WITHOUT ROWID"
        )
        db.run("CREATE INDEX IF NOT EXISTS idx_found_by_patient ON found_by (patient)")

    def clear(self) -> None:
        """Forget all keys."""
        self._db.run("DELETE FROM found_by")

    def put(self, patient: Patient) -> None:
        """Write the keys of a patient whose row is there; older ones are replaced."""
        row = self._db.row("SELECT rowid FROM patients WHERE patient_id = ?", patient.patient_id)
        assert row is not None
        self._db.run("DELETE FROM found_by WHERE patient = ?", row[0])
        village = " ".join(patient.person.village.split())
        keys = finding.keys_of(patient) | ({f"v{village}"} if village else frozenset())
        self._db.run_many("INSERT INTO found_by (key, patient) VALUES (?, ?)", [(key, row[0]) for key in sorted(keys)])

    def renew(self) -> int:
        """Make the keys anew where another release made them; of how many patients."""
        row = self._db.row("SELECT value FROM meta WHERE name = 'search_keys'")
        if row is not None and row[0] == _VERSION:
            return 0
        patients = self._db.rows("SELECT body FROM patients")
        with self._db.transaction():
            self._drop_older()
            self.clear()
            for (body,) in patients:
                self.put(_patient.decode(body))
            self._db.run("INSERT OR REPLACE INTO meta (name, value) VALUES ('search_keys', ?)", _VERSION)
        return len(patients)

    def _drop_older(self) -> None:
        """What the first releases searched in."""
        if "same" in {row[1] for row in self._db.rows("PRAGMA table_info(patients)")}:
            self._db.run("DROP INDEX IF EXISTS idx_patients_same")
            for column in ("search", "same"):
                self._db.run(f"ALTER TABLE patients DROP COLUMN {column}")

    # -- looking up ---------------------------------------------------------------------------------

    def find(self, text: str, limit: int, day: int) -> list[Found]:
        """Who answers every word of ``text``: today's token first, then by how close the name is, latest first.

        ``day``: the Indian calendar day whose tokens are meant. No words find the latest patients.
        """
        if not text.strip():
            latest = "SELECT body, seen_ms FROM patients ORDER BY seen_ms DESC LIMIT ?"
            return self._with_visits(self._db.rows(latest, limit), text, limit)
        first = self._with_visits(self._of_token(text, day), "", limit)
        words = finding.wanted(text)
        rows = self._matching(words, limit) if words and all(words) else []
        ids = {one.patient.patient_id for one in first}
        others = self._with_visits(rows, text, limit)
        return (first + [one for one in others if one.patient.patient_id not in ids])[:limit]

    def _of_token(self, text: str, day: int) -> list[tuple[bytes, int]]:
        serial = finding.token_serial(text)
        if serial is None:
            return []
        return [
            (body, seen_ms)
            for body, seen_ms in self._db.rows(
                "SELECT p.body, p.seen_ms FROM visits v JOIN patients p ON p.patient_id = v.patient_id "
                "WHERE v.token_day = ? AND v.token_serial = ?",
                day,
                serial,
            )
        ]

    def _matching(self, words: list[frozenset[str]], limit: int) -> list[tuple[bytes, int]]:
        """Rows of patients who answer all words: all of them, or the latest of many."""
        common, found = list[frozenset[str]](), None
        for word in sorted(words, key=lambda keys: -min(len(key) for key in keys)):
            if found is not None and len(found) <= CANDIDATES_MAX:
                found = self._among(found, word)
                continue
            numbers = self._numbers(word)
            if numbers is None:
                common.append(word)
            else:
                found = numbers if found is None else found & numbers
        if found is None:
            return self._walk(common, limit * 3)
        for word in common:
            found = self._among(found, word)
        if len(found) > CANDIDATES_MAX:
            found = self._latest(found, limit * 3)
        return self._rows_of(found)

    def _numbers(self, word: frozenset[str]) -> set[int] | None:
        """Row numbers of the patients who answer a word; None when it is too common to tell."""
        ranges, bounds = _ranges(word)
        found = self._all(f"SELECT patient FROM found_by WHERE {ranges} LIMIT ?", *bounds, COMMON_KEYS + 1)  # noqa: S608
        return None if len(found) > COMMON_KEYS else set(found)

    def _among(self, numbers: set[int], word: frozenset[str]) -> set[int]:
        """Which of these patients answer a word."""
        ranges, bounds = _ranges(word)
        sql = f"SELECT patient FROM found_by WHERE patient IN (SELECT value FROM json_each(?)) AND ({ranges})"  # noqa: S608
        return set(self._all(sql, _json(numbers), *bounds))

    def _latest(self, numbers: set[int], most: int) -> set[int]:
        """The patients among these who were here last."""
        # "+": along the index of days until there are enough, not by looking up each of these and sorting them
        sql = (
            "SELECT rowid AS patient FROM patients WHERE +rowid IN (SELECT value FROM json_each(?)) "
            "ORDER BY seen_ms DESC LIMIT ?"
        )
        return set(self._all(sql, _json(numbers), most))

    def _walk(self, words: list[frozenset[str]], most: int) -> list[tuple[bytes, int]]:
        """The latest patients who answer words that many answer."""
        parts, values = list[str](), list[Value]([WALK_MAX])
        for word in words:
            ranges, bounds = _ranges(word)
            parts.append(f"EXISTS (SELECT 1 FROM found_by f WHERE f.patient = p.number AND ({ranges}))")  # noqa: S608
            values += bounds
        sql = (
            "SELECT number AS patient FROM (SELECT rowid AS number FROM patients ORDER BY seen_ms DESC LIMIT ?) p "  # noqa: S608
            f"WHERE {' AND '.join(parts)} LIMIT ?"
        )
        found = self._all(sql, *values, most)
        if len(found) < most:
            found = list(self._latest(self._in_all(words), most))
        return self._rows_of(found)

    def _in_all(self, words: list[frozenset[str]]) -> set[int]:
        """Row numbers of the patients who answer every one of these words, however many answer each."""
        parts, values = list[str](), list[Value]()
        for word in words:
            ranges, bounds = _ranges(word)
            parts.append(f"SELECT patient FROM found_by WHERE {ranges}")  # noqa: S608
            values += bounds
        return set(self._all(" INTERSECT ".join(parts), *values))

    def _all(self, sql: str, *values: Value) -> list[int]:
        """The row numbers in the column ``patient`` of a query, as one row."""
        row = self._db.row(f"SELECT json_group_array(patient) FROM ({sql})", *values)  # noqa: S608
        assert row is not None
        return _numbers.decode(row[0])

    def _rows_of(self, numbers: Iterable[int]) -> list[tuple[bytes, int]]:
        sql = (
            "SELECT json_group_array(json_array(hex(body), seen_ms)) FROM patients "
            "WHERE rowid IN (SELECT value FROM json_each(?))"
        )
        row = self._db.row(sql, _json(numbers))
        assert row is not None
        return [(bytes.fromhex(body), seen_ms) for body, seen_ms in _bodies.decode(row[0])]

    def _with_visits(self, rows: list[tuple[bytes, int]], text: str, limit: int) -> list[Found]:
        """The closest of the rows, each with the visit that is still open."""
        found = [Found(_patient.decode(body), seen_ms) for body, seen_ms in rows]
        found.sort(key=lambda one: (finding.closeness(text, one.patient), -one.seen_ms))
        found = found[:limit]
        marks = ",".join("?" * len(found))
        sql = (
            "SELECT patient_id, visit_id, body FROM visits "  # noqa: S608
            f"WHERE patient_id IN ({marks}) AND state IN ({_OPEN}) ORDER BY opened_ms"
        )
        here = {row[0]: row for row in self._db.rows(sql, *(one.patient.patient_id for one in found))}
        return [
            msgspec.structs.replace(one, open_visit_id=row[1], open_token=_token.decode(row[2]).token)
            if (row := here.get(one.patient.patient_id))
            else one
            for one in found
        ]

    def alike(self, person: Person, at_ms: int) -> list[Patient]:
        """Who may be this person already, the latest first (:func:`edge.model.finding.may_be_same`)."""
        first, village = (
            [f"w{key}" for word in spelling.words_of(text)[:1] for key in spelling.sound_keys(word)]
            for text in (person.name, person.village)
        )
        numbers = [f"d{number}" for number in (person.mobile, person.abha_number) if number]
        both = " INTERSECT ".join(
            f"SELECT patient FROM found_by WHERE key IN ({','.join('?' * len(keys))})"  # noqa: S608
            for keys in (first, village)
            if keys
        )
        ids = {row[0] for row in self._db.rows(f"{both} LIMIT ?", *first, *village, ALIKE_MAX)} if first else set()
        for number in numbers:
            ids |= {row[0] for row in self._db.rows("SELECT patient FROM found_by WHERE key = ?", number)}
        rows = sorted(self._rows_of(ids), key=lambda row: -row[1])
        patients = [_patient.decode(body) for body, _ in rows]
        return [one for one in patients if finding.may_be_same(person, one, at_ms)][:10]

    def villages(self) -> list[tuple[str, int]]:
        """(name, patients from there), the most named first."""
        sql = (
            "SELECT key, count(*) FROM found_by WHERE key >= 'v' AND key < 'w' GROUP BY key ORDER BY 2 DESC, 1 LIMIT ?"
        )
        return [(key[1:], count) for key, count in self._db.rows(sql, VILLAGES_MAX)]


class _TokenOf(msgspec.Struct):
    token: str = ""


_token = msgspec.msgpack.Decoder(_TokenOf)


def _json(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()


def _ranges(keys: frozenset[str]) -> tuple[str, list[Value]]:
    """The condition "key begins with one of these", and its values."""
    ordered = sorted(keys)
    bounds: list[Value] = [bound for key in ordered for bound in (key, key + _LAST)]
    return " OR ".join(["key >= ? AND key < ?"] * len(ordered)), bounds

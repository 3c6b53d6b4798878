"""Which visits may put somebody on the list of who is due, and on which days: looked up by the day, not by reading all.

A clinic of 200 visits a day has 24,000 within the time that a follow-up may be set for; each holds its prescriptions.
Derived from the visits like every view. Blocking.
"""

import msgspec

from edge.model.due import window
from edge.model.fold import Visit

from .database import Database

_VERSION = b"1"
"""Of the rule of :func:`edge.model.due.window`."""
_visit = msgspec.msgpack.Decoder(Visit)


class Expected:
    """Days of visits on one connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @staticmethod
    def make_table(db: Database) -> None:
        """The table, where it does not exist yet."""
        row = {"visit_id": str, "patient_id": str, "first_day": int, "last_day": int}
        db.table("expected", row, "visit_id", [["last_day", "first_day"]])

    def clear(self) -> None:
        """Forget all."""
        self._db.run("DELETE FROM expected")

    def drop(self, visit_id: str) -> None:
        """Forget a visit."""
        self._db.run("DELETE FROM expected WHERE visit_id = ?", visit_id)

    def put(self, visit: Visit) -> None:
        """Keep the days of a visit as it stands now, or none."""
        days = window(visit)
        if days is None:
            self.drop(visit.visit_id)
            return
        sql = "INSERT OR REPLACE INTO expected (visit_id, patient_id, first_day, last_day) VALUES (?, ?, ?, ?)"
        self._db.run(sql, visit.visit_id, visit.patient_id, *days)

    def patients(self, day: int) -> list[str]:
        """Patients of whom a visit may be due on an Indian day number."""
        sql = "SELECT DISTINCT patient_id FROM expected WHERE last_day >= ? AND first_day <= ? ORDER BY patient_id"
        return [row[0] for row in self._db.rows(sql, day, day)]

    def renew(self) -> None:
        """Find the days of all visits where another release has kept none, or by another rule."""
        row = self._db.row("SELECT value FROM meta WHERE name = 'expected'")
        if row is not None and row[0] == _VERSION:
            return
        with self._db.transaction():
            self.clear()
            for (rowid,) in self._db.rows("SELECT rowid FROM visits"):  # one at a time: bodies of years are large
                body = self._db.row("SELECT body FROM visits WHERE rowid = ?", rowid)
                assert body is not None
                self.put(_visit.decode(body[0]))
            self._db.run("INSERT OR REPLACE INTO meta (name, value) VALUES ('expected', ?)", _VERSION)

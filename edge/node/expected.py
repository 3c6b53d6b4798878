"""Who is due, looked up by the day and a page at a time, not by reading all.

A clinic of 200 visits a day has 24,000 within the time that a follow-up may be set for; each holds its prescriptions.
Derived from the visits like every view. Blocking.
"""

import msgspec

from edge.model.due import AHEAD_DAYS, BACK_DAYS, DueWhy, lines
from edge.model.fold import Visit

from .database import Database, Value

_VERSION = b"2"
"""Of the rule of :func:`edge.model.due.lines`, and of the table."""
_visit = msgspec.msgpack.Decoder(Visit)


class Expected:
    """Lines of the list on one connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @staticmethod
    def make_table(db: Database) -> None:
        """The table, where it does not exist yet."""
        row = {"visit_id": str, "why": str, "patient_id": str, "day": int, "stands": int}
        db.table("due_lines", row, ("visit_id", "why"), [["stands", "why", "day", "visit_id"], ["patient_id"]])

    def clear(self) -> None:
        """Forget all."""
        self._db.run("DELETE FROM due_lines")

    def drop(self, visit_id: str) -> None:
        """Forget a visit."""
        self._db.run("DELETE FROM due_lines WHERE visit_id = ?", visit_id)

    def put(self, visit: Visit) -> None:
        """Keep the lines of a visit whose row is there, as it is now; it may end the follow-up of the one before."""
        self.drop(visit.visit_id)
        for line in lines(visit):
            sql = "INSERT INTO due_lines (visit_id, why, patient_id, day, stands) VALUES (?, ?, ?, ?, 1)"
            self._db.run(sql, visit.visit_id, line.why.value, visit.patient_id, line.day)
        last = (
            "SELECT visit_id FROM visits WHERE patient_id = ? AND state != 'cancelled' "
            "ORDER BY opened_ms DESC, visit_id DESC LIMIT 1"
        )
        self._db.run(
            f"UPDATE due_lines SET stands = (visit_id = ({last})) WHERE patient_id = ? AND why = ?",  # noqa: S608
            *(visit.patient_id, visit.patient_id, DueWhy.FOLLOW_UP.value),
        )

    def days(self, today: int, why: DueWhy) -> list[tuple[int, int]]:
        """(Indian day number, people) of the list of ``today``, the longest ago first."""
        sql = (
            "SELECT day, count(*) FROM due_lines WHERE stands = 1 AND why = ? AND day BETWEEN ? AND ? "
            "GROUP BY day ORDER BY day"
        )
        return [(day, count) for day, count in self._db.rows(sql, why.value, today - BACK_DAYS, today + AHEAD_DAYS)]

    def page(self, today: int, why: DueWhy, day: int | None, skip: int, most: int) -> list[tuple[str, str]]:
        """(visit, patient) of ``most`` lines behind the first ``skip``, by day; ``day``: of that one only."""
        first, last = (today - BACK_DAYS, today + AHEAD_DAYS) if day is None else (day, day)
        values: tuple[Value, ...] = (
            why.value,
            max(first, today - BACK_DAYS),
            min(last, today + AHEAD_DAYS),
            most,
            skip,
        )
        sql = (
            "SELECT visit_id, patient_id FROM due_lines WHERE stands = 1 AND why = ? AND day BETWEEN ? AND ? "
            "ORDER BY day, visit_id LIMIT ? OFFSET ?"
        )
        return [(visit_id, patient_id) for visit_id, patient_id in self._db.rows(sql, *values)]

    def renew(self) -> None:
        """Find the lines of all visits where another release has kept none, or by another rule."""
        row = self._db.row("SELECT value FROM meta WHERE name = 'expected'")
        if row is not None and row[0] == _VERSION:
            return
        with self._db.transaction():
            self._db.run("DROP TABLE IF EXISTS expected")  # of the releases before
            self.clear()
            for (rowid,) in self._db.rows("SELECT rowid FROM visits"):  # one at a time: bodies of years are large
                body = self._db.row("SELECT body FROM visits WHERE rowid = ?", rowid)
                assert body is not None
                self.put(_visit.decode(body[0]))
            self._db.run("INSERT OR REPLACE INTO meta (name, value) VALUES ('expected', ?)", _VERSION)

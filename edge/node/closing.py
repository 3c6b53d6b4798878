"""Closing the day: its register, and what is still waiting and why. Reads; changes nothing."""

import csv
import io

from msgspec import Struct

from edge.model.clock import clock_text, day_of, day_start_ms, day_text
from edge.model.fold import Visit
from edge.model.register import DayVisit, RegisterRow, Totals, Unfinished, register_rows, totals, unfinished
from edge.slips.register import render_register

from .clinic import Clinic
from .here import QUEUE_DAYS_MS
from .live import Link
from .views import Views

COLUMNS = (
    *("serial", "token", "time_in", "time_out", "name", "age", "sex", "village", "new_or_old", "complaints", "triage"),
    *("bp_mmhg", "sugar_mgdl", "diagnosis", "icd10", "provisional", "doctor", "mode", "given", "referred_to"),
    *("follow_up", "state", "worker"),
)
"""Of the CSV file, in the order of forms.md §9."""


class Day(Struct, frozen=True):
    """A day as it is shown at its closing."""

    day: str
    """YYYY-MM-DD, Indian calendar."""
    site_name: str
    site_code: str
    demo: bool
    time_trusted: bool
    """False: whether this was the day is not sure."""
    rows: list[RegisterRow]
    totals: list[Totals]
    unfinished: list[Unfinished]
    """Of this day and, for today, of visits before it that are still open."""
    workers: dict[str, str]
    """Staff id → name, of those who stand in the rows."""
    link: Link


class Closing:
    """What the closing page asks of one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def day(self, day: int | None) -> Day:
        """A day by its number (:func:`edge.model.clock.day_of`); None is today. Raises Locked."""
        clinic, now = self._clinic, self._clinic.clock.now()
        today = day_of(now.wall_ms)
        asked = today if day is None else day

        def load(views: Views) -> tuple[list[DayVisit], list[DayVisit], dict[str, str]]:
            start_ms = day_start_ms(asked)
            of_day = views.visits_between(start_ms, day_start_ms(asked + 1))
            earlier = views.standing_visits(now.wall_ms - QUEUE_DAYS_MS) if asked == today else []
            before = [visit for visit in earlier if visit.opened_ms < start_ms]
            found = {visit.visit_id: views.patient(visit.patient_id) for visit in (*of_day, *before)}

            def known(visits: list[Visit]) -> list[DayVisit]:
                return [DayVisit(one, patient) for one in visits if (patient := found[one.visit_id]) is not None]

            return known(of_day), known(before), {one.staff_id: one.name for one in views.staff()}

        of_day, before, names = await clinic.store.read(load)
        waiting = [
            DayVisit(one.visit, one.patient, tuple((await clinic.lines(one.visit))[0])) for one in before + of_day
        ]
        rows = register_rows(of_day, asked)
        return Day(
            day_text(asked),
            clinic.config.site.name,
            clinic.config.site.code,
            clinic.config.demo,
            now.trusted,
            rows,
            totals(of_day),
            unfinished(waiting),
            {row.worker: names.get(row.worker, row.worker) for row in rows},
            await clinic.link_state(),
        )


def as_pdf(day: Day) -> bytes:
    """The register as it is printed and signed, with what is still waiting. Blocking."""
    return render_register(
        f"{day.site_name} ({day.site_code})",
        day.day,
        day.rows,
        day.totals,
        day.unfinished,
        day.workers,
        demo=day.demo,
        sure=day.time_trusted,
    )


def as_csv(day: Day) -> bytes:
    """The register as a spreadsheet takes it: UTF-8 with a mark, commas, CRLF (RFC 4180); no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in day.rows:
        cells = (
            *(row.serial, row.token, clock_text(row.in_ms), clock_text(row.out_ms), row.name, row.age, row.sex.value),
            *(row.village, "new" if row.new else "old", "; ".join(row.complaints), row.colour, row.bp, row.sugar),
            *(row.diagnosis, row.diagnosis_code, "yes" if row.provisional else "", row.doctor, row.mode),
            *("; ".join(row.given), row.referred_to, row.follow_up, row.state.value, day.workers[row.worker]),
        )
        writer.writerow([_no_formula(str(cell)) for cell in cells])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _no_formula(cell: str) -> str:
    """A cell that a spreadsheet would compute is marked as text."""
    return "'" + cell if cell[:1] in tuple("=+-@\t\r") else cell

"""Closing the day: its register, and what is still waiting and why. Reads; changes nothing."""

import csv
import io

from msgspec import Struct

from edge.model.clock import clock_text, day_of, day_start_ms, day_text
from edge.model.fold import Visit
from edge.model.progress import ItemLine
from edge.model.register import DayVisit, RegisterRow, Totals, Unfinished, register_rows, totals, unfinished
from edge.slips.register import render_register

from .clinic import Clinic
from .here import QUEUE_DAYS_MS
from .live import Link
from .media import line_of
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

        sent, config, link = frozenset(clinic.sent), clinic.config, await clinic.link_state()

        def load(views: Views) -> Day:
            start_ms = day_start_ms(asked)
            found = views.people_between(start_ms, day_start_ms(asked + 1))
            earlier = views.standing_visits(now.wall_ms - QUEUE_DAYS_MS) if asked == today else []
            before = [visit for visit in earlier if visit.opened_ms < start_ms]
            waiting = [(one, patient) for one in before if (patient := views.patient(one.patient_id)) is not None]
            lines = _lines(views, [visit for visit, _ in waiting + found], sent)
            of_day = [DayVisit(visit, patient, lines[visit.visit_id]) for visit, patient in found]
            older = [DayVisit(visit, patient, lines[visit.visit_id]) for visit, patient in waiting]
            rows, names = register_rows(of_day, asked), {one.staff_id: one.name for one in views.staff()}
            return Day(
                day_text(asked),
                config.site.name,
                config.site.code,
                config.demo,
                now.trusted,
                rows,
                totals(of_day),
                unfinished(older + of_day),
                {row.worker: names.get(row.worker, row.worker) for row in rows},
                link,
            )

        return await clinic.store.read(load)


def _lines(views: Views, visits: list[Visit], sent: frozenset[bytes]) -> dict[str, tuple[ItemLine, ...]]:
    """What of each visit may not be at the hub: its entries, where one is not, and its photos."""
    behind = views.lines_behind(visits, sent)
    return {
        visit.visit_id: (
            *behind.get(visit.visit_id, ()),
            *(
                line_of(item, views.media.progress(item.blob_id, item.chunks), sent)
                for item in visit.media
                if not item.removed_ms
            ),
        )
        for visit in visits
    }


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

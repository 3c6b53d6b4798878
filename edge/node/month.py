"""A month's report of one clinic: loaded from the records, as a page, as CSV. Reads; changes nothing."""

import csv
import io
from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from edge.model.clock import day_of, day_start_ms, day_text, iso_day
from edge.model.errors import BadInput
from edge.model.fold import Visit
from edge.model.month import Month, month
from edge.model.register import DayVisit
from edge.model.watched import LinkWatched, watched
from edge.slips.month import SECTIONS, MonthPage, figures, labels, month_page, value_text

from .clinic import Clinic
from .views import Views


class MonthFound(Struct, frozen=True):
    """A month's figures with where and when."""

    month: str
    """YYYY-MM, Indian calendar."""
    figures: Month
    over: bool
    sure: bool


def days_of(text: str) -> tuple[int, int]:
    """The first day of a month YYYY-MM and the first of the next, as Indian day numbers. Raises BadInput."""
    first = iso_day(f"{text}-01")
    if first is None:
        raise BadInput("There is no such month.", field="month")
    year, number = int(text[:4]), int(text[5:])
    after = iso_day(date(year + number // 12, number % 12 + 1, 1).isoformat()) if year < 9999 else None
    if after is None:
        raise BadInput("There is no such month.", field="month")
    return first, after


async def load_month(clinic: Clinic, text: str, untold: Sequence[LinkWatched] = ()) -> MonthFound:
    """A month by its name; "" is the present one. Raises BadInput, Locked.

    ``untold``: days of the link that the log does not hold yet.
    """
    now = clinic.clock.now()
    asked = text or day_text(day_of(now.wall_ms))[:7]
    first, after = days_of(asked)

    def load(views: Views) -> tuple[list[DayVisit], dict[str, list[Visit]], list[int], list[LinkWatched]]:
        start_ms = day_start_ms(first)
        visits = views.visits_between(start_ms, day_start_ms(after))
        patients = {one: found for one in {v.patient_id for v in visits} if (found := views.patient(one)) is not None}
        rows = [DayVisit(one, patients[one.patient_id]) for one in visits if one.patient_id in patients]
        expecting = {one.patient_id for one in visits if one.history is not None and one.history.pregnant}
        earlier = {one: [v for v in views.visits_of(one) if v.opened_ms < start_ms] for one in expecting}
        return rows, earlier, views.lags_ms(start_ms, day_start_ms(after), now.wall_ms), views.watched()

    rows, earlier, lags_ms, told = await clinic.store.read(load)
    figures_ = month(rows, earlier, lags_ms, watched((*told, *untold), first, after))
    return MonthFound(asked, figures_, day_of(now.wall_ms) >= after, now.trusted)


def page_of(clinic: Clinic, found: MonthFound) -> MonthPage:
    """The report as it is shown and printed. Blocking at its first call."""
    site = clinic.config.site
    return month_page(
        found.figures,
        f"{site.name} ({site.code})",
        found.month,
        demo=clinic.config.demo,
        sure=found.sure,
        over=found.over,
    )


def as_csv(clinic: Clinic, found: MonthFound) -> bytes:
    """The figures as a spreadsheet takes them: UTF-8 with a mark, commas, CRLF (RFC 4180). An empty cell was not
    recorded; ``since``: from which day a figure counts, where that is not the whole month. Blocking at its first
    call."""
    words, text = labels(), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("site", "month", "section", "code", "line", "line_hi", "value", "since"))
    for section in SECTIONS:
        for one in figures(found.figures, section):
            hindi, english = words.lines[one.code]
            row = (
                clinic.config.site.code,
                found.month,
                section,
                one.code,
                english,
                hindi,
                value_text(one.value),
                one.since,
            )
            writer.writerow(row)
    for total in found.figures.totals:
        for name, count in (*zip(_bands(), total.bands, strict=True), ("unknown", total.unknown), ("all", total.all)):
            row = (clinic.config.site.code, found.month, "sex_age", f"{total.sex.value}:{name}", "", "", str(count), "")
            writer.writerow(row)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _bands() -> tuple[str, ...]:
    return ("0-4", "5-14", "15-29", "30-59", "60+")

"""Figures of many visits, for whoever answers for a district: by day and place or doctor, nothing about one person.

A visit counts on the Indian day on which it got its token. Answered is when a doctor's call began or the first
prescription was signed, whichever came first; a record that was only opened is not answered. The mode is what both
sides measured (:func:`edge.model.prescription.achieved_mode`). Made-up patients count only when asked for. Only reads.
"""

import csv
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from math import ceil, floor
from typing import IO

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from edge.model.clock import day_of, day_start_ms, day_text
from edge.model.fold import Visit
from edge.model.prescribing import achieved_mode
from edge.model.records import Mode, VisitState

from .directory import Site
from .rota.store import WaitFigures
from .store.schema import blob_chunks, blobs, entries, visits

WITHIN_MIN = (15, 30, 60)
CHUNK = 500
COARSE = 5
WAITS_FROM = 10
"""Visits from which a wait is shown to somebody who sees coarse figures only."""
NO_SIZES: Mapping[str, int] = {}
_visit = msgspec.msgpack.Decoder(Visit)


class By(StrEnum):
    """What a line is about, beside its day."""

    ALL = "all"
    NODE = "node"
    BLOCK = "block"
    DISTRICT = "district"
    DOCTOR = "doctor"


class Line(Struct, frozen=True):
    """One line of the sheet, in the order of its columns."""

    day: str
    """YYYY-MM-DD; a month is YYYY-MM."""
    of: str
    """Site code, ``district / block``, district or doctor; empty for all."""
    visits: int
    cumulative: int
    """Visits of this line's place or doctor since the first day that was asked for."""
    patients: int
    red: int
    yellow: int
    green: int
    not_triaged: int
    video: int
    audio: int
    text: int
    """Answered without a call that carried sound: cases, and calls that failed."""
    unanswered: int
    within_15_min: int
    within_30_min: int
    within_60_min: int
    wait_p50_min: float | None
    """None where it would be about few people."""
    wait_p90_min: float | None
    video_min: float
    """Minutes in which a doctor saw a picture, as the doctor's side measured them."""
    audio_min: float
    prescriptions: int
    referred: int
    no_shows: int
    kilobytes: int = 0
    """What came for these visits: entries as they arrived, and photos and notes as they lie here."""


class _Sum:
    """What one line adds up."""

    def __init__(self) -> None:
        self.visits = self.unanswered = self.prescriptions = self.referred = self.no_shows = 0
        self.patients: set[str] = set()
        self.colours: dict[str, int] = {}
        self.modes: dict[Mode, int] = {}
        self.waits_min: list[float] = []
        self.video_s = self.audio_s = 0.0
        self.size_bytes = 0

    def add(self, visit: Visit, size_bytes: int) -> None:
        self.visits += 1
        self.size_bytes += size_bytes
        self.patients.add(visit.patient_id)
        self.colours[visit.colour.value] = self.colours.get(visit.colour.value, 0) + 1
        answered_ms = answered_at(visit)
        if answered_ms:
            mode = achieved_mode(visit.calls)
            self.modes[mode] = self.modes.get(mode, 0) + 1
            self.waits_min.append(max(answered_ms - visit.queued_ms, 0) / 60_000)
        else:
            self.unanswered += 1
        seen = [call for call in visit.calls if call.side == "doctor"]
        self.video_s += sum(call.video_s for call in seen)
        self.audio_s += sum(call.audio_s for call in seen)
        self.prescriptions += len(visit.prescriptions)
        self.referred += visit.state is VisitState.REFERRED
        self.no_shows += len(visit.no_shows_ms)

    def line(self, day: str, of: str, cumulative: int) -> Line:
        waits = sorted(self.waits_min)
        within = [sum(wait <= limit for wait in waits) for limit in WITHIN_MIN]
        colours, modes = self.colours, self.modes
        return Line(
            day=day,
            of=of,
            visits=self.visits,
            cumulative=cumulative,
            patients=len(self.patients),
            red=colours.get("red", 0),
            yellow=colours.get("yellow", 0),
            green=colours.get("green", 0),
            not_triaged=colours.get("not_triaged", 0),
            video=modes.get(Mode.VIDEO, 0),
            audio=modes.get(Mode.AUDIO, 0),
            text=modes.get(Mode.TEXT, 0),
            unanswered=self.unanswered,
            within_15_min=within[0],
            within_30_min=within[1],
            within_60_min=within[2],
            wait_p50_min=percentile(waits, 50),
            wait_p90_min=percentile(waits, 90),
            video_min=round(self.video_s / 60, 1),
            audio_min=round(self.audio_s / 60, 1),
            prescriptions=self.prescriptions,
            referred=self.referred,
            no_shows=self.no_shows,
            kilobytes=round(self.size_bytes / 1000),
        )


TOTALLED = ("visits", "unanswered", "within_30_min", "prescriptions", "referred", "video_min")


def totals(sheet: Iterable[Line]) -> dict[str, float]:
    """The sums of :data:`TOTALLED` over all lines."""
    lines_ = list(sheet)
    return {name: round(sum(getattr(line, name) for line in lines_), 1) for name in TOTALLED}


def coarse_totals(exact: Mapping[str, float]) -> dict[str, float]:
    """The same for somebody who sees coarse figures: rounded once, not the sum of what was rounded."""
    return {name: _to_fives(value) for name, value in exact.items()}


def coarse(sheet: Iterable[Line]) -> list[Line]:
    """The sheet for somebody who may know no single person: each number to the nearest five, no waits of few visits.

    Sums are rounded as they are, not summed of what was rounded. A line of next to nobody is left out.
    """
    rounded = [
        msgspec.structs.replace(
            line,
            **{name: _to_fives(value) for name, value in msgspec.structs.asdict(line).items() if name in _COUNTED},
            **({} if line.visits >= WAITS_FROM else {"wait_p50_min": None, "wait_p90_min": None}),
        )
        for line in sheet
    ]
    return [line for line in rounded if line.visits]


def coarse_waits(exact: WaitFigures) -> WaitFigures:
    """Waits for the same person: people in fives, and no figure of few of them."""
    taken, told = exact.taken >= WAITS_FROM, exact.told >= WAITS_FROM
    return WaitFigures(
        _to_fives(exact.waiting),
        _to_fives(exact.taken),
        exact.wait_median_s if taken else None,
        exact.wait_p90_s if taken else None,
        _to_fives(exact.told),
        exact.error_median_s if told else None,
        exact.error_p90_s if told else None,
        exact.held_share if told else None,
    )


def _to_fives(value: float) -> int:
    return COARSE * floor(value / COARSE + 0.5)


_COUNTED = frozenset(Line.__struct_fields__) - {"day", "of", "wait_p50_min", "wait_p90_min"}


def answered_at(visit: Visit) -> int:
    """When a doctor answered, Unix ms; 0 while nobody has."""
    calls = [call.started_ms for call in visit.calls if call.side == "doctor" and call.audio_s + call.video_s > 0]
    return min([*calls, *(one.signed_ms for one in visit.prescriptions)], default=0)


def percentile(ordered: list[float], percent: int) -> float:
    """The nearest-rank percentile of a sorted list, to one decimal; 0 for none."""
    return round(ordered[max(ceil(len(ordered) * percent / 100), 1) - 1], 1) if ordered else 0.0


def lines(
    found: Iterable[tuple[Visit, Site]],
    by: By,
    *,
    monthly: bool = False,
    sizes: Mapping[str, int] = NO_SIZES,
) -> list[Line]:
    """The sheet of these visits, by day (or month) and then by name. ``sizes``: bytes that came for a visit."""
    sums: dict[tuple[str, str], _Sum] = {}
    for visit, site in found:
        block = f"{site.district} / {site.block}" if site.block else site.district
        names = {
            By.ALL: "",
            By.NODE: site.site_code,
            By.BLOCK: block,
            By.DISTRICT: site.district,
            By.DOCTOR: visit.doctor_id,
        }
        day = day_text(day_of(visit.queued_ms))
        sums.setdefault((day[:7] if monthly else day, names[by]), _Sum()).add(visit, sizes.get(visit.visit_id, 0))
    sheet: list[Line] = []
    so_far: dict[str, int] = {}
    for (day, of), total in sorted(sums.items()):
        so_far[of] = so_far.get(of, 0) + total.visits
        sheet.append(total.line(day, of, so_far[of]))
    return sheet


def read(
    connection: Connection,
    site_of: Callable[[str], Site],
    first_day: int,
    last_day: int,
    *,
    demo: bool = False,
    districts: Collection[str] = (),
) -> Iterable[tuple[Visit, Site]]:
    """The visits that got their token in these Indian days, a few at a time. ``districts``: only of these."""
    query = (
        select(visits.c.view, visits.c.node_id)
        .where(visits.c.queued_ms >= day_start_ms(first_day), visits.c.queued_ms < day_start_ms(last_day + 1))
        .order_by(visits.c.visit_id)
        .execution_options(yield_per=CHUNK)
    )
    with connection.execute(query) as rows:
        for row in rows:
            site = site_of(row.node_id)
            if (demo or not site.demo) and (not districts or site.district in districts):
                yield _visit.decode(row.view), site


def sizes(connection: Connection, first_day: int, last_day: int) -> dict[str, int]:
    """Bytes that came for each visit of these days."""
    within = (visits.c.queued_ms >= day_start_ms(first_day), visits.c.queued_ms < day_start_ms(last_day + 1))
    said = (
        select(entries.c.visit_id, func.sum(func.length(entries.c.raw)).label("size"))
        .join(visits, visits.c.visit_id == entries.c.visit_id)
        .where(*within)
        .group_by(entries.c.visit_id)
    )
    sent = (
        select(blobs.c.visit_id, func.sum(blob_chunks.c.size_bytes).label("size"))
        .join(blob_chunks, (blob_chunks.c.node_id == blobs.c.node_id) & (blob_chunks.c.blob_id == blobs.c.blob_id))
        .join(visits, visits.c.visit_id == blobs.c.visit_id)
        .where(*within)
        .group_by(blobs.c.visit_id)
    )
    found: dict[str, int] = {}
    for query in (said, sent):
        for row in connection.execute(query):
            found[row.visit_id] = found.get(row.visit_id, 0) + int(row.size)
    return found


def write_csv(sheet: Iterable[Line], out: IO[str]) -> None:
    """Comma-separated values with a header. No cell begins as a formula: spreadsheets would run it."""
    writer = csv.writer(out)
    writer.writerow(Line.__struct_fields__)
    for line in sheet:
        writer.writerow([_cell(value) for value in msgspec.structs.astuple(line)])


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

"""Figures of a district: what counts, when, and as what; nothing about one person."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.clock import day_of
from edge.model.fold import Call, PrescriptionState, Visit
from edge.model.records import Colour, Mode, TriageResult, VisitState
from edge.slips.figures import figures_page, labels, render_figures
from hub import report
from hub.directory import Site
from hub.report import By

from .kit import START_MS, HubKit, new_id, registered, visit_events

GAYA = Site("n1", "GA01", "Gaya one", "Gaya")
PATNA = Site("n2", "PA01", "Patna one", "Patna")
DAY_MS = 86_400_000


def call(video_s: float, audio_s: float, started_ms: int) -> Call:
    return Call(new_id(), "asha", "doctor", started_ms, started_ms + 120_000, video_s, audio_s, 0.0, Mode.VIDEO, "")


def visit(queued_ms: int = START_MS, *, wait_min: float = 0, **changed: object) -> Visit:
    """A visit with a token; with a wait, one that was answered by a case."""
    signed = (PrescriptionState(new_id(), b"", queued_ms + int(wait_min * 60_000)),) if wait_min else ()
    base = Visit(new_id(), new_id(), queued_ms, "anm1", queued_ms=queued_ms, doctor_id="asha", prescriptions=signed)
    return msgspec.structs.replace(base, **changed)


def test_modes_waits_and_what_was_answered_within() -> None:
    found = [
        visit(wait_min=10, calls=(call(60, 70, START_MS + 5 * 60_000),), triage=TriageResult(Colour.RED)),
        visit(wait_min=20, calls=(call(0, 70, START_MS + 16 * 60_000),), triage=TriageResult(Colour.GREEN)),
        visit(wait_min=45),
        visit(wait_min=90, state=VisitState.REFERRED),
        visit(seen_ms=START_MS + 1000, calls=(call(0, 0, START_MS + 2000),), no_shows_ms=(1, 2)),
    ]
    (line,) = report.lines([(one, GAYA) for one in found], By.ALL)
    assert (line.visits, line.patients, line.unanswered) == (5, 5, 1), (
        "opening a record, and a silent call, answer nobody"
    )
    assert (line.video, line.audio, line.text) == (1, 1, 2)
    assert (line.within_15_min, line.within_30_min, line.within_60_min) == (1, 2, 3)
    assert (line.wait_p50_min, line.wait_p90_min) == (16.0, 90.0), "5, 16, 45 and 90 minutes"
    assert (line.red, line.yellow, line.green, line.not_triaged) == (1, 0, 1, 3)
    assert (line.video_min, line.audio_min) == (1.0, round(140 / 60, 1))
    assert (line.prescriptions, line.referred, line.no_shows) == (4, 1, 2)


def test_a_patient_who_comes_twice_is_one_patient_and_sums_grow_for_each_place() -> None:
    first = visit()
    found = [
        (first, GAYA),
        (visit(patient_id=first.patient_id), GAYA),
        (visit(START_MS + DAY_MS), GAYA),
        (visit(START_MS + DAY_MS), PATNA),
    ]
    told = [(one.of, one.visits, one.cumulative, one.patients) for one in report.lines(found, By.DISTRICT)]
    assert told == [("Gaya", 2, 2, 1), ("Gaya", 1, 3, 1), ("Patna", 1, 1, 1)]
    assert [one.of for one in report.lines(found, By.NODE)] == ["GA01", "GA01", "PA01"]
    assert [one.of for one in report.lines(found, By.DOCTOR)] == ["asha", "asha"]
    (month,) = report.lines(found, By.ALL, monthly=True)
    assert (month.day, month.visits, month.patients) == ("2026-09", 4, 3)


@pytest.mark.parametrize(
    ("count", "p50", "p90"), [(0, 0.0, 0.0), (1, 1.0, 1.0), (2, 1.0, 2.0), (10, 5.0, 9.0), (11, 6.0, 10.0)]
)
def test_percentiles_are_waits_that_somebody_had(count: int, p50: float, p90: float) -> None:
    waits = [float(number + 1) for number in range(count)]
    assert (report.percentile(waits, 50), report.percentile(waits, 90)) == (p50, p90)


@given(
    st.lists(
        st.builds(
            visit,
            st.integers(0, 3).map(lambda day: START_MS + day * DAY_MS),
            wait_min=st.sampled_from([0, 0, 7, 40]),
            triage=st.sampled_from([TriageResult(one) for one in (Colour.RED, Colour.GREEN)]),
        ),
        max_size=40,
    ),
    st.sampled_from([By.ALL, By.NODE]),
)
def test_coarse_figures_show_no_number_that_could_be_one_person(found: list[Visit], by: By) -> None:
    exact = report.lines([(one, GAYA) for one in found], by)
    told = report.coarse(exact)
    assert [one.day for one in told] == [one.day for one in exact if one.visits > report.COARSE // 2]
    before = {one.day: one for one in exact}
    for line in told:
        true = msgspec.structs.asdict(before[line.day])
        for name, value in msgspec.structs.asdict(line).items():
            if name in ("wait_p50_min", "wait_p90_min"):
                assert value == (true[name] if true["visits"] >= report.WAITS_FROM else None)
            elif not isinstance(value, str):
                assert value % report.COARSE == 0 and abs(value - true[name]) <= report.COARSE / 2
        assert line.unanswered <= line.visits and line.within_15_min <= line.within_30_min <= line.within_60_min
    whole = report.coarse_totals(report.totals(exact))
    assert whole["visits"] == report.COARSE * round(len(found) / report.COARSE), "not the sum of what was rounded"
    page = figures_page([msgspec.structs.asdict(one) for one in told], "2026-09", everywhere=True, demo=False)
    assert "None" not in {cell for row in page.rows for cell in row}


def test_no_cell_is_a_formula() -> None:
    out = io.StringIO()
    site = msgspec.structs.replace(GAYA, district='=HYPERLINK("x")')
    report.write_csv(report.lines([(visit(), site)], By.DISTRICT), out)
    header, row = csv.reader(io.StringIO(out.getvalue()))
    assert header[:3] == ["day", "of", "visits"] and len(header) == len(row)
    assert row[1] == """'=HYPERLINK("x")"""


def test_the_sheet_to_print_has_every_line_and_says_who_has_no_name() -> None:
    found = [(visit(wait_min=20), GAYA), (visit(doctor_id=""), PATNA)]
    sheet = [msgspec.structs.asdict(line) for line in report.lines(found, By.DOCTOR)]
    page = figures_page(sheet, "2026-09", everywhere=False, demo=False)
    assert set(labels().heads) <= set(report.Line.__struct_fields__)
    assert [row[1] for row in page.rows] == ["कोई नहीं / nobody", "asha"]
    assert all(len(row) == len(page.heads) for row in page.rows)
    assert page.rows[1][list(labels().heads).index("wait_p50_min")] == "20"
    made = render_figures(page)
    assert made[:5] == b"%PDF-" and made == render_figures(page)
    none = figures_page([], "2026-09", everywhere=True, demo=True)
    assert none.rows == () and render_figures(none)[:5] == b"%PDF-"


async def test_days_are_indian_and_made_up_patients_count_only_when_asked_for(kit: HubKit, tmp_path: Path) -> None:
    node = await kit.enrol()
    patient_id = new_id()
    await node.send([registered(patient_id), *visit_events(new_id(), patient_id)])
    kit.clock.pass_s(86_400)
    later = new_id()
    await node.send([*visit_events(later, patient_id, serial=2), ev.VisitClosed(later, VisitState.COMPLETED)])
    first = day_of(START_MS)

    async def visits_of(from_day: int, to_day: int, demo: bool) -> list[int]:
        site_of = kit.hub.directory.site
        sheet = await kit.hub.store.read(
            lambda connection: report.lines(report.read(connection, site_of, from_day, to_day, demo=demo), By.NODE)
        )
        assert all(line.of == "UP01" for line in sheet)
        return [line.visits for line in sheet]

    assert await visits_of(first, first + 1, True) == [1, 1]
    assert await visits_of(first, first, True) == [1]
    assert await visits_of(first + 2, first + 9, True) == []
    assert await visits_of(first, first + 1, False) == [], "the site of the tests is a demo"

"""The month's figures: counted as the format says, and empty where nothing is recorded."""

import msgspec
import pytest
from msgspec.structs import replace

from edge.model.clock import day_start_ms
from edge.model.fold import Call, Patient, PrescriptionState, Visit, VitalsRound
from edge.model.month import HMIS, Figure, month
from edge.model.records import Age, ConsultType, Gender, History, Mode, Person, Reading, VisitState, Vitals
from edge.model.referral import MadeReferral, ToldEnding
from edge.model.register import DayVisit
from edge.model.watched import Watched
from tests.slips.samples import RECORD, sign

DAY = 20_800
START_MS = day_start_ms(DAY)


def patient(number: int = 1, registered: int = DAY, gender: Gender = Gender.FEMALE) -> Patient:
    person = Person(f"Person {number}", gender, "Rampur", Age(24))
    return Patient(f"p{number}", f"BR-{number:06d}", person, day_start_ms(registered))


def visit(number: int, who: int = 1, **more: object) -> Visit:
    return replace(Visit(f"v{number}", f"p{who}", START_MS + number * 60_000, "anm1"), **more)


def vitals(**values: float) -> tuple[VitalsRound, ...]:
    readings = tuple(Reading(name, value) for name, value in values.items())
    return (VitalsRound(START_MS, "anm1", Vitals(readings, "A")),)


def pregnant(number: int, who: int, **values: float) -> Visit:
    return visit(number, who, history=History(pregnant=True), vitals=vitals(**values))


def rows(*visits: Visit) -> list[DayVisit]:
    return [DayVisit(one, patient(int(one.patient_id[1:]))) for one in visits]


def said(figures: list[Figure]) -> dict[str, float | None]:
    return {one.code: one.value for one in figures}


def test_a_month_without_anybody_says_nought_where_it_counts_and_nothing_where_it_does_not() -> None:
    found = month([], {})
    assert [one.code for one in found.hmis] == list(HMIS)
    assert {code for code, value in said(found.hmis).items() if value is not None} == {"1.3", "1.3.1", "1.4.2", "1.4.3"}
    assert said(found.tele)["wait_median_min"] is None and said(found.tele)["offline_hours"] is None
    assert said(found.opd)["visits"] == 0


@pytest.mark.parametrize(
    ("pressure", "high"),
    [((140.0, 90.0), 0), ((141.0, 80.0), 1), ((120.0, 91.0), 1), ((139.0, 89.0), 0)],
)
def test_high_pressure_is_above_the_line_and_only_of_pregnant_women(pressure: tuple[float, float], high: int) -> None:
    values = {"sbp": pressure[0], "dbp": pressure[1]}
    assert said(month(rows(pregnant(1, 1, **values)), {}).hmis)["1.3"] == high
    not_pregnant = visit(1, 1, history=History(pregnant=False), vitals=vitals(**values))
    assert said(month(rows(not_pregnant, visit(2, 1, vitals=vitals(**values))), {}).hmis)["1.3"] == 0


def test_a_woman_counts_once_and_as_new_only_when_no_earlier_month_saw_it() -> None:
    two = rows(pregnant(1, 1, sbp=150, dbp=95), pregnant(2, 1, sbp=160, dbp=95), pregnant(3, 2, sbp=150, dbp=80))
    assert [said(month(two, {}).hmis)[code] for code in ("1.3", "1.3.1")] == [2, 2]
    before = {"p1": [pregnant(9, 1, sbp=150, dbp=95)], "p2": [pregnant(8, 2, sbp=120, dbp=80)]}
    assert [said(month(two, before).hmis)[code] for code in ("1.3", "1.3.1")] == [2, 1]


@pytest.mark.parametrize(
    ("hb", "low", "severe"),
    [(6.9, 0, 1), (7.0, 0, 0), (7.1, 1, 0), (10.9, 1, 0), (11.0, 0, 0), (12.5, 0, 0)],
)
def test_haemoglobin_falls_into_the_bands_of_the_format(hb: float, low: int, severe: int) -> None:
    found = said(month(rows(pregnant(1, 1, hb_gdl=hb)), {}).hmis)
    assert (found["1.4.2"], found["1.4.3"]) == (low, severe)


def test_the_lowest_haemoglobin_of_the_month_counts() -> None:
    found = said(month(rows(pregnant(1, 1, hb_gdl=6.5), pregnant(2, 1, hb_gdl=7.6)), {}).hmis)
    assert (found["1.4.2"], found["1.4.3"]) == (0, 1)


def prescribed(mode: Mode, kind: ConsultType, at_ms: int) -> tuple[PrescriptionState, ...]:
    record = replace(RECORD, mode=mode, consult_type=kind, signed_ms=at_ms)
    return (PrescriptionState("rx", msgspec.msgpack.encode(sign(record)), at_ms),)


def call(at_ms: int, audio_s: float) -> Call:
    return Call("c", "anil", "node", at_ms, at_ms + 60_000, 0.0, audio_s, 0.0, Mode.AUDIO, "bye")


def test_hours_without_the_hub_are_of_the_hours_that_the_node_ran_and_say_since_when() -> None:
    found = {one.code: one for one in month([], {}, watched=Watched(360_000, 9_000, "2026-12-13")).tele}
    assert found["offline_hours"] == Figure("offline_hours", 2.5, "2026-12-13")
    assert found["ran_hours"] == Figure("ran_hours", 100.0, "2026-12-13")
    assert {said(month([], {}).tele)[code] for code in ("offline_hours", "ran_hours")} == {None}


def test_stopped_signings_are_counted_where_the_hub_tells_them() -> None:
    def found(*visits: Visit) -> Figure:
        return next(one for one in month(rows(*visits), {}).tele if one.code == "gate_denials")

    later_ms = START_MS + 3 * 86_400_000
    silent = visit(1, 1, seen_ms=START_MS)
    telling = visit(2, 2, seen_ms=later_ms, tells_denials=True, denied=((later_ms << 16) + 1, (later_ms << 16) + 2))
    unseen = visit(3, 3)
    assert found(unseen) == Figure("gate_denials", 0)
    assert found(silent, unseen) == Figure("gate_denials", None)
    assert found(telling, unseen) == Figure("gate_denials", 2)
    assert found(silent, telling) == Figure("gate_denials", 2, "2026-12-16")


def test_consultations_waits_and_referrals_are_counted_and_slips_of_the_finger_are_not() -> None:
    sent = (MadeReferral(START_MS, "anm1", "chc", "now", "", "108", ""),)
    video = prescribed(Mode.VIDEO, ConsultType.FIRST, START_MS + 30 * 60_000)
    found = month(
        [
            *rows(
                visit(1, 1, queued_ms=START_MS, prescriptions=video),
                visit(2, 2, queued_ms=START_MS, calls=(call(START_MS + 10 * 60_000, 40.0),)),
                visit(3, 3, calls=(call(START_MS, 0.0),), referrals=sent, no_shows_ms=(START_MS,)),
                visit(4, 4, referrals=sent, ending=ToldEnding(START_MS, "anm1", "reached", "")),
                visit(5, 5, state=VisitState.CANCELLED),
            ),
            DayVisit(visit(6, 6), patient(6, registered=DAY - 40, gender=Gender.MALE)),
        ],
        {},
    )
    opd, tele = said(found.opd), said(found.tele)
    assert (opd["visits"], opd["new"], opd["old"], opd["people"]) == (5, 4, 1, 5)
    assert (tele["consultations"], tele["mode_video"], tele["mode_text"], tele["first"]) == (1, 1, 0, 1)
    assert (tele["wait_median_min"], tele["calls_silent_percent"], tele["no_show"]) == (20.0, 50.0, 1)
    assert (tele["referred"], tele["referred_reached"]) == (2, 1)
    assert {one.sex: one.all for one in found.totals} == {Gender.FEMALE: 4, Gender.MALE: 1, Gender.OTHER: 0}

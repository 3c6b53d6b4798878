"""Limits of measured values, and the order of the waiting."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.fold import Patient, Visit
from edge.model.queue import Rank, Waiting, expected_wait_s, order, places_of, rank
from edge.model.records import Colour, History, Reading, TriageResult, VisitState, Vitals
from edge.model.reference import vitals_data
from edge.model.vitals import bmi, check, derived_bmi, fahrenheit_to_celsius
from tests.model.kit import ADULT, NOW_MS, VISIT, an_id, patient, readings, visit_after

MINUTE_MS = 60_000


def codes(
    age_days: int | None = ADULT, not_done: tuple[str, ...] = (), /, **values: float
) -> tuple[list[str], list[str]]:
    found = check(Vitals(readings(**values), "A", None, not_done), age_days)
    return [refusal.code for refusal in found.refusals], [warning.code for warning in found.warnings]


LIMITS = [
    ("sbp", 40, 300),
    ("dbp", 20, 200),
    ("hr", 20, 250),
    ("rr", 5, 120),
    ("temp_c", 30.0, 43.0),
    ("spo2", 40, 100),
    ("height_cm", 30, 250),
    ("weight_kg", 0.5, 250),
    ("muac_cm", 5, 50),
    ("waist_cm", 30, 200),
    ("rbs_mgdl", 20, 600),
    ("fbs_mgdl", 20, 600),
    ("hb_gdl", 2, 25),
    ("head_cm", 25, 65),
    ("pain", 0, 10),
]


@pytest.mark.parametrize(("vital", "low", "high"), LIMITS)
def test_hard_limits_refuse_beyond_and_take_the_edge(vital: str, low: float, high: float) -> None:
    for value, refusals in (
        (low, []),
        (high, []),
        (low - 0.1, ["vital_impossible"]),
        (high + 0.1, ["vital_impossible"]),
    ):
        assert codes(**{vital: value})[0] == refusals


def test_all_vitals_of_the_data_are_covered() -> None:
    assert {item.id for item in vitals_data().items if not item.derived} == {vital for vital, _, _ in LIMITS}


@pytest.mark.parametrize(
    ("vital", "low", "high"),
    [
        ("sbp", 80, 200),
        ("dbp", 40, 120),
        ("hr", 45, 140),
        ("rr", 10, 40),
        ("temp_c", 35.0, 41.0),
        ("rbs_mgdl", 70, 300),
        ("hb_gdl", 7, 18),
    ],
)
def test_soft_limits_of_an_adult_warn_beyond(vital: str, low: float, high: float) -> None:
    for value, warned in ((low, []), (high, []), (low - 0.1, ["vital_unusual"]), (high + 0.1, ["vital_unusual"])):
        assert codes(**{vital: value}) == ([], warned)


def test_children_are_measured_by_the_band_of_their_age() -> None:
    assert codes(200, hr=160.0, rr=50.0) == ([], [])
    assert codes(200, hr=181.0) == ([], ["vital_unusual"])
    assert codes(200, sbp=70.0, dbp=40.0) == ([], []), "the soft limits of pressure are an adult's"
    assert codes(200, temp_c=41.5) == ([], ["vital_unusual"])


def test_zero_and_nonsense_are_refused_with_their_field() -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        (refusal,) = check(Vitals(readings(hr=80.0, rr=value)), ADULT).refusals
        assert (refusal.code, refusal.field) == ("vital_impossible", "vitals.readings[1].value")


@pytest.mark.parametrize(("sbp", "dbp", "ok"), [(120, 80, True), (80, 80, False), (80, 90, False)])
def test_the_upper_pressure_is_above_the_lower(sbp: float, dbp: float, ok: bool) -> None:
    assert codes(sbp=sbp, dbp=dbp)[0] == ([] if ok else ["pressure_swapped"])


def test_unknown_derived_and_repeated_vitals_are_refused() -> None:
    assert codes(aura=5.0)[0] == ["vital_unknown"]
    assert codes(bmi=22.0)[0] == ["vital_derived"]
    twice = Vitals((Reading("hr", 80.0), Reading("hr", 81.0)))
    assert [r.code for r in check(twice, ADULT).refusals] == ["vital_twice"]
    assert codes(ADULT, ("hr",), hr=80.0)[0] == ["vital_contradiction"]
    assert codes(ADULT, ("aura",))[0] == ["vital_unknown"]
    assert codes(ADULT, ("hr", "avpu"))[0] == []


def test_weight_and_height_that_make_no_body_want_a_second_look() -> None:
    assert codes(weight_kg=5.0, height_cm=170.0) == ([], ["vital_unusual"])
    pair = tuple(Reading(v, x, confirmed=True) for v, x in (("weight_kg", 5.0), ("height_cm", 170.0)))
    assert check(Vitals(pair), ADULT).unconfirmed == ()


def test_who_is_weighed_again_is_compared_with_the_height_that_stands() -> None:
    tall = Vitals(readings(height_cm=170.0, weight_kg=62.0))
    assert [one.code for one in check(Vitals(readings(weight_kg=6.2)), ADULT, tall).unconfirmed] == ["vital_unusual"]
    confirmed = Vitals((Reading("weight_kg", 6.2, confirmed=True),))
    assert check(confirmed, ADULT, tall).unconfirmed == ()
    assert check(Vitals(readings(hr=80.0)), ADULT, Vitals(pair_of(5.0, 170.0))).warnings == (), "neither was measured"


def pair_of(weight_kg: float, height_cm: float) -> tuple[Reading, ...]:
    return readings(weight_kg=weight_kg, height_cm=height_cm)


def test_conversions() -> None:
    assert fahrenheit_to_celsius(98.6) == 37.0
    assert fahrenheit_to_celsius(102.2) == 39.0
    assert bmi(50.0, 160.0) == 19.5
    assert derived_bmi(Vitals(readings(weight_kg=50.0, height_cm=160.0))) == 19.5
    assert derived_bmi(Vitals(readings(weight_kg=50.0))) is None
    with pytest.raises(ValueError):
        bmi(50.0, 0.0)


def waiting(
    number: int,
    colour: Colour,
    minutes_ago: int,
    *,
    who: Patient | None = None,
    pregnant: bool = False,
    **changed: object,
) -> Waiting:
    visit = msgspec.structs.replace(
        visit_after(),
        visit_id=an_id(number),
        triage=TriageResult(colour),
        state=VisitState.WAITING,
        token_serial=number,
        queued_ms=NOW_MS - minutes_ago * MINUTE_MS,
        history=History(pregnant=pregnant),
        **changed,
    )
    return Waiting(visit, who or patient(30))


def ids(queue: list[Waiting]) -> list[str]:
    return [one.visit.visit_id for one in order(queue, NOW_MS)]


RED = waiting(1, Colour.RED, 1)
YELLOW = waiting(2, Colour.YELLOW, 5)
PREGNANT = waiting(3, Colour.GREEN, 10, pregnant=True)
OLD = waiting(4, Colour.GREEN, 9, who=patient(65))
INFANT = waiting(5, Colour.GREEN, 8, who=patient(0))
GREEN = waiting(6, Colour.GREEN, 50)
LATER = waiting(7, Colour.GREEN, 40)


def test_red_then_yellow_then_the_gentle_then_green_each_in_turn() -> None:
    expected = [one.visit.visit_id for one in (RED, YELLOW, PREGNANT, OLD, INFANT, GREEN, LATER)]
    assert ids([LATER, GREEN, INFANT, OLD, PREGNANT, YELLOW, RED]) == expected


def test_green_rises_by_one_class_after_an_hour() -> None:
    assert rank(waiting(8, Colour.GREEN, 60), NOW_MS) is Rank.ORDINARY
    assert rank(waiting(8, Colour.GREEN, 61), NOW_MS) is Rank.GENTLE
    assert rank(waiting(8, Colour.GREEN, 61, pregnant=True), NOW_MS) is Rank.SOON
    assert rank(waiting(8, Colour.YELLOW, 600), NOW_MS) is Rank.SOON
    late = msgspec.structs.replace(waiting(8, Colour.GREEN, 9_000), since_ms=NOW_MS - 5 * MINUTE_MS)
    assert rank(late, NOW_MS) is Rank.ORDINARY, "its node's clock was wrong"


def test_a_visit_that_nobody_has_triaged_is_never_low_risk() -> None:
    assert rank(waiting(8, Colour.NOT_TRIAGED, 1), NOW_MS) is Rank.SOON


def test_64_years_are_not_yet_old_and_one_year_no_infant() -> None:
    for years in (1, 64):
        assert rank(waiting(8, Colour.GREEN, 1, who=patient(years)), NOW_MS) is Rank.ORDINARY


def test_red_stands_above_the_queue_without_a_place_and_without_a_token() -> None:
    untokened = visit_after(ev.Triaged(VISIT, TriageResult(Colour.RED)))
    queue = order([YELLOW, GREEN, Waiting(untokened, None)], NOW_MS)
    assert queue[0].visit.visit_id == VISIT
    assert [places_of(queue).get(one.visit.visit_id) for one in queue] == [None, 1, 2]


def test_the_first_missed_turn_keeps_the_place_and_the_second_moves_to_the_end() -> None:
    once = waiting(9, Colour.GREEN, 55, no_shows_ms=(NOW_MS - 5 * MINUTE_MS,))
    twice = waiting(9, Colour.GREEN, 55, no_shows_ms=(NOW_MS - 6 * MINUTE_MS, NOW_MS - MINUTE_MS))
    assert ids([GREEN, LATER, once])[0] == once.visit.visit_id
    assert ids([GREEN, LATER, twice])[-1] == twice.visit.visit_id


def test_who_is_in_a_call_or_done_is_not_in_the_queue() -> None:
    def at(state: VisitState) -> Visit:
        return msgspec.structs.replace(GREEN.visit, state=state)

    assert order([Waiting(at(state), None) for state in VisitState if state is not VisitState.WAITING], NOW_MS) == []


@pytest.mark.parametrize(("ahead", "doctors", "wait_s"), [(0, 1, 0), (3, 1, 1800), (3, 2, 900), (3, 0, None)])
def test_the_expected_wait_shares_people_out_over_doctors(ahead: int, doctors: int, wait_s: int | None) -> None:
    assert expected_wait_s(ahead, doctors) == wait_s


@given(st.permutations([RED, YELLOW, PREGNANT, OLD, INFANT, GREEN, LATER]))
def test_the_order_does_not_depend_on_the_order_of_asking(queue: list[Waiting]) -> None:
    assert ids(queue) == ids([RED, YELLOW, PREGNANT, OLD, INFANT, GREEN, LATER])

"""What must hold of triage for any patient and any answers."""

from hypothesis import given
from hypothesis import strategies as st

from edge.model.records import Colour, Complaint, Gender, History, Reading, Vitals
from edge.model.reference import reference
from edge.model.triage import signs_to_ask, triage

SIGNS = [sign.id for sign in reference().signs]
COMPLAINTS = [complaint.id for complaint in reference().complaints]
CODES = ["hr", "rr", "temp_c", "spo2", "sbp", "dbp", "rbs_mgdl", "hb_gdl", "muac_cm", "height_cm"]
RAISED = {Colour.RED: 2, Colour.YELLOW: 1, Colour.GREEN: 0, Colour.NOT_TRIAGED: 0}
"""How far a colour stands above "nothing found"."""

ages = st.one_of(st.integers(0, 100), st.integers(0, 2_500), st.integers(2_500, 36_000))
maybe = st.sampled_from([None, True, False])
histories = st.one_of(st.none(), st.builds(lambda p, q: History(pregnant=p, post_partum=q), maybe, maybe))
values = st.one_of(st.integers(1, 300).map(float), st.floats(0.1, 300))
readings = st.lists(st.sampled_from(CODES), max_size=6, unique=True).flatmap(
    lambda codes: st.tuples(*(values.map(lambda value, code=code: Reading(code, value)) for code in codes))  # type: ignore[misc]
)
vitals = st.builds(Vitals, readings, st.sampled_from(["", "A", "C", "V", "P", "U"]), maybe)
complaints = st.lists(st.builds(Complaint, st.sampled_from(COMPLAINTS), duration=st.integers(0, 30)), max_size=3)
signs = st.lists(st.sampled_from(SIGNS), max_size=30, unique=True).map(tuple)
genders = st.sampled_from(Gender)


@given(ages, genders, histories, complaints, vitals, signs, signs, st.sampled_from(SIGNS))
def test_one_more_sign_never_lowers_the_colour(
    days: int,
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
    more: str,
) -> None:
    before = triage(days, gender, history, tuple(told), measured, present, absent)
    after = triage(days, gender, history, tuple(told), measured, (*present, more), absent)
    assert RAISED[after.colour] >= RAISED[before.colour]
    assert set(before.reasons) <= set(after.reasons)


@given(ages, genders, histories, complaints, vitals, signs, signs, st.sampled_from(COMPLAINTS))
def test_one_more_complaint_of_somebody_who_complains_never_lowers_the_colour(
    days: int,
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
    more: str,
) -> None:
    first = (Complaint("tooth"), *told)
    before = triage(days, gender, history, first, measured, present, absent)
    after = triage(days, gender, history, (*first, Complaint(more)), measured, present, absent)
    assert RAISED[after.colour] >= RAISED[before.colour]


@given(ages, genders, histories, complaints, vitals, signs, signs)
def test_green_means_that_nothing_mandatory_is_missing(
    days: int,
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
) -> None:
    absent_too = absent
    while left := signs_to_ask(days, gender, history, tuple(told), measured, present, absent_too):
        absent_too = (*absent_too, *left)
    for answers in (absent, absent_too):
        result = triage(days, gender, history, tuple(told), measured, present, answers)
        assert (result.colour is Colour.NOT_TRIAGED) is (bool(result.missing) and not result.reasons)
        if result.colour is Colour.GREEN:
            assert measured.avpu == "A"
            assert {"hr", "rr", "temp_c", "spo2"} <= {r.vital for r in measured.readings}
            assert not signs_to_ask(days, gender, history, tuple(told), measured, present, answers)
            if gender is Gender.FEMALE and 3_652 <= days < 20_454:
                assert history is not None and history.pregnant is not None


@given(ages, genders, histories, complaints, vitals, signs, signs, st.sampled_from(CODES))
def test_a_value_of_zero_counts_as_not_measured(
    days: int,
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
    code: str,
) -> None:
    others = tuple(reading for reading in measured.readings if reading.vital != code)
    without = Vitals(others, measured.avpu, measured.oxygen)
    for nothing in (0.0, -1.0, float("nan")):
        zero = Vitals((*others, Reading(code, nothing)), measured.avpu, measured.oxygen)
        assert triage(days, gender, history, tuple(told), zero, present, absent) == triage(
            days, gender, history, tuple(told), without, present, absent
        )


@given(genders, histories, complaints, vitals, signs, signs, ages)
def test_an_unknown_age_is_never_green_and_never_above_a_known_one(
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
    days: int,
) -> None:
    unknown = triage(None, gender, history, tuple(told), measured, present, absent)
    known = triage(days, gender, history, tuple(told), measured, present, absent)
    assert unknown.colour is not Colour.GREEN
    assert RAISED[unknown.colour] <= RAISED[known.colour]


@given(ages, genders, histories, complaints, vitals, signs, signs)
def test_the_same_answers_give_the_same_result(
    days: int,
    gender: Gender,
    history: History | None,
    told: list[Complaint],
    measured: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
) -> None:
    once = triage(days, gender, history, tuple(told), measured, present, absent)
    again = triage(days, gender, history, tuple(told), measured, tuple(reversed(present)), tuple(reversed(absent)))
    assert once == again

"""Follow-ups: what an earlier consultation opens, for whom, for how long; then the whole gate, every combination."""

from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.fold import InPerson, PrescriptionState, Visit, VitalsRound
from edge.model.prescribing import (
    NO_APPROVALS,
    Approvals,
    Letter,
    SignedPrescription,
    Standing,
    cancelling,
    check,
    check_replacing,
    child_dose,
    consult_type,
    letter_of,
    record_in,
    standing,
    warnings,
)
from edge.model.records import (
    ConsultType,
    Mode,
    Vitals,
)
from edge.model.reference import DrugItem
from tests.model.kit import NOW_MS, an_id, patient, readings
from tests.model.prescribing_kit import (
    ALPRAZOLAM,
    AMOXICILLIN,
    AUDIO,
    BY_ID,
    CHLOROQUINE,
    CLOTRIMAZOLE,
    DOCTOR,
    DRUGS,
    EARLIER,
    FIRST,
    FOLLOW_UP,
    METFORMIN,
    PARACETAMOL,
    TEXT,
    THIAZIDE,
    VIDEO,
    codes,
    draft,
    in_person_day,
    line,
    past,
    ready,
)


@pytest.mark.parametrize(
    ("follow_up_of", "doctor_id", "days_ago", "expected"),
    [
        (EARLIER, "doc1", 30, FOLLOW_UP),
        (EARLIER, "doc1", 180, FOLLOW_UP),
        (EARLIER, "doc1", 181, FIRST),
        (EARLIER, "doc2", 30, FIRST),
        ("", "doc1", 30, FIRST),
    ],
)
def test_follow_up_is_same_doctor_same_condition_within_the_window(
    follow_up_of: str, doctor_id: str, days_ago: int, expected: ConsultType
) -> None:
    visit = ready(follow_up_of=follow_up_of)
    earlier = (past(BY_ID[METFORMIN], doctor_id, days_ago),)
    assert consult_type(visit, earlier, "doc1", NOW_MS) is expected


def test_a_visit_of_somebody_else_is_no_earlier_visit() -> None:
    stranger = past(BY_ID[METFORMIN], patient_id=an_id(99))
    assert consult_type(ready(follow_up_of=EARLIER), (stranger,), "doc1", NOW_MS) is FIRST


def test_a_refill_and_an_add_on_of_the_same_condition_are_allowed_on_a_follow_up() -> None:
    visit = ready(follow_up_of=EARLIER)
    earlier = past(BY_ID[METFORMIN])
    refill = draft(line(METFORMIN))
    assert codes(refill, visit, mode=TEXT, consult=FOLLOW_UP, earlier=(earlier,)) == set()
    add_on = draft(line(THIAZIDE))
    assert codes(add_on, visit, mode=TEXT, consult=FOLLOW_UP, earlier=(earlier,)) == set()
    by_tele_only = msgspec.structs.replace(earlier, in_person=())
    for written, code in ((refill, "refill_needs_follow_up"), (add_on, "list_b_needs_follow_up")):
        assert codes(written, visit, mode=VIDEO, consult=FOLLOW_UP, earlier=(by_tele_only,)) == {code}


def test_an_in_person_consultation_of_the_present_visit_counts_and_one_of_tomorrow_does_not() -> None:
    def on(days_ago: int) -> Visit:
        return ready(in_person=(InPerson("doc1", in_person_day(days_ago), "nurse", NOW_MS, "anm1"),))

    assert consult_type(on(0), (), "doc1", NOW_MS) is FOLLOW_UP
    assert consult_type(on(-1), (), "doc1", NOW_MS) is FIRST
    assert consult_type(on(0), (), "doc2", NOW_MS) is FIRST
    assert consult_type(on(91), (), "doc1", NOW_MS, window_days=90) is FIRST


def test_a_cancelled_prescription_is_no_precedent_for_a_refill() -> None:
    earlier = past(BY_ID[METFORMIN])
    (old,) = earlier.prescriptions
    record = record_in(old.signed)
    assert record is not None
    taken_back = cancelling(record, DOCTOR, prescription_id=an_id(51), signed_ms=record.signed_ms + 1, reason="wrong")
    signed = SignedPrescription(msgspec.msgpack.encode(taken_back), "slip", 1, b"", b"", b"", 0, b"")
    cancelled = PrescriptionState(an_id(51), msgspec.msgpack.encode(signed), record.signed_ms + 1, replaces=an_id(50))
    visit = ready(follow_up_of=EARLIER)
    after = msgspec.structs.replace(earlier, prescriptions=(old, cancelled))
    assert codes(draft(line(METFORMIN)), visit, mode=TEXT, consult=FOLLOW_UP, earlier=(after,)) == {
        "refill_needs_same_drug"
    }
    stands = standing(after.prescriptions)
    assert [stands[one].standing for one in (an_id(50), an_id(51))] == [Standing.CANCELLED] * 2
    assert stands[an_id(50)].by == an_id(51)
    refusal = check_replacing(after.prescriptions, an_id(50))
    assert refusal is not None and refusal.code == "prescription_replaced"


def test_a_rejected_letter_closes_a_medicine_and_an_approval_only_takes_the_mark_away() -> None:
    amoxicillin = draft(line(AMOXICILLIN))

    def said(approvals: Approvals) -> tuple[set[str], set[str]]:
        denied = check(
            amoxicillin,
            patient(),
            ready(),
            DRUGS,
            VIDEO,
            FIRST,
            NOW_MS,
            registration="1",
            doctor_id="doc1",
            approvals=approvals,
        )
        noted = warnings(amoxicillin, patient(), ready(), DRUGS, NOW_MS, approvals)
        return {one.code for one in denied}, {one.code for one in noted}

    assert said(NO_APPROVALS) == (set(), {"not_approved"})
    assert said(Approvals(frozenset({AMOXICILLIN}))) == (set(), set())
    assert said(Approvals(rejected=frozenset({AMOXICILLIN}))) == ({"unclassified"}, {"not_approved"})
    everything = frozenset(BY_ID)
    for letter in (Letter.PROHIBITED, Letter.NO_TELE, Letter.UNCLASSIFIED):
        for drug in (one for one in DRUGS if letter_of(one) is letter):
            assert letter_of(drug, Approvals(everything)) is letter
            assert letter_of(drug, Approvals(rejected=everything)) is not Letter.O


# The whole gate: list × mode × consultation × in-person record × age × doctor, from the facts and not from the gate.
REPRESENTATIVES = {
    Letter.O: PARACETAMOL,
    Letter.A: CLOTRIMAZOLE,
    Letter.A_REFILL: METFORMIN,
    Letter.B: THIAZIDE,
    Letter.NO_TELE: "F005",
    Letter.PROHIBITED: ALPRAZOLAM,
    Letter.UNCLASSIFIED: CHLOROQUINE,
}
AGES = [(11, 30.0, True), (11, 30.0, False), (11, None, True), (12, None, False), (34, None, False), (70, 52.0, False)]
"""Years, the weight that was measured, if any, and whether the doctor confirmed the dose for it."""


@pytest.mark.parametrize("letter", list(REPRESENTATIVES))
def test_every_combination_is_allowed_exactly_when_the_guideline_says_so(letter: Letter) -> None:
    drug = BY_ID[REPRESENTATIVES[letter]]
    assert letter_of(drug) is letter
    for mode, followed, days_ago, seen_by, wrote, (years, weight_kg, confirmed) in product(
        Mode, (True, False), (None, 0, 180, 181, -1), ("doc1", "doc2"), (True, False), AGES
    ):
        seen = () if days_ago is None else (InPerson(seen_by, in_person_day(days_ago), "nurse", NOW_MS, "anm1"),)
        before = msgspec.structs.replace(past(drug if wrote else BY_ID[PARACETAMOL], "doc2"), in_person=seen)
        weighed = Vitals(() if weight_kg is None else readings(weight_kg=weight_kg))
        visit = ready(follow_up_of=EARLIER if followed else "", vitals=(VitalsRound(NOW_MS, "anm1", weighed),))
        consult = consult_type(visit, (before,), "doc1", NOW_MS)
        is_follow_up = followed and days_ago in (0, 180) and seen_by == "doc1"
        assert (consult is FOLLOW_UP) is is_follow_up
        lists_open = {
            Letter.O: True,
            Letter.A: mode is VIDEO or (is_follow_up and (wrote or drug.generic == "PARACETAMOL")),
            Letter.A_REFILL: is_follow_up and wrote,
            Letter.B: is_follow_up,
        }.get(letter, False)
        dose = line(drug.id, dose="1 measure")
        seen_doses = (child_dose(dose, weight_kg),) if confirmed and weight_kg else ()
        written = draft(dose, child_doses_seen=seen_doses)
        found = codes(written, visit, years=years, mode=mode, consult=consult, earlier=(before,))
        expected = lists_open and not (years < 12 and (weight_kg is None or not confirmed))
        assert (found == set()) is expected, (letter, mode, followed, days_ago, seen_by, wrote, years, weight_kg, found)


@given(
    st.lists(
        st.tuples(st.sampled_from(DRUGS), st.integers(0, 400), st.sampled_from(["doc1", "doc2"]), st.booleans()),
        max_size=5,
    ),
    st.sampled_from(DRUGS),
    st.sampled_from([AUDIO, TEXT]),
    st.sampled_from(ConsultType),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_chain_of_follow_ups_by_tele_opens_a_list_without_video(
    steps: list[tuple[DrugItem, int, str, bool]], drug: DrugItem, mode: Mode, claimed: ConsultType, linked: bool
) -> None:
    """However many visits follow one another: without the same doctor in person, only list O is open without video."""
    chain: list[Visit] = []
    for number, (given_before, days_ago, doctor_id, in_person) in enumerate(steps):
        one = past(given_before, doctor_id, days_ago)
        follows = chain[-1].visit_id if chain else ""
        kept = one.in_person if in_person and doctor_id != "doc1" else ()
        chain.append(msgspec.structs.replace(one, visit_id=an_id(100 + number), follow_up_of=follows, in_person=kept))
    visit = ready(follow_up_of=chain[-1].visit_id if chain and linked else "")
    written = draft(line(drug.id, dose="1 measure"))
    found = codes(written, visit, mode=mode, consult=claimed, earlier=tuple(chain))
    assert (found == set()) is (letter_of(drug) is Letter.O)

"""The prescribing gate as a complete table, the checks at signing, and what can never happen."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.fold import Call
from edge.model.prescribing import (
    Approvals,
    Gate,
    Letter,
    PrescriptionDraft,
    PrescriptionRecord,
    Prior,
    Site,
    achieved_mode,
    allowed,
    approved,
    build_record,
    check,
    dose_line,
    effective_mode,
    letter_of,
    warnings,
)
from edge.model.records import (
    Allergies,
    Colour,
    ConsultType,
    Gender,
    MedicineLine,
    Mode,
    Referral,
    TriageResult,
)
from edge.model.reference import DrugItem
from tests.model.kit import NOW_MS, an_id, patient
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
    SYRUP,
    TEXT,
    THIAZIDE,
    VIDEO,
    codes,
    draft,
    line,
    past,
    ready,
)

TABLE = {
    ("O", VIDEO, FIRST): True,
    ("O", AUDIO, FIRST): True,
    ("O", TEXT, FIRST): True,
    ("O", VIDEO, FOLLOW_UP): True,
    ("O", AUDIO, FOLLOW_UP): True,
    ("O", TEXT, FOLLOW_UP): True,
    ("A", VIDEO, FIRST): True,
    ("A", AUDIO, FIRST): False,
    ("A", TEXT, FIRST): False,
    ("A", VIDEO, FOLLOW_UP): True,
    ("A", AUDIO, FOLLOW_UP): False,
    ("A", TEXT, FOLLOW_UP): False,
    ("B", VIDEO, FIRST): False,
    ("B", AUDIO, FIRST): False,
    ("B", TEXT, FIRST): False,
    ("B", VIDEO, FOLLOW_UP): False,
    ("B", AUDIO, FOLLOW_UP): False,
    ("B", TEXT, FOLLOW_UP): False,
    ("PROHIBITED", VIDEO, FIRST): False,
    ("PROHIBITED", AUDIO, FIRST): False,
    ("PROHIBITED", TEXT, FIRST): False,
    ("PROHIBITED", VIDEO, FOLLOW_UP): False,
    ("PROHIBITED", AUDIO, FOLLOW_UP): False,
    ("PROHIBITED", TEXT, FOLLOW_UP): False,
}
"""List × mode × consultation, with nothing known from before."""


@pytest.mark.parametrize(("letter", "mode", "consult"), list(TABLE))
def test_the_gate_follows_the_table(letter: str, mode: Mode, consult: ConsultType) -> None:
    assert allowed(Letter(letter), mode, consult, Prior()).allowed is TABLE[letter, mode, consult]


@pytest.mark.parametrize(("letter", "mode", "consult"), list(TABLE))
def test_with_everything_known_from_before_only_refills_and_add_ons_open(
    letter: str, mode: Mode, consult: ConsultType
) -> None:
    opened = letter in "AB" and consult is FOLLOW_UP
    expected = opened or TABLE[letter, mode, consult]
    assert allowed(Letter(letter), mode, consult, Prior(True, True)).allowed is expected


@pytest.mark.parametrize("mode", list(Mode))
def test_a_refill_drug_needs_a_follow_up_and_the_same_drug(mode: Mode) -> None:
    assert allowed(Letter.A_REFILL, mode, FOLLOW_UP, Prior(same_drug=True)).allowed
    assert allowed(Letter.A_REFILL, mode, FOLLOW_UP, Prior()) == Gate(False, "refill_needs_same_drug")
    assert allowed(Letter.A_REFILL, mode, FIRST, Prior(same_drug=True)) == Gate(False, "refill_needs_follow_up")


@pytest.mark.parametrize("letter", [Letter.NO_TELE, Letter.UNCLASSIFIED, Letter.PROHIBITED])
def test_what_is_not_by_tele_stays_closed_whatever_came_before(letter: Letter) -> None:
    for mode, consult, same, person in product(Mode, ConsultType, (True, False), (True, False)):
        assert not allowed(letter, mode, consult, Prior(same, person)).allowed


@given(
    st.sampled_from(Letter),
    st.sampled_from(Mode),
    st.sampled_from(ConsultType),
    st.builds(Prior, st.booleans(), st.booleans()),
)
def test_list_a_at_first_consultation_never_without_video(
    letter: Letter, mode: Mode, consult: ConsultType, prior: Prior
) -> None:
    gate = allowed(letter, mode, consult, prior)
    if letter is Letter.A and consult is FIRST:
        assert gate.allowed is (mode is VIDEO)
    assert gate.allowed is (gate.reason == "")


def test_a_complete_draft_may_be_signed() -> None:
    assert codes(draft()) == set()
    assert "dose_unit_missing" not in codes(draft(line(SYRUP, dose="5 mL"), line(PARACETAMOL, dose="1/2")))


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (draft(diagnosis=" "), "diagnosis_missing"),
        (draft(line(PARACETAMOL, dose="")), "dose_missing"),
        (draft(line(SYRUP, dose="5")), "dose_unit_missing"),
        (draft(line(PARACETAMOL, route="")), "route_missing"),
        (draft(line(PARACETAMOL, route="injection")), "not_by_tele"),
        (draft(line(PARACETAMOL, frequency="")), "frequency_missing"),
        (draft(line(PARACETAMOL, frequency="PC")), "frequency_missing"),
        (draft(line(PARACETAMOL, duration_days=0)), "duration_missing"),
        (draft(line("F999")), "unknown_drug"),
        (draft(line(ALPRAZOLAM)), "prohibited"),
        (draft(line(CHLOROQUINE)), "unclassified"),
        (draft(line("F005", dose="1 vial")), "not_by_tele"),
        (draft(line(METFORMIN)), "refill_needs_follow_up"),
        (draft(line(THIAZIDE)), "list_b_needs_follow_up"),
        (draft(line(CLOTRIMAZOLE, dose="thin layer"), declared_mode=AUDIO), "list_a_needs_video"),
        (draft(medicines=()), "nothing_advised"),
        (draft(follow_up_date="2020-01-01"), "follow_up_wrong"),
        (draft(follow_up_date="2026-02-31"), "follow_up_wrong"),
    ],
)
def test_a_draft_with_one_fault_is_denied_for_it(written: PrescriptionDraft, code: str) -> None:
    assert codes(written) == {code}


def test_denials_name_the_line_they_mean() -> None:
    found = check(
        draft(line(PARACETAMOL), line(ALPRAZOLAM)),
        patient(),
        ready(),
        DRUGS,
        VIDEO,
        FIRST,
        NOW_MS,
        registration="1",
        doctor_id="doc1",
    )
    assert [denial.field for denial in found] == ["medicines[1].drug_id"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"allergies": None}, "allergies_unanswered"),
        ({"history": None}, "pregnancy_unknown"),
        ({"consents": ()}, "consent_missing"),
        ({"triage": TriageResult(Colour.RED)}, "referral_missing"),
    ],
)
def test_a_record_with_one_gap_is_denied_for_it(changed: dict[str, object], code: str) -> None:
    assert codes(draft(), ready(**changed)) == {code}


def test_an_emergency_with_a_referral_needs_no_consent_but_passes_no_closed_gate() -> None:
    visit = ready(triage=TriageResult(Colour.RED), consents=())
    referral = Referral("District hospital", "now")
    assert codes(draft(referral=referral), visit) == set()
    assert codes(draft(line(ALPRAZOLAM), referral=referral), visit) == {"prohibited"}


def test_without_a_registration_number_nothing_is_signed() -> None:
    assert codes(draft(), registration=" ") == {"registration_missing"}


@pytest.mark.parametrize(("years", "missing"), [(11, True), (12, False)])
def test_below_twelve_years_the_weight_is_needed(years: int, missing: bool) -> None:
    found = codes(draft(), ready(vitals=()), years=years)
    assert ("weight_missing" in found) is missing


def test_pregnancy_is_not_asked_of_men() -> None:
    assert codes(draft(), ready(history=None), gender=Gender.MALE) == set()


@pytest.mark.parametrize(
    ("dose", "code"),
    [
        ("\u200b", "dose_missing"),
        (".", "dose_missing"),
        ("0", "dose_wrong"),
        ("०", "dose_wrong"),
        ("0.0 mL", "dose_wrong"),
        ("-1", "dose_wrong"),
        ("1\u202e05", "text_hidden"),
    ],
)
def test_a_dose_that_nobody_can_see_or_take_is_denied(dose: str, code: str) -> None:
    assert codes(draft(line(PARACETAMOL, dose=dose))) == {code}


@pytest.mark.parametrize("dose", ["1", "0.5", "½", "1/2", "1-2", "१", "आधी गोली", "5 mL", "10"])
def test_a_dose_as_doctors_write_it_is_taken(dose: str) -> None:
    assert codes(draft(line(PARACETAMOL, dose=dose))) == set()


def test_an_allergy_that_fits_a_medicine_has_to_be_acknowledged() -> None:
    visit = ready(allergies=Allergies(False, ("Paracetamol syrup",)))
    assert codes(draft(), visit) == {"allergy_match"}
    assert codes(draft(line(AMOXICILLIN)), visit) == set()
    assert codes(draft(allergy_acknowledged=True, allergies_seen=("Paracetamol syrup",)), visit) == set()


def test_an_allergy_that_was_recorded_after_the_others_were_acknowledged_is_looked_at_anew() -> None:
    seen = draft(allergy_acknowledged=True, allergies_seen=("dust",))
    assert codes(seen, ready(allergies=Allergies(False, ("dust",)))) == set()
    assert codes(seen, ready(allergies=Allergies(False, ("dust", "paracetamol")))) == {"allergy_match"}
    assert codes(seen, ready(allergies=Allergies(False, ("paracetamol",)))) == {"allergy_match"}
    assert codes(draft(allergy_acknowledged=True), ready(allergies=Allergies(False, ("dust",)))) == {"allergy_to_check"}


@pytest.mark.parametrize("words", ["Paracetamol, penicillin", "पेनिसिलिन paracetamol", "paracetamol + ASA", "ORS"])
def test_an_allergy_that_stands_beside_a_known_name_is_not_taken_for_harmless(words: str) -> None:
    assert codes(draft(line(AMOXICILLIN)), ready(allergies=Allergies(False, (words,)))) == {"allergy_to_check"}


def test_an_allergy_that_cannot_be_placed_is_never_taken_for_harmless() -> None:
    for words in ("पेनिसिलिन", "penicillin group"):
        assert codes(draft(line(AMOXICILLIN)), ready(allergies=Allergies(False, (words,)))) == {"allergy_to_check"}


def test_a_proposed_letter_is_allowed_by_its_letter_but_marked_unapproved() -> None:
    assert letter_of(BY_ID[AMOXICILLIN]) is Letter.A and not approved(BY_ID[AMOXICILLIN])
    assert codes(draft(line(AMOXICILLIN)), mode=VIDEO) == set()
    assert codes(draft(line(AMOXICILLIN)), mode=TEXT) == {"list_a_needs_video"}
    found = warnings(draft(line(AMOXICILLIN)), patient(), ready(), DRUGS, NOW_MS)
    assert [warning.code for warning in found] == ["not_approved"]
    assert warnings(draft(), patient(), ready(), DRUGS, NOW_MS) == []


PROHIBITED_WORDS = ["ketamine", "codeine", "tramadol", "phenobarbitone", "diazepam", "ephedrine"]


@given(
    st.sampled_from(PROHIBITED_WORDS),
    st.sampled_from(["{}", "PARACETAMOL + {}", "{} (dispersible)", "{} HYDROCHLORIDE"]),
    st.sampled_from(["O", "A", "B", "A_refill", "O?", "A?"]),
    st.sampled_from(Mode),
    st.sampled_from(ConsultType),
    st.booleans(),
)
def test_no_path_lets_a_prohibited_substance_through(
    word: str, shape: str, tpg_list: str, mode: Mode, consult: ConsultType, acknowledged: bool
) -> None:
    drug = DrugItem("X1", shape.format(word.upper()), "tablet", "1 mg", "", "", "", (), tpg_list, "sourced", "")
    written = draft(line("X1"), allergy_acknowledged=acknowledged)
    found = check(
        written,
        patient(),
        ready(follow_up_of=EARLIER),
        (drug,),
        mode,
        consult,
        NOW_MS,
        registration="1",
        doctor_id="doc1",
        earlier=(past(drug),),
        approvals=Approvals(frozenset({"X1"})),
    )
    assert "prohibited" in {denial.code for denial in found}


@given(st.sampled_from(DRUGS), st.sampled_from(Mode), st.sampled_from(ConsultType), st.sampled_from([None, *Mode]))
def test_no_formulary_line_of_list_a_passes_a_first_consultation_without_video(
    drug: DrugItem, mode: Mode, consult: ConsultType, declared: Mode | None
) -> None:
    found = codes(draft(line(drug.id), declared_mode=declared), mode=mode, consult=consult)
    letter = letter_of(drug)
    if letter is Letter.A and consult is FIRST and not (mode is VIDEO and declared in (None, VIDEO)):
        assert "list_a_needs_video" in found
    if letter in (Letter.PROHIBITED, Letter.NO_TELE, Letter.UNCLASSIFIED):
        assert found


def call(side: str, video_s: float, audio_s: float, number: int = 0) -> Call:
    return Call(an_id(10 + number), "doc1", side, 0, 1000, video_s, audio_s, 0.0, VIDEO, "hangup")


def heard_at_node(lasted_ms: int, audio_s: float, number: int = 0) -> Call:
    """The node's own word on a call; its clock may be wrong, the length is what counts."""
    return Call(an_id(10 + number), "doc1", "node", 500, 500 + lasted_ms, 0.0, audio_s, 0.0, AUDIO, "hangup")


@pytest.mark.parametrize(
    ("calls", "mode"),
    [
        ((), TEXT),
        ((call("doctor", 20.0, 30.0),), VIDEO),
        ((call("doctor", 19.9, 30.0),), AUDIO),
        ((call("doctor", 10.0, 30.0), call("doctor", 10.0, 5.0, 1)), VIDEO),
        ((call("node", 500.0, 500.0),), TEXT),
        ((call("doctor", 0.0, 4.9),), TEXT),
        ((call("doctor", 0.0, 5.0),), AUDIO),
        ((call("doctor", 60.0, 60.0), heard_at_node(60_000, 50.0)), VIDEO),
        ((call("doctor", 60.0, 60.0), heard_at_node(15_000, 10.0)), AUDIO),
        ((call("doctor", 60.0, 60.0), heard_at_node(60_000, 0.0)), TEXT),
        ((call("doctor", 60.0, 60.0), heard_at_node(60_000, 50.0, number=1)), VIDEO),
        ((call("doctor", 60.0, 60.0), heard_at_node(-5_000, 50.0)), TEXT),
        ((call("doctor", 60.0, 60.0), heard_at_node(12_000, 9.0), heard_at_node(12_000, 8.0)), VIDEO),
    ],
)
def test_the_mode_is_what_both_sides_measured(calls: tuple[Call, ...], mode: Mode) -> None:
    assert achieved_mode(calls) is mode


def test_a_doctor_can_declare_a_weaker_mode_but_no_stronger_one() -> None:
    assert effective_mode(VIDEO, AUDIO) is AUDIO
    assert effective_mode(AUDIO, VIDEO) is AUDIO
    assert effective_mode(AUDIO, None) is AUDIO


def test_the_record_holds_what_the_paper_must_show() -> None:
    record = build_record(
        draft(findings="Throat red"),
        ready(token="BR01-007"),
        patient(34, Gender.FEMALE),
        DOCTOR,
        Site("Rampur", "BR01"),
        DRUGS,
        prescription_id=an_id(5),
        signed_ms=NOW_MS,
        time_trusted=True,
        worker_name="Asha",
        mode=VIDEO,
        consult=FIRST,
        demo=True,
    )
    assert (record.patient_age, record.patient_sex, record.weight_kg) == ("34 years", "female", 52.0)
    assert record.registration == DOCTOR.registration and record.token == "BR01-007"
    assert record.findings.startswith("Throat red\nBP 120/80 mmHg")
    assert record.allergies == "none known"
    (medicine,) = record.medicines
    assert medicine.generic == "PARACETAMOL" and medicine.list_letter == "O" and medicine.approved
    raw = msgspec.msgpack.encode(record)
    assert msgspec.msgpack.decode(raw, type=PrescriptionRecord) == record


@pytest.mark.parametrize(
    ("changed", "hindi", "english"),
    [
        (
            {},
            "1 गोली — दिन में तीन बार — सुबह, दोपहर, रात — खाने के बाद — 3 दिन",
            "1 tablet - three times a day - after food - 3 days",
        ),
        (
            {"dose": "1/2", "frequency": "OD-N", "food": ""},
            "आधी गोली — रोज़ रात को — 3 दिन",
            "1/2 tablet - once a day at night - 3 days",
        ),
        (
            {"dose": "2", "duration_days": 1, "food": ""},
            "2 गोली — दिन में तीन बार — सुबह, दोपहर, रात — 1 दिन",
            "2 tablets - three times a day - 1 day",
        ),
        (
            {"dose": "5 mL", "form": "syrup", "food": ""},
            "5 mL — दिन में तीन बार — सुबह, दोपहर, रात — 3 दिन",
            "5 mL - three times a day - 3 days",
        ),
        (
            {"dose": "2", "form": "eye drops", "route": "eye", "frequency": "BD", "food": ""},
            "2 बूँद — आँख में डालें, दिन में दो बार — सुबह, रात — 3 दिन",
            "2 drops - in the eye, twice a day - 3 days",
        ),
    ],
)
def test_a_dose_is_said_in_plain_words(changed: dict[str, object], hindi: str, english: str) -> None:
    base = MedicineLine("F001", "PARACETAMOL", "tablet", "500 mg", "1", "oral", "TDS", 3, "after")
    medicine = msgspec.structs.replace(base, **changed)
    assert dose_line(medicine) == hindi
    assert dose_line(medicine, "en") == english


@pytest.mark.parametrize("field", ["dose", "quantity", "instructions"])
def test_a_prohibited_substance_does_not_pass_in_the_free_text_of_a_line(field: str) -> None:
    for words in ("and 1 tab Alprazolam 0.5 at night", "और रात को अल्प्राज़ोलम 0.5", "aur alprajolam 0.5", "१ डायजेपाम"):
        smuggled = msgspec.structs.replace(line(PARACETAMOL), **{field: words})
        assert "prohibited" in codes(draft(smuggled))
    assert "prohibited" not in codes(draft(line(PARACETAMOL)))


@pytest.mark.parametrize("field", ["advice", "tests"])
def test_advice_that_names_a_prohibited_substance_is_not_signed_in_either_script(field: str) -> None:
    for words in ("Take Tramadol at night.", "रात को ट्रामाडोल की एक गोली लें", "raat ko tramadole lein"):
        written = (words,) if field == "tests" else words
        assert codes(draft(line(PARACETAMOL), **{field: written})) == {"prohibited"}
    assert codes(draft(line(PARACETAMOL), advice="खूब पानी पिएँ।")) == set()


def test_a_diagnosis_that_names_a_prohibited_substance_is_shown_before_signing() -> None:
    for words, shown in (("मॉर्फीन की लत", True), ("Viral fever", False)):
        found = warnings(draft(line(PARACETAMOL), diagnosis=words), patient(), ready(), DRUGS, NOW_MS)
        assert ("prohibited_named" in {one.code for one in found}) is shown

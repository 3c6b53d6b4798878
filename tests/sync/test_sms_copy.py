"""Visit → early copy → what the doctor's page shows."""

import pytest
from msgspec import structs

from edge.model.fold import Patient, Visit, VitalsRound
from edge.model.records import (
    Age,
    AgeUnit,
    Allergies,
    Colour,
    Complaint,
    Gender,
    History,
    Person,
    Reading,
    TriageResult,
    Vitals,
)
from edge.model.reference import reference
from edge.sync import sms
from edge.sync.sms import Way
from edge.sync.sms_copy import VITALS, early_copy, shown

PATIENT = Patient("0123456789abcdef", "MP-1", Person("Sita Devi", Gender.FEMALE, "Rampur", Age(34)), 1_790_000_000_000)
ROUND = Vitals(
    tuple(
        Reading(vital, value)
        for vital, value in (("sbp", 92), ("dbp", 60), ("hr", 128), ("rr", 30), ("temp_c", 38.4), ("spo2", 88))
    ),
    "V",
    True,
)
VISIT = Visit(
    "0123456789abcdef",
    PATIENT.patient_id,
    1_790_000_000_000,
    "asha",
    token="MP-RMP-007",
    complaints=(Complaint("fever", "", 3, "day"), Complaint("other", "could not stand up since morning", 0, "")),
    history=History(pregnant=True),
    allergies=Allergies(False, ("penicillin",)),
    vitals=(VitalsRound(1_790_000_000_000, "asha", ROUND),),
    signs_present=(reference().signs[0].id, reference().signs[5].id),
    triage=TriageResult(Colour.RED),
)


def test_an_emergency_fits_into_one_sms_and_never_names_the_patient() -> None:
    copy = early_copy(VISIT, PATIENT, 1_790_000_060_000, emergency=True)
    raw = sms.encode(copy)
    assert sms.parts_needed(raw) == 1
    assert b"Sita" not in raw
    page = shown(sms.decode(raw, Way.UP))  # type: ignore[arg-type]
    assert (page.token, page.age, page.sex, page.colour) == ("MP-RMP-007", "34 years", "female", Colour.RED)
    assert page.vitals == {"sbp": 92, "dbp": 60, "hr": 128, "rr": 30, "temp_c": 38.4, "spo2": 88}
    assert page.complaints[0] == "fever 3 day"
    assert page.signs == VISIT.signs_present
    assert (page.avpu, page.oxygen, page.pregnant, page.allergies) == ("V", True, True, "named")
    assert page.written_ms == 1_790_000_040_000


def test_what_does_not_fit_is_left_out_and_the_copy_says_so() -> None:
    crowd = structs.replace(
        VISIT,
        complaints=tuple(Complaint("fever", "अ" * 200, 30, "month") for _ in range(10)),
        signs_present=tuple(sign.id for sign in reference().signs),
        vitals=(VitalsRound(0, "", Vitals(tuple(Reading(item.id, 120.0) for item in reference().vitals), "A", None)),),
        token="A" * 50,
    )
    for parts in (1, 2, 3, 4):
        copy = early_copy(crowd, None, 0, emergency=False, parts=parts)
        assert sms.parts_needed(sms.encode(copy)) <= parts
        assert shown(copy).left_out
        assert {"sbp", "hr", "spo2"} <= set(shown(copy).vitals)
    assert shown(copy).age == ""


def test_ages_are_told_in_any_way_they_were_asked() -> None:
    def age_of(person: Person) -> str:
        return shown(early_copy(VISIT, structs.replace(PATIENT, person=person), 0, emergency=True)).age

    assert age_of(structs.replace(PATIENT.person, age=Age(9, AgeUnit.DAYS))) == "9 days"
    assert age_of(structs.replace(PATIENT.person, age=None, birth_date="1990-01")) == "36 years"
    assert age_of(structs.replace(PATIENT.person, age=None)) == ""


def test_no_two_codes_of_the_reference_have_one_tag() -> None:
    known = reference()
    for of, codes in (("complaint", [one.id for one in known.complaints]), ("sign", [one.id for one in known.signs])):
        assert len({sms.tag_of(code, of) for code in codes}) == len(set(codes))
    assert {item.id for item in known.vitals} - {vital for vital, _ in VITALS} == {"bmi"}


def test_codes_and_vitals_of_a_later_release_are_shown_as_numbers() -> None:
    copy = structs.replace(early_copy(VISIT, None, 0, emergency=True), complaints=((1, 0, 0),), vitals={200: 7})
    assert shown(copy).complaints == ("#1",)
    assert shown(copy).vitals == {"#200": 7.0}


def test_the_hub_says_no_early_copy_and_a_node_no_answer() -> None:
    for content, wrong in (
        (early_copy(VISIT, None, 0, emergency=True), Way.DOWN),
        (sms.Answer(b"12345", sms.Advice.CALL_108), Way.UP),
        (sms.PrescriptionNotice(b"12345", bytes(10), bytes(16)), Way.UP),
    ):
        with pytest.raises(sms.SmsRefused):
            sms.decode(sms.encode(content), wrong)

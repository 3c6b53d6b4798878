"""FHIR documents of a visit: the tables of fhir.md hold for every visit that can be, and nothing is made up."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.fhir import Document, Kind, Origin, documents
from edge.model.fold import PrescriptionState, Visit
from edge.model.prescribing import PrescriptionRecord, SignedPrescription, Site, build_record, cancelling
from edge.model.records import (
    Age,
    AgeUnit,
    Allergies,
    Complaint,
    Gender,
    History,
    Mode,
    Person,
    Referral,
    VisitState,
    Vitals,
)
from edge.model.reference import reference
from tests.kits import fhir as tables
from tests.kits.fhir_base import BaseR4
from tests.model.kit import NOW_MS, PATIENT, VISIT, an_id, patient, readings, visit_after
from tests.model.prescribing_kit import BY_ID, DOCTOR, DRUGS, FIRST, METFORMIN, PARACETAMOL, draft, line, ready

SITE = Site("Rampur", "BR01")
HERE = Origin(SITE, "Asha Kumari")
BASE: list[BaseR4] = []
"""The validator that runs while these tests do."""


def record(visit: Visit, number: int = 60, **changed: Any) -> PrescriptionRecord:
    """A signed record over a draft with these fields."""
    fields = {"medicines": (line(PARACETAMOL),), **changed}
    replaces = fields.pop("replaces", None)
    return build_record(
        draft(**fields),
        visit,
        patient(),
        DOCTOR,
        SITE,
        DRUGS,
        prescription_id=an_id(number),
        signed_ms=NOW_MS + number * 1000,
        time_trusted=True,
        worker_name="Asha Kumari",
        mode=Mode.VIDEO,
        consult=FIRST,
        replaces=replaces,
        reason="wrong strength" if replaces else "",
    )


def cancelled(old: PrescriptionRecord, number: int) -> PrescriptionRecord:
    at_ms = NOW_MS + number * 1000
    return cancelling(old, DOCTOR, prescription_id=an_id(number), signed_ms=at_ms, reason="given to the wrong patient")


def with_records(visit: Visit, *records: PrescriptionRecord, state: VisitState = VisitState.COMPLETED) -> Visit:
    states = []
    for one in records:
        signed = SignedPrescription(msgspec.msgpack.encode(one), "slip", 1, b"", b"", b"", 0, b"")
        states.append(
            PrescriptionState(one.prescription_id, msgspec.msgpack.encode(signed), one.signed_ms, replaces=one.replaces)
        )
    return msgspec.structs.replace(
        visit, prescriptions=tuple(states), state=state, closed_ms=NOW_MS + 90_000, doctor_id="doc1"
    )


@pytest.fixture(scope="module", autouse=True)
def _base() -> Iterator[None]:
    BASE.append(BaseR4())
    yield
    BASE.pop().stop()


def opened(document: Document, *, base: bool = True) -> dict[str, Any]:
    """The document's JSON, checked by the tables and by two readers of base R4; ``base``: by the slow one, too."""
    found: dict[str, Any] = json.loads(document.content)
    assert tables.faults(found) == []
    Bundle.model_validate(found)
    assert not base or BASE[0].faults(found) == []
    assert found["id"] == document.document_id
    return found


def of_kind(made: tuple[Document, ...], kind: Kind) -> list[dict[str, Any]]:
    return [opened(one) for one in made if one.kind is kind]


def test_a_visit_gives_a_consultation_with_its_sections_and_a_prescription() -> None:
    visit = ready(complaints=(Complaint("fever", "", 2), Complaint("other", "burning feet")))
    written = record(
        visit,
        tests=("Blood smear",),
        advice="Rest",
        follow_up_date="2026-12-01",
        referral=Referral("phc", "today", "x"),
    )
    made = documents(with_records(visit, written), patient(), HERE)
    (consultation,) = of_kind(made, Kind.CONSULTATION)
    titles = [section["title"] for section in consultation["entry"][0]["resource"]["section"]]
    assert titles == [
        "Chief complaints",
        "Physical examination",
        "Allergies",
        "Medical history",
        "Investigation advice",
        "Medications",
        "Follow up",
        "Referral",
        "Other observations",
    ]
    (encounter,) = tables.resources(consultation, "Encounter")
    assert encounter["diagnosis"][0]["use"]["coding"][0]["display"] == "Preliminary diagnosis"
    codes = {
        coding["code"]
        for one in tables.resources(consultation, "Observation")
        for coding in one["code"].get("coding", ())
    }
    assert codes == {"85354-9", "29463-7"}, "pressure is a panel, weight a code of its own"
    (request,) = [one for one in tables.resources(consultation, "ServiceRequest") if "priority" in one]
    assert (request["priority"], request["code"]["text"]) == ("urgent", "Referral: phc - x")
    (prescription,) = of_kind(made, Kind.PRESCRIPTION)
    (medicine,) = tables.resources(prescription, "MedicationRequest")
    assert medicine["medicationCodeableConcept"] == {"text": f"PARACETAMOL {BY_ID[PARACETAMOL].strength} tablet"}
    assert medicine["dosageInstruction"][0]["timing"]["repeat"]["frequency"] == 3
    assert "गोली" in medicine["dosageInstruction"][0]["patientInstruction"]
    assert medicine["status"] == "active"


def test_what_was_not_recorded_is_not_there_and_no_birth_date_is_made_of_an_age() -> None:
    visit = msgspec.structs.replace(visit_after(), state=VisitState.COMPLETED, closed_ms=NOW_MS + 5000)
    (only,) = documents(visit, patient(), HERE)
    found = opened(only)
    (person,) = tables.resources(found, "Patient")
    assert not {"birthDate", "telecom"} & person.keys() and [
        n["type"]["coding"][0]["code"] for n in person["identifier"]
    ] == ["MR"]
    assert "30 years" in person["text"]["div"]
    assert not tables.resources(found, "AllergyIntolerance"), "nobody asked: that is not 'none known'"
    assert [one["code"]["text"] for one in tables.resources(found, "Observation")] == ["Outcome"]
    assert documents(visit, patient(), Origin(SITE)) == (), "nobody saw the patient"
    for state in VisitState:
        if state not in (VisitState.COMPLETED, VisitState.REFERRED):
            assert documents(msgspec.structs.replace(visit, state=state), patient(), HERE) == ()


def test_the_number_of_abha_is_hin_and_the_address_abha() -> None:
    person = msgspec.structs.replace(
        patient().person,
        abha_number="12345678901234",
        abha_address="asha@sbx",
        birth_date="1990-02-31",
        mobile="5550000001",
    )
    who = msgspec.structs.replace(patient(), person=person)
    (found,) = of_kind(documents(with_records(ready(), record(ready())), who, HERE), Kind.CONSULTATION)
    (shown,) = tables.resources(found, "Patient")
    assert {n["type"]["coding"][0]["code"]: n["value"] for n in shown["identifier"]} == {
        "MR": "BR01-000001",
        "HIN": "12345678901234",
        "ABHA": "asha@sbx",
    }
    assert "birthDate" not in shown, "there is no 31 February"


def test_an_amended_prescription_stops_the_old_one_and_says_what_it_replaces() -> None:
    old = record(ready())
    new = record(ready(), 61, medicines=(line(METFORMIN, frequency="BD"),), replaces=old)
    made = documents(with_records(ready(), old, new), patient(), HERE)
    first, second = of_kind(made, Kind.PRESCRIPTION)
    assert [one["status"] for one in tables.resources(first, "MedicationRequest")] == ["cancelled"]
    assert [one["status"] for one in tables.resources(second, "MedicationRequest")] == ["active"]
    assert "METFORMIN" in json.dumps(second)
    (related,) = second["entry"][0]["resource"]["relatesTo"]
    assert related["code"] == "replaces"
    assert related["targetIdentifier"] == first["entry"][0]["resource"]["identifier"]
    (whole,) = of_kind(made, Kind.CONSULTATION)
    assert whole["entry"][0]["resource"]["status"] == "amended"
    assert sorted(one["status"] for one in tables.resources(whole, "MedicationRequest")) == ["active", "cancelled"]


@pytest.mark.parametrize(("printed_ms", "status"), [(0, "cancelled"), (NOW_MS, "stopped")])
def test_a_cancelled_prescription_is_stopped_once_its_paper_is_out(printed_ms: int, status: str) -> None:
    old = record(ready())
    visit = with_records(ready(), old, cancelled(old, 61))
    first, second = visit.prescriptions
    visit = msgspec.structs.replace(
        visit, prescriptions=(msgspec.structs.replace(first, printed_ms=printed_ms), second)
    )
    told = of_kind(documents(visit, patient(), HERE), Kind.PRESCRIPTION)
    assert len(told) == 2
    assert {one["status"] for found in told for one in tables.resources(found, "MedicationRequest")} == {status}


def test_prescriptions_are_told_when_they_are_signed_and_the_consultation_when_the_visit_has_ended() -> None:
    visit = with_records(ready(), record(ready()), state=VisitState.RX_READY)
    assert [one.kind for one in documents(visit, patient(), HERE)] == [Kind.PRESCRIPTION]
    without = with_records(ready(), record(ready(), medicines=()))
    assert [one.kind for one in documents(without, patient(), HERE)] == [Kind.CONSULTATION]


def test_the_same_content_has_the_same_bytes_and_another_content_another_bundle_of_the_same_document() -> None:
    visit = with_records(ready(), record(ready()))
    before = documents(visit, patient(), HERE)
    later = msgspec.structs.replace(visit, changed_stamp=visit.changed_stamp + 99, seen_ms=NOW_MS, notes=("n",))
    assert documents(later, patient(), HERE) == before
    other = documents(msgspec.structs.replace(visit, complaint_notes="since the fair"), patient(), HERE)
    changed = [(a, b) for a, b in zip(before, other, strict=True) if a != b]
    assert [a.kind for a, _ in changed] == [Kind.CONSULTATION]
    ((was, now),) = changed
    assert was.document_id != now.document_id
    first, second = (opened(one)["entry"][0]["resource"]["identifier"] for one in (was, now))
    assert first == second


def test_made_up_patients_are_marked_as_such() -> None:
    visit = with_records(ready(), record(ready()))
    marks = [
        {mark["code"] for mark in opened(one)["meta"]["security"]}
        for one in (
            *documents(visit, patient(), msgspec.structs.replace(HERE, demo=True)),
            *documents(visit, patient(), HERE),
        )
    ]
    assert marks == [{"V", "HTEST"}] * 2 + [{"V"}] * 2


def test_a_record_that_nobody_can_read_spoils_nothing() -> None:
    broken = PrescriptionState(an_id(70), b"\xc1", NOW_MS)
    visit = with_records(ready(), record(ready()))
    visit = msgspec.structs.replace(visit, prescriptions=(*visit.prescriptions, broken))
    assert len(documents(visit, patient(), HERE)) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 1e-300, 1e300])
def test_a_value_that_nobody_can_have_is_not_told_on(value: float) -> None:
    seen = Vitals(readings(hr=value, height_cm=value, weight_kg=52.0, sbp=value, dbp=80.0), "A")
    visit = visit_after(ev.VitalsRecorded(VISIT, seen))
    (only,) = documents(msgspec.structs.replace(visit, state=VisitState.COMPLETED), patient(), HERE)
    told = [one for one in tables.resources(opened(only), "Observation") if "valueQuantity" in one]
    assert sorted(one["valueQuantity"]["value"] for one in told) == [52.0, 80.0]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
NAMES = st.from_regex(r"[A-Za-zऀ-ॿ&' ]*[A-Za-zक-ह][A-Za-zऀ-ॿ&' ]*", fullmatch=True).map(lambda text: text[:80])
VITAL_IDS = ("sbp", "dbp", "hr", "rr", "temp_c", "spo2", "weight_kg", "height_cm", "muac_cm", "hb_gdl", "pain")


@st.composite
def people(draw: st.DrawFn) -> Person:
    return Person(
        draw(NAMES),
        draw(st.sampled_from(Gender)),
        draw(WORDS),
        draw(st.none() | st.builds(Age, st.integers(0, 1500), st.sampled_from(AgeUnit))),
        draw(st.sampled_from(["", "1990", "2026-02", "2024-02-29", "2023-02-29", "0000", "2026-13"])),
        mobile=draw(st.sampled_from(["", "5550000001"])),
        abha_number=draw(st.sampled_from(["", "12345678901234"])),
        abha_address=draw(st.sampled_from(["", " ", "a@sbx"])),
    )


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    measured = [
        Vitals(readings(**draw(st.dictionaries(st.sampled_from(VITAL_IDS), st.floats(1, 300), max_size=6))), avpu)
        for avpu in draw(st.lists(st.sampled_from(["", "A", "U"]), max_size=2))
    ]
    conditions = tuple(item.id for item in reference().conditions)
    told: list[ev.Event] = [ev.VitalsRecorded(VISIT, one) for one in measured]
    if draw(st.booleans()):
        none = draw(st.booleans())
        items = () if none else tuple(draw(st.lists(WORDS, max_size=3)))
        told.append(ev.AllergiesRecorded(VISIT, Allergies(none, items)))
    if draw(st.booleans()):
        past = tuple(draw(st.lists(st.sampled_from(conditions), max_size=3)))
        weeks = draw(st.none() | st.integers(0, 45))
        told.append(ev.HistoryRecorded(VISIT, History(past, draw(WORDS), draw(WORDS), weeks is not None, weeks)))
    codes = st.sampled_from(["fever", "other", "not-in-the-list"])
    complaints = st.builds(Complaint, codes, WORDS, st.integers(0, 999), st.sampled_from(["day", ""]))
    told.append(ev.ComplaintsRecorded(VISIT, tuple(draw(st.lists(complaints, max_size=3))), draw(WORDS)))
    places = st.builds(Referral, WORDS, st.sampled_from(["now", "today", "week"]), WORDS)
    if draw(st.booleans()):
        told.append(ev.Referred(VISIT, draw(places), "108"))
    visit = visit_after(*told)
    records: list[PrescriptionRecord] = []
    for number in range(draw(st.integers(0, 3))):
        amends, takes_back = draw(st.tuples(st.booleans(), st.booleans()))
        old = records[-1] if records and amends else None
        if old is not None and takes_back:
            records.append(cancelled(old, 60 + number))
            continue
        lines = tuple(
            line(
                draw(st.sampled_from(sorted(BY_ID))),
                route=draw(st.sampled_from(["oral", "topical", "elsewhere"])),
                frequency=draw(st.sampled_from(["OD", "SOS", "STAT", "QW", "XYZ"])),
                dose=draw(st.sampled_from(["1", "1/2", "5 mL", "thin layer"])),
                food=draw(st.sampled_from(["", "before", "after", "any"])),
            )
            for _ in range(draw(st.integers(0, 2)))
        )
        records.append(
            record(
                visit,
                60 + number,
                medicines=lines,
                diagnosis=draw(WORDS),
                diagnosis_code=draw(st.sampled_from(["", "R50.9", "J06.9", "Z99.1"])),
                provisional=draw(st.booleans()),
                tests=tuple(draw(st.lists(WORDS, max_size=2))),
                advice=draw(WORDS),
                referral=draw(st.none() | places),
                follow_up_date=draw(st.sampled_from(["", "2026-12-01", "2026-02-31"])),
                replaces=old,
            )
        )
    state = draw(st.sampled_from([VisitState.RX_READY, VisitState.COMPLETED, VisitState.REFERRED]))
    doctor = draw(st.sampled_from(["", "doc1"]))
    return msgspec.structs.replace(with_records(visit, *records, state=state), doctor_id=doctor)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(visits(), people(), NAMES, st.booleans())
def test_every_visit_gives_documents_that_hold_the_tables(visit: Visit, who: Person, worker: str, alone: bool) -> None:
    there = msgspec.structs.replace(patient(), patient_id=PATIENT, person=who)
    made = documents(visit, there, Origin(SITE, "" if alone else worker))
    assert made == documents(visit, there, Origin(SITE, "" if alone else worker))
    assert len({one.document_id for one in made}) == len(made)
    for one in made:
        opened(one, base=len(one.content) % 8 == 0)  # a part of them: it takes some 30 ms each
    with_medicines = [s for s in visit.prescriptions if s.signed]
    assert sum(one.kind is Kind.PRESCRIPTION for one in made) <= len(with_medicines)


def _without(path: str) -> Callable[[dict[str, Any]], None]:
    def act(found: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place: Any = found
        for step in way:
            place = place[int(step)] if step.isdecimal() else place[step]
        del place[last]

    return act


def _of(kind: str, field: str) -> Callable[[dict[str, Any]], None]:
    def act(found: dict[str, Any]) -> None:
        del tables.resources(found, kind)[0][field]

    return act


def _wrong_section(found: dict[str, Any]) -> None:
    found["entry"][0]["resource"]["section"][0]["code"]["coding"][0]["display"] = "Chief complaints"


def _dangling(found: dict[str, Any]) -> None:
    found["entry"] = [one for one in found["entry"] if one["resource"]["resourceType"] != "Organization"]


@pytest.mark.parametrize(
    "spoil",
    [
        _without("meta.versionId"),
        _without("identifier.system"),
        _without("entry.0.resource.encounter"),
        _of("MedicationRequest", "requester"),
        _of("MedicationRequest", "authoredOn"),
        _of("Patient", "identifier"),
        _of("Condition", "code"),
        _wrong_section,
        _dangling,
    ],
)
def test_the_tables_find_what_is_wrong(spoil: Callable[[dict[str, Any]], None]) -> None:
    visit = ready(complaints=(Complaint("fever", "", 2),))
    (found,) = of_kind(documents(with_records(visit, record(visit)), patient(), HERE), Kind.CONSULTATION)
    spoiled = copy.deepcopy(found)
    spoil(spoiled)
    assert tables.faults(spoiled)


@pytest.mark.parametrize(
    ("path", "value"),
    [("status", 5), ("title", ["x"]), ("date", "yesterday"), ("author", []), ("colour", "red")],
)
def test_the_validator_of_base_r4_finds_what_is_wrong(path: str, value: object) -> None:
    made = documents(with_records(ready(), record(ready())), patient(), HERE)
    found = copy.deepcopy(opened(made[0]))
    found["entry"][0]["resource"][path] = value
    assert BASE[0].faults(found) != []

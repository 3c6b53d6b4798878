"""A visit, a draft and a doctor for the tests of the prescribing gate, and what the gate says of them."""

from datetime import date

import msgspec

from edge.model import events as ev
from edge.model.clock import day_of
from edge.model.fold import InPerson, PrescriptionState, Visit
from edge.model.prescribing import (
    DraftLine,
    Prescriber,
    PrescriptionDraft,
    SignedPrescription,
    Site,
    build_record,
    check,
)
from edge.model.records import (
    Allergies,
    Colour,
    ConsultType,
    Gender,
    History,
    MedicineLine,
    Mode,
    TriageResult,
    Vitals,
)
from edge.model.reference import DrugItem, formulary
from tests.model.kit import NOW_MS, VISIT, an_id, consented, patient, readings, visit_after

DRUGS = formulary().items
BY_ID = {drug.id: drug for drug in DRUGS}
SYRUP = next(drug.id for drug in DRUGS if drug.form == "syrup")
FIRST, FOLLOW_UP = ConsultType.FIRST, ConsultType.FOLLOW_UP
VIDEO, AUDIO, TEXT = Mode.VIDEO, Mode.AUDIO, Mode.TEXT
DAY_MS = 86_400_000
DOCTOR = Prescriber("doc1", "Dr Meera Rao", "MBBS", "BR 12345 / Bihar Medical Council", "0612-000000")
PARACETAMOL, CLOTRIMAZOLE, METFORMIN, THIAZIDE, ALPRAZOLAM, CHLOROQUINE = "F001", "F031", "F071", "F069", "F110", "F099"
AMOXICILLIN = "F018"


def ready(**changed: object) -> Visit:
    """A GREEN visit with everything that signing asks for."""
    visit = visit_after(
        consented(),
        ev.AllergiesRecorded(VISIT, Allergies(True)),
        ev.HistoryRecorded(VISIT, History(pregnant=False, post_partum=False)),
        ev.VitalsRecorded(VISIT, Vitals(readings(weight_kg=52.0, sbp=120.0, dbp=80.0), "A")),
        ev.Triaged(VISIT, TriageResult(Colour.GREEN)),
    )
    return msgspec.structs.replace(visit, **changed)


def line(drug_id: str, **changed: object) -> DraftLine:
    base = DraftLine(drug_id, dose="1", route="oral", frequency="TDS", duration_days=3, food="after")
    return msgspec.structs.replace(base, **changed)


def draft(*lines: DraftLine, **changed: object) -> PrescriptionDraft:
    base = PrescriptionDraft(diagnosis="Fever", diagnosis_code="R50.9", medicines=lines or (line(PARACETAMOL),))
    return msgspec.structs.replace(base, **changed)


def codes(
    written: PrescriptionDraft,
    visit: Visit | None = None,
    *,
    years: int = 30,
    gender: Gender = Gender.FEMALE,
    mode: Mode = VIDEO,
    consult: ConsultType = FIRST,
    registration: str = "BR 1",
    earlier: tuple[Visit, ...] = (),
) -> set[str]:
    found = check(
        written,
        patient(years, gender),
        visit or ready(),
        DRUGS,
        mode,
        consult,
        NOW_MS,
        registration=registration,
        doctor_id="doc1",
        earlier=earlier,
    )
    assert all(denial.message for denial in found)
    return {denial.code for denial in found}


EARLIER = an_id(77)


def record_of(drug: DrugItem, doctor_id: str, signed_ms: int) -> PrescriptionState:
    medicine = MedicineLine(drug.id, drug.generic, drug.form, drug.strength, "1", "oral", "OD", 30)
    written = build_record(
        PrescriptionDraft(diagnosis="Diabetes"),
        ready(),
        patient(),
        msgspec.structs.replace(DOCTOR, doctor_id=doctor_id),
        Site("Rampur", "BR01"),
        DRUGS,
        prescription_id=an_id(50),
        signed_ms=signed_ms,
        time_trusted=True,
        worker_name="Asha",
        mode=VIDEO,
        consult=FIRST,
    )
    raw = msgspec.msgpack.encode(msgspec.structs.replace(written, medicines=(medicine,)))
    signed = SignedPrescription(raw, "slip", 1, b"", b"", b"", 0, b"")
    return PrescriptionState(an_id(50), msgspec.msgpack.encode(signed), signed_ms)


def in_person_day(days_ago: int) -> str:
    return date.fromordinal(day_of(NOW_MS) - days_ago + date(1970, 1, 1).toordinal()).isoformat()


def past(drug: DrugItem, doctor_id: str = "doc1", days_ago: int = 30, **changed: object) -> Visit:
    at_ms = NOW_MS - days_ago * DAY_MS
    seen = InPerson(doctor_id, in_person_day(days_ago), "doctor", at_ms, doctor_id)
    base = ready(
        visit_id=EARLIER, opened_ms=at_ms, prescriptions=(record_of(drug, doctor_id, at_ms),), in_person=(seen,)
    )
    return msgspec.structs.replace(base, **changed)

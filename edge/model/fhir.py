"""A visit as FHIR R4 documents: one OPConsultRecord, and a PrescriptionRecord for every signed prescription (fhir.md).

Node and hub build them from the same view by this code. The same content gives the same bytes and the same ids. A
document never changes: when the visit says something else, it is another Bundle with another identifier, and its
Composition keeps the identifier that all its versions have (R4, "Documents"). Nothing is filled in that was not
recorded: no birth date from a told age, no code whose display no source gives. Pure.
"""

from msgspec import Struct

from . import fhir_sections as say
from .fhir_page import Document as Document
from .fhir_page import Kind as Kind
from .fhir_page import Origin as Origin
from .fhir_page import Page
from .fhir_parts import OURS, Json, Resource, uuid_of
from .fold import Patient, PrescriptionState, Visit
from .prescription import PrescriptionRecord
from .records import Referral, VisitState
from .standing import Stands, record_in, standing

_ENDED = frozenset({VisitState.COMPLETED, VisitState.REFERRED})


class _Signed(Struct, frozen=True):
    """A prescription that can be read, and how it stands."""

    record: PrescriptionRecord
    stands: Stands
    out: bool
    """Its paper was printed, or something of it handed out."""


def documents(visit: Visit, patient: Patient, origin: Origin) -> tuple[Document, ...]:
    """What there is to tell of a visit: prescriptions once they are signed, the consultation once the visit has ended.

    Nothing for a visit that was cancelled, or in which nobody saw the patient.
    """
    signed = _signed(visit)
    made = [_prescription(one, signed, visit, patient, origin) for one in signed]
    if visit.state in _ENDED and (signed or visit.doctor_id or origin.worker_name):
        made.append(_consultation(signed, visit, patient, origin))
    return tuple(one for one in made if one is not None)


def _signed(visit: Visit) -> list[_Signed]:
    known = standing(visit.prescriptions)
    given = {one.prescription_id for one in visit.handed_out}
    found: list[_Signed] = []
    for state in visit.prescriptions:
        record = record_in(state.signed)
        if record is not None and record.prescription_id == state.prescription_id:
            found.append(_Signed(record, known[state.prescription_id], _is_out(state, given)))
    return sorted(found, key=lambda one: (one.record.signed_ms, one.record.prescription_id))


def _is_out(state: PrescriptionState, given: set[str]) -> bool:
    return state.printed_ms > 0 or state.prescription_id in given


def _prescription(
    one: _Signed, signed: list[_Signed], visit: Visit, patient: Patient, origin: Origin
) -> Document | None:
    """One prescription; None for one without a medicine that took none back either."""
    record = one.record
    old = next((other for other in signed if other.record.prescription_id == record.replaces), None)
    taken_back = old if old is not None and not record.medicines else None
    told = taken_back or one
    if not told.record.medicines:
        return None
    page = Page(visit, patient, origin, record.signed_ms)
    doctor = page.doctor(record)
    page.meet([doctor, *([page.worker] if page.worker else [])], record.signed_ms)
    for number in range(len(told.record.medicines)):
        line = say.medicine(page, told.record, told.stands, told.out, number)
        page.add("prescription", line, type="MedicationRequest")
    replaced: list[Json] = []
    if old is not None:
        number_of_old = uuid_of("composition", Kind.PRESCRIPTION, record.replaces)
        target: Resource = {"system": f"{OURS}document", "value": number_of_old}
        replaced.append({"code": "replaces", "targetIdentifier": target})
    more: Resource = {"relatesTo": replaced} if replaced else {}
    title = f"Prescription {record.prescription_id}" + (" (cancelled)" if record.cancels else "")
    return page.bundle(Kind.PRESCRIPTION, record.prescription_id, title, "final", doctor, **more)


def _consultation(signed: list[_Signed], visit: Visit, patient: Patient, origin: Origin) -> Document | None:
    latest_ms = signed[-1].record.signed_ms if signed else 0
    page = Page(visit, patient, origin, max(latest_ms, visit.closed_ms, visit.opened_ms))
    doctors = [page.doctor(one.record) for one in signed]
    doctor = doctors[-1] if doctors else page.seen_by()
    author = doctor or page.worker
    if author is None:
        return None
    people = {str(one["id"]): one for one in (*doctors, doctor, page.worker) if one is not None}
    final = [one.record for one in signed if not one.stands.by]
    uses, diagnoses = say.diagnoses(visit, page.patient, final)
    page.meet(people.values(), page.at_ms, uses)
    say.complaints(page)
    say.examination(page, final)
    say.allergies(page, author)
    for found in diagnoses:
        page.add("history", found)
    say.history(page)
    for record in final:
        say.advised(page, record, page.doctor(record))
    for one in signed:
        for number in range(len(one.record.medicines)):
            page.add("medications", say.medicine(page, one.record, one.stands, one.out, number))
    for number, made in enumerate(visit.referrals):
        said = Referral(made.to, made.urgency if made.urgency in say.PRIORITY else "week", made.reason)
        page.add("referral", say.referral(page, said, page.worker or author, made.at_ms, "nurse", str(number)))
    if not page.has_sections():
        page.tell("other", "Outcome", visit.state.value, page.at_ms)
    status = "amended" if any(one.stands.by for one in signed) else "final"
    return page.bundle(Kind.CONSULTATION, visit.visit_id, "Consultation Report", status, author)

"""Events → patient, visit: the only place where a record's present state is computed.

Used by the node and by the hub, on each its own copy of the log, so that both show the same.
Pure: what is not in the events is not known here.
"""

from collections.abc import Iterable

import msgspec

from . import events as ev
from .records import (
    Allergies,
    Colour,
    Complaint,
    History,
    Mode,
    Person,
    TriageResult,
    VisitState,
    Vitals,
)


class Patient(msgspec.Struct, frozen=True):
    """A patient as the last entry left her."""

    patient_id: str
    local_id: str
    person: Person
    registered_ms: int
    amended: int = 0
    """How many times the person was amended."""


class Consent(msgspec.Struct, frozen=True):
    purpose: str
    given: bool
    method: str
    language: str
    at_ms: int
    by: str
    statement_version: str = ""
    guardian_name: str = ""


class VitalsRound(msgspec.Struct, frozen=True):
    at_ms: int
    by: str
    vitals: Vitals


class Call(msgspec.Struct, frozen=True):
    """One attempt of a call, as one side measured it."""

    call_id: str
    doctor_id: str
    side: str
    started_ms: int
    ended_ms: int
    video_s: float
    audio_s: float
    concealed_s: float
    mode: Mode
    ended_because: str


class PrescriptionState(msgspec.Struct, frozen=True):
    """A signed prescription and how far its paper has come."""

    prescription_id: str
    signed: bytes
    """msgpack of SignedPrescription; base64 in JSON."""
    signed_ms: int
    stored_ms: int = 0
    """When the node said that it holds it; 0 before."""
    printed_ms: int = 0
    copies: int = 0


class Visit(msgspec.Struct, frozen=True):
    """A visit as the entries leave it. Served as JSON by node and hub."""

    visit_id: str
    patient_id: str
    opened_ms: int
    opened_by: str
    category: str = "general"
    follow_up_of: str = ""
    state: VisitState = VisitState.DRAFT
    token: str = ""
    token_day: int = 0
    token_serial: int = 0
    queued_ms: int = 0
    consents: tuple[Consent, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    complaint_notes: str = ""
    history: History | None = None
    allergies: Allergies | None = None
    vitals: tuple[VitalsRound, ...] = ()
    signs_present: tuple[str, ...] = ()
    signs_absent: tuple[str, ...] = ()
    triage: TriageResult = TriageResult(Colour.NOT_TRIAGED)
    staff_colour: Colour | None = None
    """A colour that a person raised above the rules."""
    doctor_id: str = ""
    doctor_name: str = ""
    seen_ms: int = 0
    """When a doctor opened the record; 0 before."""
    notes: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    prescriptions: tuple[PrescriptionState, ...] = ()
    closed_ms: int = 0
    explained: bool = False
    changed_stamp: int = 0
    """Stamp of the last entry that changed this visit."""

    @property
    def colour(self) -> Colour:
        """What the queue goes by: the stronger of rules and staff."""
        if self.staff_colour is None:
            return self.triage.colour
        return max(self.triage.colour, self.staff_colour, key=COLOUR_ORDER.__getitem__)


COLOUR_ORDER = {Colour.NOT_TRIAGED: 0, Colour.GREEN: 1, Colour.YELLOW: 2, Colour.RED: 3}
"""Strength of a colour; a layer may only raise it."""


def fold_patient(patient: Patient | None, event: ev.Event | ev.Unknown, at_ms: int) -> Patient | None:
    """The patient after one more event. Events of other patients are the caller's to keep away."""
    match event:
        case ev.PatientRegistered(patient_id, local_id, person):
            return patient or Patient(patient_id, local_id, person, at_ms)
        case ev.PatientAmended(_, person) if patient is not None:
            return msgspec.structs.replace(patient, person=person, amended=patient.amended + 1)
        case _:
            return patient


def fold_visit(visit: Visit | None, event: ev.Event | ev.Unknown, stamp: int, actor: str) -> Visit | None:
    """The visit after one more event. Idempotent for entries whose repetition changes nothing.

    An event of a visit whose ``VisitOpened`` has not arrived yet gives None: the caller keeps the
    entry and folds again when the opening is there.
    """
    at_ms = stamp >> 16
    if isinstance(event, ev.VisitOpened):
        if visit is not None:
            return visit
        return Visit(
            event.visit_id, event.patient_id, at_ms, actor, event.category, event.follow_up_of, changed_stamp=stamp
        )
    if visit is None:
        return None
    changes = _changes(visit, event, at_ms, actor)
    if changes is None:
        return visit
    return msgspec.structs.replace(visit, changed_stamp=max(stamp, visit.changed_stamp), **changes)


def _changes(visit: Visit, event: ev.Event | ev.Unknown, at_ms: int, actor: str) -> dict[str, object] | None:
    match event:
        case ev.ConsentRecorded():
            consent = Consent(
                event.purpose,
                event.given,
                event.method,
                event.language,
                at_ms,
                actor,
                event.statement_version,
                event.guardian.name if event.guardian else "",
            )
            return {"consents": (*visit.consents, consent)}
        case ev.ComplaintsRecorded():
            return {"complaints": event.complaints, "complaint_notes": event.notes}
        case ev.HistoryRecorded():
            return {"history": event.history}
        case ev.AllergiesRecorded():
            return {"allergies": event.allergies}
        case ev.VitalsRecorded():
            return {"vitals": (*visit.vitals, VitalsRound(at_ms, actor, event.vitals))}
        case ev.SignsAnswered():
            return {"signs_present": event.present, "signs_absent": event.absent}
        case ev.Triaged():
            if event.raised_by_staff:
                return {"staff_colour": event.result.colour}
            state = VisitState.TRIAGED if visit.state is VisitState.DRAFT else visit.state
            return {"triage": event.result, "state": state}
        case ev.TokenIssued():
            return {
                "token": event.token,
                "token_day": event.day,
                "token_serial": event.serial,
                "queued_ms": visit.queued_ms or at_ms,
                "state": VisitState.WAITING,
            }
        case ev.VisitMoved():
            return {"state": event.state}
        case ev.CallHeld():
            call = Call(
                event.call_id,
                event.doctor_id,
                event.side,
                event.started_ms,
                event.ended_ms,
                event.video_s,
                event.audio_s,
                event.concealed_s,
                event.mode,
                event.ended_because,
            )
            return {"calls": (*visit.calls, call)}
        case ev.VisitAssigned():
            return {"doctor_id": event.doctor_id, "doctor_name": event.doctor_name}
        case ev.VisitSeen():
            return {"seen_ms": visit.seen_ms or at_ms, "doctor_id": visit.doctor_id or event.doctor_id}
        case ev.DoctorNote():
            return {"notes": (*visit.notes, event.note)}
        case ev.PrescriptionSigned():
            known = {p.prescription_id for p in visit.prescriptions}
            if event.prescription_id in known:
                return None
            fresh = PrescriptionState(event.prescription_id, event.signed, at_ms)
            return {"prescriptions": (*visit.prescriptions, fresh), "state": VisitState.RX_READY}
        case ev.PrescriptionStored():
            return {"prescriptions": _mark(visit, event.prescription_id, stored_ms=at_ms)}
        case ev.SlipPrinted():
            return {"prescriptions": _mark(visit, event.prescription_id, printed_ms=at_ms, copies=event.copies)}
        case ev.VisitClosed():
            return {"state": event.outcome, "closed_ms": at_ms, "explained": event.explained}
        case _:
            return None


def _mark(visit: Visit, prescription_id: str, **marks: int) -> tuple[PrescriptionState, ...]:
    return tuple(
        msgspec.structs.replace(p, **marks) if p.prescription_id == prescription_id else p for p in visit.prescriptions
    )


def fold_all(entries: Iterable[ev.Entry]) -> tuple[dict[str, Patient], dict[str, Visit]]:
    """All patients and visits of a sequence of entries, in the order given."""
    patients: dict[str, Patient] = {}
    visits: dict[str, Visit] = {}
    for entry in entries:
        event = ev.event_of(entry)
        if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
            patient = fold_patient(patients.get(event.patient_id), event, entry.stamp >> 16)
            if patient is not None:
                patients[event.patient_id] = patient
        elif visit_id := ev.visit_of(event):
            visit = fold_visit(visits.get(visit_id), event, entry.stamp, entry.actor)
            if visit is not None:
                visits[visit_id] = visit
    return patients, visits

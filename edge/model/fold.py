"""Events → patient, visit: the only place where a record's present state is computed.

Used by the node and by the hub, on each its own copy of the log, so that both show the same,
although they see the entries in different orders: the node's streams may overtake one another on
the link, and the hub's log interleaves with them differently at each end. So what a node says once
more is settled by its stamp, lists are kept sorted, and a signed prescription outranks the places
that the node gives a visit, except a close. Only the hub's own log has to be folded in its order.
Pure: what is not in the events is not known here.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from . import events as ev
from . import referral
from .fold_media import MediaItem, SpokenAnswer, answer_changes, earliest, media_changes
from .fold_third import Third, third_changes
from .records import (
    OPEN_STATES,
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
    replaces: str = ""
    """The prescription that this one amends or cancels."""


class InPerson(msgspec.Struct, frozen=True):
    """A consultation at which this doctor and the patient were in one room, for the condition of the visit."""

    doctor_id: str
    held_on: str
    """YYYY-MM-DD, Indian calendar."""
    said_by: str
    """``doctor`` (herself), ``nurse`` (was there) or ``paper`` (the nurse saw the paper)."""
    at_ms: int
    by: str


class Expected(msgspec.Struct, frozen=True):
    """What the hub said last about the wait (:class:`edge.model.events.VisitExpected`), and when."""

    state: str
    low_min: int
    high_min: int
    opens_ms: int
    at_ms: int


class HandedOut(msgspec.Struct, frozen=True):
    """A medicine that the patient was given."""

    at_ms: int
    by: str
    prescription_id: str
    drug_id: str
    units: int
    stamp: int = 0
    """Stamp of its entry; 0 where an earlier release folded it."""
    at_count: int = 0
    """Of the entries of that ms: the stamp's last 16 bits, for a browser, whose numbers do not hold the whole."""


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
    given_by: str = ""
    """Who gave it to this doctor; "" when she took it herself."""
    seen_ms: int = 0
    """When a doctor opened the record; 0 before."""
    notes: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    prescriptions: tuple[PrescriptionState, ...] = ()
    closed_ms: int = 0
    explained: bool = False
    changed_stamp: int = 0
    """Stamp of the last entry that changed this visit."""
    no_shows_ms: tuple[int, ...] = ()
    """When the patient was called and was not there."""
    early_marks: tuple[PrescriptionState, ...] = ()
    """Stored or printed marks that were folded before their prescription; without its bytes."""
    media: tuple[MediaItem, ...] = ()
    """In the order in which it was attached."""
    early_media: tuple[MediaItem, ...] = ()
    """Seen or removed marks that were folded before their blob was attached."""
    answers: tuple[SpokenAnswer, ...] = ()
    """What doctors said into their microphones for this visit, in the order of time."""
    in_person: tuple[InPerson, ...] = ()
    handed_out: tuple[HandedOut, ...] = ()
    referrals: tuple[referral.MadeReferral, ...] = ()
    """By the nurse; a doctor's stands in the prescription."""
    ending: referral.ToldEnding | None = None
    taken_back: tuple[int, ...] = ()
    """Stamps of the hand-outs and referrals that were slips, also of those that have not arrived yet."""
    stamps: dict[str, int] = {}
    """Stamp of the entry that each replaceable part comes from."""
    expected: Expected | None = None
    thirds: tuple[Third, ...] = ()
    """Specialists who came into its calls, in the order of coming."""
    speciality: str = ""
    """Of which speciality a doctor was asked for; "" for none."""
    denied: tuple[int, ...] = ()
    """Stamps of the entries that say that the rules about medicines stopped a signing."""
    tells_denials: bool = False
    """The hub that opened this record says such entries: none means that there was none."""

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


FINAL_STATES = frozenset({VisitState.COMPLETED, VisitState.REFERRED, VisitState.CANCELLED})
"""Closed for good; a new prescription that arrives later does not open the visit again. One that amends or cancels
what the patient took home does: somebody has to print it and tell the patient."""


def is_open(visit: Visit) -> bool:
    """Not closed; whoever was called and was not there may still come back."""
    return visit.state in OPEN_STATES or (visit.state is VisitState.NO_SHOW and not visit.closed_ms)


def fold_visit(visit: Visit | None, event: ev.Event | ev.Unknown, stamp: int, actor: str) -> Visit | None:
    """The visit after one more event. Folding the same entry again changes nothing.

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
    changes = _changes(visit, event, stamp, actor)
    if changes is None:
        return visit
    fresh = changes.pop("stamps", None)
    stamps = {**visit.stamps, **fresh} if isinstance(fresh, dict) else visit.stamps
    changed_stamp = max(stamp, visit.changed_stamp)
    return msgspec.structs.replace(visit, changed_stamp=changed_stamp, stamps=stamps, **changes)


def _changes(visit: Visit, event: ev.Event | ev.Unknown, stamp: int, actor: str) -> dict[str, object] | None:
    at_ms = stamp >> 16
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
            return {"consents": _insert(visit.consents, consent)}
        case ev.ComplaintsRecorded():
            return _newest(visit, stamp, "complaints", complaints=event.complaints, complaint_notes=event.notes)
        case ev.HistoryRecorded():
            return _newest(visit, stamp, "history", history=event.history)
        case ev.AllergiesRecorded():
            return _newest(visit, stamp, "allergies", allergies=event.allergies)
        case ev.VitalsRecorded():
            return {"vitals": _insert(visit.vitals, VitalsRound(at_ms, actor, event.vitals))}
        case ev.SignsAnswered():
            return _newest(visit, stamp, "signs", signs_present=event.present, signs_absent=event.absent)
        case ev.Triaged():
            if event.raised_by_staff:
                return _newest(visit, stamp, "staff_colour", staff_colour=event.result.colour)
            state = VisitState.TRIAGED if visit.state is VisitState.DRAFT else visit.state
            return (_newest(visit, stamp, "triage", triage=event.result) or {}) | {"state": state}
        case ev.TokenIssued():
            token = _newest(visit, stamp, "token", token=event.token, token_day=event.day, token_serial=event.serial)
            queued: dict[str, object] = {"queued_ms": earliest(visit.queued_ms, at_ms)}
            return _merged(_moved(visit, stamp, VisitState.WAITING), token, queued)
        case ev.VisitMoved():
            missed = {at_ms} if event.state is VisitState.NO_SHOW else set()
            no_shows: dict[str, object] = {"no_shows_ms": tuple(sorted({*visit.no_shows_ms, *missed}))}
            return _merged(_moved(visit, stamp, event.state), no_shows)
        case ev.VisitClosed():
            closing = _newest(visit, stamp, "closed", closed_ms=at_ms, explained=event.explained)
            return _merged(_moved(visit, stamp, event.outcome), closing)
        case ev.InPersonRecorded() | ev.InPersonConfirmed():
            nurse = "paper" if isinstance(event, ev.InPersonRecorded) and event.paper_seen else "nurse"
            said_by = nurse if isinstance(event, ev.InPersonRecorded) else "doctor"
            seen = InPerson(event.doctor_id, event.held_on, said_by, at_ms, actor)
            return {"in_person": _insert(visit.in_person, seen)}
        case ev.Dispensed():
            given = HandedOut(at_ms, actor, event.prescription_id, event.drug_id, event.units, stamp, stamp & 0xFFFF)
            return {} if stamp in visit.taken_back else {"handed_out": _insert(visit.handed_out, given)}
        case ev.Referred():
            sent = referral.made(event, stamp, actor)
            return {} if stamp in visit.taken_back else {"referrals": _insert(visit.referrals, sent)}
        case ev.HandOutTakenBack() | ev.ReferralTakenBack():
            return _taken_back(visit, event.stamp)
        case ev.ClosingTakenBack():
            opening = _newest(visit, stamp, "closed", closed_ms=0, explained=False)
            return _merged(_moved(visit, stamp, event.state), opening)
        case ev.EndingTold():
            told = referral.ToldEnding(at_ms, actor, event.ending, event.note)
            return _newest(visit, stamp, "ending", ending=told)
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
            return {"calls": _insert(visit.calls, call)}
        case _:
            return (
                _prescription_changes(visit, event, stamp)
                or media_changes(visit.media, visit.early_media, event, at_ms, actor)
                or answer_changes(visit.answers, event, at_ms)
                or _hub_changes(visit, event, stamp, actor)
            )


def _taken_back(visit: Visit, stamp: int) -> dict[str, object]:
    return {
        "taken_back": tuple(sorted({*visit.taken_back, stamp})),
        "handed_out": tuple(one for one in visit.handed_out if one.stamp != stamp),
        "referrals": tuple(one for one in visit.referrals if one.stamp != stamp),
    }


def _hub_changes(visit: Visit, event: ev.Event | ev.Unknown, stamp: int, actor: str) -> dict[str, object] | None:
    """What the hub's log says: one log, one order."""
    at_ms = stamp >> 16
    match event:
        case ev.VisitAssigned():
            by = actor if event.doctor_name and actor != event.doctor_id else ""
            doctor: dict[str, object] = {"doctor_id": event.doctor_id, "doctor_name": event.doctor_name}
            return _newest(visit, stamp, "doctor", **doctor, given_by=by)
        case ev.VisitExpected():
            told = Expected(event.state, event.low_min, event.high_min, event.opens_ms, at_ms)
            return _newest(visit, stamp, "expected", expected=told)
        case ev.SpecialityWanted():
            return _newest(visit, stamp, "speciality", speciality=event.speciality)
        case ev.VisitSeen():
            return {
                "seen_ms": earliest(visit.seen_ms, at_ms),
                "doctor_id": visit.doctor_id or event.doctor_id,
                "tells_denials": visit.tells_denials or event.tells_denials,
            }
        case ev.SigningDenied():
            return {"denied": tuple(sorted({*visit.denied, stamp}))}
        case ev.DoctorNote():
            if stamp <= visit.stamps.get("notes", 0):
                return None
            return _newest(visit, stamp, "notes", notes=(*visit.notes, event.note))
        case _:
            thirds = third_changes(visit.thirds, event, at_ms)
            return dict(thirds) if thirds is not None else None


def _prescription_changes(visit: Visit, event: ev.Event | ev.Unknown, stamp: int) -> dict[str, object] | None:
    at_ms = stamp >> 16
    match event:
        case ev.PrescriptionSigned():
            if event.prescription_id in {p.prescription_id for p in visit.prescriptions}:
                return None
            early = {p.prescription_id: p for p in visit.early_marks}
            mark = early.pop(event.prescription_id, PrescriptionState(event.prescription_id, b"", 0))
            fresh = msgspec.structs.replace(mark, signed=event.signed, signed_ms=at_ms, replaces=event.replaces)
            added: dict[str, object] = {
                "prescriptions": (*visit.prescriptions, fresh),
                "early_marks": tuple(early.values()),
            }
            if event.replaces and visit.state in FINAL_STATES:
                return _merged(added, _newest(visit, stamp, "state", state=VisitState.RX_READY))
            return added | {"state": visit.state if visit.state in FINAL_STATES else VisitState.RX_READY}
        case ev.PrescriptionStored():
            return _mark(visit, event.prescription_id, lambda p: {"stored_ms": earliest(p.stored_ms, at_ms)})
        case ev.SlipPrinted():

            def printed(p: PrescriptionState) -> dict[str, int]:
                last_ms, copies = max((p.printed_ms, p.copies), (at_ms, event.copies))
                return {"printed_ms": last_ms, "copies": copies}

            return _mark(visit, event.prescription_id, printed)
        case _:
            return None


_Item = TypeVar("_Item", bound="Consent | VitalsRound | Call | InPerson | HandedOut | referral.MadeReferral")
_encode = msgspec.msgpack.Encoder().encode


def _insert(items: tuple[_Item, ...], item: _Item) -> tuple[_Item, ...]:
    """``items`` with ``item`` at its place in time, once."""
    if item in items:
        return items
    return tuple(sorted((*items, item), key=_in_time))


def _in_time(item: Consent | VitalsRound | Call | InPerson | HandedOut | referral.MadeReferral) -> tuple[int, bytes]:
    return (item.started_ms if isinstance(item, Call) else item.at_ms, _encode(item))


def _newest(visit: Visit, stamp: int, part: str, **changes: object) -> dict[str, object] | None:
    """``changes``, unless this part of the visit already comes from a later entry."""
    if stamp < visit.stamps.get(part, 0):
        return None
    return {**changes, "stamps": {part: stamp}}


def _moved(visit: Visit, stamp: int, state: VisitState) -> dict[str, object] | None:
    """The node gives the visit another place; one that has a prescription stays ready unless it is closed."""
    shown = state if state in FINAL_STATES or not visit.prescriptions else VisitState.RX_READY
    return _newest(visit, stamp, "state", state=shown)


def _merged(*parts: dict[str, object] | None) -> dict[str, object]:
    """Several changes in one; each brings the stamps of its own parts."""
    merged: dict[str, object] = {}
    stamps: dict[str, int] = {}
    for part in parts:
        found = part.get("stamps") if part else None
        stamps |= found if isinstance(found, dict) else {}
        merged |= part or {}
    return merged | {"stamps": stamps}


def _mark(
    visit: Visit, prescription_id: str, marks: Callable[[PrescriptionState], dict[str, int]]
) -> dict[str, object]:
    """Set marks on a prescription; one that is not there yet waits in ``early_marks``."""
    if any(p.prescription_id == prescription_id for p in visit.prescriptions):
        field, items = "prescriptions", visit.prescriptions
    else:
        blank = PrescriptionState(prescription_id, b"", 0)
        field, items = "early_marks", visit.early_marks
        if all(p.prescription_id != prescription_id for p in items):
            items = tuple(sorted((*items, blank), key=lambda p: p.prescription_id))
    return {
        field: tuple(
            msgspec.structs.replace(p, **marks(p)) if p.prescription_id == prescription_id else p for p in items
        )
    }


def fold_all(entries: Iterable[ev.Entry]) -> tuple[dict[str, Patient], dict[str, Visit]]:
    """All patients and visits of a sequence of entries, in the order given.

    Entries of a visit that come before its opening are folded right after it.
    """
    patients: dict[str, Patient] = {}
    visits: dict[str, Visit] = {}
    early: dict[str, list[tuple[ev.Event | ev.Unknown, ev.Entry]]] = {}
    for entry in entries:
        event = ev.event_of(entry)
        if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
            patient = fold_patient(patients.get(event.patient_id), event, entry.stamp >> 16)
            if patient is not None:
                patients[event.patient_id] = patient
        elif visit_id := ev.visit_of(event):
            visit = fold_visit(visits.get(visit_id), event, entry.stamp, entry.actor)
            if visit is None:
                early.setdefault(visit_id, []).append((event, entry))
                continue
            for waiting, its_entry in early.pop(visit_id, ()):
                visit = fold_visit(visit, waiting, its_entry.stamp, its_entry.actor) or visit
            visits[visit_id] = visit
    return patients, visits

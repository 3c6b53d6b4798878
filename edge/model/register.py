"""The day register of a centre (forms.md §9), and what of the day is not finished. Pure.

A row is what the paper register asks for and nothing more; where nothing was recorded it stays empty.
Diagnosis, medicines, referral and follow-up come from the prescription that stands.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from .age import age_days, age_text, years_of
from .clock import day_of
from .fold import FINAL_STATES, Patient, Visit
from .prescription import PrescriptionRecord
from .progress import RANK, ItemLine, SyncState
from .records import Gender, VisitState
from .standing import Standing, record_in, standing
from .triage import latest_vitals

BANDS = ((0, 5), (5, 15), (15, 30), (30, 60), (60, 200))
"""Completed years from … below (forms.md §9; 5–14 is from memory there - verify)."""


EARLY_COPY = "sms"
"""An item that is a copy of others: nothing waits because of it."""


class DayVisit(Struct, frozen=True):
    """A visit of the day with what belongs to it."""

    visit: Visit
    patient: Patient
    lines: tuple[ItemLine, ...] = ()


class RegisterRow(Struct, frozen=True):
    """One line of the day register. Codes as in the records; times in Unix ms, 0 for none."""

    serial: int
    visit_id: str
    token: str
    in_ms: int
    out_ms: int
    name: str
    age: str
    """English, as printed: "34 years"."""
    sex: Gender
    village: str
    new: bool
    """Registered on this day."""
    complaints: tuple[str, ...]
    """Codes of the complaint list, or the words of another complaint."""
    colour: str
    bp: str
    sugar: str
    diagnosis: str
    diagnosis_code: str
    provisional: bool
    doctor: str
    mode: str
    given: tuple[str, ...]
    """Generic name and number of pieces handed out here."""
    referred_to: str
    follow_up: str
    state: VisitState
    worker: str
    """Staff id of who opened the visit."""


class Totals(Struct, frozen=True):
    """People of one sex, by the bands of age and whose age is not known."""

    sex: Gender
    bands: tuple[int, ...]
    unknown: int
    all: int


class Why(StrEnum):
    """Why a visit or a thing of it is not finished."""

    NO_TOKEN = "no_token"  # noqa: S105  (a queue's token)
    FOR_DOCTOR = "for_doctor"
    IN_CALL = "in_call"
    FOR_PRESCRIPTION = "for_prescription"
    NOT_PRINTED = "not_printed"
    NOT_CLOSED = "not_closed"
    NO_SHOW = "no_show"
    NOT_AT_HUB = "not_at_hub"
    """Entries or photos that the hub has not acknowledged."""


class Unfinished(Struct, frozen=True):
    """One visit that waits for something."""

    visit_id: str
    token: str
    name: str
    why: Why
    since_ms: int
    items: tuple[str, ...] = ()
    """What the hub does not have: words of ``item-*``."""


def register_rows(visits: Iterable[DayVisit], day: int) -> list[RegisterRow]:
    """The rows of a day in the order in which the visits were opened; cancelled slips are left out."""
    kept = (one for one in visits if one.visit.state is not VisitState.CANCELLED)
    ordered = sorted(kept, key=lambda one: (one.visit.opened_ms, one.visit.visit_id))
    return [_row(number, one.visit, one.patient, day) for number, one in enumerate(ordered, 1)]


def _row(serial: int, visit: Visit, patient: Patient, day: int) -> RegisterRow:
    person, record = patient.person, standing_record(visit)
    vitals = {one.vital: f"{one.value:g}" for one in latest_vitals(visit.vitals).readings}
    pressure = f"{vitals['sbp']}/{vitals['dbp']}" if {"sbp", "dbp"} <= vitals.keys() else ""
    names = {line.drug_id: line.generic for line in record.medicines} if record else {}
    return RegisterRow(
        serial,
        visit.visit_id,
        visit.token,
        visit.opened_ms,
        visit.closed_ms,
        person.name,
        age_text(person, patient.registered_ms, visit.opened_ms),
        person.gender,
        person.village,
        day_of(patient.registered_ms) == day,
        tuple(one.text if one.code == "other" else one.code for one in visit.complaints),
        visit.colour.value,
        pressure,
        vitals.get("rbs_mgdl", ""),
        record.diagnosis if record else "",
        record.diagnosis_code if record else "",
        record.provisional if record else False,
        record.doctor_name if record else visit.doctor_name,
        record.mode.value if record else "",
        tuple(f"{names.get(one.drug_id, one.drug_id)} × {one.units}" for one in visit.handed_out),
        _sent_to(visit, record),
        record.follow_up_date if record else "",
        visit.state,
        visit.opened_by,
    )


def _sent_to(visit: Visit, record: PrescriptionRecord | None) -> str:
    """By the doctor, else by the nurse: a code of :class:`edge.model.referral.Place` or the words of a place."""
    if record is not None and record.referral is not None:
        return record.referral.to
    return visit.referrals[-1].to if visit.referrals else ""


def standing_record(visit: Visit) -> PrescriptionRecord | None:
    """The newest prescription that stands and takes nothing back."""
    stands = standing(visit.prescriptions)
    valid = [one for one in visit.prescriptions if stands[one.prescription_id].standing is Standing.VALID]
    for one in sorted(valid, key=lambda one: one.signed_ms, reverse=True):
        record = record_in(one.signed)
        if record is not None and not record.cancels:
            return record
    return None


def totals(visits: Iterable[DayVisit]) -> list[Totals]:
    """People by sex and age on the day of their visit; cancelled slips are left out."""
    counts = {sex: [0] * (len(BANDS) + 1) for sex in (Gender.FEMALE, Gender.MALE, Gender.OTHER)}
    for one in visits:
        if one.visit.state is VisitState.CANCELLED:
            continue
        days = age_days(one.patient.person, one.patient.registered_ms, one.visit.opened_ms)
        years = -1 if days is None else years_of(days)
        band = next((number for number, (low, high) in enumerate(BANDS) if low <= years < high), len(BANDS))
        counts[one.patient.person.gender][band] += 1
    return [Totals(sex, tuple(found[:-1]), found[-1], sum(found)) for sex, found in counts.items()]


def unfinished(visits: Sequence[DayVisit]) -> list[Unfinished]:
    """What is still waiting, and why: first visits that are not closed, then things that the hub does not have."""
    found: list[Unfinished] = []
    for one in visits:
        visit, name = one.visit, one.patient.person.name
        if visit.state not in FINAL_STATES and not (visit.state is VisitState.NO_SHOW and visit.closed_ms):
            since_ms = visit.queued_ms or visit.opened_ms
            found.append(Unfinished(visit.visit_id, visit.token, name, _why(visit), since_ms))
    for one in visits:
        behind = [
            line for line in one.lines if line.item != EARLY_COPY and RANK[line.state] < RANK[SyncState.HUB_HAS_IT]
        ]
        if behind:
            since_ms = min(line.at_ms for line in behind)
            items = tuple(dict.fromkeys(line.item for line in behind))
            visit = one.visit
            found.append(
                Unfinished(visit.visit_id, visit.token, one.patient.person.name, Why.NOT_AT_HUB, since_ms, items)
            )
    return found


def _why(visit: Visit) -> Why:
    match visit.state:
        case VisitState.WAITING:
            return Why.FOR_DOCTOR
        case VisitState.IN_CALL:
            return Why.IN_CALL
        case VisitState.RX_PENDING:
            return Why.FOR_PRESCRIPTION
        case VisitState.RX_READY:
            return Why.NOT_CLOSED if any(one.printed_ms for one in visit.prescriptions) else Why.NOT_PRINTED
        case VisitState.NO_SHOW:
            return Why.NO_SHOW
        case _:
            return Why.NO_TOKEN

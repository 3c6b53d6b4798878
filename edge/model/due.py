"""Who is due: follow-ups that a doctor set, and people who were sent on and of whom nothing was heard. Pure.

A follow-up counts as kept when the patient has been here again since. Nobody is crossed out for being late; after
:data:`BACK_DAYS` the line goes, the record stays.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from .clock import day_of, day_text, iso_day
from .fold import Patient, Visit
from .records import VisitState
from .register import standing_record

AHEAD_DAYS = 7
BACK_DAYS = 14


class DueWhy(StrEnum):
    """Why somebody stands on the list."""

    FOLLOW_UP = "follow_up"
    SENT_ON = "sent_on"
    """Referred, and nobody has written down whether the patient arrived."""


class Due(Struct, frozen=True):
    """One person to expect or to ask after."""

    visit_id: str
    """The visit that set the day."""
    patient_id: str
    name: str
    village: str
    mobile: str
    why: DueWhy
    day: str
    """YYYY-MM-DD in India: to come on, or sent on."""
    late_days: int
    """Days since; negative: days to come."""
    what: str
    """The diagnosis, or where to (a code of :class:`edge.model.referral.Place` or words)."""


def due(visits: Iterable[Visit], patients: Mapping[str, Patient], today: int) -> list[Due]:
    """The list of ``today`` (Indian day number), by day. ``visits``: all of whoever may be on it (:func:`lines`)."""
    ordered = sorted(visits, key=lambda one: (one.opened_ms, one.visit_id))
    last = {one.patient_id: one for one in ordered if one.state is not VisitState.CANCELLED}
    found = [line for one in ordered for line in _of(one, patients.get(one.patient_id), last, today)]
    kept = [one for one in found if -AHEAD_DAYS <= one.late_days <= BACK_DAYS]
    return sorted(kept, key=lambda one: (-one.late_days, one.name, one.visit_id))


class Line(Struct, frozen=True):
    """What one visit puts on the list, by itself. A follow-up counts at the last visit of its patient only."""

    why: DueWhy
    day: int
    """Indian day number: to come on, or sent on."""
    what: str


def lines(visit: Visit) -> list[Line]:
    """The lines of a visit, on the list or not yet or no more."""
    if visit.state is VisitState.CANCELLED or not (visit.prescriptions or visit.referrals):
        return []
    found, record = list[Line](), standing_record(visit)
    day = iso_day(record.follow_up_date) if record is not None and record.follow_up_date else None
    if record is not None and day is not None:
        found.append(Line(DueWhy.FOLLOW_UP, day, record.diagnosis))
    if visit.ending is None:
        if visit.referrals:
            found.append(Line(DueWhy.SENT_ON, day_of(visit.referrals[-1].at_ms), visit.referrals[-1].to))
        elif record is not None and record.referral is not None:
            found.append(Line(DueWhy.SENT_ON, day_of(record.signed_ms), record.referral.to))
    return found


def _of(visit: Visit, patient: Patient | None, last: Mapping[str, Visit], today: int) -> list[Due]:
    if patient is None:
        return []
    person = patient.person
    return [
        Due(
            *(visit.visit_id, visit.patient_id, person.name, person.village, person.mobile),
            *(line.why, day_text(line.day), today - line.day, line.what),
        )
        for line in lines(visit)
        if line.why is not DueWhy.FOLLOW_UP or last[visit.patient_id].visit_id == visit.visit_id
    ]

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


def due(
    visits: Iterable[Visit], patients: Mapping[str, Patient], today: int, ahead_days: int = AHEAD_DAYS
) -> list[Due]:
    """The list of ``today`` (Indian day number), by day. ``visits``: all of whoever may be on it (:func:`window`)."""
    ordered = sorted(visits, key=lambda one: (one.opened_ms, one.visit_id))
    last = {one.patient_id: one for one in ordered if one.state is not VisitState.CANCELLED}
    found = [line for one in ordered for line in _of(one, patients.get(one.patient_id), last, today)]
    kept = [one for one in found if -ahead_days <= one.late_days <= BACK_DAYS]
    return sorted(kept, key=lambda one: (-one.late_days, one.name, one.visit_id))


def window(visit: Visit, ahead_days: int = AHEAD_DAYS) -> tuple[int, int] | None:
    """The first and the last Indian day number on which this visit may put a line on the list; None for never."""
    if visit.state is VisitState.CANCELLED or not (visit.prescriptions or visit.referrals):
        return None
    record = standing_record(visit)
    days = [day_of(visit.referrals[-1].at_ms)] if visit.referrals else []
    if record is not None:
        days += [day_of(record.signed_ms)] if record.referral is not None and not days else []
        follow_up = iso_day(record.follow_up_date) if record.follow_up_date else None
        days += [follow_up] if follow_up is not None else []
    return (min(days) - ahead_days, max(days) + BACK_DAYS) if days else None


def _of(visit: Visit, patient: Patient | None, last: Mapping[str, Visit], today: int) -> list[Due]:
    if patient is None or visit.state is VisitState.CANCELLED:
        return []
    person, record = patient.person, standing_record(visit)
    who = (visit.visit_id, visit.patient_id, person.name, person.village, person.mobile)
    found = []
    day = iso_day(record.follow_up_date) if record is not None and record.follow_up_date else None
    if record is not None and day is not None and last[visit.patient_id].visit_id == visit.visit_id:
        found.append(Due(*who, DueWhy.FOLLOW_UP, record.follow_up_date, today - day, record.diagnosis))
    if visit.ending is None:
        sent = day_of(visit.referrals[-1].at_ms) if visit.referrals else None
        to = visit.referrals[-1].to if visit.referrals else ""
        if sent is None and record is not None and record.referral is not None:
            sent, to = day_of(record.signed_ms), record.referral.to
        if sent is not None:
            found.append(Due(*who, DueWhy.SENT_ON, day_text(sent), today - sent, to))
    return found

"""Handing a patient on: to a doctor who is ready, or to whoever of a speciality is asked next. What stands in the log.

One's own patient, one that nobody has, or one whose doctor is not there any more. Knows no clock.
"""

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model.errors import NotFound, Refused
from edge.model.fold import Visit

from .. import audit, doctors, down
from ..desk import need_open
from ..directory import who_treats_nobody
from ..doctors import Doctor
from ..store.schema import doctors as accounts
from . import gone
from .core import GENERAL
from .store import load_profile


class To(Struct, frozen=True):
    """To whom: one of the two."""

    doctor_id: str = ""
    speciality: str = ""
    """``general``: the next doctor, whoever she is."""


class Handed(Struct, frozen=True):
    """What was done."""

    blob: down.DownBlob
    left: str = ""
    """Whose patient it was, who is not there any more."""
    own: bool = False
    """It was the patient of whoever hands her on."""


class Colleague(Struct, frozen=True):
    """A doctor to whom a patient can be handed, or of whose speciality one can be asked for."""

    doctor_id: str
    name: str
    specialities: tuple[str, ...]
    languages: tuple[str, ...]
    ready: bool


def hand_over(
    connection: Connection,
    speaker: down.Speaker,
    visit_id: str,
    by: Doctor,
    to: To,
    *,
    ready: Collection[str],
    is_left: bool,
    now_ms: int,
) -> Handed:
    """Give a visit on. ``ready``: who sits; ``is_left``: its doctor is not there any more.

    Raises NotFound, Refused(visit_taken, visit_closed, doctor_away, no_such_speciality).
    """
    owned = need_open(connection, visit_id)
    had = holder(owned.visit)
    if had and had != by.doctor_id and not is_left:
        raise Refused("Another doctor has taken this visit.", code="visit_taken")
    events: list[ev.Event] = []
    if to.speciality:
        specialities = {name for one in colleagues(connection, ready) for name in one.specialities}
        if to.speciality not in specialities | {GENERAL}:
            raise Refused("No doctor of this hub has this speciality.", code="no_such_speciality")
        asked = "" if to.speciality == GENERAL else to.speciality
        if had:
            events.append(ev.VisitAssigned(visit_id, "", ""))
        events.append(ev.SpecialityWanted(visit_id, asked, by.doctor_id))
        audit.record(connection, now_ms, by.doctor_id, "speciality_wanted", visit_id, to.speciality)
    else:
        account = doctors.find_account(connection, to.doctor_id)
        if account is None or to.doctor_id in who_treats_nobody(connection):
            raise NotFound("There is no such doctor.")
        if to.doctor_id not in ready:
            raise Refused("This doctor is away. Choose one who is ready.", code="doctor_away")
        events.append(ev.VisitAssigned(visit_id, to.doctor_id, account.doctor.name))
        audit.record(connection, now_ms, by.doctor_id, "visit_handed_over", visit_id, to.doctor_id)
    if is_left:
        gone.note_left(connection, visit_id, had, to.doctor_id, now_ms)
    blob = down.speak(connection, speaker, owned.node_id, events, by.doctor_id, now_ms)
    return Handed(blob, had if is_left else "", had == by.doctor_id)


def holder(visit: Visit) -> str:
    """The doctor who has taken a visit; "" for nobody."""
    return visit.doctor_id if visit.doctor_name else ""


def colleagues(connection: Connection, ready: Collection[str]) -> list[Colleague]:
    """All who treat patients here, those who are ready first."""
    nobody = who_treats_nobody(connection)
    found = []
    for row in connection.execute(select(accounts.c.doctor_id, accounts.c.name)):
        if row.doctor_id not in nobody:
            profile = load_profile(connection, row.doctor_id)
            told = (row.doctor_id, row.name, profile.specialities, profile.languages)
            found.append(Colleague(*told, row.doctor_id in ready))
    return sorted(found, key=lambda one: (not one.ready, one.name, one.doctor_id))

"""The rota as an administrator writes it: hours, holidays, and for whom doctors may be asked and when each sits.

On the page or in one JSON file. Each change keeps how it was before, so that the latest one can be taken back.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import pairwise
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, delete, func, insert, select

from edge.model.clock import iso_day
from edge.model.errors import BadInput, NotFound, Refused
from edge.model.records import IsoDay

from .. import audit
from ..doctors import find_account
from ..store.dialect import lock
from ..store.schema import rota_doctors
from ..store.schema_office import rota_changes
from .hours import DEFAULT_SHIFTS, Clock, Holiday, Hours, Shift, clock_of, minutes
from .store import Profile, Sitting, load_hours, load_profile, put_hours, put_profile

District = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f<>]*$(?!\n)")]
Account = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00]*$(?!\n)")]
KEPT: Final = 100
"""So many changes can be looked at."""
_FIRST_DAY = 719_163
"""The ordinal of 1970-01-01."""


class Times(Struct, frozen=True, forbid_unknown_fields=True):
    weekday: Annotated[int, Meta(ge=0, le=6)]
    """0 is Monday."""
    start: Clock
    end: Clock
    district: District = ""


class Closed(Struct, frozen=True, forbid_unknown_fields=True):
    day: IsoDay
    name: District = ""
    name_hi: District = ""
    district: District = ""


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    hours: Annotated[tuple[Times, ...], Meta(max_length=2000)]
    holidays: Annotated[tuple[Closed, ...], Meta(max_length=2000)] = ()
    doctors: Mapping[Account, Profile] = {}
    """Log-in name → for whom she may be asked. Who is not named stays as she is."""


class Before(Struct, frozen=True):
    """What a change replaced."""

    calendar: Plan | None = None
    """Hours and holidays; null where the change left them."""
    doctors: Mapping[str, Profile] = {}


class Change(Struct, frozen=True):
    """Who changed the rota, and how it stood before."""

    number: int
    at_ms: int
    person_id: str
    before: Before


_before = msgspec.msgpack.Decoder(Before)


def parse(raw: bytes) -> Plan:
    """The plan in a file. Raises BadInput, naming the field."""
    try:
        plan = msgspec.json.decode(raw, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        found = re.search(r"`\$\.?(.*?)`", str(error))
        raise BadInput(f"This is no plan of the rota: {error}.", field=found.group(1) if found else "") from None
    check(plan)
    return plan


def check(plan: Plan) -> None:
    """Raise BadInput, naming the field, for hours that end before they begin, that overlap, and days that are none."""
    _check_hours((one.district, one) for one in plan.hours)
    if any(iso_day(one.day) is None for one in plan.holidays):
        raise BadInput("There is no such day.", field="holidays")
    for profile in plan.doctors.values():
        _check_hours(("", one) for one in profile.hours)


def _check_hours(named: Iterable[tuple[str, Times | Sitting]]) -> None:
    days: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for district, one in named:
        if minutes(one.start) >= minutes(one.end):
            raise BadInput("Hours end after they begin.", field="hours")
        days.setdefault((district, one.weekday), []).append((minutes(one.start), minutes(one.end)))
    for spans in map(sorted, days.values()):
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            raise BadInput("Two spans of hours of one day overlap. Make one of them.", field="hours")


def put(connection: Connection, plan: Plan, now_ms: int, actor: str = "", seen: int | None = None) -> None:
    """Replace the calendar, and set the profiles that are named.

    ``seen``: number of the latest change that whoever writes has seen. Raises BadInput, NotFound,
    Refused(rota_outdated).
    """
    check(plan)
    _need_latest(connection, seen)
    before = show(connection)
    old = {name: load_profile(connection, name) for name in plan.doctors}
    for doctor_id, profile in plan.doctors.items():
        _put_profile(connection, doctor_id, profile)
    _put_calendar(connection, plan)
    _note(connection, now_ms, actor, Before(_calendar(before), old))
    audit.record(connection, now_ms, actor, "rota_set")


def put_person(
    connection: Connection, doctor_id: str, profile: Profile, now_ms: int, actor: str, seen: int | None = None
) -> None:
    """Say for whom a doctor may be asked, and when she sits. Raises as :func:`put`."""
    check(Plan((), (), {doctor_id: profile}))
    _need_latest(connection, seen)
    old = load_profile(connection, doctor_id)
    _put_profile(connection, doctor_id, profile)
    _note(connection, now_ms, actor, Before(None, {doctor_id: old}))
    audit.record(connection, now_ms, actor, "rota_person_set", doctor_id)


def undo(connection: Connection, number: int, now_ms: int, actor: str) -> None:
    """Take the latest change back; what is written is a change too. Raises NotFound, Refused(rota_outdated)."""
    _need_latest(connection, number)
    found = history(connection, 1)
    if not found:
        raise NotFound("Nothing was changed yet.")
    before = found[0].before
    standing = show(connection)
    _note(
        connection,
        now_ms,
        actor,
        Before(
            None if before.calendar is None else _calendar(standing),
            {name: load_profile(connection, name) for name in before.doctors},
        ),
    )
    if before.calendar is not None:
        _put_calendar(connection, before.calendar)
    for doctor_id, profile in before.doctors.items():
        put_profile(connection, doctor_id, profile)
    audit.record(connection, now_ms, actor, "rota_undone", "", str(number))


def history(connection: Connection, most: int = KEPT) -> list[Change]:
    """The latest changes, the last first."""
    rows = connection.execute(select(rota_changes).order_by(rota_changes.c.number.desc()).limit(most))
    return [Change(row.number, row.at_ms, row.person_id, _before.decode(row.before)) for row in rows]


def latest(connection: Connection) -> int:
    """Number of the latest change; 0 before the first one."""
    return connection.execute(select(func.max(rota_changes.c.number))).scalar() or 0


def hours_of(plan: Plan) -> Hours:
    """The calendar of a plan, as it counts once it is set."""
    shifts = tuple(Shift(one.weekday, minutes(one.start), minutes(one.end), one.district) for one in plan.hours)
    if all(shift.district for shift in shifts):
        shifts += DEFAULT_SHIFTS
    days = tuple(Holiday(iso_day(one.day) or 0, one.name, one.name_hi, one.district) for one in plan.holidays)
    return Hours(shifts, days)


def show(connection: Connection) -> Plan:
    """The plan as it stands."""
    hours = load_hours(connection)
    people = connection.execute(select(rota_doctors.c.doctor_id).order_by(rota_doctors.c.doctor_id)).all()
    return Plan(
        tuple(Times(one.weekday, clock_of(one.from_min), clock_of(one.to_min), one.district) for one in hours.shifts),
        tuple(Closed(_date(one.day), one.name, one.name_hi, one.district) for one in hours.holidays),
        {row.doctor_id: load_profile(connection, row.doctor_id) for row in people},
    )


def _calendar(plan: Plan) -> Plan:
    return Plan(plan.hours, plan.holidays)


def _put_calendar(connection: Connection, plan: Plan) -> None:
    put_hours(connection, hours_of(plan))


def _put_profile(connection: Connection, doctor_id: str, profile: Profile) -> None:
    if find_account(connection, doctor_id) is None:
        raise NotFound(f"There is no account {doctor_id[:60]}.")
    put_profile(connection, doctor_id, profile)


def _need_latest(connection: Connection, seen: int | None) -> None:
    lock(connection, "rota_changes")
    if seen is not None and seen != latest(connection):
        raise Refused("Somebody changed the rota meanwhile. Load it and look.", code="rota_outdated")


def _note(connection: Connection, now_ms: int, actor: str, before: Before) -> None:
    number = latest(connection) + 1
    row = {"number": number, "at_ms": now_ms, "person_id": actor, "before": msgspec.msgpack.encode(before)}
    connection.execute(insert(rota_changes).values(row))
    connection.execute(delete(rota_changes).where(rota_changes.c.number <= number - KEPT))


def _date(day: int) -> str:
    return date.fromordinal(_FIRST_DAY + day).isoformat()

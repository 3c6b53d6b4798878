"""The rota as an administrator writes it, in one JSON file: hours, holidays, and for whom doctors may be asked."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from edge.model.clock import iso_day
from edge.model.errors import BadInput, NotFound
from edge.model.records import IsoDay

from .. import audit
from ..doctors import find_account
from ..store.schema import rota_doctors
from .hours import Holiday, Hours, Shift
from .store import Profile, load_hours, load_profile, put_hours, put_profile

District = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f<>]*$(?!\n)")]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$(?!\n)")]
Account = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00]*$(?!\n)")]
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


def parse(raw: bytes) -> Plan:
    """The plan in a file. Raises BadInput, naming the field."""
    try:
        plan = msgspec.json.decode(raw, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        found = re.search(r"`\$\.?(.*?)`", str(error))
        raise BadInput(f"This is no plan of the rota: {error}.", field=found.group(1) if found else "") from None
    for shift in plan.hours:
        if _minutes(shift.start) >= _minutes(shift.end):
            raise BadInput("Hours end after they begin.", field="hours")
    if any(iso_day(one.day) is None for one in plan.holidays):
        raise BadInput("There is no such day.", field="holidays")
    return plan


def put(connection: Connection, plan: Plan, now_ms: int) -> None:
    """Replace the calendar, and set the profiles that are named. Raises NotFound."""
    for doctor_id, profile in plan.doctors.items():
        if find_account(connection, doctor_id) is None:
            raise NotFound(f"There is no account {doctor_id[:60]}.")
        put_profile(connection, doctor_id, profile)
    shifts = tuple(Shift(one.weekday, _minutes(one.start), _minutes(one.end), one.district) for one in plan.hours)
    days = tuple(Holiday(iso_day(one.day) or 0, one.name, one.name_hi, one.district) for one in plan.holidays)
    put_hours(connection, Hours(shifts, days))
    audit.record(connection, now_ms, "", "rota_set")


def show(connection: Connection) -> Plan:
    """The plan as it stands."""
    hours = load_hours(connection)
    people = connection.execute(select(rota_doctors.c.doctor_id).order_by(rota_doctors.c.doctor_id)).all()
    return Plan(
        tuple(Times(one.weekday, _clock(one.from_min), _clock(one.to_min), one.district) for one in hours.shifts),
        tuple(Closed(_date(one.day), one.name, one.name_hi, one.district) for one in hours.holidays),
        {row.doctor_id: load_profile(connection, row.doctor_id) for row in people},
    )


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _date(day: int) -> str:
    return date.fromordinal(_FIRST_DAY + day).isoformat()

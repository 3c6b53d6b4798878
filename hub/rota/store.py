"""The rota in the database: the calendar, for whom doctors may be asked, and what each patient was told and got.

Kept are the first word to each patient and when a doctor took and finished the visit: from these the next words are
computed, and their error. Holds no clinical text. Knows no clock.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, and_, delete, insert, select, update

from edge.model.records import Name

from ..store.dialect import Row, insert_new
from ..store.schema import doctors, rota_doctors, rota_holidays, rota_shifts, rota_waits
from .core import Doctor, Wanting
from .hours import DEFAULT_SHIFTS, Clock, Holiday, Hours, Shift, minutes
from .waits import ERRORS_KEPT, SERVICES_KEPT, Expected, Told, Waits, ratio

Language = Annotated[str, Meta(pattern="^[a-z]{2,3}$(?!\\n)")]
Word = Annotated[str, Meta(pattern="^[a-z_]{1,30}$(?!\\n)")]


class Sitting(Struct, frozen=True, forbid_unknown_fields=True):
    """A doctor's own hours of one weekday."""

    weekday: Annotated[int, Meta(ge=0, le=6)]
    """0 is Monday."""
    start: Clock
    end: Clock


class Profile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For whom a doctor may be asked, and when she sits."""

    districts: Annotated[tuple[Name, ...], Meta(max_length=60)] = ()
    """None: all."""
    languages: Annotated[tuple[Language, ...], Meta(min_length=1, max_length=20)] = ("hi",)
    specialities: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=20)] = ("general",)
    hours: Annotated[tuple[Sitting, ...], Meta(max_length=50)] = ()
    """None: those of her districts. Her Ready ends with them."""

    def own_shifts(self) -> tuple[Shift, ...]:
        """Her own hours as the calendar knows hours."""
        return tuple(Shift(one.weekday, minutes(one.start), minutes(one.end)) for one in self.hours)


_encode = msgspec.msgpack.Encoder().encode
_profile = msgspec.msgpack.Decoder(Profile)
_expected = msgspec.msgpack.Decoder(Expected)


def load_hours(connection: Connection) -> Hours:
    """The calendar; the default hours while nobody has set others for all districts."""
    rows = connection.execute(select(rota_shifts).order_by(rota_shifts.c.weekday, rota_shifts.c.from_min))
    shifts = [Shift(row.weekday, row.from_min, row.to_min, row.district) for row in rows]
    if all(shift.district for shift in shifts):
        shifts += DEFAULT_SHIFTS
    days = connection.execute(select(rota_holidays).order_by(rota_holidays.c.day))
    return Hours(tuple(shifts), tuple(Holiday(row.day, row.name, row.name_hi, row.district) for row in days))


def put_hours(connection: Connection, hours: Hours) -> None:
    """Replace the calendar."""
    connection.execute(delete(rota_shifts))
    connection.execute(delete(rota_holidays))
    for shift in {(one.district, one.weekday, one.from_min): one for one in hours.shifts}.values():
        connection.execute(insert(rota_shifts).values(**msgspec.structs.asdict(shift)))
    for day in {(one.day, one.district): one for one in hours.holidays}.values():
        connection.execute(insert(rota_holidays).values(**msgspec.structs.asdict(day)))


def load_profile(connection: Connection, doctor_id: str) -> Profile:
    """For whom a doctor may be asked; all districts, Hindi and general when nothing was said."""
    raw = connection.execute(select(rota_doctors.c.profile).where(rota_doctors.c.doctor_id == doctor_id)).scalar()
    return Profile() if raw is None else _profile.decode(raw)


def put_profile(connection: Connection, doctor_id: str, profile: Profile) -> None:
    """Say for whom a doctor may be asked."""
    _put(connection, doctor_id, {"profile": _encode(profile)})


def put_ready(connection: Connection, doctor_id: str, ready_ms: int) -> None:
    """Since when a doctor is ready; 0 for away. Outlives a restart of the hub.

    She is until the first end of hours after that: of one who stays past an end it is that end.
    """
    _put(connection, doctor_id, {"ready_ms": ready_ms})


def end_ready(connection: Connection, doctor_id: str, since_ms: int | None = None) -> bool:
    """Whoever has logged out is not ready any more; whether she was.

    ``since_ms``: only if she has been since then. Who has pressed Ready meanwhile stays ready.
    """
    since = rota_doctors.c.ready_ms > 0 if since_ms is None else rota_doctors.c.ready_ms == since_ms
    was = and_(rota_doctors.c.doctor_id == doctor_id, since)
    return connection.execute(update(rota_doctors).where(was).values(ready_ms=0)).rowcount > 0


def _put(connection: Connection, doctor_id: str, values: Row) -> None:
    """Change these columns only: what another process of the hub says about the same doctor stands in the others."""
    insert_new(connection, rota_doctors, {"doctor_id": doctor_id, "profile": _encode(Profile()), "ready_ms": 0})
    connection.execute(update(rota_doctors).where(rota_doctors.c.doctor_id == doctor_id).values(dict(values)))


def doctor_of(doctor_id: str, name: str, profile: Profile) -> Doctor:
    """A doctor as the core knows one."""
    return Doctor(
        doctor_id,
        name,
        frozenset(profile.districts),
        frozenset(profile.languages),
        frozenset(profile.specialities),
        profile.own_shifts(),
    )


def load_ready(connection: Connection) -> list[tuple[Doctor, int]]:
    """Doctors who said that they are ready, and since when."""
    query = select(rota_doctors, doctors.c.name).where(
        and_(rota_doctors.c.doctor_id == doctors.c.doctor_id, rota_doctors.c.ready_ms > 0, doctors.c.disabled_ms == 0)
    )
    return [
        (doctor_of(row.doctor_id, row.name, _profile.decode(row.profile)), row.ready_ms)
        for row in connection.execute(query)
    ]


def note_told(connection: Connection, wanting: Wanting, expected: Expected | None, now_ms: int) -> None:
    """A patient waits, and was told this first. A later word about the same visit changes nothing."""
    insert_new(
        connection,
        rota_waits,
        {
            "visit_id": wanting.visit_id,
            "district": wanting.district,
            "rank": wanting.rank,
            "since_ms": wanting.since_ms,
            "told_ms": now_ms,
            "told": None if expected is None else _encode(expected),
            "doctor_id": "",
            "taken_ms": 0,
            "done_ms": 0,
        },
    )


def note_taken(connection: Connection, visit_id: str, doctor_id: str, now_ms: int) -> None:
    """A doctor took the visit; the first one counts."""
    fresh = and_(rota_waits.c.visit_id == visit_id, rota_waits.c.taken_ms == 0)
    connection.execute(update(rota_waits).where(fresh).values(doctor_id=doctor_id, taken_ms=now_ms))


def note_done(connection: Connection, visit_id: str, now_ms: int) -> None:
    """The doctor has finished."""
    held = and_(rota_waits.c.visit_id == visit_id, rota_waits.c.taken_ms > 0, rota_waits.c.done_ms == 0)
    connection.execute(update(rota_waits).where(held).values(done_ms=now_ms))


def note_freed(connection: Connection, visit_id: str) -> None:
    """The doctor who took the visit vanished: the patient waits as before."""
    values = {"doctor_id": "", "taken_ms": 0, "done_ms": 0}
    connection.execute(update(rota_waits).where(rota_waits.c.visit_id == visit_id).values(**values))


def load_waits(connection: Connection) -> Waits:
    """What the last patients took and were told, so that a restarted hub knows at once."""
    columns = (rota_waits.c.told, rota_waits.c.told_ms, rota_waits.c.taken_ms, rota_waits.c.done_ms)
    query = select(*columns).where(rota_waits.c.taken_ms > 0).order_by(rota_waits.c.taken_ms.desc())
    rows = list(connection.execute(query.limit(max(SERVICES_KEPT, ERRORS_KEPT))))[::-1]
    ratios = (ratio(_expected.decode(row.told).raw_s, (row.taken_ms - row.told_ms) / 1000) for row in rows if row.told)
    return Waits(((row.done_ms - row.taken_ms) / 1000 for row in rows if row.done_ms), ratios)


class WaitFigures(Struct, frozen=True):
    """What patients who began to wait in a span got. Seconds; null where nobody has."""

    waiting: int
    """Not taken yet, or gone untaken."""
    taken: int
    wait_median_s: float | None
    wait_p90_s: float | None
    told: int
    """Of those who were taken, so many had been told a range."""
    error_median_s: float | None
    """Of the told middle, without its sign."""
    error_p90_s: float | None
    held_share: float | None
    """How many of the ranges were true."""


def figures(connection: Connection, from_ms: int, to_ms: int, districts: Iterable[str] = ()) -> WaitFigures:
    """Waits of one span (``since_ms`` within it), of all districts or of these."""
    query = select(rota_waits).where(and_(rota_waits.c.since_ms >= from_ms, rota_waits.c.since_ms < to_ms))
    wanted = sorted(districts)
    if wanted:
        query = query.where(rota_waits.c.district.in_(wanted))
    rows = connection.execute(query).all()
    taken = [row for row in rows if row.taken_ms]
    waits = sorted((row.taken_ms - row.since_ms) / 1000 for row in taken)
    told = [Told(_expected.decode(row.told), (row.taken_ms - row.told_ms) / 1000) for row in taken if row.told]
    errors = sorted(abs(one.error_s) for one in told)
    return WaitFigures(
        len(rows) - len(taken),
        len(taken),
        _at(waits, 0.5),
        _at(waits, 0.9),
        len(told),
        _at(errors, 0.5),
        _at(errors, 0.9),
        sum(one.held for one in told) / len(told) if told else None,
    )


def _at(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

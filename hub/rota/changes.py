"""What a change of the rota means, in facts that a page can say before it is saved. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from .hours import Hours, clock_of
from .plan import Closed, Plan, hours_of
from .store import Profile


class Kind(StrEnum):
    HOURS = "hours"
    """Of a weekday, in a district or everywhere."""
    FOLLOWS = "follows"
    """A district has no hours of its own any more, or has some now: ``before`` and ``after`` say which."""
    HOLIDAY_ADDED = "holiday_added"
    HOLIDAY_GONE = "holiday_gone"
    PERSON_HOURS = "person_hours"
    DISTRICTS = "districts"
    LANGUAGES = "languages"
    SPECIALITIES = "specialities"


class Line(Struct, frozen=True):
    """One thing that becomes another."""

    kind: Kind
    district: str = ""
    """Empty: everywhere."""
    weekday: int = -1
    """-1: of no weekday."""
    day: str = ""
    name: str = ""
    """Of the holiday, or the person's."""
    name_hi: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Opens(Struct, frozen=True):
    """Whether doctors sit in a district at this moment, before and after, and when they sit next after it."""

    district: str
    open_before: bool
    open_after: bool
    opens_ms: int


def of_calendar(before: Plan, after: Plan) -> tuple[Line, ...]:
    """Hours and holidays that become others."""
    was, now = hours_of(before), hours_of(after)
    lines: list[Line] = []
    own_was, own_now = _owners(was), _owners(now)
    for district in ("", *sorted((own_was | own_now) - {""})):
        if (district in own_was) != (district in own_now) and district:
            lines.append(
                Line(Kind.FOLLOWS, district, before=_own(district in own_was), after=_own(district in own_now))
            )
        for weekday in range(7):
            old, new = _spans(was, district, weekday), _spans(now, district, weekday)
            if old != new:
                lines.append(Line(Kind.HOURS, district, weekday, before=old, after=new))
    gone, added = _days(before.holidays), _days(after.holidays)
    lines += [_holiday(Kind.HOLIDAY_GONE, gone[key]) for key in sorted(gone) if gone[key] != added.get(key)]
    lines += [_holiday(Kind.HOLIDAY_ADDED, added[key]) for key in sorted(added) if added[key] != gone.get(key)]
    return tuple(lines)


def of_person(name: str, before: Profile, after: Profile) -> tuple[Line, ...]:
    """For whom a doctor is asked, and when she sits."""
    lines = []
    for kind, old, new in (
        (Kind.DISTRICTS, before.districts, after.districts),
        (Kind.LANGUAGES, before.languages, after.languages),
        (Kind.SPECIALITIES, before.specialities, after.specialities),
    ):
        if set(old) != set(new):
            lines.append(Line(kind, name=name, before=tuple(sorted(old)), after=tuple(sorted(new))))
    for weekday in range(7):
        old, new = _sittings(before, weekday), _sittings(after, weekday)
        if old != new:
            lines.append(Line(Kind.PERSON_HOURS, weekday=weekday, name=name, before=old, after=new))
    return tuple(lines)


def opens(before: Plan, after: Plan, districts: Iterable[str], now_ms: int) -> tuple[Opens, ...]:
    """Where doctors sit now and would not, or would and do not, or would sit at another moment next."""
    was, now = hours_of(before), hours_of(after)
    found = []
    for district in ("", *sorted(set(districts) | _owners(was) | _owners(now) - {""})):
        old, new = was.opens_ms(now_ms, district), now.opens_ms(now_ms, district)
        if old != new:
            found.append(Opens(district, was.is_open(now_ms, district), now.is_open(now_ms, district), new))
    return tuple(dict.fromkeys(found))


def _owners(hours: Hours) -> set[str]:
    return {shift.district for shift in hours.shifts}


def _own(owns: bool) -> tuple[str, ...]:
    return ("own" if owns else "all",)


def _spans(hours: Hours, district: str, weekday: int) -> tuple[str, ...]:
    own = district if district in _owners(hours) else ""
    mine = [one for one in hours.shifts if one.district == own]
    spans = sorted((one.from_min, one.to_min) for one in mine if one.weekday == weekday)
    return tuple(f"{clock_of(start)}-{clock_of(end)}" for start, end in spans)


def _sittings(profile: Profile, weekday: int) -> tuple[str, ...]:
    return tuple(sorted(f"{one.start}-{one.end}" for one in profile.hours if one.weekday == weekday))


def _days(holidays: Iterable[Closed]) -> Mapping[tuple[str, str], Closed]:
    return {(one.day, one.district): one for one in holidays}


def _holiday(kind: Kind, one: Closed) -> Line:
    return Line(kind, one.district, day=one.day, name=one.name, name_hi=one.name_hi)

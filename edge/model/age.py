"""Age from a date of birth, or from what was told at registration and the days since then.

Triage and dosing go by days, paper shows what people say ("7 months"). An age that cannot be known
is None and is never replaced by a default (triage.md §1.1). Reads no clock.
"""

from datetime import date
from math import ceil

from msgspec import structs

from .clock import day_of
from .records import AGE_VALUE_MAX, Age, AgeUnit, Person

DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12
_EPOCH = date(1970, 1, 1).toordinal()
_UNIT_DAYS = {
    AgeUnit.DAYS: 1.0,
    AgeUnit.WEEKS: 7.0,
    AgeUnit.MONTHS: DAYS_PER_MONTH,
    AgeUnit.YEARS: DAYS_PER_YEAR,
}
MAX_AGE_DAYS = ceil(121 * DAYS_PER_YEAR)
"""forms.md §1: at most 120 completed years."""
MINOR_BELOW_DAYS = ceil(18 * DAYS_PER_YEAR)
"""Age of majority; below it an adult has to be present (prescribing.md §1)."""


def birth_day(text: str) -> date | None:
    """The day meant by YYYY, YYYY-MM or YYYY-MM-DD; the middle of the year or month where parts are missing.

    None when the text is empty or no day of the calendar.
    """
    parts = text.split("-") if text else []
    defaults = ("", "07", "01") if len(parts) == 1 else ("", "", "15")
    filled = [*parts, *defaults[len(parts) :]]
    try:
        year, month, day = (int(part) for part in filled)
        return date(year, month, day)
    except ValueError:
        return None


def told_days(age: Age) -> int:
    """An age as it was told, in whole days, rounded up so that "12 years" is 12 completed years."""
    return ceil(age.value * _UNIT_DAYS[age.unit])


def age_days(person: Person, registered_ms: int, at_ms: int) -> int | None:
    """Completed days at ``at_ms`` (Unix ms, Indian calendar), or None when it cannot be known.

    A birth date that lies after ``at_ms`` says that the clock or the date is wrong: then the told
    age counts, if there is one.
    """
    born = birth_day(person.birth_date)
    if born is not None:
        days = day_of(at_ms) + _EPOCH - born.toordinal()
        if days >= 0:
            return days
        # An estimated birthday of this year or month may still be ahead.
        if len(person.birth_date) < 10 and days > -366 and person.age is None:
            return 0
    if person.age is None:
        return None
    return _grown_days(person.age, registered_ms, at_ms)


def _grown_days(age: Age, registered_ms: int, at_ms: int) -> int:
    return told_days(age) + max(day_of(at_ms) - day_of(registered_ms), 0)


def told_anew(person: Person, registered_ms: int, at_ms: int) -> Person:
    """The person as she would be told at ``at_ms``: the age of who has no birth date grew since she was registered."""
    if person.age is None:
        return person
    days = _grown_days(person.age, registered_ms, at_ms)
    if days == told_days(person.age):
        return person
    age = Age(days, AgeUnit.DAYS) if days <= AGE_VALUE_MAX else Age(months_of(days), AgeUnit.MONTHS)
    return structs.replace(person, age=age)


def months_of(days: int) -> int:
    """Completed months in so many days, by the mean month of 30.4375 days."""
    return int(days / DAYS_PER_MONTH)


def years_of(days: int) -> int:
    """Completed years in so many days, by the mean year of 365.25 days."""
    return int(days / DAYS_PER_YEAR)


def _calendar_months(born: date, today: date) -> int:
    months = (today.year - born.year) * 12 + today.month - born.month
    return months - (today.day < born.day)


_UNITS = {
    "en": (("day", "days"), ("month", "months"), ("year", "years")),
    "hi": (("दिन", "दिन"), ("महीना", "महीने"), ("साल", "साल")),
}


def age_text(person: Person, registered_ms: int, at_ms: int, language: str = "en") -> str:
    """Age as printed: days up to 2 months, months up to 2 years, then years; "" when unknown.

    ``language`` is "en" or "hi"; any other is given in English.
    """
    days = age_days(person, registered_ms, at_ms)
    if days is None:
        return ""
    born = birth_day(person.birth_date)
    if born is not None and len(person.birth_date) == 10:
        months = _calendar_months(born, date.fromordinal(born.toordinal() + days))
    else:
        months = years_of(days) * 12 if days >= 2 * DAYS_PER_YEAR else months_of(days)
    if months < 2:
        value, unit = days, 0
    elif months < 24:
        value, unit = months, 1
    else:
        value, unit = months // 12, 2
    one, many = _UNITS.get(language, _UNITS["en"])[unit]
    return f"{value} {one if value == 1 else many}"

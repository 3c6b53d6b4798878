"""Whether what was told makes sense: person, complaints, history, allergies, danger signs.

Types and lengths are checked when a command is decoded; here is what a type cannot say. Each check
gives the first thing to correct, or None.
"""

from datetime import date
from functools import cache

from .age import MAX_AGE_DAYS, birth_day, told_days
from .clock import Instant, day_of
from .errors import Fault, Refusal
from .records import Allergies, Complaint, Gender, History, Person
from .reference import reference
from .triage_rules import asks_by_sign

OTHER_COMPLAINT = "other"
"""A complaint in free words only."""


def _refuse(code: str, message: str, field: str) -> Refusal:
    return Refusal(code, message, field, Fault.CALLER)


def _today(at: Instant) -> date:
    return date.fromordinal(day_of(at.wall_ms) + date(1970, 1, 1).toordinal())


def check_person(person: Person, at: Instant) -> Refusal | None:
    """A name with a letter in it; age told or date of birth given, of the calendar, not ahead of a clock that can
    be trusted, ≤ 120 years."""
    if not any(letter.isalpha() for letter in person.name):
        return _refuse("name_needed", "Ask for the name; a name has letters.", "person.name")
    if person.age is None and not person.birth_date:
        return _refuse("age_needed", "Ask for the age or the date of birth; an estimate will do.", "person.age")
    if person.birth_date:
        born = birth_day(person.birth_date)
        if born is None:
            return _refuse("birth_date_wrong", "There is no such day.", "person.birth_date")
        earliest = date(born.year, 1, 1) if len(person.birth_date) == 4 else born
        if len(person.birth_date) == 7:
            earliest = born.replace(day=1)
        if at.trusted and earliest > _today(at):
            return _refuse("birth_date_wrong", "The date of birth lies in the future.", "person.birth_date")
        if at.trusted and (_today(at) - born).days >= MAX_AGE_DAYS:
            return _refuse("age_impossible", "Nobody is older than 120 years.", "person.birth_date")
    if person.age is not None and told_days(person.age) >= MAX_AGE_DAYS:
        return _refuse("age_impossible", "Nobody is older than 120 years.", "person.age")
    return None


@cache
def _complaint_codes() -> frozenset[str]:
    return frozenset(item.id for item in reference().complaints)


@cache
def _condition_codes() -> frozenset[str]:
    return frozenset(item.id for item in reference().conditions)


def check_complaints(complaints: tuple[Complaint, ...]) -> Refusal | None:
    """Codes of the list, or ``other`` with words of its own."""
    for number, complaint in enumerate(complaints):
        field = f"complaints[{number}]"
        if complaint.code == OTHER_COMPLAINT:
            if not complaint.text.strip():
                return _refuse("complaint_empty", "Say in a few words what the other complaint is.", f"{field}.text")
        elif complaint.code not in _complaint_codes():
            return _refuse("unknown_complaint", "This complaint is not in the list.", f"{field}.code")
    return None


def check_history(history: History, person: Person, at: Instant) -> Refusal | None:
    """Known conditions; pregnancy answers that fit the person and each other."""
    for number, condition in enumerate(history.conditions):
        if condition not in _condition_codes():
            return _refuse("unknown_condition", "This illness is not in the list.", f"history.conditions[{number}]")
    expecting = history.pregnant or history.post_partum or history.weeks_pregnant or history.lmp_date
    if expecting and person.gender is Gender.MALE:
        return _refuse("pregnancy_contradiction", "The patient is registered as a man.", "history.pregnant")
    if history.weeks_pregnant is not None and history.pregnant is not True:
        text = "Weeks of pregnancy belong to a pregnancy."
        return _refuse("pregnancy_contradiction", text, "history.weeks_pregnant")
    if history.lmp_date:
        lmp = birth_day(history.lmp_date)
        days_ago = None if lmp is None else (_today(at) - lmp).days
        if days_ago is None or (at.trusted and not 0 <= days_ago <= reference().lmp_max_days_ago):
            text = "The last period was within the last 300 days and not in the future."
            return _refuse("lmp_wrong", text, "history.lmp_date")
    return None


def check_allergies(allergies: Allergies) -> Refusal | None:
    """Either none is known or they are named."""
    if allergies.none_known and allergies.items:
        return _refuse("allergies_contradiction", "Allergies are named, so it is not none.", "allergies")
    if not allergies.none_known and not any(item.strip() for item in allergies.items):
        return _refuse("allergies_unanswered", "Name the allergy, or say that none is known.", "allergies")
    return None


@cache
def _sign_codes() -> frozenset[str]:
    return frozenset(asks_by_sign())


def check_signs(present: tuple[str, ...], absent: tuple[str, ...]) -> Refusal | None:
    """Signs of the list, each answered one way."""
    for field, signs in (("present", present), ("absent", absent)):
        if any(sign not in _sign_codes() for sign in signs):
            return _refuse("unknown_sign", "This danger sign is not in the list.", field)
    if set(present) & set(absent):
        return _refuse("sign_contradiction", "A sign cannot be present and absent at once.", "absent")
    return None

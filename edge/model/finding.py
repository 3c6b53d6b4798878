"""What a patient is found by, and what the words of a search look for. Pure.

Every key begins with a letter that says what it is: ``w`` the sound of a word of the name, of the
relative's name or of the village; ``d`` the digits of a number, ``r`` the same from the end, so that
the last digits find it too; ``i`` an identifier as it is written. A search word finds who has a key
that begins with one of the word's own.
"""

import re

from .age import age_days
from .fold import Patient
from .records import Person
from .spelling import sound_keys, words_of

MOST_WORDS = 6
AGE_APART_DAYS = 2 * 366
"""Two people of one name are taken for one when their ages differ by two years at most (forms.md §1)."""
_TOKEN = re.compile(r"(?:[\w-]*-)?0*([1-9]\d{0,3})")
_DIGITS_ONLY = re.compile(r"[+\d][\d\s-]*")


def keys_of(patient: Patient) -> frozenset[str]:
    """All keys of a patient."""
    person = patient.person
    words = [word for text in (person.name, person.relative_name, person.village) for word in words_of(text)]
    keys = {f"w{key}" for word in words for key in sound_keys(word)}
    for number in (person.mobile, person.abha_number, patient.local_id.rpartition("-")[2]):
        if number:
            keys |= {f"d{number}", f"r{number[::-1]}"}
    keys |= {f"i{text.casefold()}" for text in (patient.local_id, person.abha_address) if text}
    return frozenset(keys)


def wanted(text: str) -> list[frozenset[str]]:
    """For each word of a search the beginnings of keys that answer it; who answers all is found."""
    text = text.strip()
    if _DIGITS_ONLY.fullmatch(text):
        return [_number(re.sub(r"\D", "", text))]
    found: list[frozenset[str]] = []
    for part in text.split():
        if any(char.isdigit() for char in part) or "@" in part:
            digits = _number(part) if part.isdecimal() else frozenset()
            found.append(digits | {f"i{part.casefold()}"})
        else:
            found += [frozenset(f"w{key}" for key in sound_keys(word)) for word in words_of(part)]
    return found[:MOST_WORDS]


def _number(digits: str) -> frozenset[str]:
    """A number, in whichever script, from its beginning or from its end, without the country's code."""
    digits = "".join(str(int(digit)) for digit in digits)
    if len(digits) > 10 and digits.startswith("91") and len(digits) <= 12:
        digits = digits[2:]
    digits = digits.lstrip("0") or digits
    return frozenset({f"d{digits}", f"r{digits[::-1]}"}) if digits else frozenset()


def token_serial(text: str) -> int | None:
    """The serial of today's token that a search may mean: "7", "007", "014B-007"; None for anything else."""
    found = _TOKEN.fullmatch(text.strip())
    return int(found[1]) if found else None


def closeness(text: str, patient: Patient) -> int:
    """How well a patient answers a search: 0 the name is written so, 1 it sounds so, 2 by something else."""
    name = words_of(patient.person.name)
    asked = words_of(text)
    if not asked:
        return 0
    if all(any(word.startswith(one) for word in name) for one in asked):
        return 0
    sounds = [key for word in name for key in sound_keys(word)]
    if all(any(sound.startswith(key) for sound in sounds for key in sound_keys(one)) for one in asked):
        return 1
    return 2


def may_be_same(person: Person, other: Patient, at_ms: int) -> bool:
    """Whether a person may be this patient (forms.md §1): one ABHA number; or first name by its sound, sex, age ± 2
    years and village; or first name by its sound and mobile."""
    known = other.person
    if person.abha_number and person.abha_number == known.abha_number:
        return True
    if not _sound_alike(person.name, known.name, first_only=True):
        return False
    if person.mobile and person.mobile == known.mobile:
        return True
    if person.gender is not known.gender or not _sound_alike(person.village, known.village, first_only=False):
        return False
    mine, theirs = age_days(person, at_ms, at_ms), age_days(known, other.registered_ms, at_ms)
    return mine is None or theirs is None or abs(mine - theirs) <= AGE_APART_DAYS


def _sound_alike(one: str, two: str, *, first_only: bool) -> bool:
    ours, theirs = words_of(one), words_of(two)
    if first_only:
        ours, theirs = ours[:1], theirs[:1]
    if len(ours) != len(theirs):
        return False
    return all(set(sound_keys(a)) & set(sound_keys(b)) for a, b in zip(ours, theirs, strict=True))

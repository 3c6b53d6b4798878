"""Visit → early copy and back to something that can be shown. Pure; the codec is :mod:`edge.sync.sms`.

What a far doctor needs to decide "call 108, refer, wait": who (never the name), how red, why, and the figures.
What does not fit is left out from the end, and the copy says so.
"""

from functools import lru_cache

from msgspec import Struct, structs

from edge.model.fold import COLOUR_ORDER, Patient, Visit
from edge.model.ids import id_bytes
from edge.model.records import AgeUnit, Colour, Gender
from edge.model.reference import reference

from .sms import VISIT_BYTES, EarlyCopy, capacity_bytes, encode, tag_of

VITALS: tuple[tuple[str, int], ...] = (
    ("sbp", 1),
    ("dbp", 1),
    ("hr", 1),
    ("rr", 1),
    ("temp_c", 10),
    ("spo2", 1),
    ("rbs_mgdl", 1),
    ("weight_kg", 10),
    ("muac_cm", 10),
    ("hb_gdl", 10),
    ("fbs_mgdl", 1),
    ("height_cm", 10),
    ("pain", 1),
    ("head_cm", 10),
    ("waist_cm", 10),
)
"""Vital and scale by number, the most telling first. Appended, never reordered."""
_NUMBER_OF = {vital: number for number, (vital, _) in enumerate(VITALS)}
_UNITS = ("", "hour", "day", "week", "month", "year")
_AGE_UNITS = (AgeUnit.DAYS, AgeUnit.WEEKS, AgeUnit.MONTHS, AgeUnit.YEARS)
_SEXES = (Gender.FEMALE, Gender.MALE, Gender.OTHER)
_COLOURS = {rank: colour for colour, rank in COLOUR_ORDER.items()}
_AVPU = "ACVPU"
PREGNANT, POST_PARTUM, OXYGEN, ALLERGIC, NO_ALLERGY, LEFT_OUT = 1, 2, 4, 8, 16, 32


class Shown(Struct, frozen=True):
    """An early copy in words and units, as JSON serves it. Everything in it was said by a device, not signed."""

    emergency: bool
    token: str
    age: str
    sex: str
    colour: Colour
    complaints: tuple[str, ...]
    vitals: dict[str, float]
    avpu: str
    signs: tuple[str, ...]
    pregnant: bool
    oxygen: bool
    allergies: str
    """``named``, ``none_known`` or "" when it was not asked."""
    left_out: bool
    written_ms: int
    note: str


def visit_prefix(visit_id: str) -> bytes:
    """What names a visit in an SMS."""
    return id_bytes(visit_id)[:VISIT_BYTES]


def early_copy(visit: Visit, patient: Patient | None, at_ms: int, *, emergency: bool, parts: int = 1) -> EarlyCopy:
    """The copy of a visit that fits into ``parts`` SMS. ``at_ms``: 0 when the clock is not trusted."""
    values: dict[int, int] = {}
    avpu, oxygen = 0, False
    for round_ in visit.vitals:
        for reading in round_.vitals.readings:
            number = _NUMBER_OF.get(reading.vital)
            if number is not None:
                values[number] = round(reading.value * VITALS[number][1])
        avpu = _AVPU.find(round_.vitals.avpu) + 1 if round_.vitals.avpu else avpu
        oxygen = oxygen if round_.vitals.oxygen is None else round_.vitals.oxygen
    age, unit, sex = _person(patient)
    words = "; ".join(complaint.text for complaint in visit.complaints if complaint.text)
    copy = EarlyCopy(
        visit_prefix(visit.visit_id),
        emergency,
        visit.token[:50],
        age,
        unit,
        sex,
        COLOUR_ORDER[visit.colour],
        tuple(
            (tag_of(one.code, "complaint"), one.duration, _UNITS.index(one.duration_unit))
            for one in visit.complaints[:6]
        ),
        dict(sorted(values.items())),
        avpu,
        tuple(tag_of(sign, "sign") for sign in visit.signs_present[:12]),
        _flags(visit, oxygen),
        max(at_ms, 0) // 60_000,
        words[:200],
    )
    return _fit(copy, capacity_bytes(parts) - 1)


def _person(patient: Patient | None) -> tuple[int, int, int]:
    if patient is None:
        return 0, 4, 3
    person = patient.person
    sex = _SEXES.index(person.gender)
    if person.age is not None:
        return person.age.value, _AGE_UNITS.index(person.age.unit), sex
    if len(person.birth_date) >= 4:
        years = patient.registered_ms // 31_556_952_000 + 1970 - int(person.birth_date[:4])
        return min(max(years, 0), 1500), 3, sex
    return 0, 4, sex


def _flags(visit: Visit, oxygen: bool) -> int:
    flags = OXYGEN if oxygen else 0
    if visit.history is not None:
        flags |= PREGNANT if visit.history.pregnant else 0
        flags |= POST_PARTUM if visit.history.post_partum else 0
    if visit.allergies is not None:
        flags |= NO_ALLERGY if visit.allergies.none_known else ALLERGIC if visit.allergies.items else 0
    return flags


def _fit(copy: EarlyCopy, limit_bytes: int) -> EarlyCopy:
    """Leave out words, then the least telling vitals, signs and complaints, until it fits."""
    while len(encode(copy)) > limit_bytes:
        if copy.note:
            over = len(encode(copy)) - limit_bytes
            copy = structs.replace(copy, note=copy.note[: max(len(copy.note) - max(over // 4, 1), 0)])
        elif len(copy.vitals) > 6:
            copy = structs.replace(copy, vitals=dict(list(copy.vitals.items())[:-1]))
        elif len(copy.signs) > 3:
            copy = structs.replace(copy, signs=copy.signs[:-1])
        elif len(copy.complaints) > 1:
            copy = structs.replace(copy, complaints=copy.complaints[:-1])
        else:
            copy = structs.replace(copy, token=copy.token[-12:], vitals=dict(list(copy.vitals.items())[:-1]))
        copy = structs.replace(copy, flags=copy.flags | LEFT_OUT)
    return copy


@lru_cache(maxsize=1)
def _codes() -> dict[str, dict[int, str]]:
    known = reference()
    lists = {"complaint": [item.id for item in known.complaints], "sign": [sign.id for sign in known.signs]}
    return {of: {tag_of(code, of): code for code in codes} for of, codes in lists.items()}


def code_of(tag: int, of: str) -> str:
    """The code behind a tag; ``#1234`` for one that this release's reference lacks."""
    return _codes()[of].get(tag, f"#{tag}")


def shown(copy: EarlyCopy) -> Shown:
    """What a page can show."""
    unit = _AGE_UNITS[copy.age_unit].value if copy.age_unit < len(_AGE_UNITS) else ""
    complaints = tuple(
        " ".join(
            part
            for part in (code_of(tag, "complaint"), f"{duration} {_UNITS[unit_]}" if duration and unit_ else "")
            if part
        )
        for tag, duration, unit_ in copy.complaints
    )
    vitals = {
        VITALS[number][0] if number < len(VITALS) else f"#{number}": value / VITALS[number][1]
        if number < len(VITALS)
        else float(value)
        for number, value in copy.vitals.items()
    }
    return Shown(
        copy.emergency,
        copy.token,
        f"{copy.age} {unit}" if unit else "",
        _SEXES[copy.sex].value if copy.sex < len(_SEXES) else "",
        _COLOURS[copy.colour],
        complaints,
        vitals,
        _AVPU[copy.avpu - 1] if copy.avpu else "",
        tuple(code_of(tag, "sign") for tag in copy.signs),
        bool(copy.flags & PREGNANT),
        bool(copy.flags & OXYGEN),
        "named" if copy.flags & ALLERGIC else "none_known" if copy.flags & NO_ALLERGY else "",
        bool(copy.flags & LEFT_OUT),
        copy.at_min * 60_000,
        copy.note,
    )

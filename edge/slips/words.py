"""From a signed prescription to the words on the paper, in Hindi and English, as plain data.

The labels come from the file of the template's version and never change with the model's lists:
the same record has to give the same paper for ever. Numerals are 0-9; abbreviations such as TDS
are never printed alone (prescribing.md §5). This module knows no typst and no PDF.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model.clock import IST_OFFSET_S
from edge.model.prescribing import PrescriptionRecord, SignedPrescription
from edge.model.records import MedicineLine

from .coverage import MISSING, clean, lines
from .qr import qr_rows, qr_text
from .sign import decode_record

TEMPLATES_DIR = Path(__file__).parent / "templates"
_NUMBER = re.compile(r"^(\d+(?:[./]\d+)?|½|¼|¾)(?:\s*([A-Za-z]+))?$")
_HALF = frozenset({"1/2", "½", "0.5"})
_QUARTER = frozenset({"1/4", "¼", "0.25"})
_AGE = re.compile(r"^(\d{1,4}) (\w+)$")

Pair = tuple[str, str]
"""Hindi and English."""


class Frequency(Struct, frozen=True):
    """How often, in words, and its pattern over the day ("1-0-1"; "-" when it has none)."""

    hi: str
    en: str
    pattern: str


class Labels(Struct, frozen=True):
    """The words of one version of the prescription template."""

    complaints: dict[str, Pair]
    frequencies: dict[str, Frequency]
    routes: dict[str, tuple[str, str, str]]
    """Code → Hindi, English, Hindi verb ("डालें")."""
    food: dict[str, Pair]
    forms: dict[str, Pair]
    units: dict[str, tuple[str, str, str]]
    """Form → Hindi, English singular, English plural."""
    dose_words: dict[str, Pair]
    ages: dict[str, Pair]
    sexes: dict[str, Pair]
    modes: dict[str, Pair]
    consult_types: dict[str, Pair]
    urgencies: dict[str, Pair]
    allergies: dict[str, Pair]
    """The answers of the model that are not names of allergens."""
    slots: tuple[Pair, Pair, Pair, Pair]
    danger: tuple[Pair, ...]
    dose_half: str
    dose_quarter: str
    days: tuple[str, str, str]
    as_told: Pair


class MedicineWords(Struct, frozen=True):
    """One medicine as printed."""

    name: str
    form: Pair
    strength: str
    line_hi: str
    line_en: str
    route: Pair
    slots: tuple[str, ...]
    """Dose for morning, noon, evening, night; empty strings where none. No slots: not a daily pattern."""
    days: int
    quantity: str
    instructions: str
    approved: bool


class SlipWords(Struct, frozen=True):
    """Everything that a template prints. Text only: a template never evaluates any of it."""

    paper: str
    site_name: str
    site_code: str
    worker: str
    token: str
    date: str
    time: str
    time_trusted: bool
    name: str
    name_short: str
    """For the head of later pages: one line."""
    age: Pair
    sex: Pair
    village: str
    weight: str
    allergies: Pair
    complaints: tuple[Pair, ...]
    findings: tuple[str, ...]
    diagnosis: str
    diagnosis_code: str
    provisional: bool
    medicines: tuple[MedicineWords, ...]
    slot_names: tuple[Pair, ...]
    advice: tuple[str, ...]
    tests: tuple[str, ...]
    referral_to: str
    referral_urgency: Pair
    referral_reason: str
    follow_up: str
    danger: tuple[Pair, ...]
    doctor: str
    qualification: str
    registration: str
    contact: str
    mode: Pair
    consult_type: Pair
    signed_at: str
    visit_id: str
    prescription_id: str
    warn_signs_told: bool
    approved: bool
    demo: bool
    missing_letters: bool
    replaces: str
    """When the prescription was signed that this one amends or cancels; empty for a new one."""
    cancels: bool
    reason: str
    qr: tuple[str, ...]
    record: tuple[int, ...]
    """The embedded bytes: msgpack of the SignedPrescription."""


@lru_cache(maxsize=4)
def labels(template: str) -> Labels:
    """The words of a template, such as "rx-1"."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{template}.json").read_bytes(), type=Labels)


def _india(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=unix_ms, seconds=IST_OFFSET_S)


def _dose(line: MedicineLine, words: Labels) -> Pair:
    """The amount at a time with its unit: "1/2" of a tablet is "आधी गोली", "0.5 mL" is "0.5 मिली"."""
    dose = clean(line.dose)
    match = _NUMBER.match(dose)
    if not match:
        return dose, dose
    amount, word = match.groups()
    if word:
        hindi, english = words.dose_words.get(word.lower(), (word, word))
    else:
        hindi, one, many = words.units.get(line.form.lower(), ("", "", ""))
        english = one if amount == "1" or amount in _HALF | _QUARTER else many
    spoken = words.dose_half if amount in _HALF else words.dose_quarter if amount in _QUARTER else amount
    # "आधी" is said of a tablet; of a capsule it is the wrong gender, and of millilitres nobody can measure it.
    whole = spoken if hindi == words.units["tablet"][0] else amount
    return f"{whole} {hindi}".strip(), f"{amount} {english}".strip()


def _slots(pattern: str, amount: str) -> tuple[str, ...]:
    """The four cells of the day for "1-0-1" (morning, noon, night) or "1-1-1-1"."""
    marks = pattern.split("-")
    if len(marks) == 3:
        marks.insert(2, "0")
    if len(marks) != 4:
        return ()
    return tuple(amount if mark == "1" else "" for mark in marks)


def _medicine(line: MedicineLine, words: Labels) -> MedicineWords:
    dose_hi, dose_en = _dose(line, words)
    code = clean(line.frequency)
    told_hi, told_en = words.as_told
    often = words.frequencies.get(code.upper(), Frequency(f"{told_hi} ({code})", f"{told_en} ({code})", "-"))
    food_hi, food_en = words.food.get(line.food, ("", ""))
    day_hi, day_en, days_en = words.days
    days = line.duration_days
    route = clean(line.route)
    route_hi, route_en, verb_hi = words.routes.get(route.lower(), (route, route, ""))
    way_hi, way_en = ("", "") if route == "oral" else (f"{route_hi} {verb_hi}".strip(), route_en)
    match = _NUMBER.match(clean(line.dose))
    cell = clean(line.dose) if match and len(line.dose) <= 6 else "✓"
    hindi = (dose_hi, way_hi, often.hi, food_hi, f"{days} {day_hi}")
    english = (dose_en, way_en, often.en, food_en, f"{days} {day_en if days == 1 else days_en}")
    return MedicineWords(
        name=clean(line.generic.upper()),
        form=words.forms.get(line.form.lower(), (clean(line.form), clean(line.form))),
        strength=clean(line.strength),
        line_hi=" — ".join(filter(None, hindi)),
        line_en=" — ".join(filter(None, english)),
        route=(route_hi, route_en),
        slots=_slots(often.pattern, cell),
        days=days,
        quantity=clean(line.quantity),
        instructions=clean(line.instructions),
        approved=line.approved,
    )


def dose_lines(line: MedicineLine, template: str = "rx-1") -> Pair:
    """How to take one medicine, in the very words of the slip: Hindi and English."""
    words = _medicine(line, labels(template))
    return words.line_hi, words.line_en


def _age(text: str, words: Labels) -> Pair:
    english = clean(text)
    match = _AGE.match(english)
    if not match or match[2] not in words.ages:
        return english, english
    hindi, unit = words.ages[match[2]]
    return f"{match[1]} {hindi}", f"{match[1]} {unit}"


def _short(text: str, most: int) -> str:
    """A text cut, if possible at a word, to about ``most`` letters."""
    if len(text) <= most:
        return text
    return f"{text[:most].rpartition(' ')[0] or text[:most]} …"


def _date(iso: str) -> str:
    """DD-MM-YYYY of YYYY-MM-DD; anything else as it stands."""
    return "-".join(reversed(iso.split("-"))) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", iso) else clean(iso)


def slip_words(signed: SignedPrescription, template: str, paper: str) -> SlipWords:
    """What the paper says for this prescription. Raises SlipRefused(slip_record_bad)."""
    record: PrescriptionRecord = decode_record(signed.record)
    words = labels(template)
    when = _india(record.signed_ms)
    weight = "" if record.weight_kg is None else f"{record.weight_kg:.1f}".removesuffix(".0")
    referral = record.referral
    made = SlipWords(
        paper=paper,
        site_name=clean(record.site_name),
        site_code=clean(record.site_code),
        worker=clean(record.worker_name),
        token=_short(clean(record.token), 20),
        date=f"{when:%d-%m-%Y}",
        time=f"{when:%H:%M}",
        time_trusted=record.time_trusted,
        name=clean(record.patient_name),
        name_short=_short(clean(record.patient_name), 40),
        age=_age(record.patient_age, words),
        sex=words.sexes.get(record.patient_sex.lower(), (clean(record.patient_sex), "")),
        village=clean(record.patient_village),
        weight=weight,
        allergies=words.allergies.get(record.allergies, (clean(record.allergies), "")),
        complaints=tuple(words.complaints.get(item, (clean(item), "")) for item in record.complaints),
        findings=tuple(lines(record.findings)),
        diagnosis=clean(record.diagnosis),
        diagnosis_code=clean(record.diagnosis_code),
        provisional=record.provisional,
        medicines=tuple(_medicine(line, words) for line in record.medicines),
        slot_names=words.slots,
        advice=tuple(lines(record.advice)),
        tests=tuple(map(clean, record.tests)),
        referral_to=clean(referral.to) if referral else "",
        referral_urgency=words.urgencies.get(referral.urgency, ("", "")) if referral else ("", ""),
        referral_reason=clean(referral.reason) if referral else "",
        follow_up=_date(record.follow_up_date),
        danger=words.danger,
        doctor=clean(record.doctor_name),
        qualification=clean(record.qualification),
        registration=clean(record.registration),
        contact=clean(record.doctor_contact),
        mode=words.modes[record.mode],
        consult_type=words.consult_types[record.consult_type],
        signed_at=f"{_india(signed.hub_time_ms):%d-%m-%Y %H:%M}",
        visit_id=record.visit_id,
        prescription_id=record.prescription_id,
        warn_signs_told=record.warn_signs_told,
        approved=all(line.approved for line in record.medicines),
        demo=record.demo,
        missing_letters=False,
        replaces=f"{_india(record.replaces_ms):%d-%m-%Y %H:%M}" if record.replaces else "",
        cancels=record.cancels,
        reason=clean(record.reason),
        qr=tuple(qr_rows(qr_text(signed))),
        record=tuple(msgspec.msgpack.encode(signed)),
    )
    if MISSING in msgspec.json.encode(made).decode():
        made = msgspec.structs.replace(made, missing_letters=True)
    return made

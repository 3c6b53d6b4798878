"""The referral slip that a health worker makes when no doctor answers: A5, or the roll of a thermal printer.

Says what was recorded and nothing else; what was not measured is said to be so. Carries no signature: it is no
prescription. Knows the records, no store.
"""

from functools import lru_cache

import msgspec
from msgspec import Struct

from edge.model.age import age_text
from edge.model.clock import clock_text, day_of, paper_day
from edge.model.fold import Patient, Visit
from edge.model.reference import reference
from edge.model.referral import MadeReferral
from edge.model.triage import latest_vitals

from .coverage import clean
from .refusal import SlipCode, SlipRefused
from .render import ROLL_PPI, ROLLS, compile_pdf, compile_png
from .words import TEMPLATES_DIR, Pair

TEMPLATE = "referral-1"
SHEET = "a5"


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    no_doctor: Pair
    to: Pair
    places: dict[str, Pair]
    urgencies: dict[str, Pair]
    ways: dict[str, Pair]
    why: Pair
    given: Pair
    complaints: Pair
    signs: Pair
    vitals: Pair
    not_measured: Pair
    history: Pair
    allergy_none: Pair
    pregnant: Pair
    colours: dict[str, Pair]
    sexes: dict[str, Pair]
    ages: dict[str, str]
    worker: Pair
    sign: Pair
    back: Pair
    unsure: Pair
    aid: Pair


class Part(Struct, frozen=True):
    """A heading and what stands below it."""

    head: Pair
    lines: tuple[str, ...]


class ReferralPage(Struct, frozen=True):
    """Everything that the template prints."""

    paper: str
    demo: bool
    title: Pair
    site: str
    when: str
    token: str
    name: str
    person: str
    colour: Pair
    urgency: Pair
    way: Pair
    to_head: Pair
    to: Pair
    why: Pair
    reason: str
    no_doctor: Pair
    parts: tuple[Part, ...]
    aid: Pair
    worker_head: Pair
    worker: str
    sign: Pair
    back: Pair


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def referral_page(
    visit: Visit, patient: Patient, made: MadeReferral, site: str, worker: str, *, demo: bool, sure: bool = True
) -> ReferralPage:
    """What the slip says. ``worker``: the name of who made it; ``sure`` False: the date is marked as not sure."""
    words, person = labels(), patient.person
    number, _, unit = age_text(person, patient.registered_ms, made.at_ms).partition(" ")
    when = f"{paper_day(day_of(made.at_ms))} {clock_text(made.at_ms)}"
    facts = (
        f"{number} {words.ages.get(unit, unit)}".strip(),
        words.sexes[person.gender.value][0],
        person.relative_name,
        person.village,
        person.mobile,
        patient.local_id,
    )
    to = words.places.get(made.to) or (clean(made.to), "")
    return ReferralPage(
        SHEET,
        demo,
        words.title,
        clean(site),
        when if sure else f"{when} ({' / '.join(words.unsure)})",
        clean(visit.token),
        clean(person.name),
        " · ".join(clean(one) for one in facts if one),
        words.colours[visit.colour.value],
        words.urgencies[made.urgency],
        words.ways[made.way],
        words.to,
        to,
        words.why,
        clean(made.reason),
        words.no_doctor,
        tuple(_parts(visit, made, words)),
        words.aid,
        words.worker,
        clean(worker),
        words.sign,
        words.back,
    )


def _parts(visit: Visit, made: MadeReferral, words: Labels) -> list[Part]:
    known = reference()
    complaints = {one.id: f"{one.hi} {one.en}" for one in known.complaints}
    signs = {one.id: f"{one.hi} {one.en}" for one in known.signs}
    found = [
        Part(words.complaints, tuple(complaint_line(one.code, one.text, complaints) for one in visit.complaints)),
        Part(words.signs, tuple(clean(signs.get(one, one)) for one in visit.signs_present)),
        Part(words.vitals, tuple(vital_lines(visit, words))),
        Part(words.history, tuple(history_lines(visit, words))),
        Part(words.given, tuple(clean(line) for line in made.given.splitlines() if line.strip())),
    ]
    return [one for one in found if one.lines]


def complaint_line(code: str, text: str, words: dict[str, str]) -> str:
    return clean(" ".join(filter(None, (words.get(code, "" if code == "other" else code), text))))


def vital_lines(visit: Visit, words: Labels) -> list[str]:
    latest = latest_vitals(visit.vitals)
    values = {one.vital: f"{one.value:g}" for one in latest.readings}
    if not values and not latest.avpu:
        return [" ".join(words.not_measured)]
    names = {one.id: (f"{one.hi} {one.en}", one.unit) for one in reference().vitals}
    rows = [f"{names[vital][0]}: {value} {names[vital][1]}" for vital, value in values.items() if vital in names]
    state = next((f"{one.hi} {one.en}" for one in reference().avpu if one.code == latest.avpu), "")
    return [clean(row) for row in (*rows, state) if row]


def history_lines(visit: Visit, words: Labels) -> list[str]:
    rows: list[str] = []
    history, allergies = visit.history, visit.allergies
    if history is not None:
        names = {one.id: f"{one.hi} {one.en}" for one in reference().conditions}
        rows += [names.get(one, one) for one in history.conditions]
        rows += [history.medicines, history.notes]
        if history.pregnant:
            weeks = f" {history.weeks_pregnant} wk" if history.weeks_pregnant else ""
            rows.append(" ".join(words.pregnant) + weeks)
    if allergies is not None:
        rows.append(" ".join(words.allergy_none) if allergies.none_known else ", ".join(allergies.items))
    return [clean(row) for row in rows if row.strip()]


def render_referral(page: ReferralPage) -> bytes:
    """The slip on A5 as PDF."""
    return compile_pdf(TEMPLATE, page)


def render_referral_roll(page: ReferralPage, *, roll_mm: int = 80) -> bytes:
    """The slip as a PNG for the head of a thermal printer. Raises SlipRefused with slip_paper_unknown."""
    if roll_mm not in ROLLS:
        raise SlipRefused(SlipCode.PAPER_UNKNOWN, "A roll is 80 or 58 mm wide.")
    return compile_png(TEMPLATE, msgspec.structs.replace(page, paper=f"roll{roll_mm}"), ROLL_PPI)

"""What is kept of a person, for herself (security.md R2): a page that says all of it in Hindi and English, A4.

Says what was recorded and nothing else. Carries no signature: slips do. Knows the records, no store.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from edge.model.age import age_text
from edge.model.clock import clock_text, day_of, paper_day
from edge.model.fold import Patient, Visit
from edge.model.media import Purpose
from edge.model.prescription import PrescriptionRecord
from edge.model.reference import reference
from edge.model.standing import Standing, record_in, standing

from .coverage import clean
from .referral import Part, complaint_line, history_lines, vital_lines
from .referral import labels as referral_labels
from .render import compile_pdf
from .words import TEMPLATES_DIR, Pair, dose_lines

TEMPLATE = "copy-1"


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    kept: Pair
    classes: dict[str, Pair]
    further: Pair
    days: Pair
    visit: Pair
    consents: Pair
    purposes: dict[str, Pair]
    given: Pair
    refused: Pair
    doctor: Pair
    notes: Pair
    diagnosis: Pair
    provisional: Pair
    medicines: Pair
    advice: Pair
    referred: Pair
    cancelled: Pair
    media: Pair
    media_say: Pair
    shared: Pair
    shared_none: Pair
    documents: Pair
    readers: Pair
    readers_none: Pair
    times: Pair
    yourself: Pair
    lists: Pair
    rights: Pair
    rights_say: Pair
    officer: Pair
    officer_none: Pair
    nominee: Pair
    nominee_none: Pair


class VisitPart(Struct, frozen=True):
    """One visit: when and where, and what was recorded."""

    head: str
    parts: tuple[Part, ...]


class Reader(Struct, frozen=True):
    """Who opened her records, how often, and when last. ``name`` empty: herself."""

    name: str
    times: int
    last_ms: int


class Kept(Struct, frozen=True):
    """All that is said of a person. ``visits``: each with the name of its centre."""

    patient: Patient
    visits: tuple[tuple[Visit, str], ...]
    keep_days: dict[str, int]
    """By class of what is kept; 0: until further notice."""
    shared: tuple[tuple[str, int], ...]
    """Other systems, and how many documents each was sent."""
    readers: tuple[Reader, ...]
    officer: str
    nominee: str
    """Who may speak in her place; empty: nobody."""
    demo: bool


class CopyPage(Struct, frozen=True):
    """Everything that the template prints. Text only: the template never evaluates any of it."""

    title: Pair
    demo: bool
    when: str
    name: str
    person: str
    parts: tuple[Part, ...]
    visit_head: Pair
    visits: tuple[VisitPart, ...]
    ending: tuple[Part, ...]


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def copy_page(kept: Kept, now_ms: int) -> CopyPage:
    """What the page says."""
    words, person = labels(), kept.patient.person
    theirs = referral_labels()
    number, _, unit = age_text(person, kept.patient.registered_ms, now_ms).partition(" ")
    facts = (
        f"{number} {theirs.ages.get(unit, unit)}".strip(),
        theirs.sexes[person.gender.value][0],
        person.relative_name,
        person.village,
        person.mobile,
        person.abha_number,
        kept.patient.local_id,
    )
    times = tuple(
        f"{_both(words.classes[name])}: {_both(_filled(words.days, days) if days else words.further)}"
        for name, days in kept.keep_days.items()
    )
    shared = tuple(_both(_filled(words.documents, count, clean(name))) for name, count in kept.shared)
    read = tuple(
        f"{clean(one.name) or _both(words.yourself)}: {_both(_filled(words.times, one.times, _day(one.last_ms)))}"
        for one in kept.readers
    )
    return CopyPage(
        words.title,
        kept.demo,
        _day(now_ms),
        clean(person.name),
        " · ".join(clean(one) for one in facts if one),
        (Part(words.kept, times),),
        words.visit,
        tuple(VisitPart(_head(visit, site), tuple(_parts(visit))) for visit, site in kept.visits),
        (
            Part(words.shared, shared or (_both(words.shared_none),)),
            Part(words.readers, (*(read or (_both(words.readers_none),)), _both(words.lists))),
            Part(words.rights, (_both(words.rights_say),)),
            Part(words.nominee, (clean(kept.nominee) or _both(words.nominee_none),)),
            Part(words.officer, (clean(kept.officer) or _both(words.officer_none),)),
        ),
    )


def render_copy(page: CopyPage) -> bytes:
    """The page as PDF; the same data give the same bytes."""
    return compile_pdf(TEMPLATE, page)


def _parts(visit: Visit) -> list[Part]:
    words, theirs, known = labels(), referral_labels(), reference()
    complaints = {one.id: f"{one.hi} {one.en}" for one in known.complaints}
    signs = {one.id: f"{one.hi} {one.en}" for one in known.signs}
    told = [complaint_line(one.code, one.text, complaints) for one in visit.complaints]
    photos = sum(one.purpose is not Purpose.PREVIEW for one in visit.media)
    found = [
        Part(words.consents, tuple(_consents(visit))),
        Part(theirs.complaints, (*told, clean(visit.complaint_notes))),
        Part(theirs.signs, tuple(clean(signs.get(one, one)) for one in visit.signs_present)),
        Part(theirs.vitals, tuple(vital_lines(visit, theirs))),
        Part(theirs.history, tuple(history_lines(visit, theirs))),
        Part(words.doctor, (clean(visit.doctor_name),)),
        Part(words.notes, tuple(clean(line) for note in visit.notes for line in note.splitlines())),
        Part(words.media, (_both(_filled(words.media_say, photos)),) if photos else ()),
    ]
    stands = standing(visit.prescriptions)
    for state in visit.prescriptions:
        record = record_in(state.signed)
        if record is not None:
            found += _prescription(record, stands[state.prescription_id].standing)
    for made in visit.referrals:
        place = theirs.places.get(made.to) or (clean(made.to), "")
        found.append(Part(words.referred, (f"{_both(place)} · {_day(made.at_ms)} · {clean(made.reason)}",)))
    shown = [msgspec.structs.replace(one, lines=tuple(line for line in one.lines if line)) for one in found]
    return [one for one in shown if one.lines]


def _prescription(record: PrescriptionRecord, stands: Standing) -> list[Part]:
    words = labels()
    doubt = f" ({_both(words.provisional)})" if record.provisional else ""
    diagnosis = " ".join(filter(None, (record.diagnosis, record.diagnosis_code and f"({record.diagnosis_code})")))
    lines = [
        f"{clean(diagnosis)}{doubt}",
        clean(f"{record.doctor_name}, {record.registration}"),
        _day(record.signed_ms),
    ]
    if stands is not Standing.VALID:
        lines.append(_both(words.cancelled))
    medicines = [
        f"{clean(f'{one.generic} {one.form} {one.strength}')} – {' / '.join(dose_lines(one))}"
        for one in record.medicines
    ]
    advice = (*record.advice.splitlines(), *record.tests, record.follow_up_date)
    return [
        Part(words.diagnosis, tuple(lines)),
        Part(words.medicines, tuple(medicines)),
        Part(words.advice, tuple(clean(one) for one in advice)),
    ]


def _consents(visit: Visit) -> list[str]:
    words = labels()
    return [
        f"{_both(words.purposes.get(one.purpose, (one.purpose, '')))}: "
        f"{_both(words.given if one.given else words.refused)}, {_day(one.at_ms)}"
        for one in visit.consents
    ]


def _head(visit: Visit, site: str) -> str:
    return " · ".join(
        filter(None, (f"{_day(visit.opened_ms)} {clock_text(visit.opened_ms)}", clean(site), visit.token))
    )


def _day(at_ms: int) -> str:
    return paper_day(day_of(at_ms))


def _filled(pair: Pair, *values: object) -> Pair:
    return pair[0].format(*values), pair[1].format(*values)


def _both(pair: Pair | Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(one for one in pair if one))

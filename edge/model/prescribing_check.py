"""May this draft be signed? Every reason why not, and what the doctor should look at.

Run by the hub while the doctor writes and again at the moment of signing, with the mode that the
call had really reached by then (prescribing.md §4–6). Nothing here can be overridden by a role.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from . import consent
from .age import age_days
from .clock import day_of, iso_day
from .doses import counted, frequencies, routes
from .drug_gate import (
    FOLLOW_UP_WINDOW_DAYS,
    NO_APPROVALS,
    Approvals,
    Prior,
    allowed,
    approved,
    letter_of,
)
from .fold import Patient, Visit
from .prescription import (
    DraftLine,
    PrescriptionDraft,
    PrescriptionRecord,
    child_dose,
    effective_mode,
    weight_of,
)
from .records import Colour, ConsultType, Gender, Mode
from .reference import DrugItem
from .standing import Standing, record_in, standing
from .substances import is_prohibited_name
from .triage_rules import rules

_TURNS = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Signs of direction (Unicode UAX 9): "10\u202e5" is read as another number than it is."""
_MESSAGES = {
    "list_a_needs_video": "On a first consultation this medicine needs video.",
    "list_a_needs_video_or_refill": "This medicine needs video, or has to be a refill of the same condition.",
    "refill_needs_follow_up": "This medicine can only be refilled on a follow-up with the same doctor.",
    "refill_needs_same_drug": "This medicine was not prescribed before for this condition.",
    "list_b_needs_follow_up": "This medicine is only an add-on on a follow-up.",
    "list_b_needs_in_person": "This medicine needs an in-person consultation for the same condition before.",
    "prohibited": "This medicine can never be prescribed by tele-consultation.",
    "not_by_tele": "This medicine is given in person or under a programme only.",
    "unclassified": "Nobody has classified this medicine, so it cannot be prescribed by tele-consultation.",
}
GATE_REASONS = frozenset({*_MESSAGES, "unknown_drug"})
"""Codes of the rules which medicine may be prescribed so; the other denials are about the paper and the patient."""


class Denial(Struct, frozen=True):
    """One reason. ``code`` is stable and listed in ``docs/errors.md``; ``field`` is a path in the draft."""

    code: str
    message: str
    field: str = ""


def history_of(visit: Visit, earlier: Iterable[Visit]) -> list[Visit]:
    """Earlier visits of the same condition: the chain of ``follow_up_of``, newest first."""
    known = {v.visit_id: v for v in earlier if v.patient_id == visit.patient_id}
    chain: list[Visit] = []
    link = visit.follow_up_of
    while link in known:
        previous = known.pop(link)
        chain.append(previous)
        link = previous.follow_up_of
    return chain


def standing_records(visit: Visit) -> list[PrescriptionRecord]:
    """Records of a visit's prescriptions that stand; one that cannot be read proves nothing and is left out."""
    stands = standing(visit.prescriptions)
    return [
        record
        for one in visit.prescriptions
        if stands[one.prescription_id].standing is Standing.VALID and (record := record_in(one.signed)) is not None
    ]


def seen_in_person(
    visit: Visit, earlier: Iterable[Visit], doctor_id: str, now_ms: int, window_days: int = FOLLOW_UP_WINDOW_DAYS
) -> bool:
    """Whether this doctor examined the patient in person for this condition within the window, up to today.

    The record stands on this visit or on one that it follows up.
    """
    today = day_of(now_ms)
    for past in (visit, *history_of(visit, earlier)):
        for seen in past.in_person:
            day = iso_day(seen.held_on)
            if seen.doctor_id == doctor_id and day is not None and 0 <= today - day <= window_days:
                return True
    return False


def consult_type(
    visit: Visit, earlier: Iterable[Visit], doctor_id: str, now_ms: int, window_days: int = FOLLOW_UP_WINDOW_DAYS
) -> ConsultType:
    """FOLLOW_UP when the same doctor saw the patient in person for the same condition within the window, else FIRST.

    prescribing.md §2: consultations by tele alone make no follow-up, however many there were. A visit
    belongs to the same condition only if it was opened as a follow-up of it.
    """
    seen = seen_in_person(visit, earlier, doctor_id, now_ms, window_days)
    return ConsultType.FOLLOW_UP if seen else ConsultType.FIRST


def prior_of(
    drug: DrugItem,
    visit: Visit,
    earlier: Sequence[Visit],
    doctor_id: str,
    now_ms: int,
    window_days: int = FOLLOW_UP_WINDOW_DAYS,
) -> Prior:
    """What earlier visits of the same condition say about one medicine. The same generic is the same drug.

    A prescription that was cancelled or replaced is no precedent.
    """
    same_drug = any(
        line.generic == drug.generic
        for past in history_of(visit, earlier)
        for record in standing_records(past)
        for line in record.medicines
    )
    return Prior(same_drug, seen_in_person(visit, earlier, doctor_id, now_ms, window_days))


def check(
    draft: PrescriptionDraft,
    patient: Patient,
    visit: Visit,
    formulary: Sequence[DrugItem],
    mode: Mode,
    consult: ConsultType,
    now_ms: int,
    *,
    registration: str,
    doctor_id: str,
    earlier: Sequence[Visit] = (),
    approvals: Approvals = NO_APPROVALS,
    window_days: int = FOLLOW_UP_WINDOW_DAYS,
    replaces: str = "",
) -> list[Denial]:
    """Every reason why the draft cannot be signed; empty when it can.

    ``mode``: what the calls reached; a ``declared_mode`` can only weaken it. ``registration``: the
    signer's number. ``earlier``: other visits of the patient, for refills and add-ons. ``consult`` can
    only be weaker than what the records say: a follow-up that they do not bear out counts as first.
    ``replaces``: the signed prescription that this one amends.
    """
    days = age_days(patient.person, patient.registered_ms, now_ms)
    denials = [*_about_paper(draft, visit, now_ms, registration), *_about_patient(draft, patient, visit, days)]
    denials += _about_child(draft, visit, days)
    drugs = {drug.id: drug for drug in formulary}
    reached = effective_mode(mode, draft.declared_mode)
    if consult is ConsultType.FOLLOW_UP:
        consult = consult_type(visit, earlier, doctor_id, now_ms, window_days)
    standing_now = {
        line.generic
        for record in standing_records(visit)
        if record.prescription_id != replaces
        for line in record.medicines
    }
    for number, line in enumerate(draft.medicines):
        field = f"medicines[{number}]"
        drug = drugs.get(line.drug_id)
        denials += _incomplete(line, drug, field)
        if drug is None:
            denials.append(Denial("unknown_drug", "This medicine is not in the formulary.", f"{field}.drug_id"))
            continue
        prior = prior_of(drug, visit, earlier, doctor_id, now_ms, window_days)
        gate = allowed(letter_of(drug, approvals), reached, consult, prior)
        if not gate.allowed:
            denials.append(Denial(gate.reason, _MESSAGES[gate.reason], f"{field}.drug_id"))
        if drug.generic.upper() in standing_now:
            text = "A prescription of this visit holds this medicine already: amend that one, else it is taken twice."
            denials.append(Denial("drug_stands", text, f"{field}.drug_id"))
    return denials + _about_allergies(draft, visit, drugs)


def is_child(days: int | None) -> bool:
    """Whether doses go by weight (prescribing.md §5: below 12 years)."""
    return days is not None and days < rules().adult_from_days


def runs_until(record: PrescriptionRecord, days: int) -> int:
    """The first Indian calendar day on which a medicine of a record is taken no more: it runs from its signature."""
    return day_of(record.signed_ms) + max(days, 1)


def _still_taken(earlier: Iterable[Visit], now_ms: int) -> frozenset[str]:
    """Ingredients that the patient still takes by what was signed, neither cancelled nor replaced."""
    return frozenset(
        part
        for past in earlier
        for record in standing_records(past)
        for line in record.medicines
        if runs_until(record, line.duration_days) > day_of(now_ms)
        for part in ingredients(line.generic)
    )


def ingredients(generic: str) -> frozenset[str]:
    """What a medicine is made of, by its generic name: "PARACETAMOL + IBUPROFEN" is both."""
    bare = re.sub(r"\(.*?\)", " ", generic.upper())
    return frozenset(part.strip() for part in re.split(r"[+/,&]|\bAND\b|\bWITH\b", bare) if part.strip())


def warnings(
    draft: PrescriptionDraft,
    patient: Patient,
    visit: Visit,
    formulary: Sequence[DrugItem],
    now_ms: int,
    approvals: Approvals = NO_APPROVALS,
    earlier: Sequence[Visit] = (),
) -> list[Denial]:
    """What does not forbid signing, but has to be seen: unapproved letters, remarks of the formulary, doubles."""
    found: list[Denial] = []
    drugs = {drug.id: drug for drug in formulary}
    seen: set[str] = set()
    running = _still_taken(earlier, now_ms)
    for number, line in enumerate(draft.medicines):
        drug, field = drugs.get(line.drug_id), f"medicines[{number}]"
        if drug is None:
            continue
        if not approved(drug, approvals):
            text = "No medical officer has approved the list letter of this medicine."
            found.append(Denial("not_approved", text, field))
        if drug.flags:
            found.append(Denial("drug_remark", f"Remark in the formulary: {drug.flags}.", field))
        parts = ingredients(drug.generic)
        if parts & seen:
            found.append(Denial("drug_twice", "This medicine stands twice on the prescription.", field))
        if parts & running:
            text = "By an earlier prescription the patient still takes this: it would be taken twice."
            found.append(Denial("drug_runs", text, field))
        seen |= parts
    if is_prohibited_name(f"{draft.diagnosis} {draft.findings} {draft.referral.reason if draft.referral else ''}"):
        text = "The text names a substance that can never be prescribed by tele-consultation."
        found.append(Denial("prohibited_named", text, "findings"))
    if visit.history is not None and visit.history.pregnant and draft.medicines:
        found.append(Denial("pregnant", "The patient is pregnant.", "medicines"))
    if is_child(age_days(patient.person, patient.registered_ms, now_ms)) and draft.medicines:
        found.append(Denial("child", "The patient is a child: check the dose by weight.", "medicines"))
    return found


def _about_paper(draft: PrescriptionDraft, visit: Visit, now_ms: int, registration: str) -> list[Denial]:
    found: list[Denial] = []
    if not registration.strip():
        found.append(Denial("registration_missing", "The doctor's registration number is not on record."))
    if not draft.diagnosis.strip():
        found.append(Denial("diagnosis_missing", "Write a diagnosis, provisional or final.", "diagnosis"))
    if not (draft.medicines or draft.advice.strip() or draft.tests or draft.referral):
        found.append(Denial("nothing_advised", "Write a medicine, advice, a test or a referral.", "medicines"))
    for field, words in (("advice", draft.advice), ("tests", " ".join(draft.tests))):
        if is_prohibited_name(words):
            found.append(Denial("prohibited", _MESSAGES["prohibited"], field))
    if visit.colour is Colour.RED and draft.referral is None:
        found.append(Denial("referral_missing", "An emergency needs a referral to in-person care.", "referral"))
    if visit.colour is not Colour.RED and not consent.is_given(visit):
        found.append(Denial("consent_missing", "Consent to teleconsultation is not recorded."))
    if draft.follow_up_date:
        day = iso_day(draft.follow_up_date)
        if day is None:
            found.append(Denial("follow_up_wrong", "There is no such day.", "follow_up_date"))
        elif day < day_of(now_ms):
            found.append(Denial("follow_up_wrong", "The follow-up lies in the past.", "follow_up_date"))
    return found


def _about_child(draft: PrescriptionDraft, visit: Visit, days: int | None) -> list[Denial]:
    """No source gives a dose by weight for any medicine here, so the doctor confirms each one for this weight."""
    weight_kg = weight_of(visit)
    if not is_child(days) or weight_kg is None:
        return []
    text = "No rule by weight is known for this medicine: confirm the dose for this child."
    return [
        Denial("child_dose", text, f"medicines[{number}].dose")
        for number, line in enumerate(draft.medicines)
        if child_dose(line, weight_kg) not in draft.child_doses_seen
    ]


def _about_patient(draft: PrescriptionDraft, patient: Patient, visit: Visit, days: int | None) -> list[Denial]:
    if days is None:
        return [Denial("age_unknown", "The age is not known; ask for it before prescribing.")]
    found: list[Denial] = []
    if is_child(days) and draft.medicines and weight_of(visit) is None:
        found.append(Denial("weight_missing", "Below 12 years the weight is needed.", "medicines"))
    asked = rules().pregnancy_asked
    fertile = patient.person.gender is Gender.FEMALE and asked.from_days <= days < asked.below_days
    if fertile and (visit.history is None or visit.history.pregnant is None):
        found.append(Denial("pregnancy_unknown", "Ask whether the patient is pregnant."))
    return found


def _incomplete(line: DraftLine, drug: DrugItem | None, field: str) -> list[Denial]:
    found: list[Denial] = []
    if not any(letter.isalnum() for letter in line.dose):
        found.append(Denial("dose_missing", "Write the dose.", f"{field}.dose"))
    elif _is_no_amount(line.dose):
        found.append(Denial("dose_wrong", "This is no amount that one can take.", f"{field}.dose"))
    elif drug is not None and counted(drug.form) is None and not any(letter.isalpha() for letter in line.dose):
        found.append(Denial("dose_unit_missing", "Say what is counted: 5 mL, not 5.", f"{field}.dose"))
    if line.route not in routes():
        found.append(Denial("route_missing", "Choose the route.", f"{field}.route"))
    elif line.route == "injection":
        text = "An injection is not prescribed by tele-consultation."
        found.append(Denial("not_by_tele", text, f"{field}.route"))
    if line.frequency not in frequencies():
        found.append(Denial("frequency_missing", "Choose how often.", f"{field}.frequency"))
    for name, text in (("dose", line.dose), ("quantity", line.quantity), ("instructions", line.instructions)):
        if is_prohibited_name(text):
            found.append(Denial("prohibited", _MESSAGES["prohibited"], f"{field}.{name}"))
        if _TURNS.search(text):
            said = "This holds a sign that cannot be seen and turns the text around. Write it anew."
            found.append(Denial("text_hidden", said, f"{field}.{name}"))
    if line.duration_days < 1:
        found.append(Denial("duration_missing", "Say for how many days.", f"{field}.duration_days"))
    return found


def _is_no_amount(dose: str) -> bool:
    """Zero, or less: "0", "0.0 mL", "०", "-1"."""
    numbers = re.findall(r"\d+", dose)
    return dose.strip()[0] in "-\u2212\u2013" or (bool(numbers) and all(int(number) == 0 for number in numbers))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.lower()) if len(word) > 3)


def _is_placed(item: str, drugs: dict[str, DrugItem]) -> bool:
    """Whether every word of an allergy is a generic's, or says only in which form or strength it was given."""
    known = " ".join(f"{drug.generic} {drug.form} {drug.strength}" for drug in drugs.values())
    words = frozenset(re.findall(r"[a-z]{2,}", item.lower()))
    return item.isascii() and bool(_words(item)) and words <= frozenset(re.findall(r"[a-z]{2,}", known.lower()))


def _about_allergies(draft: PrescriptionDraft, visit: Visit, drugs: dict[str, DrugItem]) -> list[Denial]:
    """A named allergy that fits a medicine, or that we cannot place (a class, Hindi), wants a second look.

    Which drugs belong to a class is not in our sources, so an allergen that is no generic name of
    the formulary is never taken for harmless, nor is one that stands beside such a name. What was
    recorded after the doctor acknowledged the others is looked at anew.
    """
    if visit.allergies is None:
        return [Denial("allergies_unanswered", "Ask for allergies before prescribing.")]
    if not draft.medicines:
        return []
    found: list[Denial] = []
    seen = frozenset(draft.allergies_seen) if draft.allergy_acknowledged else frozenset()
    for item in (one for one in visit.allergies.items if one not in seen):
        for number, line in enumerate(draft.medicines):
            drug = drugs.get(line.drug_id)
            if drug is not None and _words(drug.generic) & _words(item):
                text = "The patient is allergic to this; acknowledge it or choose another."
                found.append(Denial("allergy_match", text, f"medicines[{number}].drug_id"))
        if not _is_placed(item, drugs):
            text = "An allergy is recorded that no medicine could be compared with; read and acknowledge it."
            found.append(Denial("allergy_to_check", text, "allergy_acknowledged"))
    return found

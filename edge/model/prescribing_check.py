"""May this draft be signed? Every reason why not, and what the doctor should look at.

Run by the hub while the doctor writes and again at the moment of signing, with the mode that the
call had really reached by then (prescribing.md §4–6). Nothing here can be overridden by a role.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
from msgspec import Struct

from . import consent
from .age import age_days
from .clock import day_of
from .doses import counted, frequencies, routes
from .drug_gate import FOLLOW_UP_WINDOW_DAYS, Prior, allowed, approved, is_prohibited_name, letter_of
from .fold import Patient, Visit
from .prescription import (
    DraftLine,
    PrescriptionDraft,
    PrescriptionRecord,
    SignedPrescription,
    effective_mode,
    weight_of,
)
from .records import Colour, ConsultType, Gender, Mode
from .reference import DrugItem
from .triage_rules import rules

DAY_MS = 86_400_000
IN_PERSON = "in_person"
"""Category of a visit at which the doctor herself was there."""

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


def _records(visit: Visit) -> list[PrescriptionRecord]:
    """Records of a visit's prescriptions; one that cannot be read proves nothing and is left out."""
    found = []
    for prescription in visit.prescriptions:
        try:
            signed = msgspec.msgpack.decode(prescription.signed, type=SignedPrescription)
            found.append(msgspec.msgpack.decode(signed.record, type=PrescriptionRecord))
        except msgspec.MsgspecError:
            continue
    return found


def _last_consulted_ms(visit: Visit, doctor_id: str) -> int | None:
    """When this doctor last consulted in a visit: signed a prescription or held a call; None if never."""
    times = [record.signed_ms for record in _records(visit) if record.doctor_id == doctor_id]
    times += [call.ended_ms for call in visit.calls if call.doctor_id == doctor_id]
    return max(times, default=None)


def consult_type(
    visit: Visit, earlier: Iterable[Visit], doctor_id: str, now_ms: int, window_days: int = FOLLOW_UP_WINDOW_DAYS
) -> ConsultType:
    """FOLLOW_UP when this doctor consulted for the same condition within the window, else FIRST (prescribing.md §2).

    A visit belongs to the same condition only if it was opened as a follow-up of it.
    """
    for previous in history_of(visit, earlier):
        last_ms = _last_consulted_ms(previous, doctor_id)
        if last_ms is not None and 0 <= now_ms - last_ms <= window_days * DAY_MS:
            return ConsultType.FOLLOW_UP
    return ConsultType.FIRST


def prior_of(
    drug: DrugItem, visit: Visit, earlier: Iterable[Visit], now_ms: int, window_days: int = FOLLOW_UP_WINDOW_DAYS
) -> Prior:
    """What earlier visits of the same condition say about one medicine. The same generic is the same drug."""
    chain = history_of(visit, earlier)
    same_drug = any(
        line.generic == drug.generic for past in chain for record in _records(past) for line in record.medicines
    )
    in_person = any(
        past.category == IN_PERSON and 0 <= now_ms - past.opened_ms <= window_days * DAY_MS for past in chain
    )
    return Prior(same_drug, in_person)


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
    earlier: Sequence[Visit] = (),
) -> list[Denial]:
    """Every reason why the draft cannot be signed; empty when it can.

    ``mode``: what the calls reached; a ``declared_mode`` can only weaken it. ``registration``: the
    signer's number. ``earlier``: other visits of the patient, for refills and add-ons.
    """
    days = age_days(patient.person, patient.registered_ms, now_ms)
    denials = [*_about_paper(draft, visit, now_ms, registration), *_about_patient(draft, patient, visit, days)]
    drugs = {drug.id: drug for drug in formulary}
    reached = effective_mode(mode, draft.declared_mode)
    for number, line in enumerate(draft.medicines):
        field = f"medicines[{number}]"
        drug = drugs.get(line.drug_id)
        denials += _incomplete(line, drug, field)
        if drug is None:
            denials.append(Denial("unknown_drug", "This medicine is not in the formulary.", f"{field}.drug_id"))
            continue
        gate = allowed(letter_of(drug), reached, consult, prior_of(drug, visit, earlier, now_ms))
        if not gate.allowed:
            denials.append(Denial(gate.reason, _MESSAGES[gate.reason], f"{field}.drug_id"))
    return denials + _about_allergies(draft, visit, drugs)


def warnings(
    draft: PrescriptionDraft, patient: Patient, visit: Visit, formulary: Sequence[DrugItem], now_ms: int
) -> list[Denial]:
    """What does not forbid signing, but has to be seen: unapproved letters, remarks of the formulary, doubles."""
    found: list[Denial] = []
    drugs = {drug.id: drug for drug in formulary}
    seen: set[str] = set()
    for number, line in enumerate(draft.medicines):
        drug, field = drugs.get(line.drug_id), f"medicines[{number}]"
        if drug is None:
            continue
        if not approved(drug):
            text = "No medical officer has approved the list letter of this medicine."
            found.append(Denial("not_approved", text, field))
        if drug.flags:
            found.append(Denial("drug_remark", f"Remark in the formulary: {drug.flags}.", field))
        if drug.generic in seen:
            found.append(Denial("drug_twice", "This medicine stands twice on the prescription.", field))
        seen.add(drug.generic)
    if is_prohibited_name(f"{draft.advice} {draft.diagnosis} {draft.findings}"):
        text = "The text names a substance that can never be prescribed by tele-consultation."
        found.append(Denial("prohibited_named", text, "advice"))
    if visit.history is not None and visit.history.pregnant and draft.medicines:
        found.append(Denial("pregnant", "The patient is pregnant.", "medicines"))
    days = age_days(patient.person, patient.registered_ms, now_ms)
    if days is not None and days < rules().adult_from_days and draft.medicines:
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
    if visit.colour is Colour.RED and draft.referral is None:
        found.append(Denial("referral_missing", "An emergency needs a referral to in-person care.", "referral"))
    if visit.colour is not Colour.RED and not consent.is_given(visit):
        found.append(Denial("consent_missing", "Consent to teleconsultation is not recorded."))
    if draft.follow_up_date:
        try:
            day = date.fromisoformat(draft.follow_up_date).toordinal() - date(1970, 1, 1).toordinal()
        except ValueError:
            found.append(Denial("follow_up_wrong", "There is no such day.", "follow_up_date"))
        else:
            if day < day_of(now_ms):
                found.append(Denial("follow_up_wrong", "The follow-up lies in the past.", "follow_up_date"))
    return found


def _about_patient(draft: PrescriptionDraft, patient: Patient, visit: Visit, days: int | None) -> list[Denial]:
    if days is None:
        return [Denial("age_unknown", "The age is not known; ask for it before prescribing.")]
    found: list[Denial] = []
    if days < rules().adult_from_days and draft.medicines and weight_of(visit) is None:
        found.append(Denial("weight_missing", "Below 12 years the weight is needed.", "medicines"))
    asked = rules().pregnancy_asked
    fertile = patient.person.gender is Gender.FEMALE and asked.from_days <= days < asked.below_days
    if fertile and (visit.history is None or visit.history.pregnant is None):
        found.append(Denial("pregnancy_unknown", "Ask whether the patient is pregnant."))
    return found


def _incomplete(line: DraftLine, drug: DrugItem | None, field: str) -> list[Denial]:
    found: list[Denial] = []
    if not line.dose.strip():
        found.append(Denial("dose_missing", "Write the dose.", f"{field}.dose"))
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
    if line.duration_days < 1:
        found.append(Denial("duration_missing", "Say for how many days.", f"{field}.duration_days"))
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.lower()) if len(word) > 3)


def _about_allergies(draft: PrescriptionDraft, visit: Visit, drugs: dict[str, DrugItem]) -> list[Denial]:
    """A named allergy that fits a medicine, or that we cannot place (a class, Hindi), wants a second look.

    Which drugs belong to a class is not in our sources, so an allergen that is no generic name of
    the formulary is never taken for harmless.
    """
    if visit.allergies is None:
        return [Denial("allergies_unanswered", "Ask for allergies before prescribing.")]
    if draft.allergy_acknowledged or not draft.medicines:
        return []
    found: list[Denial] = []
    generics = frozenset().union(*(_words(drug.generic) for drug in drugs.values()))
    for item in visit.allergies.items:
        for number, line in enumerate(draft.medicines):
            drug = drugs.get(line.drug_id)
            if drug is not None and _words(drug.generic) & _words(item):
                text = "The patient is allergic to this; acknowledge it or choose another."
                found.append(Denial("allergy_match", text, f"medicines[{number}].drug_id"))
        if not _words(item) & generics:
            text = "An allergy is recorded that no medicine could be compared with; read and acknowledge it."
            found.append(Denial("allergy_to_check", text, "allergy_acknowledged"))
    return found

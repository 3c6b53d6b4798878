"""What a prescription is: the draft that a doctor writes and the record that she signs.

What is signed are the record's raw msgpack bytes, never a rendering. Whether a draft may be signed
is in :mod:`edge.model.prescribing_check`; nothing here fills in a drug.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .age import age_text
from .drug_gate import NO_APPROVALS, Approvals, approved
from .fold import Call, Patient, Visit
from .records import ConsultType, MedicineLine, Mode, Referral, ShortText, Text
from .reference import DrugItem, vitals_data
from .triage import latest_vitals

RECORD_LABEL = b"upk1 rx"


class PrescriptionRecord(Struct, frozen=True, array_like=True):
    """Everything that the paper shows, self-contained, in the order of prescribing.md §5."""

    prescription_id: str
    visit_id: str
    token: str
    signed_ms: int
    """Time of the consultation, Unix ms."""
    time_trusted: bool
    site_name: str
    site_code: str
    worker_name: str
    doctor_id: str
    doctor_name: str
    qualification: str
    registration: str
    """Number and council."""
    doctor_contact: str
    patient_name: str
    patient_age: str
    """As printed: "34 years", "7 months"."""
    patient_sex: str
    patient_village: str
    weight_kg: float | None
    complaints: tuple[str, ...]
    """Codes or free text of the complaint list."""
    findings: str
    """Relevant history, examination and vitals, one line each."""
    diagnosis: str
    diagnosis_code: str
    """ICD-10, or empty."""
    provisional: bool
    allergies: str
    medicines: tuple[MedicineLine, ...]
    advice: str
    tests: tuple[str, ...]
    referral: Referral | None
    follow_up_date: str
    """YYYY-MM-DD or empty."""
    mode: Mode
    consult_type: ConsultType
    warn_signs_told: bool = False
    demo: bool = False
    """Synthetic patient or demo approver: the paper carries a watermark."""
    replaces: str = ""
    """Id of the prescription that this one amends or cancels; empty for a new one."""
    replaces_ms: int = 0
    """When that one was signed, Unix ms."""
    cancels: bool = False
    """Nothing takes its place: none of its medicines is to be taken any more."""
    reason: str = ""
    """Why it was amended or cancelled, in the doctor's words."""


class SignedPrescription(Struct, frozen=True, array_like=True):
    """A record with its signatures; self-sufficient with the hub's public key.

    ``signature`` = Ed25519 by the doctor over :func:`signing_input`.
    ``doctor_certificate`` = Ed25519 by the hub over ``"upk1 doc" ‖ doctor_key ‖ msgpack
    [doctor_id, name, registration]``.
    ``hub_signature`` = Ed25519 by the hub over ``"upk1 rxt" ‖ signature ‖ hub_time_ms (8, BE)``.
    """

    record: bytes
    template_id: str
    template_version: int
    doctor_key: bytes
    signature: bytes
    doctor_certificate: bytes
    hub_time_ms: int
    hub_signature: bytes


def signing_input(record: bytes, template_id: str, template_version: int) -> bytes:
    """What the doctor's key signs: label, template, then the raw record bytes."""
    template = template_id.encode()
    return RECORD_LABEL + bytes([len(template)]) + template + template_version.to_bytes(2, "big") + record


class DraftLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A medicine as the doctor chooses it. Empty fields are drafts; they are denied at signing."""

    drug_id: ShortText
    dose: ShortText = ""
    route: ShortText = ""
    frequency: ShortText = ""
    duration_days: Annotated[int, Meta(ge=0, le=365)] = 0
    food: Annotated[str, Meta(pattern="^(before|after|any|)$(?!\\n)")] = ""
    quantity: ShortText = ""
    instructions: ShortText = ""


class PrescriptionDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """What the doctor has written so far."""

    diagnosis: ShortText = ""
    diagnosis_code: Annotated[str, Meta(pattern=r"^([A-Z][0-9][0-9](\.[0-9]{1,2})?)?$(?!\n)")] = ""
    """ICD-10, or empty."""
    provisional: bool = True
    findings: Text = ""
    medicines: Annotated[tuple[DraftLine, ...], Meta(max_length=20)] = ()
    advice: Text = ""
    tests: Annotated[tuple[ShortText, ...], Meta(max_length=20)] = ()
    referral: Referral | None = None
    follow_up_date: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$(?!\n)")] = ""
    warn_signs_told: bool = False
    allergy_acknowledged: bool = False
    allergies_seen: Annotated[tuple[ShortText, ...], Meta(max_length=1000)] = ()
    """The recorded allergies that ``allergy_acknowledged`` speaks of, as they were on the screen; no other is."""
    child_doses_seen: Annotated[tuple[ShortText, ...], Meta(max_length=40)] = ()
    """Doses for a child that the doctor confirmed, as :func:`child_dose` says them: another dose or weight is none."""
    declared_mode: Mode | None = None
    """A weaker mode than the one reached, if the doctor says so; a stronger one is not believed."""


class Prescriber(Struct, frozen=True):
    """The registered medical practitioner who signs."""

    doctor_id: str
    name: str
    qualification: str
    registration: str
    """Number and council."""
    contact: str = ""


class Site(Struct, frozen=True):
    """Where the patient sits."""

    name: str
    code: str


VIDEO_FROM_S = 20.0
"""Seconds of video that the doctor's side must have shown for the mode VIDEO (ours: no source names a number)."""
AUDIO_FROM_S = 5.0
"""Seconds of sound received for the mode AUDIO (ours)."""
_STRENGTH = {Mode.TEXT: 0, Mode.AUDIO: 1, Mode.VIDEO: 2}


def achieved_mode(
    calls: Iterable[Call], video_from_s: float = VIDEO_FROM_S, audio_from_s: float = AUDIO_FROM_S
) -> Mode:
    """The mode that the calls of one visit really reached, by what both sides measured.

    The doctor's side says what it saw and heard. Once the node has said how it held the same call,
    no more counts than the time that the node was in it, and nothing when not a sound or picture
    arrived there: a patient who heard nobody was in no consultation. Store-and-forward and calls
    without sound are TEXT (prescribing.md §1). Attempts add up.
    """
    all_calls = tuple(calls)
    video_s = audio_s = 0.0
    for call in all_calls:
        if call.side != "doctor":
            continue
        there = [one for one in all_calls if one.side == "node" and one.call_id == call.call_id]
        longest_s = sum(max(one.ended_ms - one.started_ms, 0) for one in there) / 1000 if there else float("inf")
        if there and not any(one.audio_s > 0 or one.video_s > 0 for one in there):
            longest_s = 0.0
        video_s += min(call.video_s, longest_s)
        audio_s += min(call.audio_s, longest_s)
    if video_s >= video_from_s:
        return Mode.VIDEO
    return Mode.AUDIO if audio_s >= audio_from_s else Mode.TEXT


def effective_mode(achieved: Mode, declared: Mode | None) -> Mode:
    """The weaker of what was reached and what the doctor declares."""
    if declared is None:
        return achieved
    return min(achieved, declared, key=_STRENGTH.__getitem__)


def medicine_line(line: DraftLine, drug: DrugItem, approvals: Approvals = NO_APPROVALS) -> MedicineLine:
    """A draft line with what the formulary says about the drug."""
    return MedicineLine(
        drug.id,
        drug.generic.upper(),
        drug.form,
        drug.strength,
        line.dose.strip(),
        line.route,
        line.frequency,
        line.duration_days,
        line.food,
        line.quantity,
        line.instructions,
        drug.tpg_list.removesuffix("?"),
        approved(drug, approvals),
    )


def weight_of(visit: Visit) -> float | None:
    """Newest weight of the visit in kg, or None when it was not measured."""
    readings = latest_vitals(visit.vitals).readings
    return next((r.value for r in readings if r.vital == "weight_kg" and r.value > 0), None)


def child_dose(line: DraftLine, weight_kg: float) -> str:
    """One dose for one weight, as it is confirmed: "18 kg: F001 1 oral TDS"."""
    return f"{weight_kg:g} kg: {line.drug_id} {line.dose.strip()} {line.route} {line.frequency}"[:200]


def allergy_text(visit: Visit) -> str:
    """As printed: the named allergies, "none known", or "not asked"."""
    if visit.allergies is None:
        return "not asked"
    return "none known" if visit.allergies.none_known else ", ".join(visit.allergies.items)


def vitals_text(visit: Visit) -> str:
    """The newest readings on one line, with units; "" when nothing was measured."""
    items = {item.id: item for item in vitals_data().items}
    values = {reading.vital: reading.value for reading in latest_vitals(visit.vitals).readings}
    parts = []
    if "sbp" in values and "dbp" in values:
        parts.append(f"BP {values.pop('sbp'):g}/{values.pop('dbp'):g} mmHg")
    units = {"Cel": "°C", "{score}": ""}
    for code, value in values.items():
        if code in items:
            unit = units.get(items[code].unit, items[code].unit)
            parts.append(f"{items[code].en} {value:g} {unit}".strip())
    return ", ".join(parts)


def build_record(
    draft: PrescriptionDraft,
    visit: Visit,
    patient: Patient,
    prescriber: Prescriber,
    site: Site,
    formulary: Sequence[DrugItem],
    *,
    prescription_id: str,
    signed_ms: int,
    time_trusted: bool,
    worker_name: str,
    mode: Mode,
    consult: ConsultType,
    demo: bool = False,
    replaces: PrescriptionRecord | None = None,
    reason: str = "",
    approvals: Approvals = NO_APPROVALS,
) -> PrescriptionRecord:
    """The record that will be signed. The draft must have passed the check: an unknown drug raises KeyError."""
    drugs = {drug.id: drug for drug in formulary}
    person = patient.person
    return PrescriptionRecord(
        prescription_id=prescription_id,
        visit_id=visit.visit_id,
        token=visit.token,
        signed_ms=signed_ms,
        time_trusted=time_trusted,
        site_name=site.name,
        site_code=site.code,
        worker_name=worker_name,
        doctor_id=prescriber.doctor_id,
        doctor_name=prescriber.name,
        qualification=prescriber.qualification,
        registration=prescriber.registration,
        doctor_contact=prescriber.contact,
        patient_name=person.name,
        patient_age=age_text(person, patient.registered_ms, signed_ms),
        patient_sex=person.gender.value,
        patient_village=person.village,
        weight_kg=weight_of(visit),
        complaints=tuple(c.text if c.code == "other" else c.code for c in visit.complaints),
        findings="\n".join(part for part in (draft.findings.strip(), vitals_text(visit)) if part),
        diagnosis=draft.diagnosis.strip(),
        diagnosis_code=draft.diagnosis_code,
        provisional=draft.provisional,
        allergies=allergy_text(visit),
        medicines=tuple(medicine_line(line, drugs[line.drug_id], approvals) for line in draft.medicines),
        advice=draft.advice.strip(),
        tests=draft.tests,
        referral=draft.referral,
        follow_up_date=draft.follow_up_date,
        mode=effective_mode(mode, draft.declared_mode),
        consult_type=consult,
        warn_signs_told=draft.warn_signs_told,
        demo=demo,
        replaces=replaces.prescription_id if replaces else "",
        replaces_ms=replaces.signed_ms if replaces else 0,
        reason=reason.strip() if replaces else "",
    )


def cancelling(
    old: PrescriptionRecord, prescriber: Prescriber, *, prescription_id: str, signed_ms: int, reason: str
) -> PrescriptionRecord:
    """The record that takes an earlier one back: the same patient and place, no medicine, and why."""
    return msgspec.structs.replace(
        old,
        prescription_id=prescription_id,
        signed_ms=signed_ms,
        doctor_id=prescriber.doctor_id,
        doctor_name=prescriber.name,
        qualification=prescriber.qualification,
        registration=prescriber.registration,
        doctor_contact=prescriber.contact,
        medicines=(),
        advice="",
        tests=(),
        referral=None,
        follow_up_date="",
        warn_signs_told=False,
        replaces=old.prescription_id,
        replaces_ms=old.signed_ms,
        cancels=True,
        reason=reason.strip(),
    )

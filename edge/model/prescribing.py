"""What a prescription is, and when the guidelines allow a medicine by tele-consultation.

The record below is what the doctor signs: its raw msgpack bytes, never a rendering. Rules and
lists come from ``model/data`` (``prescribing.md`` §4–5); nothing here fills in a drug.
"""

from msgspec import Struct

from .records import ConsultType, MedicineLine, Mode, Referral

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

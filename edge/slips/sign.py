"""Signing a prescription: the doctor's key over the record, the hub over the doctor and the time.

Signatures are over raw bytes (DESIGN.md §10): record, template id and version, never over a
rendering. This module reads no clock and keeps no key; both are arguments.
"""

from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.model.ids import id_bytes
from edge.model.prescribing import PrescriptionRecord, SignedPrescription, signing_input

from .refusal import SlipCode, SlipRefused

TEMPLATE_ID = "rx"
TEMPLATE_VERSION = 1
"""What new prescriptions are signed for. A change of any word or line on the paper is a new version."""
DOCTOR_LABEL = b"upk1 doc"
TIME_LABEL = b"upk1 rxt"
MAX_RECORD_BYTES = 65_536
MAX_LINES = 60
"""Most medicines, and most tests, on one prescription."""
MAX_FIELD_LETTERS = 200
_ONE_LINE = (
    "token",
    "site_name",
    "site_code",
    "worker_name",
    "doctor_id",
    "doctor_name",
    "qualification",
    "registration",
    "doctor_contact",
    "patient_name",
    "patient_age",
    "patient_sex",
    "patient_village",
    "diagnosis_code",
    "follow_up_date",
    "replaces",
    "reason",
)
LATEST_MS = 4_102_444_800_000
"""2100-01-01, Unix ms: no signature is later."""
KEY_BYTES = 32
SIGNATURE_BYTES = 64

Sign = Callable[[bytes], bytes]
"""Ed25519 (RFC 8032): message → 64 bytes of signature."""


def certificate_input(doctor_key: bytes, doctor_id: str, name: str, registration: str) -> bytes:
    """What the hub signs when it vouches for a doctor's public key (32 bytes)."""
    return DOCTOR_LABEL + doctor_key + msgspec.msgpack.encode([doctor_id, name, registration])


def time_input(signature: bytes, hub_time_ms: int) -> bytes:
    """What the hub signs when it vouches for the time (Unix ms) at which it saw the doctor's signature."""
    if not 0 <= hub_time_ms < LATEST_MS:
        raise SlipRefused(SlipCode.TIME_BAD, "The hub's time is outside the range of the format.")
    return TIME_LABEL + signature + hub_time_ms.to_bytes(8, "big")


def certify_doctor(doctor_key: bytes, doctor_id: str, name: str, registration: str, hub_sign: Sign) -> bytes:
    """The hub's certificate (64 bytes) for a doctor's public key.

    A prescription is accepted only when its record names exactly this id, name and registration.
    Raises SlipRefused(slip_key_bad).
    """
    if len(doctor_key) != KEY_BYTES:
        raise SlipRefused(SlipCode.KEY_BAD, "A doctor's public key has 32 bytes.")
    return hub_sign(certificate_input(doctor_key, doctor_id, name, registration))


def decode_record(raw: bytes) -> PrescriptionRecord:
    """The record inside raw bytes, checked for types and size. Raises SlipRefused(slip_record_bad)."""
    if len(raw) > MAX_RECORD_BYTES:
        raise SlipRefused(SlipCode.RECORD_BAD, f"The record is larger than {MAX_RECORD_BYTES} bytes.")
    try:
        record = msgspec.msgpack.decode(raw, type=PrescriptionRecord)
        id_bytes(record.visit_id)
        id_bytes(record.prescription_id)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SlipRefused(SlipCode.RECORD_BAD, "The bytes are not a prescription record.") from error
    if not 0 <= record.signed_ms < LATEST_MS or (record.weight_kg is not None and not 0 <= record.weight_kg < 1000):
        raise SlipRefused(SlipCode.RECORD_BAD, "The record's time or weight is no possible value.")
    if not 0 <= record.replaces_ms < LATEST_MS or (record.cancels and (record.medicines or not record.replaces)):
        raise SlipRefused(SlipCode.RECORD_BAD, "A record that cancels names what it cancels and holds no medicine.")
    if any(len(getattr(record, name)) > MAX_FIELD_LETTERS for name in _ONE_LINE):
        raise SlipRefused(SlipCode.RECORD_BAD, f"A name in the record is longer than {MAX_FIELD_LETTERS} letters.")
    if len(record.medicines) > MAX_LINES or len(record.tests) > MAX_LINES or len(record.complaints) > MAX_LINES:
        raise SlipRefused(SlipCode.RECORD_BAD, f"The record has more than {MAX_LINES} lines of one kind.")
    return record


def sign_record_with(
    record: PrescriptionRecord,
    doctor_key: bytes,
    doctor_sign: Sign,
    doctor_certificate: bytes,
    hub_sign: Sign,
    hub_time_ms: int,
) -> SignedPrescription:
    """As :func:`sign_record`, with the doctor's key behind any signer (a token, a remote eSign service)."""
    try:
        raw = msgspec.msgpack.encode(record)
    except (UnicodeEncodeError, OverflowError) as error:
        raise SlipRefused(SlipCode.RECORD_BAD, "The record holds text or numbers that cannot be written.") from error
    decode_record(raw)
    signature = doctor_sign(signing_input(raw, TEMPLATE_ID, TEMPLATE_VERSION))
    return SignedPrescription(
        record=raw,
        template_id=TEMPLATE_ID,
        template_version=TEMPLATE_VERSION,
        doctor_key=doctor_key,
        signature=signature,
        doctor_certificate=doctor_certificate,
        hub_time_ms=hub_time_ms,
        hub_signature=hub_sign(time_input(signature, hub_time_ms)),
    )


def sign_record(
    record: PrescriptionRecord,
    doctor_private: bytes,
    doctor_certificate: bytes,
    hub_sign: Sign,
    hub_time_ms: int,
) -> SignedPrescription:
    """Sign with the doctor's raw private key (32 bytes) and have the hub countersign ``hub_time_ms`` (Unix ms).

    The certificate is not checked here; ``verify_signed`` does so, and the hub calls it before it
    lets a prescription out. Raises SlipRefused(slip_record_bad, slip_key_bad, slip_time_bad).
    """
    if len(doctor_private) != KEY_BYTES:
        raise SlipRefused(SlipCode.KEY_BAD, "A doctor's private key has 32 bytes.")
    key = Ed25519PrivateKey.from_private_bytes(doctor_private)
    return sign_record_with(
        record, key.public_key().public_bytes_raw(), key.sign, doctor_certificate, hub_sign, hub_time_ms
    )

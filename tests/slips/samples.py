"""Synthetic prescriptions and keys for the slips' tests. No real person, no real council number."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from edge.model.prescribing import PrescriptionRecord, SignedPrescription
from edge.model.records import ConsultType, MedicineLine, Mode
from edge.slips.sign import certify_doctor, sign_record

HUB = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HUB_KEY = HUB.public_key().public_bytes_raw()
DOCTOR_PRIVATE = bytes(range(1, 33))
DOCTOR_KEY = Ed25519PrivateKey.from_private_bytes(DOCTOR_PRIVATE).public_key().public_bytes_raw()
SIGNED_MS = 1_893_996_300_000
"""2030-01-07 06:05 UTC, 11:35 in India."""

PARACETAMOL = MedicineLine(
    drug_id="F001",
    generic="Paracetamol",
    form="tablet",
    strength="500 mg",
    dose="1",
    route="oral",
    frequency="TDS",
    duration_days=3,
    food="after",
    quantity="9",
    approved=True,
)
ORS = replace(PARACETAMOL, generic="ORAL REHYDRATION SALTS", form="sachet", strength="20.5 g", frequency="SOS", food="")
SYRUP = replace(PARACETAMOL, generic="AMOXICILLIN", form="syrup", strength="125 mg/5 mL", dose="5 mL", frequency="BD")
CETIRIZINE = replace(PARACETAMOL, generic="CETIRIZINE", strength="10 mg", dose="1/2", frequency="HS", food="")

RECORD = PrescriptionRecord(
    prescription_id="0000000000000001",
    visit_id="999999999999999a",
    token="014B-007",
    signed_ms=SIGNED_MS,
    time_trusted=True,
    site_name="उप-स्वास्थ्य केंद्र नमूनापुर",
    site_code="BR-014",
    worker_name="सुनीता देवी",
    doctor_id="d1",
    doctor_name="Dr. Kshitij Demo",
    qualification="MBBS",
    registration="DEMO/12345",
    doctor_contact="hub@example.org",
    patient_name="कृष्णा क्षत्रिय",
    patient_age="34 years",
    patient_sex="female",
    patient_village="परीक्षा टोला",
    weight_kg=52.5,
    complaints=("fever", "toe tingling"),
    findings="BP 118/76 mmHg\nगला लाल",
    diagnosis="Acute upper respiratory infection",
    diagnosis_code="J06.9",
    provisional=True,
    allergies="none known",
    medicines=(PARACETAMOL, ORS, SYRUP),
    advice="ख़ूब पानी पिएँ",
    tests=("Malaria RDT",),
    referral=None,
    follow_up_date="2030-01-12",
    mode=Mode.VIDEO,
    consult_type=ConsultType.FIRST,
)


def sign(record: PrescriptionRecord = RECORD) -> SignedPrescription:
    """The record signed by the sample doctor, whom the sample hub has certified."""
    certificate = certify_doctor(DOCTOR_KEY, record.doctor_id, record.doctor_name, record.registration, HUB.sign)
    return sign_record(record, DOCTOR_PRIVATE, certificate, HUB.sign, SIGNED_MS + 30_000)

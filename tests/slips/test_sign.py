"""A signature holds for exactly one record, one doctor, one time."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.model.prescribing import SignedPrescription, signing_input
from edge.slips.qr import base45_decode, base45_encode, parse_qr, qr_text
from edge.slips.refusal import SlipCode, SlipRefused
from edge.slips.sign import MAX_RECORD_BYTES, certificate_input, certify_doctor, sign_record
from edge.slips.verify import verify_qr, verify_signed

from .samples import DOCTOR_KEY, DOCTOR_PRIVATE, HUB, HUB_KEY, PARACETAMOL, RECORD, SIGNED_MS, sign

OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
OTHER_KEY = OTHER.public_key().public_bytes_raw()


def refusal(signed: SignedPrescription, hub_key: bytes = HUB_KEY) -> SlipCode:
    with pytest.raises(SlipRefused) as caught:
        verify_signed(signed, hub_key)
    assert caught.value.refusal.code == caught.value.slip_code.value
    return caught.value.slip_code


def test_a_signed_prescription_survives_the_wire_and_verifies() -> None:
    signed = msgspec.msgpack.decode(msgspec.msgpack.encode(sign()), type=SignedPrescription)
    assert verify_signed(signed, HUB_KEY).record == RECORD


def test_a_record_changed_after_signing_is_refused() -> None:
    changed = msgspec.msgpack.encode(replace(RECORD, patient_name="कोई और"))
    assert refusal(replace(sign(), record=changed)) is SlipCode.SIGNATURE_BAD


def test_another_template_than_the_signed_one_is_refused() -> None:
    assert refusal(replace(sign(), template_version=2)) is SlipCode.SIGNATURE_BAD
    assert refusal(replace(sign(), template_id="rx2")) is SlipCode.SIGNATURE_BAD
    assert refusal(replace(sign(), template_version=70_000)) is SlipCode.SIGNATURE_BAD
    assert refusal(replace(sign(), template_id="x" * 300)) is SlipCode.SIGNATURE_BAD


def test_another_doctor_name_or_registration_needs_another_certificate() -> None:
    for record in (replace(RECORD, doctor_name="Dr. Someone Else"), replace(RECORD, registration="DEMO/54321")):
        certificate = certify_doctor(DOCTOR_KEY, "d1", RECORD.doctor_name, RECORD.registration, HUB.sign)
        signed = sign_record(record, DOCTOR_PRIVATE, certificate, HUB.sign, SIGNED_MS)
        assert refusal(signed) is SlipCode.CERTIFICATE_BAD


def test_a_key_that_the_hub_did_not_certify_is_refused() -> None:
    forged = sign_record(RECORD, bytes(range(7, 39)), sign().doctor_certificate, HUB.sign, SIGNED_MS)
    assert refusal(forged) is SlipCode.CERTIFICATE_BAD
    self_made = OTHER.sign(certificate_input(OTHER_KEY, RECORD.doctor_id, RECORD.doctor_name, RECORD.registration))
    assert refusal(replace(forged, doctor_certificate=self_made)) is SlipCode.CERTIFICATE_BAD


def test_another_hub_is_not_our_hub() -> None:
    assert refusal(sign(), OTHER_KEY) is SlipCode.CERTIFICATE_BAD


def test_another_time_than_the_hub_signed_is_refused() -> None:
    for time_ms in (SIGNED_MS, -1, 1 << 62):
        assert refusal(replace(sign(), hub_time_ms=time_ms)) is SlipCode.TIME_BAD


def test_keys_and_signatures_of_a_wrong_length_are_refused() -> None:
    assert refusal(sign(), HUB_KEY[:31]) is SlipCode.KEY_BAD
    assert refusal(replace(sign(), signature=b"")) is SlipCode.KEY_BAD
    with pytest.raises(SlipRefused):
        sign_record(RECORD, b"short", b"", HUB.sign, SIGNED_MS)
    with pytest.raises(SlipRefused):
        certify_doctor(b"short", "d1", "Dr", "1", HUB.sign)


@pytest.mark.parametrize(
    "record",
    [
        replace(RECORD, visit_id="not an id"),
        replace(RECORD, weight_kg=float("nan")),
        replace(RECORD, signed_ms=1 << 60),
        replace(RECORD, advice="a" * MAX_RECORD_BYTES),
        replace(RECORD, medicines=(PARACETAMOL,) * 61),
        replace(RECORD, patient_name="n" * 201),
        replace(RECORD, patient_name="\ud800"),
        replace(RECORD, medicines=(replace(PARACETAMOL, duration_days=0),)),
    ],
)
def test_a_record_that_cannot_be_one_is_not_signed(record: object) -> None:
    with pytest.raises(SlipRefused) as caught:
        sign(record)  # type: ignore[arg-type]
    assert caught.value.slip_code is SlipCode.RECORD_BAD


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_never_a_record(raw: bytes) -> None:
    assert refusal(replace(sign(), record=raw)) is SlipCode.RECORD_BAD


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_of_the_record_is_refused(place: int, flip: int) -> None:
    signed = sign()
    raw = bytearray(signed.record)
    raw[place % len(raw)] ^= flip
    assert refusal(replace(signed, record=bytes(raw))) in {
        SlipCode.RECORD_BAD,
        SlipCode.CERTIFICATE_BAD,
        SlipCode.SIGNATURE_BAD,
    }


def test_the_signing_input_is_frozen() -> None:
    assert signing_input(b"raw", "rx", 1) == b"upk1 rx\x02rx\x00\x01raw"


@given(st.binary(max_size=200))
def test_base45_returns_what_it_was_given(data: bytes) -> None:
    assert base45_decode(base45_encode(data)) == data


def test_base45_agrees_with_the_examples_of_rfc_9285() -> None:
    assert base45_encode(b"AB") == "BB8"
    assert base45_encode(b"Hello!!") == "%69 VD92EX0"
    assert base45_encode(b"base-45") == "UJCLQE7W581"
    assert base45_decode("QED8WEX0") == b"ietf!"
    for bad in ("GGW", ":::", "A", "a??"):
        with pytest.raises(ValueError):
            base45_decode(bad)


def test_the_qr_text_verifies_against_any_copy_of_its_record() -> None:
    signed = sign()
    text = qr_text(signed)
    assert len(text) < 150
    assert verify_qr(text, signed, HUB_KEY).record == RECORD
    assert parse_qr(text).visit_id == RECORD.visit_id


def test_the_qr_text_holds_no_name_and_no_health_data() -> None:
    longer = replace(RECORD, patient_name="न" * 100, diagnosis="x" * 1000)
    assert len(qr_text(sign(longer))) == len(qr_text(sign()))


def test_the_qr_of_another_prescription_is_refused() -> None:
    with pytest.raises(SlipRefused) as caught:
        verify_qr(qr_text(sign(replace(RECORD, advice="आराम करें"))), sign(), HUB_KEY)
    assert caught.value.slip_code is SlipCode.QR_OTHER_RECORD


@given(st.integers(min_value=0), st.sampled_from("0123456789ABCXYZ $%*+-./:"))
def test_a_misread_letter_in_the_qr_text_is_refused(place: int, letter: str) -> None:
    text = qr_text(sign())
    place %= len(text)
    changed = text[:place] + letter + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(SlipRefused):
        verify_qr(changed, sign(), HUB_KEY)


@given(st.text(max_size=220))
def test_any_other_text_is_no_qr_of_ours(text: str) -> None:
    for candidate in (text, "UPK1:" + text):
        with pytest.raises(SlipRefused) as caught:
            parse_qr(candidate)
        assert caught.value.slip_code is SlipCode.QR_BAD

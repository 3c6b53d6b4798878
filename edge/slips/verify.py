"""Checking a slip off line: with the hub's public key and nothing else.

A PDF is accepted when the record inside it carries three good signatures and the whole file is,
byte for byte, what this release renders from that record. This module knows no network, no
store and no clock.
"""

import re
import zlib
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from edge.model.fold import PrescriptionState
from edge.model.prescribing import PrescriptionRecord, SignedPrescription, Stands, signing_input, standing

from .qr import parse_qr, qr_text
from .refusal import SlipCode, SlipRefused
from .render import PAPERS, render_slip
from .sign import KEY_BYTES, MAX_RECORD_BYTES, SIGNATURE_BYTES, certificate_input, decode_record, time_input

MAX_PDF_BYTES = 8_388_608
_EMBEDDED = re.compile(rb"obj\s*<<((?:(?!endobj)[^\0]){0,300}?/Type\s*/EmbeddedFile\b[^\0]{0,300}?>)>\s*stream\r?\n")
_LENGTH = re.compile(rb"/Length\s+(\d{1,7})\s*[/>]")
_CREATOR = re.compile(rb"Typst \d+\.\d+\.\d+")


class Verified(Struct, frozen=True):
    """What may be relied upon after a check that did not refuse."""

    record: PrescriptionRecord
    signed: SignedPrescription
    paper: str = ""
    """Paper of the file that was checked; empty when no file was."""
    stands: Stands | None = None
    """Whether it still stands, by the records at hand; None when none were looked at."""


def _check(key: bytes, signature: bytes, message: bytes, refusal: SlipRefused) -> None:
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise SlipRefused(SlipCode.KEY_BAD, "A key has 32 bytes and a signature 64.")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise refusal from error


def verify_signed(signed: SignedPrescription, hub_key: bytes) -> Verified:
    """Check a signed prescription against the hub's public signing key (Ed25519, 32 bytes).

    Raises SlipRefused with slip_record_bad, slip_key_bad, slip_certificate_bad, slip_signature_bad
    or slip_time_bad. An unknown template is no reason here: the record stands by itself.
    """
    record = decode_record(signed.record)
    if not 0 <= signed.template_version < 1 << 16 or len(signed.template_id.encode()) > 255:
        raise SlipRefused(SlipCode.SIGNATURE_BAD, "The template's name or version cannot have been signed.")
    _check(
        hub_key,
        signed.doctor_certificate,
        certificate_input(signed.doctor_key, record.doctor_id, record.doctor_name, record.registration),
        SlipRefused(SlipCode.CERTIFICATE_BAD, "The hub did not certify this doctor's key and registration number."),
    )
    _check(
        signed.doctor_key,
        signed.signature,
        signing_input(signed.record, signed.template_id, signed.template_version),
        SlipRefused(SlipCode.SIGNATURE_BAD, "The doctor's signature does not fit the record: it was changed."),
    )
    _check(
        hub_key,
        signed.hub_signature,
        time_input(signed.signature, signed.hub_time_ms),
        SlipRefused(SlipCode.TIME_BAD, "The hub did not confirm this time of signing."),
    )
    return Verified(record, signed)


def verify_qr(text: str, signed: SignedPrescription, hub_key: bytes) -> Verified:
    """Check a scanned QR text against any copy of the signed record, and that copy against the hub's key.

    Raises SlipRefused as :func:`verify_signed` does, and with slip_qr_bad or slip_qr_other_record.
    """
    parse_qr(text)
    verified = verify_signed(signed, hub_key)
    if text != qr_text(signed):
        raise SlipRefused(SlipCode.QR_OTHER_RECORD, "The QR code belongs to another prescription than this record.")
    return verified


def with_newer(verified: Verified, others: Iterable[SignedPrescription], hub_key: bytes) -> Verified:
    """Say of something verified whether a later record of the same visit replaced or cancelled it.

    ``others``: what is at hand; what does not verify, or is of another visit, says nothing. Nobody
    learns here of a record that has not arrived: "valid" means valid as far as is known.
    """
    record = verified.record
    states = [PrescriptionState(record.prescription_id, msgspec.msgpack.encode(verified.signed), record.signed_ms)]
    for other in others:
        try:
            found = verify_signed(other, hub_key).record
        except SlipRefused:
            continue
        if found.visit_id == record.visit_id and found.prescription_id != record.prescription_id:
            states.append(PrescriptionState(found.prescription_id, msgspec.msgpack.encode(other), found.signed_ms))
    return msgspec.structs.replace(verified, stands=standing(states)[record.prescription_id])


def embedded_record(pdf: bytes) -> SignedPrescription:
    """The signed prescription inside a slip, unchecked. Raises SlipRefused(slip_not_a_slip).

    Looks for the one embedded file (ISO 32000-2 §7.11.4) itself instead of trusting a general PDF
    reader with a stranger's file; sizes are bounded before anything is inflated.
    """
    refusal = SlipRefused(SlipCode.NOT_A_SLIP, "The file is no slip of ours, or it is damaged.")
    if len(pdf) > MAX_PDF_BYTES or not pdf.startswith(b"%PDF-"):
        raise refusal
    start = _EMBEDDED.search(pdf)
    length = _LENGTH.search(start[1]) if start else None
    if start is None or length is None:
        raise refusal
    raw = pdf[start.end() : start.end() + int(length[1])]
    try:
        if b"/FlateDecode" in start[1]:
            raw = zlib.decompressobj().decompress(raw, 2 * MAX_RECORD_BYTES)
        return msgspec.msgpack.decode(raw, type=SignedPrescription)
    except (zlib.error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise refusal from error


def verify_slip(pdf: bytes, hub_key: bytes) -> Verified:
    """Check a slip with the hub's public signing key (Ed25519, 32 bytes).

    First the signatures of the embedded record, then the file itself: it must equal the rendering
    of that record to the last byte. Raises SlipRefused with slip_not_a_slip, any code of
    :func:`verify_signed`, slip_template_unknown, slip_renderer_differs or slip_content_changed.
    """
    signed = embedded_record(pdf)
    verified = verify_signed(signed, hub_key)
    rendered = b""
    for paper in PAPERS:
        rendered = render_slip(signed, paper=paper)
        if rendered == pdf:
            return msgspec.structs.replace(verified, paper=paper)
    if set(_CREATOR.findall(pdf)) != set(_CREATOR.findall(rendered)):
        raise SlipRefused(
            SlipCode.RENDERER_DIFFERS,
            "The record inside is genuine, but another release made these pages. Print it again from the record.",
        )
    raise SlipRefused(
        SlipCode.CONTENT_CHANGED,
        "The record inside is genuine, but the pages are not the rendering of it: the file was changed.",
    )

"""The QR code of a slip: which record, and the doctor's signature over it, in about 140 characters.

Layout before base45 (RFC 9285): version (1) ‖ visit id (10) ‖ SHA-256 of the record, first 16
bytes ‖ doctor's signature (64) = 91 bytes. Base45 keeps to the QR alphanumeric mode. There is no
health data and no name in it (forms.md §8). This module draws nothing and verifies nothing.
"""

import hashlib

import segno
from msgspec import Struct

from edge.model.ids import id_bytes, make_id
from edge.model.prescribing import SignedPrescription

from .refusal import SlipCode, SlipRefused
from .sign import SIGNATURE_BYTES, decode_record

QR_PREFIX = "UPK1:"
QR_VERSION = 1
HASH_BYTES = 16
_PAYLOAD_BYTES = 1 + 10 + HASH_BYTES + SIGNATURE_BYTES
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


class QrContent(Struct, frozen=True):
    """What the QR code of a slip says."""

    visit_id: str
    record_hash: bytes
    """First 16 bytes of the SHA-256 of the record."""
    signature: bytes
    """The doctor's, as in the signed prescription."""


def base45_encode(data: bytes) -> str:
    """RFC 9285 §3."""
    letters: list[str] = []
    for start in range(0, len(data) - 1, 2):
        number = data[start] << 8 | data[start + 1]
        high, rest = divmod(number, 45 * 45)
        middle, low = divmod(rest, 45)
        letters += (_ALPHABET[low], _ALPHABET[middle], _ALPHABET[high])
    if len(data) % 2:
        high, low = divmod(data[-1], 45)
        letters += (_ALPHABET[low], _ALPHABET[high])
    return "".join(letters)


def base45_decode(text: str) -> bytes:
    """RFC 9285 §4. Raises ValueError."""
    digits = [_ALPHABET.index(letter) for letter in text]
    if len(digits) % 3 == 1:
        raise ValueError("a base45 text never has one character left over")
    data = bytearray()
    for start in range(0, len(digits), 3):
        group = digits[start : start + 3]
        number = sum(digit * 45**position for position, digit in enumerate(group))
        if number >= 256 ** (len(group) - 1):
            raise ValueError("a base45 group is out of range")
        data += number.to_bytes(len(group) - 1, "big")
    return bytes(data)


def record_hash(record: bytes) -> bytes:
    """The 16 bytes by which a QR code names a record."""
    return hashlib.sha256(record).digest()[:HASH_BYTES]


def qr_text(signed: SignedPrescription) -> str:
    """The text of the QR code of this prescription. Raises SlipRefused(slip_record_bad)."""
    visit = id_bytes(decode_record(signed.record).visit_id)
    return QR_PREFIX + base45_encode(bytes([QR_VERSION]) + visit + record_hash(signed.record) + signed.signature)


def parse_qr(text: str) -> QrContent:
    """The content of a scanned text. Raises SlipRefused(slip_qr_bad)."""
    if not text.startswith(QR_PREFIX) or len(text) > 200:
        raise SlipRefused(SlipCode.QR_BAD, "This is not the QR code of a slip.")
    try:
        payload = base45_decode(text[len(QR_PREFIX) :])
    except ValueError as error:
        raise SlipRefused(SlipCode.QR_BAD, "The QR code was misread or changed. Scan it again.") from error
    if len(payload) != _PAYLOAD_BYTES or payload[0] != QR_VERSION:
        raise SlipRefused(SlipCode.QR_BAD, "The QR code has another version than this program knows.")
    hash_end = 11 + HASH_BYTES
    return QrContent(make_id(payload[1:11]), payload[11:hash_end], payload[hash_end:])


def qr_rows(text: str) -> list[str]:
    """The modules of the QR code, one string of 0 and 1 a row, without the quiet zone."""
    code = segno.make_qr(text, error="m", boost_error=True)
    return ["".join("1" if module else "0" for module in row) for row in code.matrix]

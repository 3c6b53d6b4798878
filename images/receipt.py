"""What the technician takes home as proof: which image went to which card, read back whole, signed by this laptop."""

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.sync import seal

from .errors import ImageRefused

FORMAT = 1
KEY_BYTES = 32
_CONTEXT = b"upkendra flash receipt 1\0"


class Receipt(msgspec.Struct, frozen=True):
    """One card. ``token_sha256``: the first 16 digits of the enrolment token's hash; the token itself is not kept."""

    format: int
    flashed_at: str
    """UTC, to the second."""
    board: str
    version: str
    manifest_sha256: str
    card: str
    card_serial: str
    card_bytes: int
    written_bytes: int
    took_s: float
    hub: str
    token_sha256: str
    tool_key: str


class Signed(msgspec.Struct, frozen=True):
    """The file: raw bytes of the receipt (base64 in the file) and the signature over them."""

    receipt: bytes
    signature: bytes


def key_of(folder: Path) -> bytes:
    """This laptop's signing key, made at the first use (0600). ``folder``: private, made if need be."""
    path = folder / "flash.key"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raw = path.read_bytes()
        if len(raw) != KEY_BYTES:
            raise ImageRefused(f"{path} is damaged. Move it away; a new key is made.", code="flash_key_wrong") from None
        return raw
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    with os.fdopen(fd, "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    return private


def encode(receipt: Receipt, private: bytes) -> bytes:
    """The receipt file."""
    raw = msgspec.json.encode(receipt)
    return msgspec.json.format(msgspec.json.encode(Signed(raw, seal.sign(private, _CONTEXT + raw))), indent=2) + b"\n"


def read(content: bytes) -> Receipt:
    """A receipt whose signature holds, by the key that it names. Raises ImageRefused.

    Whether that key is one of ours is for the reader to know: compare ``tool_key`` with the technicians' list.
    """
    try:
        signed = msgspec.json.decode(content, type=Signed)
        found = msgspec.json.decode(signed.receipt, type=Receipt)
        public = bytes.fromhex(found.tool_key)
    except (msgspec.MsgspecError, ValueError):
        raise ImageRefused("This is no receipt.", code="receipt_wrong") from None
    if found.format != FORMAT or not seal.verify(public, _CONTEXT + signed.receipt, signed.signature):
        raise ImageRefused("The receipt's signature does not hold.", code="receipt_wrong")
    return found

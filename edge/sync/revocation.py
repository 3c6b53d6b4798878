"""What is no longer believed, told by the hub to one node: a short list, numbered and signed by H. Pure codec.

It says whether the node itself is revoked or another machine took its place, which doctors' keys and staff are closed,
and which key the hub has now. Link and stick carry the same bytes. It is not sealed: a revoked node can open nothing
any more, a locked one not yet, and both have to learn it. So it holds hashes and random ids, and nobody's name.
"""

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

from . import seal
from .courier import CourierRefused
from .hubkey import HubKey

LIST_MAX_BYTES: Final = 32 * 1024
CLOSED_MAX: Final = 1_000
STAFF_MAX: Final = 500
MACHINE_BYTES: Final = 16
_HEAD_BYTES: Final = 24
_LABEL: Final = b"upk1 revoked"


class RevocationRefused(CourierRefused):
    """A list of what is revoked is not the hub's, not for this node, or older than the one that is known."""

    code = "courier_malformed"


class Content(Struct, frozen=True, array_like=True):
    """What a list says. Fields are only appended; readers skip what they do not know."""

    revoked_ms: int
    """When the node was revoked; 0: it stands."""
    machine: bytes
    """:func:`machine_of` the device key that stands at this node's place."""
    closed: tuple[bytes, ...] = ()
    """:func:`machine_of` the signing key of each doctor whose account is closed."""
    staff: tuple[str, ...] = ()
    """Ids of the node's staff members who may not log in any more."""
    hub_key: HubKey | None = None
    """The hub's newest KEM key, once it was changed."""
    tablets_ms: int = 0
    """When the hub said last that a tablet of this node is lost; 0: never. All its tablets are wiped then."""


class SignedList(Struct, frozen=True):
    """A list as it was parsed; to be checked before it is believed."""

    node_id: bytes
    number: int
    """Grows with every list for this node."""
    made_ms: int
    content: Content
    raw: bytes


_encode = msgspec.msgpack.Encoder().encode
_contents = msgspec.msgpack.Decoder(Content)


def machine_of(public: bytes) -> bytes:
    """Names a public Ed25519 key: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(public).digest()[:MACHINE_BYTES]


def sign_list(hub_sign: bytes, node_id: bytes, number: int, made_ms: int, content: Content) -> bytes:
    """The bytes of a list: ``node_id8 ‖ number8 ‖ made_ms8 ‖ msgpack ‖ sig64``. Raises ValueError if it is too long."""
    whole = node_id + number.to_bytes(8, "big") + made_ms.to_bytes(8, "big") + _encode(content)
    if len(whole) + seal.SIGNATURE_BYTES > LIST_MAX_BYTES:
        raise ValueError("a list of what is revoked has at most 32 KiB")
    return whole + seal.sign(hub_sign, _LABEL + whole)


def parse_list(raw: bytes) -> SignedList:
    """What the bytes say, unchecked. Raises RevocationRefused, and nothing else."""
    if not _HEAD_BYTES + seal.SIGNATURE_BYTES < len(raw) <= LIST_MAX_BYTES:
        raise RevocationRefused("not a list of what is revoked")
    try:
        content = _contents.decode(raw[_HEAD_BYTES : -seal.SIGNATURE_BYTES])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RevocationRefused("not a list of what is revoked") from error
    if len(content.machine) != MACHINE_BYTES or len(content.closed) > CLOSED_MAX or len(content.staff) > STAFF_MAX:
        raise RevocationRefused("not a list of what is revoked")
    number, made_ms = (int.from_bytes(raw[at : at + 8], "big") for at in (8, 16))
    if not 1 <= number < 1 << 63:
        raise RevocationRefused("not a list of what is revoked")
    return SignedList(raw[:8], number, made_ms, content, raw)


def check_list(told: SignedList, node_id: bytes, hub_sign_public: bytes, known: int) -> bool:
    """Whether the list is newer than number ``known``; False for that very number.

    Raises RevocationRefused: courier_not_ours, courier_signature, courier_older.
    """
    if told.node_id != node_id:
        raise RevocationRefused("a list for another node", code="courier_not_ours")
    signed, signature = told.raw[: -seal.SIGNATURE_BYTES], told.raw[-seal.SIGNATURE_BYTES :]
    if not seal.verify(hub_sign_public, _LABEL + signed, signature):
        raise RevocationRefused("the list is not signed by our hub", code="courier_signature")
    if told.number < known:
        raise RevocationRefused("a newer list is known here", code="courier_older")
    return told.number > known

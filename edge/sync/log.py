"""The signed log: streams, chain of salted commitments, heads (SEALING.md, LOG).

A log is (node, run, stream) and has one writer. The chain commits to ``c``, a salted hash of each
entry, so that a payload can be erased and the chain still verifies. Knows no store; the caller keeps
(seq, raw, c, h). Hashes are recomputed by the reader, never transmitted.
"""

import hashlib
from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec
from msgspec import Struct

from edge.model import events as ev
from edge.model.errors import Fault, UpkendraError

from . import seal

NO_SALT = bytes(16)
"""Salt of an entry that belongs to no visit; it cannot be erased by visit."""
_HEAD_LABEL = b"upk1 head"
_entry_decoder = msgspec.msgpack.Decoder(ev.Entry)


class Stream(IntEnum):
    """The streams of a run. 1–4 are a node's, 5–6 the hub's. One byte in hashes and payloads."""

    URGENT = 1
    CLINICAL = 2
    MEDIA = 3
    AUDIT = 4
    HUB = 5
    """The hub's log for one node; ``node_id`` of the log is that node's."""
    FLEET = 6
    RETURNED = 7
    """No log: what the hub said to a node (``seal.SignedDown``), given back to a hub that was restored."""


class LogRefused(UpkendraError):
    """A log entry or head that does not fit its chain. It is kept aside and reported."""

    code = "log_refused"
    fault = Fault.CALLER


class Position(Struct, frozen=True):
    """Where an entry came to stand."""

    seq: int
    """1 for the first entry of a log."""
    commitment: bytes
    """``c``, 32 B: keep it, also when the payload is erased."""
    head: bytes
    """``h`` after this entry, 32 B."""


class SignedHead(Struct, frozen=True, array_like=True):
    """A promise about a whole prefix, made at each visit's and run's close."""

    seq: int
    head: bytes
    grade: str
    """"L", or "D" while locked."""
    signature: bytes


def genesis(node_id: bytes, run: bytes, stream: Stream) -> bytes:
    """``h₀``."""
    return hashlib.sha256(node_id + run + bytes((stream,))).digest()


def commitment(raw: bytes, visit_salt: bytes, stream: Stream, seq: int) -> bytes:
    """``c`` of an entry: SHA256(HKDF(visit_salt, stream ‖ seq)[:16] ‖ raw)."""
    salt = seal.hkdf(visit_salt, bytes((stream,)) + seq.to_bytes(8, "big"), length=16)
    return hashlib.sha256(salt + raw).digest()


def chained(previous: bytes, seq: int, c: bytes) -> bytes:
    """``h`` from ``h'``: SHA256(h' ‖ seq8 ‖ c)."""
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + c).digest()


def head_tbs(node_id: bytes, run: bytes, stream: Stream, seq: int, head: bytes, grade: str) -> bytes:
    """What a head's signature covers."""
    return _HEAD_LABEL + node_id + run + bytes((stream,)) + seq.to_bytes(8, "big") + head + grade.encode()


class Chain:
    """The chain of one log up to some entry; both writer and reader of a log hold one."""

    def __init__(self, node_id: bytes, run: bytes, stream: Stream, at: Position | None = None) -> None:
        """``at`` resumes a chain from a kept position (the head and seq of it count)."""
        self.node_id, self.run, self.stream = node_id, run, stream
        self.seq = at.seq if at else 0
        self.head = at.head if at else genesis(node_id, run, stream)

    def append(self, raw: bytes, visit_salt: bytes = NO_SALT) -> Position:
        """Add the next entry's raw bytes."""
        self.seq += 1
        c = commitment(raw, visit_salt, self.stream, self.seq)
        self.head = chained(self.head, self.seq, c)
        return Position(self.seq, c, self.head)

    def append_commitment(self, c: bytes) -> Position:
        """Add an entry of which only ``c`` is left (erased by law)."""
        self.seq += 1
        self.head = chained(self.head, self.seq, c)
        return Position(self.seq, c, self.head)

    def confirms(self, signed: SignedHead, public: bytes) -> bool:
        """Whether ``signed`` is a valid promise about exactly this chain's present state."""
        if (signed.seq, signed.head) != (self.seq, self.head):
            return False
        return verify_head(signed, self.node_id, self.run, self.stream, public)


class Writer(Chain):
    """The one writer of a log. A process draws a new run at start, so a restored card cannot fork it."""

    def sign_head(self, private: bytes, grade: seal.Grade) -> SignedHead:
        """Sign the present head with L, or with D while locked (Ed25519 private key, 32 B raw)."""
        tbs = head_tbs(self.node_id, self.run, self.stream, self.seq, self.head, grade.value)
        return SignedHead(self.seq, self.head, grade.value, seal.sign(private, tbs))


def verify_head(signed: SignedHead, node_id: bytes, run: bytes, stream: Stream, public: bytes) -> bool:
    """Whether the signature of a head holds (says nothing about the entries)."""
    return seal.verify(public, head_tbs(node_id, run, stream, signed.seq, signed.head, signed.grade), signed.signature)


def verify_entries(chain: Chain, entries: Iterable[tuple[bytes, bytes]], signed: SignedHead, public: bytes) -> None:
    """Append (raw, visit_salt) pairs to ``chain`` and check the promise. Raises LogRefused."""
    for raw, salt in entries:
        chain.append(raw, salt)
    if not chain.confirms(signed, public):
        raise LogRefused("the signed head does not fit these entries", code="head_mismatch")


def decode_entry(raw: bytes) -> ev.Entry:
    """The entry in raw bytes. Raises LogRefused."""
    try:
        return _entry_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LogRefused("the bytes are no log entry", code="entry_malformed") from error


def own_salt(event: ev.Event | ev.Unknown) -> bytes | None:
    """The salt that an event brings along for its own entry; None for all that use their visit's, or none."""
    return event.salt if isinstance(event, ev.VisitOpened | ev.StaffListed) else None


def salt_of(entry: ev.Entry, salts: Mapping[str, bytes]) -> bytes | None:
    """The visit salt under which an entry was committed.

    ``salts`` maps visit id → the salt of its ``VisitOpened``. NO_SALT for an entry of no visit; None
    while the visit's opening has not arrived: verify later.
    """
    try:
        event = ev.event_of(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NO_SALT
    own = own_salt(event)
    if own is not None:
        return own
    visit_id = ev.visit_of(event)
    if not visit_id:
        return NO_SALT
    return salts.get(visit_id)

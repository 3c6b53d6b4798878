"""What a locked node writes for itself, and how it hears the answers to its emergencies. Codec only.

Entries of an emergency lie at the node sealed to its own records key R: the process that wrote them knows them, no
later one does before the records are open. Answers of the hub come as call signals, so that the keys of the node's
fresh epoch protect them; a message begins with a byte that no other signal begins with (docs/protocol.md, section 18).
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import seal

_LABEL = b"upk1 locked"
MARK = b"\xc1"
"""No msgpack value begins with it."""
VISITS_MAX = 20


class LockedRefused(UpkendraError):
    """Bytes that are no message about a locked node's visits."""

    code = "locked_refused"
    fault = Fault.CALLER


class Piece(Struct, frozen=True, array_like=True):
    """Entries that were recorded while the node was locked."""

    run: bytes
    stream: int
    first_seq: int
    entries: tuple[bytes, ...]


class AskAnswers(Struct, frozen=True, array_like=True, tag=1):
    """Node → hub: how do these visits stand? ``have``: prescriptions that are here already."""

    visit_ids: tuple[str, ...]
    have: tuple[str, ...] = ()


class Answer(Struct, frozen=True, array_like=True, tag=2):
    """Hub → node: how a visit stands, which this very process opened while locked."""

    visit_id: str
    state: str
    doctor_name: str = ""
    prescription_id: str = ""
    """Of ``signed``; empty when there is none that the node has not."""
    signed: bytes = b""
    """msgpack of SignedPrescription."""
    doctor_id: str = ""


Message: TypeAlias = AskAnswers | Answer
_messages = msgspec.msgpack.Decoder(Message)
_pieces = msgspec.msgpack.Decoder(Piece)


def seal_piece(records_public: bytes, node_id: bytes, piece: Piece) -> bytes:
    """Seal entries to R: HPKE with info "upk1 locked" ‖ node_id."""
    return seal.hpke_seal(records_public, _LABEL + node_id, msgspec.msgpack.encode(piece))


def open_piece(records_private: bytes, node_id: bytes, sealed: bytes) -> Piece:
    """Raises SealRefused, LockedRefused."""
    try:
        return _pieces.decode(seal.hpke_open(records_private, _LABEL + node_id, sealed))
    except msgspec.MsgspecError:
        raise LockedRefused("no entries of a locked node", code="locked_malformed") from None


def is_message(signal: bytes) -> bool:
    """Whether a signal is one of these messages and none of a call."""
    return signal[:1] == MARK


def encode(message: Message) -> bytes:
    """A message as a signal."""
    return MARK + msgspec.msgpack.encode(message)


def decode(signal: bytes) -> Message:
    """Raises LockedRefused."""
    try:
        message: Message = _messages.decode(signal[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise LockedRefused("no message about a locked node's visits", code="locked_malformed") from None
    return message

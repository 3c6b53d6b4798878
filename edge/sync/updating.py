"""Updates by link: what node and hub say to each other about them, in messages of kind 5. Pure.

The node asks for everything: what is offered, the signed offer itself, then piece after piece. So an outage, a restart
of either side or another bearer costs a question and nothing else, and the hub keeps nothing about whoever asks.
Whether what came is the update is decided by its signed release, not here. Messages are msgpack arrays that begin with
a number; fields are only appended, and a number of a later release is passed over (docs/protocol.md, section 19).
"""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from edge.model.errors import Fault, UpkendraError
from edge.model.releases import is_newer

PIECE_BYTES: Final = 16 * 1024
"""Pieces begin at multiples of it, but for the first one after a break."""
WINDOW: Final = 4
"""Pieces that a node asks for at the same time."""
PATIENCE_S: Final = 120.0
"""A piece is asked for again when nothing came for so long."""
HEADS_MAX: Final = 32
SYSTEM: Final = "system"

_Sha: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
_NO_NUL: Final = r"\A[^\x00]*\Z"
"""No database takes that character for sure."""
_Word: TypeAlias = Annotated[str, Meta(max_length=60, pattern=_NO_NUL)]
_Size: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 40)]


class UpdatingRefused(UpkendraError):
    """Not a message about updates. It is dropped."""

    code = "updating_malformed"
    fault = Fault.CALLER


class Ask(Struct, frozen=True, array_like=True, tag=1):
    """Node → hub: what may I have?"""

    target: _Word
    """The board."""


class Head(Struct, frozen=True, array_like=True):
    """One update that this node may have now."""

    sha256: _Sha
    name: _Word
    version: _Word
    size_bytes: _Size


class Offers(Struct, frozen=True, array_like=True, tag=2):
    """Hub → node: these and no others. What is not among them any more is given up."""

    items: Annotated[tuple[Head, ...], Meta(max_length=HEADS_MAX)]


class WantOffer(Struct, frozen=True, array_like=True, tag=3):
    """Node → hub: give me the signed offer."""

    sha256: _Sha


class Offer(Struct, frozen=True, array_like=True, tag=4):
    """Hub → node: an UPDATE file, as it stands on a stick (section 12)."""

    file: bytes


class Want(Struct, frozen=True, array_like=True, tag=5):
    """Node → hub: give me these bytes."""

    sha256: _Sha
    offset: _Size
    length: Annotated[int, Meta(ge=1, le=PIECE_BYTES)]


class Piece(Struct, frozen=True, array_like=True, tag=6):
    """Hub → node: bytes of the update."""

    name8: Annotated[bytes, Meta(min_length=8, max_length=8)]
    """First bytes of its SHA-256."""
    offset: _Size
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE_BYTES)]


class Gone(Struct, frozen=True, array_like=True, tag=7):
    """Hub → node: you may not have it, or not any more."""

    sha256: _Sha


class Told(Struct, frozen=True, array_like=True, tag=8):
    """Node → hub: how far an update has come here, whatever brought it."""

    name: _Word
    version: _Word
    state: _Word
    """coming, here (whole), installed, committed, refused, rolled_back; a later release may have more."""
    done_bytes: _Size = 0
    size_bytes: _Size = 0
    code: _Word = ""
    """Why it was refused or rolled back."""
    why: Annotated[str, Meta(max_length=300, pattern=_NO_NUL)] = ""


Message: TypeAlias = Ask | Offers | WantOffer | Offer | Want | Piece | Gone | Told
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_numbers = msgspec.msgpack.Decoder(list[msgspec.Raw])
_encode = msgspec.msgpack.Encoder().encode
_LAST: Final = 8


def encode(message: Message) -> bytes:
    """One message's bytes."""
    return _encode(message)


def decode(body: bytes) -> Message | None:
    """A message; None for one of a later release. Raises UpdatingRefused, and nothing else, for any bytes."""
    try:
        return _messages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _is_later(body):
            return None
        raise UpdatingRefused("not a message about updates") from error


def _is_later(body: bytes) -> bool:
    try:
        return msgspec.msgpack.decode(_numbers.decode(body)[0], type=int) > _LAST
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return False


def choose(heads: Iterable[Head], running: str, taken: frozenset[str], begun: str) -> Head | None:
    """Which of the offered updates this node should fetch; None: none.

    ``running``: version of the system that runs; ``taken``: SHA-256 of those that came before, whatever became of them;
    ``begun``: first digits of that which lies here in part, or empty. The newest version; of the same version that
    which has begun, or else the smallest, which is a delta.
    """
    best: Head | None = None
    for head in heads:
        older = head.name == SYSTEM and bool(running) and not is_newer(head.version, running)
        if older or head.sha256.hex() in taken or head.size_bytes == 0:
            continue
        if best is None or _is_better(head, best, begun):
            best = head
    return best


def _is_better(head: Head, best: Head, begun: str) -> bool:
    if is_newer(head.version, best.version) or is_newer(best.version, head.version):
        return is_newer(head.version, best.version)
    if begun and head.sha256.hex().startswith(begun) != best.sha256.hex().startswith(begun):
        return head.sha256.hex().startswith(begun)
    return head.size_bytes < best.size_bytes


class Pull:
    """One update on its way: which pieces were asked for, and what came out of order."""

    def __init__(self, sha256: bytes, size_bytes: int, at: int) -> None:
        """``at``: so many bytes lie here already."""
        self.sha256 = sha256
        self.size_bytes = size_bytes
        self.at = at
        self._asked: dict[int, int] = {}
        """Length of each piece that was asked for, by its offset."""
        self._ahead: dict[int, bytes] = {}
        self._heard_s = 0.0

    @property
    def is_whole(self) -> bool:
        return self.at >= self.size_bytes

    def go_to(self, at: int) -> None:
        """What lies here is so much: another one has written, or what was written was wrong."""
        self.at = at
        self._ahead.clear()
        self._asked.clear()

    def forget_asked(self) -> None:
        """What was asked for will not come: the hub's session is another one."""
        self._asked.clear()

    def wants(self, now_s: float) -> list[Want]:
        """What to ask for now; asked for when this returns."""
        if self._asked and now_s - self._heard_s >= PATIENCE_S:
            self._asked.clear()
        fresh: list[Want] = []
        at = self.at
        while at < self.size_bytes and len(self._asked) + len(self._ahead) < WINDOW:
            end = min((at // PIECE_BYTES + 1) * PIECE_BYTES, self.size_bytes)
            if at not in self._asked and at not in self._ahead:
                self._asked[at] = end - at
                fresh.append(Want(self.sha256, at, end - at))
            at = end
        if fresh:
            self._heard_s = now_s
        return fresh

    def due_s(self) -> float | None:
        """When :meth:`wants` asks again unless something comes; None while nothing is asked for."""
        return self._heard_s + PATIENCE_S if self._asked else None

    def take(self, piece: Piece, now_s: float) -> bytes:
        """What can be written behind ``at`` now, perhaps nothing; :attr:`at` has moved behind it."""
        if piece.name8 != self.sha256[:8] or self._asked.get(piece.offset) != len(piece.data):
            return b""
        del self._asked[piece.offset]
        self._heard_s = now_s
        self._ahead[piece.offset] = piece.data
        out = bytearray()
        while (data := self._ahead.pop(self.at, None)) is not None:
            out += data
            self.at += len(data)
        return bytes(out)

"""What passes beside sound and picture: the messages of a call's data channel, bounded both ways. Pure.

Text is JSON of :data:`Aside` in both directions. Bytes are pieces of small stills, node → doctor only.
Its browser twin is ``edge/ui/call/aside.js``.
"""

import struct
from collections import deque
from typing import TypeAlias

import msgspec
from msgspec import Struct

from edge.model.errors import BadInput
from edge.model.ids import Id
from edge.model.marks import Mark
from edge.model.records import ShortText

LABEL = "aside"
TEXT_MAX_BYTES = 2_048
PIECE_BYTES = 450
"""A piece of a still, one packet: where stills are sent the sound waits a fifth of a second behind one."""
STILL_MAX_BYTES = 30_000
PIECE_HEADER = struct.Struct("!cBHBBH")
"""``S``, version 1, number of the still, number of the piece, how many pieces, age of the picture in 10 ms."""


class AskStill(Struct, frozen=True, tag="ask_still"):
    """Doctor → node: take a sharp picture now. It comes as a photo of the visit, previews first."""

    still_id: Id
    """Drawn anew for each picture: asked twice under one name, it is taken once."""


class LinkState(Struct, frozen=True, tag="link_state"):
    """Node → doctor, when it changes: what the node's uplink carries and why, so that both sides say the same."""

    rung: ShortText
    notes: bool = False
    """The link carries no sound worth the name: a voice note serves better."""
    relayed: bool = False
    """The way leads through the hub's relay."""
    sharp: bool = False
    """A sharp picture can be asked for."""


class Drew(Struct, frozen=True, tag="drew"):
    """Either way: somebody drew on a photo of the visit, or took that mark back. Shown at once, kept by nobody:
    what is to stay becomes an entry of the record (:mod:`edge.model.marks`)."""

    blob_id: Id
    mark_id: Id
    mark: Mark | None = None
    """None: taken back."""


Aside: TypeAlias = AskStill | LinkState | Drew

_decoder: msgspec.json.Decoder[Aside] = msgspec.json.Decoder(Aside)
_encode = msgspec.json.Encoder().encode


def read(text: str) -> Aside:
    """A message of the other side. Raises BadInput."""
    if len(text) > TEXT_MAX_BYTES:
        raise BadInput("a message beside the call is too long")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput("this is no message beside a call") from error


def write(message: Aside) -> str:
    """A message for the other side."""
    return _encode(message).decode()


def pieces(number: int, content: bytes, age_s: float) -> list[bytes]:
    """A still cut for the channel. Raises ValueError when it is too large to be a small still."""
    if not content or len(content) > STILL_MAX_BYTES:
        raise ValueError("a small still has between 1 and 30,000 bytes")
    parts = [content[at : at + PIECE_BYTES] for at in range(0, len(content), PIECE_BYTES)]
    age = min(round(age_s * 100), 0xFFFF)
    return [
        PIECE_HEADER.pack(b"S", 1, number & 0xFFFF, place, len(parts), age) + part for place, part in enumerate(parts)
    ]


class StillPacer:
    """When a new still begins, and when its pieces may leave: never faster than the allocation says."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: list[bytes] = []
        self._began_s = float("-inf")
        self._free_s = float("-inf")

    def wants(self, now_s: float, every_s: float) -> bool:
        """Whether a new still should be taken: one is due, and the last has left."""
        return every_s > 0 and not self._waiting and now_s - self._began_s >= every_s

    def begin(self, content: bytes, age_s: float, now_s: float) -> None:
        """A still was taken."""
        self._number += 1
        self._began_s = now_s
        self._waiting = pieces(self._number, content, age_s)

    def due(self, now_s: float, bytes_per_s: float) -> bytes | None:
        """The next piece, if it may leave now."""
        if not self._waiting or now_s < self._free_s or bytes_per_s <= 0:
            return None
        piece = self._waiting.pop(0)
        self._free_s = max(self._free_s, now_s - 0.1) + len(piece) / bytes_per_s
        return piece

    def clear(self) -> None:
        """Video goes again: what has not left is of no use."""
        self._waiting.clear()


class DrawnPacer:
    """When a mark may leave: never faster than its share of what the link carries, the newest kept."""

    MOST = 40
    SHARE = 0.25
    LEAST_BPS = 3_000

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=self.MOST)
        self._free_s = float("-inf")

    def put(self, text: str) -> None:
        """A message of :class:`Drew`, written."""
        self._waiting.append(text)

    def due(self, now_s: float, rate_bps: float) -> str | None:
        """The next one, if it may leave now."""
        if not self._waiting or now_s < self._free_s:
            return None
        text = self._waiting.popleft()
        self._free_s = now_s + 8 * len(text) / max(rate_bps * self.SHARE, self.LEAST_BPS)
        return text

"""Call signals: small blobs, in order, once, and never older than 30 s. Pure.

A signal's message body is ``number4 ‖ zstd(blob)``. Numbers count up for the life of an endpoint, so
that a signal which was sent again in a new session is recognised. A description of a call is mostly the same lines:
with a dictionary that knows them, which the frame names, a third of it is left.
"""

import hashlib

from edge.model.errors import BadInput

from .bundle import NO_DICTIONARY, BundleRefused, compress, decompress, dictionary_of
from .versions import FIRST, Reads

SIGNAL_MAX_BYTES = 32 * 1024
FRESH_S = 30.0
NONCE_USE_S = 25.0
"""The node uses a hub nonce for this long; the hub takes it for ``FRESH_S``."""
HELD_MAX = 256
DRAWN_FROM, DRAWN_BITS = 1 << 27, 26
"""A frame's number has 28 bits; sixty million signals are left to each process."""
DICTIONARY = 2
"""Of zstd, trained on signals of calls (``tests/bench/make_signal_dictionary.py``)."""


def pack_signal(number: int, blob: bytes, reads: Reads = FIRST) -> bytes:
    """The message body, in what the other side has said that it reads. Raises BadInput for more than 32 kB."""
    if len(blob) > SIGNAL_MAX_BYTES:
        raise BadInput("a signal has at most 32 kB", code="signal_too_large")
    known = DICTIONARY in reads.dictionaries
    return number.to_bytes(4, "big") + compress(blob, DICTIONARY if known else NO_DICTIONARY, named=True)


def unpack_signal(body: bytes) -> tuple[int, bytes] | None:
    """Number and blob, or None for what is no signal."""
    if len(body) < 5:
        return None
    try:
        frame = body[4:]
        return int.from_bytes(body[:4], "big"), decompress(frame, dictionary_of(frame), SIGNAL_MAX_BYTES)
    except BundleRefused:
        return None


def first_number(salt: bytes) -> int:
    """Where a hub process begins to count what it says to a node; ``salt``: random, of the first session with it."""
    return DRAWN_FROM | int.from_bytes(salt[:4], "big") & ((1 << DRAWN_BITS) - 1)


class Delivered:
    """What was delivered lately, in whichever session it came.

    A hub takes a signal along into a new session when its acknowledgement was lost. Another process of it may say the
    same words again and means them: its numbers begin elsewhere (:func:`first_number`). A hub of an earlier release
    counts from 1 in each process; what it says is never held back.
    """

    def __init__(self) -> None:
        self._at: dict[tuple[int, bytes], float] = {}

    def is_new(self, number: int, blob: bytes, now: float) -> bool:
        """Whether this is delivered for the first time in the life of a signal; notes it."""
        if number < DRAWN_FROM:
            return True
        self._at = {key: at for key, at in self._at.items() if at + FRESH_S > now}
        key = number, hashlib.sha256(blob).digest()
        fresh = key not in self._at
        self._at.setdefault(key, now)
        return fresh


class SignalOrder:
    """Puts the signals of one sender in order and lets each through once."""

    def __init__(self, delivered: Delivered | None = None) -> None:
        """``delivered``: shared with the orders of other sessions."""
        self._delivered = delivered
        self._next: int | None = None
        self._held: dict[int, tuple[bytes, float]] = {}

    def take(self, number: int, base: int, blob: bytes, now: float) -> list[bytes]:
        """A signal has arrived; what may be delivered now, in order.

        ``base``: the sender offers nothing below it any more.
        """
        if self._next is None:
            self._next = min(base, number)
        if number == self._next or (number > self._next and len(self._held) < HELD_MAX):
            self._held[number] = (blob, now)
        self._held = {n: held for n, held in self._held.items() if held[1] + FRESH_S > now}
        ready: list[tuple[int, bytes]] = []
        if base > self._next:
            ready = [(n, self._held.pop(n)[0]) for n in sorted(self._held) if n < base]
            self._next = base
        while self._next in self._held:
            ready.append((self._next, self._held.pop(self._next)[0]))
            self._next += 1
        told = self._delivered
        return [blob for n, blob in ready if told is None or told.is_new(n, blob, now)]

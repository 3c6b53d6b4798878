"""Who holds what: node and hub compare their logs after every meeting, so that a restored side gets back what it lost.

Pure. The node says what it holds of its own logs and of the hub's log for it; old logs shrink to one digest. The hub
answers what it lacks, and sends what the node lacks as down blobs. Nothing here is trusted further than that:
entries come back sealed and signed like all others. Format: docs/protocol.md, section 14.
"""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import seal
from .frontier import Ranges

LOGS_MAX = 12_000
"""Logs in one message; more are left to the digest."""
SPANS_MAX = 12_000
NODE_TWICE = "node_twice"
"""Notice: two processes speak under this node's name at the same time."""
GONE = "entries_gone"
"""Notice: the hub asked for entries whose content was pruned here."""

Log: TypeAlias = tuple[bytes, int]
"""(run, stream)."""
Held: TypeAlias = Mapping[Log, Ranges]
"""Sequences of each log, half-open ranges."""


class HoldingsRefused(UpkendraError):
    """A message about what is held that cannot be read. The next meeting asks again."""

    code = "holdings_malformed"
    fault = Fault.CALLER


class LogHeld(Struct, frozen=True, array_like=True):
    """What is held of one log."""

    run: bytes
    stream: int
    spans: tuple[tuple[int, int], ...]
    """First and last sequence of each piece, ascending."""


class Span(Struct, frozen=True, array_like=True):
    """Consecutive entries of one log."""

    run: bytes
    stream: int
    first: int
    last: int


class Holdings(Struct, frozen=True, array_like=True, tag=1):
    """Node → hub, log grade only: what its records hold."""

    whole: bool
    """All logs are listed (as far as there is room)."""
    digest: bytes
    """:func:`digest_of` the logs that are not listed."""
    logs: tuple[LogHeld, ...]
    refused: tuple[int, ...] = ()
    """Down blobs that lie aside here: their entries are not to be sent again."""
    question: int = 0
    """Number of this message within the node's process; the answer repeats it."""


class AskAll(Struct, frozen=True, array_like=True, tag=2):
    """Hub → node: the digest differs, list all logs."""


class Wanted(Struct, frozen=True, array_like=True, tag=3):
    """Hub → node: seal these entries again; an empty list says that nothing is missing."""

    spans: tuple[Span, ...]
    copied: bool = False
    """The comparison was complete, and everything else that the node named is in a second copy (level 2), photos
    left aside."""
    media: bool = False
    """Every photo, note and clip that was announced is whole there, and in a second copy."""
    question: int = 0
    """Of the message that is answered."""


class Notice(Struct, frozen=True, array_like=True, tag=4):
    """Either way: something that a person has to know."""

    code: str
    count: int = 0


_NOTHING: Held = MappingProxyType({})
Message: TypeAlias = Holdings | AskAll | Wanted | Notice
_encode = msgspec.msgpack.Encoder().encode
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Bytes of a STATE message."""
    return _encode(message)


def decode(body: bytes) -> Message:
    """Opposite of :func:`encode`. Raises HoldingsRefused for any other bytes."""
    try:
        message = _messages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HoldingsRefused("not a message about what is held") from error
    if isinstance(message, Holdings) and not (len(message.logs) <= LOGS_MAX and all(map(_is_sound, message.logs))):
        raise HoldingsRefused("a list of logs that is none")
    if isinstance(message, Wanted) and len(message.spans) > SPANS_MAX:
        raise HoldingsRefused("too much is asked for")
    return message


def _is_sound(log: LogHeld) -> bool:
    last = 0
    for first, end in log.spans:
        if not last < first <= end < 1 << 48:
            return False
        last = end
    return len(log.run) == seal.RUN_BYTES and len(log.spans) <= SPANS_MAX


def ranges_of(log: LogHeld) -> Ranges:
    """The sequences that a message names."""
    return Ranges(*((first, last + 1) for first, last in log.spans))


def log_held(log: Log, held: Ranges) -> LogHeld:
    """As it stands in a message."""
    return LogHeld(log[0], log[1], tuple((start, end - 1) for start, end in held.spans()))


def digest_of(held: Held) -> bytes:
    """8 bytes that are equal on both sides when they hold the same of these logs."""
    state = hashlib.sha256(b"upk1 holdings")
    for log in sorted(held):
        if held[log]:
            state.update(_encode(log_held(log, held[log])))
    return state.digest()[:8]


def describe(held: Held, listed: Iterable[Log], refused: Iterable[int], *, whole: bool, question: int = 0) -> Holdings:
    """What a node says: the logs in ``listed`` one by one, the others as a digest."""
    chosen = set(held if whole else listed)
    wanted = [log for log in held if log in chosen][-LOGS_MAX:]
    shown = set(wanted)
    rest = {log: spans for log, spans in held.items() if log not in shown}
    logs = tuple(log_held(log, held[log]) for log in wanted)
    return Holdings(whole, digest_of(rest), logs, tuple(refused), question)


class Difference(Struct, frozen=True):
    """What one side lacks of what the other holds."""

    lacking: tuple[Span, ...]
    """Held by the node, not by the hub."""
    surplus: tuple[Span, ...]
    """Held by the hub, not by the node."""
    unclear: bool
    """The logs that were not listed differ: ask for all."""
    complete: bool = True
    """``lacking`` names all that is lacking; False when a limit cut it, or logs beyond the list differ."""


def compare(told: Holdings, held: Held, left: Held = _NOTHING) -> Difference:
    """``held``: what the hub holds of this node's logs and of its own log for the node, less what is on its way.

    ``left``: what a list of all logs has shown to be lacking there and what is not sent back (a replaced node lacks its
    old visits for ever); it is no reason to ask for all again.
    """
    lacking: list[Span] = []
    surplus: list[Span] = []
    listed = {(log.run, log.stream): ranges_of(log) for log in told.logs}
    for log, theirs in listed.items():
        ours = held.get(log, Ranges())
        lacking += _spans(log, _without(theirs, ours))
        surplus += _spans(log, _without(ours, theirs))
    rest = {log: ours for log, ours in held.items() if log not in listed}
    asked, fits = tuple(lacking[:SPANS_MAX]), len(lacking) <= SPANS_MAX
    expected = rest if told.whole else {log: _without(ours, left.get(log, Ranges())) for log, ours in rest.items()}
    if digest_of(expected) == told.digest:
        return Difference(asked, tuple(surplus), False, fits)
    if not told.whole:
        return Difference(asked, tuple(surplus), True, False)
    listed_all = len(told.logs) < LOGS_MAX
    if listed_all:  # what is not listed is not there at all
        for log, ours in rest.items():
            surplus += _spans(log, ours)
    return Difference(asked, tuple(surplus), False, fits and listed_all)


def _without(held: Ranges, other: Ranges) -> Ranges:
    left = Ranges(*held.spans())
    for start, end in other.spans():
        left.remove(start, end)
    return left


def _spans(log: Log, held: Ranges) -> list[Span]:
    return [Span(log[0], log[1], start, end - 1) for start, end in held.spans()]

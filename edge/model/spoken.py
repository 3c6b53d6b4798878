"""A doctor's spoken answer as entries of the hub's log, and put together again from them. Pure.

It travels in the log, in parts of 16 KiB, class 2: so it is sealed, resumed, backed up, given back after a restore and
erased like everything else that a doctor says (docs/decisions/0030).
"""

from collections.abc import Iterable

import msgspec

from . import events as ev
from . import media
from .errors import Refusal
from .media import ANSWER_PART_BYTES, Facts, Purpose

PARTS_MAX = -(-media.LIMITS[Purpose.ANSWER].size_bytes // ANSWER_PART_BYTES)


def check(facts: Facts, size_bytes: int) -> Refusal | None:
    """Whether a recording may be an answer."""
    return media.check(Purpose.ANSWER, facts, size_bytes)


def cut(visit_id: str, answer_id: str, content: bytes) -> list[ev.AnswerPart]:
    """The parts of a recording, in their order."""
    return [
        ev.AnswerPart(visit_id, answer_id, number, content[at : at + ANSWER_PART_BYTES])
        for number, at in enumerate(range(0, len(content), ANSWER_PART_BYTES))
    ]


class Answer(msgspec.Struct, frozen=True):
    """How much of an answer is here."""

    answer_id: str
    parts_here: int
    parts: int
    content: bytes | None
    """None while a part is missing, or when they do not make what was said."""


def put_together(answer_id: str, size_bytes: int, parts: int, entries: Iterable[ev.Event | ev.Unknown]) -> Answer:
    """An answer from the entries of its visit, in whatever order and however often they came."""
    held: dict[int, bytes] = {}
    for event in entries:
        if isinstance(event, ev.AnswerPart) and event.answer_id == answer_id and 0 <= event.number < parts <= PARTS_MAX:
            held.setdefault(event.number, event.data)
    content = b"".join(held[number] for number in sorted(held)) if len(held) == parts else b""
    return Answer(answer_id, len(held), parts, content if content and len(content) == size_bytes else None)

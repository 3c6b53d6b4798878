"""What a release reads: protocol levels, payload formats, dictionaries, models. Pure; knows no frames.

Each side says it in HELLO, once a session; until it has, it is taken for a first release (:data:`FIRST`). A sender uses
only what the other side has said that it reads. What is older than the oldest is refused by name, never guessed at.
"""

from typing import NamedTuple


class Span(NamedTuple):
    """All numbers from ``oldest`` to ``newest``."""

    oldest: int
    newest: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.oldest <= number <= self.newest


class Reads(NamedTuple):
    """One release's abilities; each number fits a byte."""

    levels: Span
    """Levels of the frames (docs/protocol.md, section 5)."""
    formats: Span
    """First byte of a bundle's payload."""
    dictionaries: Span
    """zstd dictionaries; number 0, none, is always read."""
    models: Span
    """Models of format 02."""


FIRST = Reads(Span(1, 1), Span(1, 3), Span(1, 1), Span(2, 2))
"""The first release: what is assumed of a side that has not said anything."""
OURS = FIRST._replace(dictionaries=Span(1, 2))
"""This release."""


def common_level(theirs: Reads, ours: Reads = OURS) -> int | None:
    """The newest level that both sides speak; None when there is none: one of them has to be updated."""
    level = min(theirs.levels.newest, ours.levels.newest)
    return level if level in theirs.levels and level in ours.levels else None

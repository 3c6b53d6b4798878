"""How long a node ran and watched its link, and how much of that it had no hub: what it says in its log, and the sums.

A node that is off knows nothing of the link, so that time is neither; the sums say how long it ran. Pure.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from .clock import day_text

DAY_MOST_S = 100_000
"""Seconds that one day can hold of one part: more than 24 hours, since a clock may be set back."""
_Seconds = Annotated[int, Meta(ge=0, le=DAY_MOST_S)]


class LinkWatched(Struct, frozen=True, array_like=True):
    """How long of a day this node ran and watched its link, and had no hub. A later word of the same part has more."""

    day: Annotated[int, Meta(ge=0, le=100_000)]
    """Indian day number, by the node's clock."""
    part: Annotated[bytes, Meta(min_length=4, max_length=4)]
    """Drawn where the counting began; parts of a day add up."""
    ran_s: _Seconds
    offline_s: _Seconds


class Watched(Struct, frozen=True):
    """Sums of some days."""

    ran_s: int = 0
    offline_s: int = 0
    since: str = ""
    """YYYY-MM-DD of the first day that was ever counted, if these days began before it."""


def watched(words: Iterable[LinkWatched], first: int, after: int) -> Watched:
    """The sums from the Indian day ``first`` to before ``after``; a word that is said twice counts once."""
    most: dict[tuple[int, bytes], LinkWatched] = {}
    for word in words:
        known = most.get((word.day, word.part))
        if known is None or known.ran_s < word.ran_s:
            most[word.day, word.part] = word
    began = min((day for day, _ in most), default=first)
    inside = [word for word in most.values() if first <= word.day < after]
    return Watched(
        sum(word.ran_s for word in inside),
        sum(word.offline_s for word in inside),
        day_text(began) if began > first else "",
    )

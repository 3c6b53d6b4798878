"""What people draw on a photo: lines, rings and arrows over it, in thousandths of its sides. Pure.

A mark never changes the photo. It is said beside it, by the nurse in the node's log or by the doctor in the hub's, and
drawn over the photo wherever that is shown. Node and hub ask the same questions about it.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .errors import Fault, Refusal
from .ids import Id

SIDE = 1_000
"""Places count in thousandths of the photo's width and height."""
POINTS_MAX = 60
MARKS_MAX = 40
"""In one entry."""
PER_PHOTO_MAX = 200

Place = Annotated[int, Meta(ge=0, le=SIDE)]


class MarkKind(StrEnum):
    """How the points of a mark are drawn."""

    LINE = "line"
    """A line through all of them, as the finger went."""
    RING = "ring"
    """An ellipse within the box of two corners."""
    ARROW = "arrow"
    """From the first to the second, where its head is."""


class Mark(Struct, frozen=True, array_like=True):
    """One stroke."""

    mark_id: Id
    """Drawn anew by who made it: what came live and what is kept are the same mark."""
    kind: MarkKind
    points: Annotated[tuple[Place, ...], Meta(min_length=4, max_length=2 * POINTS_MAX)]
    """x, y, x, y …"""


Marks = Annotated[tuple[Mark, ...], Meta(min_length=1, max_length=MARKS_MAX)]


def check(marks: tuple[Mark, ...], held: int) -> Refusal | None:
    """Whether these may be kept on a photo that has ``held`` marks already."""
    for mark in marks:
        if len(mark.points) % 2 or (mark.kind is not MarkKind.LINE and len(mark.points) != 4):
            text = "A ring or an arrow has two places, and a line pairs of numbers."
            return Refusal("mark_malformed", text, "marks", Fault.CALLER)
    if held + len(marks) > PER_PHOTO_MAX:
        return Refusal("marks_too_many", f"A photo holds at most {PER_PHOTO_MAX} marks.", "marks")
    return None

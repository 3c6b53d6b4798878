"""What lies on a node's shelf by its book: the last count, and what came and went since. Pure.

A book, not the truth: it says what is likely there, so that the doctor sees it first. Nobody is
refused a medicine because of it.
"""

from collections.abc import Iterable

from msgspec import Struct

from . import events as ev


class Move(Struct, frozen=True):
    """One line of the book."""

    drug_id: str
    stamp: int
    """Stamp of the entry; a node gives none twice."""
    units: int
    """What was counted, or the change; a change of 0 takes the line of this stamp back."""
    counted: bool

    @property
    def takes_back(self) -> bool:
        """Whether it stands for a line that was a slip. A count after the slip has seen the pieces already."""
        return self.units == 0 and not self.counted


class Level(Struct, frozen=True):
    """What the book says of one medicine."""

    drug_id: str
    units: int
    """Below 0: more was handed out than the book knew of; count again."""
    counted_ms: int
    """When somebody counted last; 0 for never."""


def move_of(event: ev.Event | ev.Unknown, stamp: int) -> Move | None:
    """The line that an event writes into the book, if any."""
    match event:
        case ev.StockCounted(drug_id, units):
            return Move(drug_id, stamp, units, True)
        case ev.StockReceived(drug_id, units):
            return Move(drug_id, stamp, units, False)
        case ev.Dispensed(drug_id=drug_id, units=units):
            return Move(drug_id, stamp, -units, False)
        case ev.HandOutTakenBack(drug_id=drug_id, stamp=slip):
            return Move(drug_id, slip, 0, False)
        case _:
            return None


def settled(moves: Iterable[Move]) -> list[Move]:
    """Lines of one medicine that still matter, oldest first: the last count and what came after it."""
    lines: dict[int, Move] = {}
    for one in sorted(set(moves), key=lambda one: (one.stamp, not one.takes_back)):
        lines.setdefault(one.stamp, one)
    ordered = list(lines.values())
    last = max((number for number, one in enumerate(ordered) if one.counted), default=0)
    return ordered[last:]


def levels(moves: Iterable[Move]) -> list[Level]:
    """What the book says of each medicine, by its id. The order in which entries arrived does not matter."""
    by_drug: dict[str, list[Move]] = {}
    for one in moves:
        by_drug.setdefault(one.drug_id, []).append(one)
    found = []
    for drug_id, its in sorted(by_drug.items()):
        rest = settled(its)
        counted_ms = rest[0].stamp >> 16 if rest[0].counted else 0
        found.append(Level(drug_id, sum(one.units for one in rest), counted_ms))
    return found

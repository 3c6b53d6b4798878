"""What people see of the rota: a doctor's page, the coordinator's list, and the word at a centre. Data only."""

from typing import Final

from msgspec import Struct

from edge.model.fold import Expected as Said

from ..open_visits import Line
from .core import Why
from .gone import Left

AGAIN_MS: Final = 180_000
"""A changed range is told at most so often."""


class Unclaimed(Struct, frozen=True):
    """A visit that nobody has taken, for the coordinator. No clinical content."""

    visit_id: str
    token: str
    colour: str
    node_id: str
    waited_s: int
    why: Why
    doctor_name: str = ""
    """Who took it and is away."""


def unclaimed_of(line: Line, waited_ms: int, why: Why, *, is_stuck: bool) -> Unclaimed:
    """A visit as the coordinator's list shows it; ``is_stuck``: its doctor is not there any more."""
    visit, waited_s = line.owned.visit, max(0, waited_ms) // 1000
    doctor_name = visit.doctor_name if is_stuck else ""
    return Unclaimed(visit.visit_id, visit.token, visit.colour.value, line.owned.node_id, waited_s, why, doctor_name)


class State(Struct, frozen=True):
    """What one doctor's page shows of the rota."""

    ready: bool
    offer: str
    """The visit that she is asked for; "" for none."""
    until_ms: int
    """When the offer goes on to the next doctor."""
    ready_count: int
    """How many doctors sit."""
    open: bool
    opens_ms: int
    """When doctors sit next; 0 when the calendar has no such day."""
    now_ms: int
    ends_ms: int = 0
    """When she will be away because the hours end, unless she says that she stays; 0 for never, or while away."""
    left: tuple[Left, ...] = ()
    """What she had taken and lost while her page was gone, until she says that she knows."""
    instead_of: str = ""
    """The speciality that was asked for the offered patient, when no doctor of it sits: she is asked in their place."""


def differs(before: Said, said: Said) -> bool:
    """Whether somebody who heard the first has to hear the second: another state, or a range that lies elsewhere."""
    if before.state != said.state or before.opens_ms != said.opens_ms:
        return True
    passed_min = (said.at_ms - before.at_ms) / 60_000
    low, high = max(0.0, before.low_min - passed_min), max(0.0, before.high_min - passed_min)
    elsewhere = said.low_min > high or said.high_min < low
    return elsewhere and said.at_ms - before.at_ms >= AGAIN_MS

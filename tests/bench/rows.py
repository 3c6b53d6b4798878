"""One measured figure, as every bench reports it."""

from msgspec import Struct


class Row(Struct, frozen=True):
    """``value`` in ``unit``; ``peer_value`` and ``ratio`` where something else did the same in the same run."""

    name: str
    value: float
    unit: str
    peer_value: float | None = None
    ratio: float | None = None
    """``value / peer_value``."""
    reach: float | None = None
    """The goal, in ``unit``; None where there is none yet. The row's bench says whether more or less is better."""
    ok: bool | None = None
    """Whether the goal was met; None without one."""


def at_most(name: str, value: float, unit: str, reach: float) -> Row:
    """A figure with a goal that it should not exceed."""
    return Row(name, round(value, 3) + 0.0, unit, reach=reach, ok=value <= reach)


def against(name: str, ours: float, unit: str, peer: float, factor: float) -> Row:
    """A peer's figure over ours, which should be at least ``factor``."""
    ratio = round(peer / ours, 2)
    return Row(name, round(ours, 2), unit, round(peer, 2), round(ours / peer, 3), factor, ratio >= factor)

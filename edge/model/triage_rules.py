"""The shape of ``data/triage_rules.json``: rows of code, colour, scope and condition.

Every threshold stands in the data, with its source and status, so that a medical officer can read,
approve or change a row without reading code. Evaluation is in :mod:`edge.model.triage`.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct

from .data import load
from .records import Colour


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a rule concerns. Ages are completed days, ``from_days`` included, ``below_days`` not."""

    from_days: int = 0
    below_days: int | None = None
    pregnant: bool = False
    maternal: bool = False
    """Pregnant, or delivered in the last 42 days."""
    not_gender: str = ""
    complaints: tuple[str, ...] = ()
    """One of these is complained of, or no complaint has been recorded yet."""


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A tree. Exactly one of the leading fields is used; numbers belong to ``vital`` and ``news2``."""

    always: bool = False
    sign: str = ""
    any: tuple[Condition, ...] = ()
    all: tuple[Condition, ...] = ()
    at_least: int = 0
    of: tuple[Condition, ...] = ()
    vital: str = ""
    avpu: tuple[str, ...] = ()
    complaint: str = ""
    days_ge: int = 0
    """With ``complaint``: has lasted at least so many days."""
    news2: Literal["total", "single", ""] = ""
    lt: float | None = None
    gt: float | None = None
    ge: float | None = None

    def signs(self) -> tuple[str, ...]:
        """All signs that occur in the tree."""
        nested = (name for part in (*self.any, *self.all, *self.of) for name in part.signs())
        return (*((self.sign,) if self.sign else ()), *nested)

    def holds_for(self, value: float) -> bool:
        """Whether a number lies on the side that raises."""
        return (
            (self.lt is not None and value < self.lt)
            or (self.gt is not None and value > self.gt)
            or (self.ge is not None and value >= self.ge)
        )


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    colour: Colour
    scope: Scope
    when: Condition
    source: str
    status: str


class Implied(Struct, frozen=True, forbid_unknown_fields=True):
    """A sign that also counts as present when something measured or complained of says so."""

    sign: str
    when: Condition
    status: str


class PregnancyAsked(Struct, frozen=True):
    from_days: int
    below_days: int
    source: str


class MandatoryVitals(Struct, frozen=True):
    measured_or_not_done: tuple[str, ...]
    status: str


Band = tuple[float | None, float | None, int]
"""Lowest and highest value (both included, None for open), score."""


class News2(Struct, frozen=True):
    from_days: int
    rr: tuple[Band, ...]
    spo2_scale1: tuple[Band, ...]
    o2: dict[str, int]
    sbp: tuple[Band, ...]
    pulse: tuple[Band, ...]
    consciousness: dict[str, int]
    temp_c: tuple[Band, ...]
    source: str


class RuleBook(Struct, frozen=True):
    version: str
    status: str
    sources: dict[str, str]
    adult_from_days: int
    pregnancy_asked: PregnancyAsked
    mandatory: tuple[str, ...]
    mandatory_vitals: MandatoryVitals
    rules: tuple[Rule, ...]
    implied: tuple[Implied, ...]
    news2: News2


@cache
def rules() -> RuleBook:
    """The rule book, loaded once per process."""
    return load("triage_rules", RuleBook)


@cache
def implied_by_sign() -> dict[str, Condition]:
    """What lets a sign count as present although nobody ticked it."""
    return {row.sign: row.when for row in rules().implied}


class Ask(Struct, frozen=True):
    """One rule in which a sign counts; the screen asks a sign when the scope of one ask fits."""

    code: str
    colour: str
    from_days: int
    below_days: int | None
    pregnant: bool
    maternal: bool
    """Pregnant, or delivered in the last 42 days."""
    not_gender: str
    complaints: tuple[str, ...]
    """Only with one of these complaints; empty for always."""


def asks_by_sign() -> dict[str, tuple[Ask, ...]]:
    """For every sign the rules in which it counts, for the screens."""
    asks: dict[str, list[Ask]] = {}
    for rule in rules().rules:
        s = rule.scope
        for name in dict.fromkeys(rule.when.signs()):
            ask = Ask(
                rule.code, rule.colour, s.from_days, s.below_days, s.pregnant, s.maternal, s.not_gender, s.complaints
            )
            asks.setdefault(name, []).append(ask)
    return {name: tuple(found) for name, found in asks.items()}

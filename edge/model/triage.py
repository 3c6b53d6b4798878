"""Colour of a visit: RED, YELLOW, GREEN or not triaged, from what was answered and measured.

Rules are rows of ``data/triage_rules.json`` (after triage.md); this module only evaluates them.
Missing is never normal: GREEN needs every mandatory answer, RED needs none. A layer can only raise.
"""

from collections.abc import Iterable
from math import isfinite

from msgspec import Struct

from .fold import COLOUR_ORDER, VitalsRound
from .records import Colour, Complaint, Gender, History, Reading, TriageResult, Vitals
from .triage_rules import Band, Condition, Rule, Scope, implied_by_sign, rules

_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0, "": 0.0}


class _Facts(Struct, frozen=True):
    """What is known of one patient, in the form that conditions ask for."""

    age_days: int
    gender: Gender
    pregnant: bool | None
    post_partum: bool | None
    complaints: dict[str, float]
    """Code → longest duration in days."""
    values: dict[str, float]
    avpu: str
    present: frozenset[str]
    absent: frozenset[str]
    news2_total: int | None = None
    news2_single: int = 0


def latest_vitals(rounds: Iterable[VitalsRound]) -> Vitals:
    """One round made of the newest reading of each vital, so that a measurement done again replaces the old one."""
    readings: dict[str, Reading] = {}
    not_done: dict[str, None] = {}
    avpu, oxygen = "", None
    for round_ in sorted(rounds, key=lambda r: r.at_ms):
        for code in round_.vitals.not_done:
            not_done[code] = None
        for reading in round_.vitals.readings:
            readings[reading.vital] = reading
            not_done.pop(reading.vital, None)
        avpu = round_.vitals.avpu or avpu
        oxygen = oxygen if round_.vitals.oxygen is None else round_.vitals.oxygen
    left_out = tuple(code for code in not_done if code not in readings)
    return Vitals(tuple(readings.values()), avpu, oxygen, left_out)


def triage(
    age_days: int | None,
    gender: Gender,
    history: History | None,
    complaints: tuple[Complaint, ...],
    vitals: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
) -> TriageResult:
    """The colour that the rules give, with the codes that raised it and what is still missing.

    ``age_days``: completed days, None when unknown; then a colour is given only where every chart
    agrees. ``present`` and ``absent``: sign ids; a sign in both counts as present.
    """
    if age_days is None:
        return _whatever_the_age(gender, history, complaints, vitals, present, absent)
    facts = _facts(age_days, gender, history, complaints, vitals, present, absent)
    fired = [rule for rule in rules().rules if _concerns(rule.scope, facts) and _holds(rule.when, facts)]
    missing = _missing(facts, vitals)
    reds = [rule.code for rule in fired if rule.colour is Colour.RED]
    if reds:
        colour, missing = Colour.RED, ()
    elif fired:
        colour = Colour.YELLOW
    else:
        colour = Colour.NOT_TRIAGED if missing else Colour.GREEN
    yellows = [rule.code for rule in fired if rule.colour is not Colour.RED]
    reasons = tuple(dict.fromkeys((*reds, *yellows)))
    return TriageResult(colour, reasons, missing, facts.news2_total, rules().version)


def signs_to_ask(
    age_days: int,
    gender: Gender,
    history: History | None,
    complaints: tuple[Complaint, ...],
    vitals: Vitals,
    present: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Signs that nobody has answered and that could still raise the colour, in the order of the rules."""
    return _open_signs(_facts(age_days, gender, history, complaints, vitals, present, absent))


def _whatever_the_age(
    gender: Gender,
    history: History | None,
    complaints: tuple[Complaint, ...],
    vitals: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
) -> TriageResult:
    """The weakest colour over all age bands: what holds for a newborn and for a grandmother alike."""
    edges = {0, *(r.scope.from_days for r in rules().rules), *(r.scope.below_days or 0 for r in rules().rules)}
    results = [
        triage(days, gender, history, complaints, vitals, present, absent) for days in sorted(edges, reverse=True)
    ]
    weakest = min(results, key=lambda result: COLOUR_ORDER[result.colour])
    if weakest.colour is Colour.RED:
        return TriageResult(Colour.RED, weakest.reasons, (), None, weakest.rules_version)
    colour = Colour.YELLOW if weakest.colour is Colour.YELLOW else Colour.NOT_TRIAGED
    reasons = weakest.reasons if colour is Colour.YELLOW else ()
    return TriageResult(colour, reasons, tuple(dict.fromkeys(("age", *weakest.missing))), None, weakest.rules_version)


def _facts(
    age_days: int,
    gender: Gender,
    history: History | None,
    complaints: tuple[Complaint, ...],
    vitals: Vitals,
    present: tuple[str, ...],
    absent: tuple[str, ...],
) -> _Facts:
    lasting: dict[str, float] = {}
    for complaint in complaints:
        days = complaint.duration * _DAYS.get(complaint.duration_unit, 0.0)
        lasting[complaint.code] = max(lasting.get(complaint.code, 0.0), days)
    # 0 is never a value: a field that was left at zero was not measured.
    values = {r.vital: r.value for r in vitals.readings if isfinite(r.value) and r.value > 0}
    pregnant = history.pregnant if history else None
    total, single = _news2(age_days, pregnant, values, vitals)
    there = frozenset(present)
    return _Facts(
        age_days,
        gender,
        pregnant,
        history.post_partum if history else None,
        lasting,
        values,
        vitals.avpu,
        there,
        frozenset(absent) - there,
        total,
        single,
    )


def _concerns(scope: Scope, facts: _Facts) -> bool:
    if facts.age_days < scope.from_days or (scope.below_days is not None and facts.age_days >= scope.below_days):
        return False
    if scope.pregnant and not facts.pregnant:
        return False
    if scope.maternal and not (facts.pregnant or facts.post_partum):
        return False
    if scope.not_gender and facts.gender == scope.not_gender:
        return False
    return not (scope.complaints and facts.complaints) or any(code in facts.complaints for code in scope.complaints)


def _holds(when: Condition, facts: _Facts, suppose_unanswered: bool = False) -> bool:
    """Whether a condition is met; with ``suppose_unanswered``, whether answers still open could meet it."""
    if when.sign:
        return _sign_present(when.sign, facts, suppose_unanswered)
    if when.any:
        return any(_holds(part, facts, suppose_unanswered) for part in when.any)
    if when.all:
        return all(_holds(part, facts, suppose_unanswered) for part in when.all)
    if when.at_least:
        return sum(_holds(part, facts, suppose_unanswered) for part in when.of) >= when.at_least
    if when.vital:
        value = facts.values.get(when.vital)
        return value is not None and when.holds_for(value)
    if when.avpu:
        return facts.avpu in when.avpu
    if when.complaint:
        return when.complaint in facts.complaints and facts.complaints[when.complaint] >= when.days_ge
    if when.news2:
        score = facts.news2_total if when.news2 == "total" else facts.news2_single
        return score is not None and when.holds_for(score)
    return when.always


def _sign_present(sign: str, facts: _Facts, suppose_unanswered: bool) -> bool:
    if sign in facts.present:
        return True
    implied = implied_by_sign().get(sign)
    if implied is not None and _holds(implied, facts):
        return True
    return suppose_unanswered and sign not in facts.absent


def _open_signs(facts: _Facts) -> tuple[str, ...]:
    def unanswered(rule: Rule) -> list[str]:
        return [s for s in rule.when.signs() if s not in facts.absent and not _sign_present(s, facts, False)]

    candidates = (rule for rule in rules().rules if _concerns(rule.scope, facts) and _holds(rule.when, facts, True))
    return tuple(dict.fromkeys(name for rule in candidates for name in unanswered(rule)))


def _missing(facts: _Facts, vitals: Vitals) -> tuple[str, ...]:
    """Mandatory answers that are not there (triage.md §1.7), as codes for the screen."""
    book = rules()
    missing = []
    if not facts.avpu:
        missing.append("avpu")
    asked = book.pregnancy_asked
    if facts.gender is Gender.FEMALE and asked.from_days <= facts.age_days < asked.below_days:
        if facts.pregnant is None:
            missing.append("pregnancy")
        if not facts.pregnant and facts.post_partum is None:
            missing.append("post_partum")
    needed = book.mandatory_vitals.measured_or_not_done
    missing += [f"vital:{code}" for code in needed if code not in facts.values and code not in vitals.not_done]
    if not any(code in facts.values for code in needed):
        missing.append("vitals")
    if _open_signs(facts):
        missing.append("signs")
    return tuple(missing)


def _score(bands: tuple[Band, ...], value: float) -> int:
    """Score of a value by the upper edges of its bands (NEWS2 chart 1)."""
    return next(score for _, high, score in bands if high is None or value <= high)


def _news2(age_days: int, pregnant: bool | None, values: dict[str, float], vitals: Vitals) -> tuple[int | None, int]:
    """NEWS2 total, None unless all parameters are there, and the highest score of a single parameter.

    Adults from 16 years, not in pregnancy (RCP 2017). SpO2 scale 1 only; scale 2 is for a doctor to order.
    """
    chart = rules().news2
    if age_days < chart.from_days or pregnant:
        return None, 0
    parts: list[int | None] = [
        _score(bands, round(values[code], digits)) if code in values else None
        for code, bands, digits in (
            ("rr", chart.rr, 0),
            ("spo2", chart.spo2_scale1, 0),
            ("sbp", chart.sbp, 0),
            ("hr", chart.pulse, 0),
            ("temp_c", chart.temp_c, 1),
        )
    ]
    parts.append(chart.consciousness.get(vitals.avpu))
    parts.append(None if vitals.oxygen is None else chart.o2["oxygen" if vitals.oxygen else "air"])
    known = [part for part in parts if part is not None]
    return (sum(known) if len(known) == len(parts) else None), max(known, default=0)

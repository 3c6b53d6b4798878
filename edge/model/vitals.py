"""Measured values against their limits: hard ones are refused, unusual ones want a second look.

Limits are those of ``data/vitals.json`` (forms.md §4). Not measured is not zero: a vital that was
left out has no reading. This module colours nothing; that is triage.
"""

from math import isfinite

from msgspec import Struct

from .errors import Fault, Refusal
from .records import Reading, Vitals
from .reference import VitalItem, vitals_data
from .triage_rules import rules

NOTHING = Vitals()
"""Nothing was measured."""


class VitalsCheck(Struct, frozen=True):
    """What is wrong with a round, and what is merely unusual."""

    refusals: tuple[Refusal, ...] = ()
    """Impossible: nothing may be recorded."""
    warnings: tuple[Refusal, ...] = ()
    """Outside the soft limits: measure again; ``unconfirmed`` says which were not confirmed yet."""
    unconfirmed: tuple[Refusal, ...] = ()


def fahrenheit_to_celsius(degrees: float) -> float:
    """°F → °C, to one decimal."""
    return round((degrees - 32) * 5 / 9, 1)


def bmi(weight_kg: float, height_cm: float) -> float:
    """Body mass index in kg/m², to one decimal. Raises ValueError unless both are positive."""
    if not (weight_kg > 0 and height_cm > 0):
        raise ValueError("weight and height must be positive")
    return round(weight_kg / (height_cm / 100) ** 2, 1)


def derived_bmi(vitals: Vitals) -> float | None:
    """BMI of a round that holds weight and height, else None."""
    values = {reading.vital: reading.value for reading in vitals.readings}
    weight, height = values.get("weight_kg", 0.0), values.get("height_cm", 0.0)
    return bmi(weight, height) if weight > 0 and height > 0 else None


def check(vitals: Vitals, age_days: int | None, known: Vitals = NOTHING) -> VitalsCheck:
    """Compare a round with the limits. ``age_days`` (None: unknown) chooses the soft limits; ``known``: what stands
    already, for who weighs again does not measure the height again."""
    items = {item.id: item for item in vitals_data().items}
    refusals: list[Refusal] = []
    warnings: list[Refusal] = []
    unconfirmed: list[Refusal] = []
    seen: set[str] = set()
    for number, reading in enumerate(vitals.readings):
        field = f"vitals.readings[{number}].value"
        item = items.get(reading.vital)
        refusal = _hard(reading, item, seen, field)
        seen.add(reading.vital)
        if refusal is not None:
            refusals.append(refusal)
        elif item is not None and _unusual(reading, item, age_days):
            warning = Refusal("vital_unusual", f"{item.en} looks unusual: measure again and confirm.", field)
            warnings.append(warning)
            if not reading.confirmed:
                unconfirmed.append(warning)
    for code in vitals.not_done:
        if code not in items and code != "avpu":
            refusals.append(_refuse("vital_unknown", "This measurement is not in the list.", "vitals.not_done"))
        elif code in seen:
            text = "A vital cannot be measured and not done at once."
            refusals.append(_refuse("vital_contradiction", text, "vitals.not_done"))
    _check_pressure(vitals, refusals)
    _check_bmi(vitals, known, items["bmi"], refusals, warnings, unconfirmed)
    return VitalsCheck(tuple(refusals), tuple(warnings), tuple(unconfirmed))


def _refuse(code: str, message: str, field: str) -> Refusal:
    return Refusal(code, message, field, Fault.CALLER)


def _hard(reading: Reading, item: VitalItem | None, seen: set[str], field: str) -> Refusal | None:
    if item is None:
        return _refuse("vital_unknown", "This measurement is not in the list.", field)
    if item.derived:
        return _refuse("vital_derived", f"{item.en} is computed and cannot be entered.", field)
    if reading.vital in seen:
        return _refuse("vital_twice", f"{item.en} stands twice in one round.", field)
    if (reading.method == "device") != (reading.source is not None and bool(reading.device)):
        text = f"{item.en} has to say which device it came from, or be written as measured by hand."
        return _refuse("reading_source", text, field)
    if not (isfinite(reading.value) and item.hard_low <= reading.value <= item.hard_high):
        limits = f"{item.hard_low:g} to {item.hard_high:g} {item.unit}"
        return _refuse("vital_impossible", f"{item.en} must be within {limits}; leave it out if not measured.", field)
    return None


def soft_limits(item: VitalItem, age_days: int | None) -> tuple[float | None, float | None]:
    """Lowest and highest usual value at an age; None where there is no limit. Unknown age: the adult's."""
    if age_days is None or age_days >= rules().adult_from_days:
        return item.soft_low, item.soft_high
    if item.soft_child == "high_risk_band":
        for rule in rules().rules:
            scope = rule.scope
            in_band = scope.from_days <= age_days and (scope.below_days is None or age_days < scope.below_days)
            if rule.code.startswith("HIGH-") and rule.when.vital == item.id and in_band:
                return rule.when.lt, rule.when.gt
    return (None, None) if item.soft_adults_only else (item.soft_low, item.soft_high)


def _unusual(reading: Reading, item: VitalItem, age_days: int | None) -> bool:
    low, high = soft_limits(item, age_days)
    return (low is not None and reading.value < low) or (high is not None and reading.value > high)


def _check_pressure(vitals: Vitals, refusals: list[Refusal]) -> None:
    values = {reading.vital: reading.value for reading in vitals.readings}
    if "sbp" in values and "dbp" in values and not values["sbp"] > values["dbp"]:
        text = "The upper blood pressure must be above the lower one."
        refusals.append(_refuse("pressure_swapped", text, "vitals.readings"))


def _check_bmi(
    vitals: Vitals,
    known: Vitals,
    item: VitalItem,
    refusals: list[Refusal],
    warnings: list[Refusal],
    unconfirmed: list[Refusal],
) -> None:
    """Weight and height that make no body want a second look; a tiny preterm child must still be recorded."""
    pair = [reading for reading in vitals.readings if reading.vital in ("weight_kg", "height_cm")]
    value = derived_bmi(Vitals((*known.readings, *pair)))
    if refusals or not pair or value is None or item.hard_low <= value <= item.hard_high:
        return
    text = "Weight and height do not fit each other: measure again and confirm both."
    warning = Refusal("vital_unusual", text, "vitals.readings")
    warnings.append(warning)
    if not all(reading.confirmed for reading in pair):
        unconfirmed.append(warning)

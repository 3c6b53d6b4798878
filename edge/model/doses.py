"""A medicine line in words that a patient can follow, Hindi or English, from ``data/dosing.json``.

Latin abbreviations never stand on the paper (prescribing.md §5). Numbers stay in Latin digits.
"""

from functools import cache

from .records import MedicineLine
from .reference import FrequencyItem, RouteItem, UnitItem, dosing

FOOD_CODES = frozenset({"AC", "PC"})
"""In the frequency table of hindi.json, but said by ``food``; they are no frequency by themselves."""
_HALF = frozenset({"1/2", "½", "0.5"})
_QUARTER = frozenset({"1/4", "¼", "0.25"})


@cache
def frequencies() -> dict[str, FrequencyItem]:
    """Code → frequency, without the two that only speak of food."""
    return {item.code: item for item in dosing().frequencies if item.code not in FOOD_CODES}


@cache
def routes() -> dict[str, RouteItem]:
    return {item.code: item for item in dosing().routes}


def counted(form: str) -> UnitItem | None:
    """The word that is counted for a form; None where a bare number says nothing: a liquid, a cream, one of two."""
    lowered = form.lower()
    return None if "/" in lowered else next((unit for unit in dosing().units if unit.form in lowered), None)


def dose_words(dose: str, form: str, language: str) -> str:
    """The amount with its unit: "1 गोली", "2 tablets", "आधी गोली"; a dose that names its unit stays as it is."""
    amount = dose.strip()
    unit = counted(form)
    if unit is None or any(character.isalpha() for character in amount):
        return amount
    part = "आधी" if amount in _HALF else "चौथाई" if amount in _QUARTER else ""
    if language == "hi":
        return f"{part if part and unit.form == 'tablet' else amount} {unit.hi}"
    many = f"{unit.en[:-1]}ies" if unit.en.endswith("y") else f"{unit.en}s"
    return f"{amount} {unit.en if part or amount == '1' else many}"


def dose_line(line: MedicineLine, language: str = "hi") -> str:
    """How to take one medicine, e.g. "1 गोली — दिन में दो बार — सुबह, रात — खाने के बाद — 3 दिन".

    ``language``: "hi" or "en", any other is given in English. Unknown codes are printed as they are,
    so that nothing is lost.
    """
    hindi = language == "hi"
    frequency = frequencies().get(line.frequency)
    times = (frequency.hi if hindi else frequency.en) if frequency else line.frequency
    route = routes().get(line.route)
    if route is not None and line.route != "oral":
        times = f"{route.hi} {route.verb_hi}, {times}" if hindi else f"{route.en}, {times}"
    food = next(((item.hi if hindi else item.en) for item in dosing().food if item.code == line.food), "")
    templates = dosing().templates
    template, gap = (templates.hi, " — ") if hindi else (templates.en, " - ")
    if not food:
        template = template.replace(gap + "{food}", "")
    if not hindi and line.duration_days == 1:
        template = template.replace("days", "day").replace("{day}", "{days}")
    amount, unit = dose_words(line.dose, line.form, "hi" if hindi else "en"), ""
    text = template.replace("{dose} {unit}", "{dose}{unit}")
    return text.format(dose=amount, unit=unit, times=times, food=food, days=line.duration_days)

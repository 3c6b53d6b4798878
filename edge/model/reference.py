"""All data behind screens and rules: complaints, signs, vitals, doses, formulary, words.

Loaded once from ``edge/model/data/*.json`` through importlib.resources, so that a wheel and an
image find it alike. Whatever the sources did not settle carries its ``status`` ("unsourced -
verify", "proposal …") up to the screen; nothing is dropped or filled in here.
"""

from functools import cache

import msgspec
from msgspec import Struct

from .data import load
from .triage_rules import Ask, asks_by_sign, rules


class ComplaintItem(Struct, frozen=True):
    """A complaint of the tablet's list (forms.md §6)."""

    id: str
    en: str
    hi: str
    sure: bool
    """False: the Hindi has to be confirmed by a local reviewer."""
    note: str
    icd10: tuple[str, ...]
    icd10_status: str
    icd10_note: str
    snomed: str
    """Send as text only while ``snomed_status`` says that it is unverified."""
    snomed_status: str


class VitalItem(Struct, frozen=True):
    """A measurement with its limits (forms.md §4). Hard: refuse. Soft: measure again and confirm."""

    id: str
    en: str
    hi: str
    sure: bool
    unit: str
    """UCUM."""
    hard_low: float
    hard_high: float
    soft_low: float | None
    soft_high: float | None
    soft_adults_only: bool
    soft_child: str
    """"high_risk_band": for children the triage band of their age is the soft limit."""
    decimals: int
    loinc: str
    loinc_status: str
    derived: bool
    """Computed, never typed (BMI)."""
    status: str
    note: str


class AvpuItem(Struct, frozen=True):
    code: str
    en: str
    hi: str
    sure: bool


class AvpuScale(Struct, frozen=True):
    loinc: str
    loinc_status: str
    items: tuple[AvpuItem, ...]


class LmpRule(Struct, frozen=True):
    loinc: str
    max_days_ago: int


class Vitals(Struct, frozen=True):
    items: tuple[VitalItem, ...]
    avpu: AvpuScale
    lmp: LmpRule


class ConditionItem(Struct, frozen=True):
    """A past illness or habit of the history screen."""

    id: str
    en: str
    hi: str
    sure: bool
    status: str


class SignItem(Struct, frozen=True):
    """A danger sign, in our own plain words."""

    id: str
    en: str
    hi: str
    sure: bool
    status: str
    asks: tuple[Ask, ...] = ()


class FrequencyItem(Struct, frozen=True):
    code: str
    en: str
    hi: str
    pattern: str
    """Morning-noon-(evening-)night, or "-"."""
    per_day: int | None


class RouteItem(Struct, frozen=True):
    code: str
    en: str
    hi: str
    verb_hi: str
    sure: bool
    status: str


class UnitItem(Struct, frozen=True):
    """The word counted for a form: tablet, capsule, packet …"""

    form: str
    en: str
    hi: str
    sure: bool


class FoodItem(Struct, frozen=True):
    code: str
    en: str
    hi: str
    sure: bool


class DoseTemplates(Struct, frozen=True):
    hi: str
    en: str
    en_status: str
    note: str


class Dosing(Struct, frozen=True):
    version: str
    status: str
    frequencies: tuple[FrequencyItem, ...]
    routes: tuple[RouteItem, ...]
    units: tuple[UnitItem, ...]
    food: tuple[FoodItem, ...]
    templates: DoseTemplates


class DrugItem(Struct, frozen=True):
    """A line of the sub-centre formulary."""

    id: str
    generic: str
    """In capitals, as it is printed."""
    form: str
    strength: str
    group: str
    status: str
    strength_status: str
    sources: tuple[str, ...]
    tpg_list: str
    """O, A, A_refill, B; a trailing "?" is a proposal; NO_TELE, PROHIBITED and all else: never by tele."""
    tpg_status: str
    flags: str


class Formulary(Struct, frozen=True):
    version: str
    items: tuple[DrugItem, ...]


class DiagnosisItem(Struct, frozen=True):
    code: str
    title: str
    title_status: str


class Term(Struct, frozen=True):
    en: str
    hi: str
    group: str
    sure: bool
    note: str


class ConsentStatement(Struct, frozen=True):
    """The words that are read out before consent is recorded; ``version`` goes into the record."""

    purpose: str
    version: str
    status: str
    reviewed: bool
    en: str
    hi: str


class Reference(Struct, frozen=True):
    """Everything the screens need to know, as one JSON document."""

    version: str
    complaints: tuple[ComplaintItem, ...]
    vitals: tuple[VitalItem, ...]
    avpu: tuple[AvpuItem, ...]
    lmp_max_days_ago: int
    conditions: tuple[ConditionItem, ...]
    signs: tuple[SignItem, ...]
    triage_status: str
    """Who has signed off the triage scheme; shown until a doctor has."""
    triage_mandatory: tuple[str, ...]
    triage_attribution: str
    frequencies: tuple[FrequencyItem, ...]
    routes: tuple[RouteItem, ...]
    units: tuple[UnitItem, ...]
    food: tuple[FoodItem, ...]
    dose_templates: DoseTemplates
    formulary: tuple[DrugItem, ...]
    diagnoses: tuple[DiagnosisItem, ...]
    terms: tuple[Term, ...]
    consent_statements: tuple[ConsentStatement, ...]
    hindi_status: str


class _Complaints(Struct, frozen=True):
    version: str
    status: str
    items: tuple[ComplaintItem, ...]


class _History(Struct, frozen=True):
    conditions: tuple[ConditionItem, ...]


class _Signs(Struct, frozen=True):
    items: tuple[SignItem, ...]


class _Diagnoses(Struct, frozen=True):
    items: tuple[DiagnosisItem, ...]


class _Terms(Struct, frozen=True):
    items: tuple[Term, ...]


class _Consent(Struct, frozen=True):
    statements: tuple[ConsentStatement, ...]


@cache
def vitals_data() -> Vitals:
    return load("vitals", Vitals)


@cache
def dosing() -> Dosing:
    return load("dosing", Dosing)


@cache
def formulary() -> Formulary:
    return load("formulary", Formulary)


@cache
def sign_items() -> tuple[SignItem, ...]:
    """All danger signs, each with the rules in which it counts."""
    asks = asks_by_sign()
    return tuple(msgspec.structs.replace(item, asks=asks.get(item.id, ())) for item in load("signs", _Signs).items)


class ListAbout(Struct, frozen=True):
    """What a list says of itself."""

    version: str
    status: str = ""
    """How far it may be believed, in its own words."""


LISTS = (
    "formulary", "drug_lists", "dosing", "triage_rules", "vitals", "signs", "complaints", "history", "diagnoses",
    "terms", "consent", "fhir",
)  # fmt: skip
"""The data that rules and screens stand on."""


@cache
def list_versions() -> dict[str, ListAbout]:
    """Which version of each list this release carries."""
    return {name: load(name, ListAbout) for name in LISTS}


@cache
def reference() -> Reference:
    """The whole reference, loaded once per process."""
    complaints = load("complaints", _Complaints)
    scheme = rules()
    doses = dosing()
    return Reference(
        version=complaints.version,
        complaints=complaints.items,
        vitals=vitals_data().items,
        avpu=vitals_data().avpu.items,
        lmp_max_days_ago=vitals_data().lmp.max_days_ago,
        conditions=load("history", _History).conditions,
        signs=sign_items(),
        triage_status=scheme.status,
        triage_mandatory=scheme.mandatory,
        triage_attribution=scheme.sources["attribution"],
        frequencies=doses.frequencies,
        routes=doses.routes,
        units=doses.units,
        food=doses.food,
        dose_templates=doses.templates,
        formulary=formulary().items,
        diagnoses=load("diagnoses", _Diagnoses).items,
        terms=load("terms", _Terms).items,
        consent_statements=load("consent", _Consent).statements,
        hindi_status=complaints.status,
    )

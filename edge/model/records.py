"""The nouns that events, commands and views share: patient, complaint, reading, medicine line.

Field names and limits follow ``forms.md``; codes are strings of the data files in ``model/data``.
All structs are frozen and encode as arrays on the wire, so fields are only ever appended.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f<>]+$(?!\n)")]
Text = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$(?!\n)")]
ShortText = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Code = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.:%<>=+/ -]+$(?!\n)")]
IsoDay = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]
"""YYYY-MM-DD."""
Mobile = Annotated[
    str, Meta(pattern=r"^([6-9][0-9]{9}|5550[0-9]{6})?$(?!\n)", description="ten digits, or empty; 5550… is synthetic")
]


class Gender(StrEnum):
    MALE = "male"
    FEMALE = "female"
    OTHER = "other"


class AgeUnit(StrEnum):
    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class Colour(StrEnum):
    """IITT colours, and the state before the mandatory questions are answered (triage.md §1)."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    NOT_TRIAGED = "not_triaged"


class Mode(StrEnum):
    """Mode of consultation as the Telemedicine Practice Guidelines count it (prescribing.md §1)."""

    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"


class ConsultType(StrEnum):
    FIRST = "first"
    FOLLOW_UP = "follow_up"


class Role(StrEnum):
    ANM = "anm"
    CHO = "cho"
    PHARMACIST = "pharmacist"
    TECHNICIAN = "technician"
    DOCTOR = "doctor"


class VisitState(StrEnum):
    """Where a visit stands (forms.md §7)."""

    DRAFT = "draft"
    TRIAGED = "triaged"
    WAITING = "waiting"
    IN_CALL = "in_call"
    RX_PENDING = "rx_pending"
    RX_READY = "rx_ready"
    COMPLETED = "completed"
    REFERRED = "referred"
    NO_SHOW = "no_show"
    CANCELLED = "cancelled"


OPEN_STATES = frozenset(
    {
        VisitState.DRAFT,
        VisitState.TRIAGED,
        VisitState.WAITING,
        VisitState.IN_CALL,
        VisitState.RX_PENDING,
        VisitState.RX_READY,
    }
)
STANDING_STATES = OPEN_STATES - {VisitState.DRAFT, VisitState.TRIAGED}
"""Open, with a token: a doctor or the nurse still owes the patient something, however long ago it began."""


AGE_VALUE_MAX = 1500


class Age(Struct, frozen=True, array_like=True):
    """Age as it was told. ``value`` counts ``unit``; estimated unless a date of birth is known."""

    value: Annotated[int, Meta(ge=0, le=AGE_VALUE_MAX)]
    unit: AgeUnit = AgeUnit.YEARS


class Person(Struct, frozen=True, array_like=True):
    """Who the patient is, as registration asks for it (forms.md §1)."""

    name: Name
    gender: Gender
    village: ShortText
    age: Age | None = None
    """As told on the day of registration. Either this or ``birth_date`` is there."""
    birth_date: Annotated[str, Meta(pattern=r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$(?!\n)")] = ""
    """YYYY, YYYY-MM or YYYY-MM-DD; empty when unknown."""
    relative_name: ShortText = ""
    """Father's, husband's or mother's name; tells two people of one name apart."""
    mobile: Mobile = ""
    mobile_owner: ShortText = ""
    abha_number: Annotated[str, Meta(pattern=r"^([0-9]{14})?$(?!\n)")] = ""
    abha_address: ShortText = ""
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$(?!\\n)")] = "hi"


class Complaint(Struct, frozen=True, array_like=True):
    """One complaint with its duration (forms.md §3). ``code`` is an id of the complaint list."""

    code: Code
    text: ShortText = ""
    duration: Annotated[int, Meta(ge=0, le=999)] = 0
    duration_unit: Annotated[str, Meta(pattern="^(hour|day|week|month|year|)$(?!\\n)")] = "day"
    severity: Annotated[int, Meta(ge=0, le=10)] = 0
    """0 when not asked, else 1–10."""


class History(Struct, frozen=True, array_like=True):
    """Past illness, habits, medicines, pregnancy (forms.md §3). ``None`` is "not asked"."""

    conditions: tuple[Code, ...] = ()
    """Ids of the condition list in ``model/data/history.json`` that were answered yes."""
    medicines: Text = ""
    notes: Text = ""
    pregnant: bool | None = None
    weeks_pregnant: Annotated[int, Meta(ge=0, le=45)] | None = None
    post_partum: bool | None = None
    """Delivered in the last 42 days."""
    lmp_date: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$(?!\n)")] = ""


class Allergies(Struct, frozen=True, array_like=True):
    """Must be answered. ``none_known`` and a list exclude each other."""

    none_known: bool
    items: tuple[ShortText, ...] = ()


class Source(Struct, frozen=True, array_like=True):
    """Where a device's reading comes from. Readings of one frame share it."""

    driver: Code
    """Model of the driver that read it, as ``--device`` takes it."""
    frame: Annotated[bytes, Meta(min_length=1, max_length=64)]
    """The device's own bytes; those that hold the value."""
    device_time: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})?$(?!\n)")] = ""
    """What the device's own clock said of it; empty when it has none. May be wrong by years."""


class Reading(Struct, frozen=True, array_like=True):
    """One measured value. A value that was not measured has no reading; 0 is never "normal"."""

    vital: Code
    """Id in ``model/data/vitals.json``: sbp dbp hr rr temp_c spo2 weight_kg height_cm muac_cm rbs_mgdl hb_gdl …"""
    value: float
    """In the unit of that vital (UCUM in ``vitals.json``)."""
    method: Annotated[str, Meta(pattern="^(manual|device)$(?!\\n)")] = "manual"
    device: ShortText = ""
    serial: ShortText = ""
    quality: Annotated[str, Meta(pattern="^(good|doubtful|)$(?!\\n)")] = ""
    measured_ms: int = 0
    """Unix ms; 0 means: when the entry was written."""
    confirmed: bool = False
    """The nurse measured again and confirmed a value outside the soft limits."""
    source: Source | None = None
    """Provenance of a device's reading; None when a person wrote it down."""


class Vitals(Struct, frozen=True, array_like=True):
    """One round of measurement. ``avpu`` is "" when consciousness was not looked at."""

    readings: tuple[Reading, ...] = ()
    avpu: Annotated[str, Meta(pattern="^[ACVPU]?$(?!\\n)")] = ""
    oxygen: bool | None = None
    not_done: tuple[Code, ...] = ()
    """Vitals that were left out on purpose."""


class Guardian(Struct, frozen=True, array_like=True):
    """The adult who is present for a minor (prescribing.md §1)."""

    name: Name
    relation: ShortText
    id_seen: bool = False


class TriageResult(Struct, frozen=True, array_like=True):
    """What the rules say, and why."""

    colour: Colour
    reasons: tuple[Code, ...] = ()
    """Codes of the rules that raised it (``A-R-HR``, ``HIGH-SPO2`` …), strongest first."""
    missing: tuple[Code, ...] = ()
    """What is still to be answered before GREEN may be given."""
    news2: int | None = None
    rules_version: ShortText = ""


class MedicineLine(Struct, frozen=True, array_like=True):
    """One line of a prescription (prescribing.md §5). Every field is chosen by the doctor."""

    drug_id: Code
    """Id in the formulary."""
    generic: ShortText
    """Generic name in capitals, as the formulary has it."""
    form: ShortText
    strength: ShortText
    dose: ShortText
    """Amount at a time: "1", "1/2", "5 mL"."""
    route: Code
    """oral, topical, eye, ear, inhaled …"""
    frequency: Code
    """Code of the frequency table: OD, BD, TDS …"""
    duration_days: Annotated[int, Meta(ge=1, le=365)]
    food: Annotated[str, Meta(pattern="^(before|after|any|)$(?!\\n)")] = ""
    quantity: ShortText = ""
    instructions: ShortText = ""
    list_letter: ShortText = ""
    """O, A, B as classified; internal, not printed."""
    approved: bool = False
    """False: the list letter is a proposal that no medical officer has approved."""


class Referral(Struct, frozen=True, array_like=True):
    """Referral to a place with more means (forms.md §5)."""

    to: ShortText
    urgency: Annotated[str, Meta(pattern="^(now|today|week)$(?!\\n)")]
    reason: ShortText = ""

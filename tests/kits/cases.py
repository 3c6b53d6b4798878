"""Made-up people for tests and demos, in plain JSON, and the commands that record them.

The rules of ``messages.md`` keep them from ever being real: invented villages, numbers that begin
with 5550, names drawn apart from illness. A file of the same shape stands in for the built-in ones.
"""

import random
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from tests.kits.client import Json


class CaseComplaint(Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    duration: int = 1
    unit: str = "day"


class CaseMedicine(Struct, frozen=True, forbid_unknown_fields=True):
    """One line as the doctor picks it; codes of the reference lists."""

    drug_id: str
    dose: str
    frequency: str
    duration_days: int
    route: str = "oral"
    food: str = "after"
    quantity: str = ""
    instructions: str = ""


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """A patient with what they come with, and what the doctor will make of it."""

    name: str
    gender: str
    age_years: Annotated[int, Meta(ge=0, le=120)]
    village: str
    complaints: tuple[CaseComplaint, ...]
    vitals: dict[str, float]
    diagnosis: str
    medicines: tuple[CaseMedicine, ...]
    relative_name: str = ""
    mobile: str = ""
    conditions: tuple[str, ...] = ()
    allergies: tuple[str, ...] = ()
    avpu: str = "A"
    signs_present: tuple[str, ...] = ()
    notes: str = ""
    diagnosis_code: str = ""
    advice: str = ""


SAMPLES: Final = (
    Case(
        name="सुनीता कुमारी",
        gender="female",
        age_years=34,
        village="नमूनापुर",
        relative_name="रमेश",
        mobile="5550100001",
        complaints=(CaseComplaint("fever", 2), CaseComplaint("cough", 3)),
        vitals={"sbp": 118, "dbp": 76, "hr": 88, "rr": 18, "temp_c": 37.9, "spo2": 98, "weight_kg": 52},
        diagnosis="Acute upper respiratory infection",
        diagnosis_code="J06.9",
        medicines=(CaseMedicine("F001", "1", "TDS", 3),),
        advice="Drink plenty of water; rest.",
    ),
    Case(
        name="Ramesh Demo",
        gender="male",
        age_years=58,
        village="कल्पनापुर",
        mobile="5550100002",
        complaints=(CaseComplaint("joint_pain", 2, "week"),),
        conditions=("hypertension",),
        vitals={"sbp": 138, "dbp": 84, "hr": 76, "rr": 16, "temp_c": 36.8, "spo2": 97, "weight_kg": 64},
        diagnosis="Joint pain",
        medicines=(CaseMedicine("F001", "1", "BD", 5),),
        advice="Warm compress; walk a little every day.",
    ),
    Case(
        name="गीता देवी",
        gender="female",
        age_years=45,
        village="उदाहरण नगर",
        relative_name="मोहन",
        complaints=(CaseComplaint("headache", 1),),
        vitals={"sbp": 124, "dbp": 80, "hr": 72, "rr": 16, "temp_c": 36.7, "spo2": 99, "weight_kg": 58},
        diagnosis="Headache",
        medicines=(CaseMedicine("F001", "1", "SOS", 2),),
        advice="Rest in a dark room; come back if it grows worse.",
    ),
)

_GIVEN: Final = ("अनीता", "रेखा", "सीमा", "मोहन", "राजू", "विकास", "Kavita", "Imran", "Suresh", "Meena")
_SECOND: Final = ("कुमारी", "देवी", "कुमार", "प्रसाद", "Demo", "Namuna", "Sample")
_VILLAGES: Final = ("नमूनापुर", "कल्पनापुर", "परीक्षा टोला", "उदाहरण नगर", "नया डेमो टोला")


def load_case(path: Path) -> Case:
    """A case from a JSON file. Raises msgspec.ValidationError, OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Case)


def draw_case(rng: random.Random) -> Case:
    """A fresh person with the illness of one of the samples; names and villages are drawn apart from it."""
    base = rng.choice(SAMPLES)
    return msgspec.structs.replace(
        base,
        name=f"{rng.choice(_GIVEN)} {rng.choice(_SECOND)}",
        age_years=rng.randrange(20, 60),
        village=rng.choice(_VILLAGES),
        mobile=f"5550{rng.randrange(10**6):06d}",
    )


def person(case: Case) -> Json:
    """``Person`` as the API takes it."""
    return {
        "name": case.name,
        "gender": case.gender,
        "village": case.village,
        "age": {"value": case.age_years, "unit": "years"},
        "relative_name": case.relative_name,
        "mobile": case.mobile,
    }


def vitals(case: Case) -> Json:
    """``Vitals`` as the API takes it."""
    readings: list[Json] = [{"vital": vital, "value": value} for vital, value in case.vitals.items()]
    return {"readings": readings, "avpu": case.avpu, "oxygen": False}


def history(case: Case) -> Json:
    """``History`` as the API takes it; women are asked for pregnancy and delivery, and say no."""
    asked = False if case.gender == "female" else None
    return {"conditions": list(case.conditions), "pregnant": asked, "post_partum": asked}


def draft(case: Case, **more: Json) -> dict[str, Json]:
    """The doctor's draft prescription as the hub's API takes it."""
    medicines: list[Json] = [msgspec.to_builtins(line) for line in case.medicines]
    made: dict[str, Json] = {
        "diagnosis": case.diagnosis,
        "diagnosis_code": case.diagnosis_code,
        "provisional": True,
        "medicines": medicines,
        "advice": case.advice,
        "warn_signs_told": True,
        "allergy_acknowledged": True,
        "allergies_seen": list(case.allergies),
    }
    return made | more

"""People, visits and answers for the model's tests. Pure; time is a constant."""

import msgspec

from edge.model import events as ev
from edge.model.clock import Instant
from edge.model.decide import Actor, NodeState
from edge.model.fold import Patient, Visit, fold_visit
from edge.model.ids import make_id
from edge.model.records import Age, AgeUnit, Gender, Guardian, History, Person, Reading, Role, Vitals
from edge.model.triage import signs_to_ask

NOW_MS = 1_795_500_000_000
NOW = Instant(NOW_MS)
ANM = Actor("anm1", Role.ANM)
RANDOM = bytes(range(16))
ADULT = 10_000
"""Days: 27 years."""


def an_id(number: int) -> str:
    return make_id(number.to_bytes(10, "big"))


COMMAND = an_id(1)
PATIENT = an_id(2)
VISIT = an_id(3)
GUARDIAN = Guardian("Sita Devi", "mother")


def person(years: int = 30, gender: Gender = Gender.MALE, unit: AgeUnit = AgeUnit.YEARS) -> Person:
    return Person("Asha Kumari", gender, "Rampur", Age(years, unit))


def patient(years: int = 30, gender: Gender = Gender.MALE, unit: AgeUnit = AgeUnit.YEARS) -> Patient:
    return Patient(PATIENT, "BR01-000001", person(years, gender, unit), NOW_MS)


def readings(**values: float) -> tuple[Reading, ...]:
    return tuple(Reading(vital, value) for vital, value in values.items())


NORMAL = {"hr": 80.0, "rr": 16.0, "temp_c": 37.0, "spo2": 98.0}
"""Inside every band of an adult."""


def adult_vitals(avpu: str = "A", /, **changed: float) -> Vitals:
    return Vitals(readings(**{**NORMAL, **changed}), avpu)


def nothing_present(days: int, gender: Gender, history: History | None, vitals: Vitals) -> tuple[str, ...]:
    """Answer "no" until no question is left."""
    absent: tuple[str, ...] = ()
    while left := signs_to_ask(days, gender, history, (), vitals, (), absent):
        absent = (*absent, *left)
    return absent


def visit_after(*events: ev.Event, start: Visit | None = None) -> Visit:
    """A visit of the test patient with these events folded in, one millisecond apart."""
    visit = start or fold_visit(None, ev.VisitOpened(VISIT, PATIENT, RANDOM), NOW_MS << 16, "anm1")
    assert visit is not None
    for event in events:
        visit = fold_visit(visit, event, ((visit.changed_stamp >> 16) + 1) << 16, "anm1")
        assert visit is not None
    return visit


def consented(purpose: str = "teleconsultation", given: bool = True) -> ev.ConsentRecorded:
    return ev.ConsentRecorded(VISIT, purpose, given, "spoken", "hi", "tele-1")


def state(visit: Visit | None = None, who: Patient | None = None, **changes: object) -> NodeState:
    base = NodeState("BR01", "Rampur", True, patient=who or patient(), visit=visit)
    return msgspec.structs.replace(base, **changes)

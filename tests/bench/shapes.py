"""Visits as the rules let a nurse record them, of many shapes: made by ``decide``, not by hand.

Adults, children, newborns, mothers, chronic patients, RED ones, pages of notes; with or without what follows
the token. Used to train the codec's model (``TRAINING`` words) and to try it on other words than the fixed corpus
has (``OTHER``). Deterministic; nobody here is real. Knows no link.
"""

import random
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.age import age_days
from edge.model.clock import Instant, next_stamp
from edge.model.decide import Actor, NodeState, decide
from edge.model.errors import Refusal
from edge.model.fold import Patient, Visit, fold_patient, fold_visit
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import (
    Age,
    AgeUnit,
    Allergies,
    Colour,
    Complaint,
    Gender,
    Guardian,
    History,
    Mode,
    Person,
    Reading,
    Role,
    Source,
    VisitState,
    Vitals,
)
from edge.model.reference import reference
from edge.model.triage import signs_to_ask

from .consultations import START_MS, Words

SHAPES = ("adult", "adult", "adult", "chronic", "child", "newborn", "pregnant", "red", "notes")
_DRIVERS = ("contec-v7", "contec-old", "nonin", "onetouch-ultra", "sd-codefree", "beurer-bm")
_USUAL = {
    "sbp": (88, 190),
    "dbp": (50, 118),
    "hr": (48, 150),
    "rr": (10, 44),
    "temp_c": (35.0, 40.8),
    "spo2": (84, 100),
    "weight_kg": (3, 95),
    "height_cm": (50, 180),
    "rbs_mgdl": (60, 380),
    "hb_gdl": (5, 15),
    "muac_cm": (10, 16),
}
_MEASURED = {
    "adult": ("sbp", "dbp", "hr", "rr", "temp_c", "spo2", "weight_kg"),
    "chronic": ("sbp", "dbp", "hr", "rr", "temp_c", "spo2", "weight_kg", "rbs_mgdl"),
    "child": ("hr", "rr", "temp_c", "spo2", "weight_kg", "muac_cm"),
    "newborn": ("hr", "rr", "temp_c", "weight_kg"),
    "pregnant": ("sbp", "dbp", "hr", "temp_c", "weight_kg", "hb_gdl"),
    "red": ("hr", "rr", "spo2", "sbp", "dbp"),
    "notes": ("sbp", "dbp", "hr", "rr", "temp_c", "spo2"),
}
_AGES = {"child": (AgeUnit.YEARS, 1, 14), "newborn": (AgeUnit.DAYS, 0, 28), "pregnant": (AgeUnit.YEARS, 18, 40)}


class Made(Struct, frozen=True):
    """One visit's entries."""

    shape: str
    raw: tuple[bytes, ...]


class Node:
    """A node's log of visits, one after another, as its journal would write them."""

    def __init__(self, words: Words, seed: str, *, staff: Sequence[str] = ()) -> None:
        self._words, self._rng = words, random.Random(seed)
        self._staff = tuple(staff) or (words.actor,)
        self._wall_ms = START_MS + self._rng.randrange(400) * 86_400_000 + self._rng.randrange(30_000_000)
        self._stamp = 0
        self._patients, self._serial = self._rng.randrange(3_000), self._rng.randrange(40)
        self._raw: list[bytes] = []
        self._patient: Patient | None = None
        self._visit: Visit | None = None
        self._actor = self._staff[0]

    def visit(self, shape: str = "", *, whole: bool = False) -> Made:
        """Up to its token; ``whole``: to its close, with a call and a slip."""
        rng, words = self._rng, self._words
        shape = shape or rng.choice(SHAPES)
        self._raw, self._patient, self._visit = [], None, None
        self._actor = rng.choice(self._staff)
        self._wall_ms += rng.randrange(20_000, 900_000)
        patient_id, visit_id = self._id(), self._id()
        person = self._person(shape)
        self._do(cmd.RegisterPatient(self._id(), patient_id, person))
        self._do(cmd.OpenVisit(self._id(), visit_id, patient_id))
        guardian = None
        if shape in ("child", "newborn"):
            guardian = Guardian(
                f"{rng.choice(words.given)} {rng.choice(words.family)}", rng.choice(("mother", "father"))
            )
        statement = next(one for one in reference().consent_statements if one.purpose == "teleconsultation")
        self._do(
            cmd.RecordConsent(
                self._id(), visit_id, "teleconsultation", True, "spoken", "hi", statement.version, guardian
            )
        )
        complaints = self._complaints()
        notes = " ".join(rng.choices([n for n in words.notes if n], k=rng.randrange(6, 14))) if shape == "notes" else ""
        self._do(cmd.RecordComplaints(self._id(), visit_id, complaints, notes or rng.choice(words.notes)))
        history = self._history(shape, person)
        allergies = Allergies(True) if rng.random() < 0.9 else Allergies(False, (rng.choice(("penicillin", "sulfa")),))
        self._do(cmd.RecordHistory(self._id(), visit_id, history, allergies))
        present, absent = self._signs(shape, person, history, complaints)
        self._do(cmd.AnswerSigns(self._id(), visit_id, present, absent))
        self._do(cmd.RecordVitals(self._id(), visit_id, self._vitals(shape)))
        self._do(cmd.IssueToken(self._id(), visit_id))
        if whole:
            self._rest(visit_id)
        return Made(shape, tuple(self._raw))

    def _rest(self, visit_id: str) -> None:
        rng = self._rng
        self._wall_ms += rng.randrange(30_000, 1_200_000)
        self._do(cmd.MoveVisit(self._id(), visit_id, VisitState.IN_CALL))
        began_ms = self._wall_ms
        self._wall_ms += rng.randrange(60_000, 600_000)
        seconds = (self._wall_ms - began_ms) / 1000
        held = ev.CallHeld(
            visit_id,
            self._id(),
            rng.choice(("dr1", "asha", "anil")),
            began_ms,
            self._wall_ms,
            round(seconds * rng.random(), 1),
            round(seconds * 0.97, 1),
            round(rng.random() * 3, 2),
            rng.choice((Mode.VIDEO, Mode.VIDEO, Mode.AUDIO)),
            "node",
            rng.choice(("hung_up", "bye", "failed", "")),
        )
        prescription_id = self._id()
        self._write([held], "")
        self._write([ev.PrescriptionStored(visit_id, prescription_id)], "")
        self._wall_ms += rng.randrange(10_000, 200_000)
        self._write([ev.SlipPrinted(visit_id, prescription_id, "pdf", 1)], self._actor)
        self._wall_ms += rng.randrange(5_000, 100_000)
        self._write([ev.VisitClosed(visit_id, VisitState.COMPLETED, True)], self._actor)

    def audit(self, count: int) -> tuple[bytes, ...]:
        """An audit stream: the start of a run, and who looked at what."""
        rng = self._rng
        self._raw = []
        self._write([ev.RunStarted("upkendra-node 0.1.0", 1)], "")
        for _ in range(count):
            self._wall_ms += rng.randrange(600_000)
            said = rng.choice((("login", ""), ("read_visit", self._id()), ("read_patient", self._id())))
            self._write([ev.Accessed(*said)], rng.choice(self._staff))
        return tuple(self._raw)

    def _id(self) -> str:
        return make_id(self._rng.randbytes(ID_BYTES))

    def _do(self, command: cmd.Command) -> None:
        self._wall_ms += self._rng.randrange(3_000, 50_000)
        state = NodeState(
            self._words.site, self._words.site, True, False, self._patient, self._visit, self._patients, self._serial
        )
        actor = Actor(self._actor, Role.ANM)
        said = decide(state, command, Instant(self._wall_ms), actor, self._rng.randbytes(16))
        if not isinstance(said, Refusal):
            self._write(said, self._actor)

    def _write(self, events: Sequence[ev.Event], actor: str) -> None:
        for event in events:
            self._stamp = next_stamp(self._stamp, self._wall_ms)
            self._raw.append(msgspec.msgpack.encode(ev.entry_of(event, self._stamp, actor)))
            if isinstance(event, ev.PatientRegistered):
                self._patient = fold_patient(None, event, self._wall_ms)
                self._patients += 1
            elif ev.visit_of(event):
                self._visit = fold_visit(self._visit, event, self._stamp, actor)
            if isinstance(event, ev.TokenIssued):
                self._serial = event.serial

    def _person(self, shape: str) -> Person:
        rng, words = self._rng, self._words
        unit, low, high = _AGES.get(shape, (AgeUnit.YEARS, 16, 88))
        gender = Gender.FEMALE if shape == "pregnant" else rng.choice((Gender.MALE, Gender.FEMALE, Gender.FEMALE))
        born = f"{rng.randrange(1940, 2005)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        dated = shape == "adult" and rng.random() < 0.1
        return Person(
            f"{rng.choice(words.given)} {rng.choice(words.family)}",
            gender,
            rng.choice(words.villages),
            None if dated else Age(rng.randrange(low, high), unit),
            born if dated else "",
            rng.choice(words.given) if rng.random() < 0.8 else "",
            f"5550{rng.randrange(10**6):06d}" if rng.random() < 0.7 else "",
            rng.choice(("", "", "", "son")),
        )

    def _complaints(self) -> tuple[Complaint, ...]:
        rng = self._rng
        codes = [item.id for item in reference().complaints if item.id != "other"]
        return tuple(
            Complaint(
                code,
                "",
                rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 7, 10, 15)),
                rng.choice(("day", "day", "day", "week", "month", "hour")),
                rng.choice((0, 0, 0, rng.randrange(1, 11))),
            )
            for code in rng.sample(codes, rng.choice((1, 1, 2, 2, 3, 4)))
        )

    def _history(self, shape: str, person: Person) -> History:
        rng = self._rng
        chance = 0.25 if shape == "chronic" else 0.04
        conditions = tuple(item.id for item in reference().conditions if rng.random() < chance)
        medicines = rng.choice(self._words.notes) if conditions else ""
        woman = person.gender is Gender.FEMALE and shape not in ("child", "newborn")
        if shape == "pregnant":
            return History(conditions, medicines, "", True, rng.randrange(6, 41), False)
        return History(conditions, medicines, "", False if woman else None, None, False if woman else None)

    def _signs(
        self, shape: str, person: Person, history: History, complaints: tuple[Complaint, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        rng = self._rng
        asked = tuple(sign.id for sign in reference().signs)
        days = age_days(person, self._wall_ms, self._wall_ms) or 0
        if rng.random() < 0.5:
            asked = signs_to_ask(days, person.gender, history, complaints, Vitals())[:100]
        chance = 0.06 if shape == "red" else 0.006
        present = tuple(sign for sign in asked if rng.random() < chance)
        return present, tuple(sign for sign in asked if sign not in present)

    def _vitals(self, shape: str) -> Vitals:
        rng = self._rng
        readings: list[Reading] = []
        not_done: list[str] = []
        for vital in _MEASURED[shape]:
            low, high = _USUAL[vital]
            if rng.random() < 0.07:
                not_done.append(vital)
                continue
            middle = rng.triangular(low, high, low + (high - low) * 0.4)
            exact = vital in ("temp_c", "hb_gdl", "muac_cm") or (vital == "weight_kg" and rng.random() < 0.3)
            device = rng.random() < 0.12
            place = len(readings) + self._wall_ms // 1000
            frame = bytes((1, 0xE0, 0x85, 0x80 | place * 37 & 0x7F, 0x96, 0x80 | int(middle) & 0x7F, 0xE1, 0xFF, 0xFF))
            source = Source(_DRIVERS[place % len(_DRIVERS)], frame) if device else None
            readings.append(
                Reading(
                    vital,
                    round(middle, 1) if exact else float(round(middle)),
                    "device" if device else "manual",
                    "oximeter" if device else "",
                    f"{rng.randrange(10**6):06d}" if device else "",
                    "good" if device else "",
                    self._wall_ms - rng.randrange(9_000) if device else 0,
                    rng.random() < 0.3,
                    source,
                )
            )
        avpu = rng.choice(("A", "A", "V", "P")) if shape == "red" else rng.choice("AAAAAAAAAAV")
        return Vitals(tuple(readings), avpu, rng.random() < 0.1, tuple(not_done))


def colours(made: Made) -> set[Colour]:
    """Colours that the visit had, for a report of what was measured."""
    found = set()
    for raw in made.raw:
        event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
        if isinstance(event, ev.Triaged):
            found.add(event.result.colour)
    return found

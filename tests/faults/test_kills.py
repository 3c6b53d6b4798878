"""kill -9 of node or hub at seeded random moments of a visit: what was answered stays, once."""

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.kits.cases import Case, draw_case
from tests.kits.client import ApiError, Client, Json, dig, items, text
from tests.kits.clinic import Clinic, Server, wait_until
from tests.kits.visit import DoctorVisit, NurseVisit

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(180)]

T = TypeVar("T")
PATIENCE_S = 60.0
JOURNEY_S = 3.0
"""About how long an undisturbed visit takes; the kill falls somewhere in it."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("kills")) as made:
        yield made


class Stubborn:
    """A person who tries again when a server went away, and logs in again when asked to.

    An answered step is never asked again: whatever is missing later was lost by us.
    """

    def __init__(self, client: Client, log_in: Callable[[Client], None]) -> None:
        self.client = client
        self._log_in = log_in

    def do(self, step: Callable[[Client], T]) -> T:
        """The answer of a step, however often it takes within a minute."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return step(self.client)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(0.05)
            except ApiError as error:
                if error.status not in (401, 423, 503) or time.monotonic() > give_up_s:
                    raise
                self._try_log_in()

    def _try_log_in(self) -> None:
        try:
            self._log_in(self.client)
        except (OSError, http.client.HTTPException, ApiError):
            time.sleep(0.1)


class Killer(threading.Thread):
    """Kills a server after a while, as a power cut would, and starts it again."""

    def __init__(self, server: Server, after_s: float, dark_s: float) -> None:
        super().__init__()
        self._server = server
        self._after_s = after_s
        self._dark_s = dark_s
        self.failure = ""

    def run(self) -> None:
        time.sleep(self._after_s)
        self._server.kill()
        time.sleep(self._dark_s)
        try:
            self._server.start()
        except Exception as error:
            self.failure = str(error)


@pytest.fixture(scope="module")
def doctor(clinic: Clinic) -> Stubborn:
    return Stubborn(clinic.doctor_client(), clinic.log_in_doctor)


def go_through(clinic: Clinic, doctor: Stubborn, seed: int) -> None:
    rng = random.Random(seed)
    victim = rng.choice([clinic.node, clinic.hub])
    killer = Killer(victim, rng.uniform(0, JOURNEY_S), rng.uniform(0, 1))

    def log_in_nurse(client: Client) -> None:
        clinic.unlock(client)
        clinic.log_in_nurse(client)

    nurse = Stubborn(clinic.node_client(), log_in_nurse)
    visit = NurseVisit(draw_case(rng))
    at_hub = DoctorVisit(visit)

    def seen_at_hub(ask: Callable[[Client], T]) -> T:
        """What the doctor is told while the nurse has her page open: a node that was cut off is unlocked again."""
        nurse.do(visit.page)
        return doctor.do(ask)

    reference = nurse.do(lambda client: client.get("/api/reference"))
    killer.start()
    try:
        answers = {name: nurse.do(step) for name, step in visit.steps(reference)}
        token = text(answers["token"], "visit", "token")
        wait_until(lambda: seen_at_hub(at_hub.in_queue), "the visit in the hub's queue", PATIENCE_S)
        doctor.do(at_hub.take)
        signed = doctor.do(lambda client: at_hub.sign(client, clinic.doctor.password))
        wait_until(lambda: bool(nurse.do(visit.prescriptions)), "the prescription at the node", PATIENCE_S)
        arrived = text(nurse.do(visit.prescriptions), 0, "prescription_id")
        nurse.do(lambda client: visit.confirm_printed(client, arrived))
        nurse.do(visit.close)
        wait_until(lambda: seen_at_hub(at_hub.is_printed), "the mark of the printer at the hub", PATIENCE_S)
    finally:
        killer.join()
    assert killer.failure == ""
    assert arrived == signed
    check_record(dig(nurse.do(visit.page), "visit"), visit.case, token)

    def is_closed() -> bool:
        return dig(seen_at_hub(at_hub.page), "visit", "state") == "completed"

    wait_until(is_closed, "the close at the hub", PATIENCE_S)
    check_record(dig(doctor.do(at_hub.page), "visit"), visit.case, token)
    found = items(nurse.do(lambda client: client.get(f"/api/patients?q={visit.case.mobile}")), "items")
    assert [text(one, "patient_id") for one in found] == [visit.patient_id]
    nurse.client.close()


def check_record(record: Json, case: Case, token: str) -> None:
    """Every part of the visit is there, and there once."""
    assert text(record, "token") == token
    assert text(record, "state") == "completed"
    assert [text(one, "purpose") for one in items(record, "consents")] == ["teleconsultation"]
    assert [dig(one, "code") for one in items(record, "complaints")] == [one.code for one in case.complaints]
    assert len(items(record, "vitals")) == 1
    readings = items(record, "vitals", 0, "vitals", "readings")
    assert {text(one, "vital"): dig(one, "value") for one in readings} == case.vitals
    assert dig(record, "allergies", "none_known") is True
    assert len(items(record, "prescriptions")) == 1
    assert dig(record, "prescriptions", 0, "copies") == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_kill_at_any_moment_loses_and_doubles_nothing(clinic: Clinic, doctor: Stubborn, seed: int) -> None:
    go_through(clinic, doctor, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 100))
def test_ninety_more_kills_lose_and_double_nothing(clinic: Clinic, doctor: Stubborn, seed: int) -> None:
    go_through(clinic, doctor, seed)


def test_nothing_that_either_log_says_names_a_patient(clinic: Clinic, doctor: Stubborn) -> None:
    case = draw_case(random.Random("names in logs"))
    nurse = clinic.nurse_client()
    visit = NurseVisit(case)
    visit.run(nurse)
    DoctorVisit(visit).wait_in_queue(doctor.client)
    doctor.do(DoctorVisit(visit).page)
    nurse.close()
    logs = (clinic.folder / "hub.log").read_text() + (clinic.folder / "node.log").read_text()
    secrets = [case.name, case.mobile, case.village, clinic.nurse.pin, clinic.nurse.badge, clinic.doctor.password]
    assert [secret for secret in secrets if secret in logs] == []

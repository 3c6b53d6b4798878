"""A client that knows nothing but ``/openapi.json`` takes a patient from registration to the slip.

Each request and each answer is held against the document that the server gave about itself.
"""

import json
import random
import re
from collections.abc import Iterator
from typing import cast

import jsonschema_rs
import pytest

from tests.kits.cases import draw_case
from tests.kits.client import ApiError, Client, Json, dig, text
from tests.kits.clinic import Clinic, wait_until
from tests.kits.visit import DoctorVisit, NurseVisit

pytestmark = [pytest.mark.serial, pytest.mark.timeout(120)]


class Described(Client):
    """A client that holds every request and answer against the server's own description."""

    document: dict[str, Json]

    def learn(self) -> None:
        """Read the description."""
        status, content = super().raw("GET", "/openapi.json")
        assert status == 200
        self.document = json.loads(content)

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        operation = self._operation(method, path)
        if body is not None:
            self._check(dig(operation, "requestBody", "content", "application/json", "schema"), body)
        status, content = super().raw(method, path, body, headers)
        responses = dig(operation, "responses")
        assert isinstance(responses, dict)
        assert str(status) in responses, f"{method} {path} answered {status}, which is not described"
        described = dig(responses, str(status))
        kinds = described.get("content", {}) if isinstance(described, dict) else {}
        if isinstance(kinds, dict) and "application/json" in kinds:
            self._check(dig(kinds, "application/json", "schema"), content)
        return status, content

    def _operation(self, method: str, path: str) -> Json:
        plain = path.partition("?")[0]
        paths = dig(self.document, "paths")
        assert isinstance(paths, dict)
        for template, operations in paths.items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, plain) and isinstance(operations, dict) and method.lower() in operations:
                return operations[method.lower()]
        raise AssertionError(f"{method} {plain} is not described")

    def _check(self, schema: Json, content: bytes) -> None:
        assert isinstance(schema, dict)
        whole = {**schema, "components": self.document.get("components", {})}
        jsonschema_rs.validator_for(cast(dict[str, object], whole)).validate(json.loads(content))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("outside")) as made:
        yield made


@pytest.fixture
def nurse(clinic: Clinic) -> Iterator[Described]:
    client = Described(clinic.node.url)
    client.learn()
    clinic.unlock(client)
    clinic.log_in_nurse(client)
    yield client
    client.close()


@pytest.fixture(scope="module")
def doctor(clinic: Clinic) -> Iterator[Described]:
    client = Described(clinic.hub.url)
    client.learn()
    clinic.log_in_doctor(client)
    yield client
    client.close()


def test_an_outside_client_completes_a_consultation(nurse: Described, doctor: Described) -> None:
    visit = NurseVisit(draw_case(random.Random(77)))
    token = visit.run(nurse)
    at_hub = DoctorVisit(visit)
    at_hub.wait_in_queue(doctor)
    at_hub.take(doctor)
    assert dig(at_hub.check(doctor), "denials") == []
    prescription_id = at_hub.sign(doctor)
    assert visit.wait_for_prescription(nurse) == prescription_id
    assert visit.slip(nurse, prescription_id).startswith(b"%PDF")
    visit.confirm_printed(nurse, prescription_id)
    assert text(visit.close(nurse), "visit", "state") == "completed"
    wait_until(lambda: at_hub.is_printed(doctor), "the mark of the printer at the hub")
    assert text(at_hub.page(doctor), "visit", "token") == token


def test_the_same_command_sent_twice_is_recorded_once(nurse: Described) -> None:
    visit = NurseVisit(draw_case(random.Random(78)))
    answers = [step(nurse) for _, step in visit.steps(nurse.get("/api/reference")) for _ in range(2)]
    for first, again in zip(answers[::2], answers[1::2], strict=True):
        assert dig(first, "events") == dig(again, "events")
    page = visit.page(nurse)
    assert len(cast(list[Json], dig(page, "visit", "vitals"))) == 1
    assert text(page, "visit", "token") == text(answers[-1], "visit", "token")


def test_signing_twice_with_one_command_gives_one_prescription(nurse: Described, doctor: Described) -> None:
    visit = NurseVisit(draw_case(random.Random(79)))
    visit.run(nurse)
    at_hub = DoctorVisit(visit)
    at_hub.wait_in_queue(doctor)
    at_hub.take(doctor)
    assert at_hub.sign(doctor) == at_hub.sign(doctor)
    visit.wait_for_prescription(nurse)
    assert len(visit.prescriptions(nurse)) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/commands", b"{", 400, "bad_input"),
        ("/api/commands", b'{"type":"no_such_thing"}', 400, "bad_input"),
        ("/api/commands", b'{"type":"issue_token","command_id":5,"visit_id":"x"}', 400, "bad_input"),
        ("/api/commands", b"[" * 100_000, 400, "bad_input"),
        ("/api/commands", b" " * 5_000_000, 413, "too_large"),
    ],
)
def test_bad_input_gets_a_typed_refusal(
    clinic: Clinic, nurse: Described, path: str, body: bytes, status: int, code: str
) -> None:
    plain = clinic.nurse_client()
    answered, content = plain.raw("POST", path, body)
    assert (answered, json.loads(content)["code"]) == (status, code)
    plain.close()


def test_a_wrong_pin_is_refused_without_saying_more(clinic: Clinic) -> None:
    client = clinic.node_client()
    clinic.unlock(client)
    wrong = f"{(int(clinic.nurse.pin) + 1) % 10**6:06d}"
    with pytest.raises(ApiError) as caught:
        client.post("/api/session", {"staff_id": clinic.nurse.staff_id, "pin": wrong})
    assert caught.value.status == 401
    client.close()

"""The journey of one visit over HTTP alone, step by step, so that a test may stop anywhere in it.

Written as an outsider would: ids made here, JSON as ``/openapi.json`` has it. Every step may be
asked again after a lost answer, because a command that is sent twice is recorded once.
"""

import secrets
from collections.abc import Callable

from tests.kits import cases
from tests.kits.cases import Case
from tests.kits.client import ApiError, Client, Json, dig, items, text
from tests.kits.clinic import wait_until

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def fresh_id() -> str:
    """80 random bits in Crockford base32, as ``Id`` of the API wants them."""
    number = secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(75, -1, -5))


class NurseVisit:
    """What a nurse does for one patient, as commands to the node."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.patient_id = fresh_id()
        self.visit_id = fresh_id()
        self._ids: dict[str, str] = {}

    def command(self, client: Client, kind: str, **fields: Json) -> Json:
        """Send one command; the same kind keeps its id, so that sending again is not saying twice."""
        command_id = self._ids.setdefault(kind, fresh_id())
        return client.post("/api/commands", {"type": kind, "command_id": command_id, **fields})

    def steps(self, reference: Json) -> list[tuple[str, Callable[[Client], Json]]]:
        """Everything from registration to the token, in order, each under its name."""
        case, visit = self.case, {"visit_id": self.visit_id}
        present = list(case.signs_present)
        absent: list[Json] = [
            text(sign, "id") for sign in items(reference, "signs") if text(sign, "id") not in case.signs_present
        ]
        complaints: list[Json] = [
            {"code": one.code, "duration": one.duration, "duration_unit": one.unit} for one in case.complaints
        ]
        allergies: Json = {"none_known": not case.allergies, "items": list(case.allergies)}
        versions = {text(one, "purpose"): text(one, "version") for one in items(reference, "consent_statements")}

        def consent(client: Client) -> Json:
            return self.command(
                client,
                "record_consent",
                **visit,
                purpose="teleconsultation",
                given=True,
                method="spoken",
                language="hi",
                statement_version=versions["teleconsultation"],
            )

        return [
            (
                "register",
                lambda c: self.command(c, "register_patient", patient_id=self.patient_id, person=cases.person(case)),
            ),
            ("open", lambda c: self.command(c, "open_visit", **visit, patient_id=self.patient_id)),
            ("consent", consent),
            (
                "complaint",
                lambda c: self.command(c, "record_complaints", **visit, complaints=complaints, notes=case.notes),
            ),
            (
                "history",
                lambda c: self.command(c, "record_history", **visit, history=cases.history(case), allergies=allergies),
            ),
            ("signs", lambda c: self.command(c, "answer_signs", **visit, present=list(present), absent=absent)),
            ("vitals", lambda c: self.command(c, "record_vitals", **visit, vitals=cases.vitals(case))),
            ("token", lambda c: self.command(c, "issue_token", **visit)),
        ]

    def run(self, client: Client) -> str:
        """All steps; the token."""
        reference = client.get("/api/reference")
        answer: Json = None
        for _, step in self.steps(reference):
            answer = step(client)
        return text(answer, "visit", "token")

    def page(self, client: Client) -> Json:
        """The visit as the node shows it: ``{visit, patient, …}``."""
        return client.get(f"/api/visits/{self.visit_id}")

    def prescriptions(self, client: Client) -> list[Json]:
        """What has arrived at the node."""
        return items(self.page(client), "visit", "prescriptions")

    def wait_for_prescription(self, client: Client, timeout_s: float = 30) -> str:
        """Wait until a prescription is at the node; its id. Raises ClinicError."""
        wait_until(lambda: len(self.prescriptions(client)) > 0, "the prescription at the node", timeout_s)
        return text(self.prescriptions(client), 0, "prescription_id")

    def slip(self, client: Client, prescription_id: str) -> bytes:
        """The PDF. Raises ApiError."""
        path = f"/api/visits/{self.visit_id}/prescriptions/{prescription_id}/slip.pdf"
        status, content = client.raw("GET", path)
        if status != 200:
            raise ApiError(status, content)
        return content

    def confirm_printed(self, client: Client, prescription_id: str) -> Json:
        """Say that the slip lies on the table."""
        return self.command(
            client, "confirm_printed", visit_id=self.visit_id, prescription_id=prescription_id, printer="pdf", copies=1
        )

    def close(self, client: Client) -> Json:
        """Close the visit as completed."""
        return self.command(client, "close_visit", visit_id=self.visit_id, outcome="completed", explained=True)


class DoctorVisit:
    """What a doctor does for that visit, at the hub."""

    def __init__(self, visit: NurseVisit) -> None:
        self.visit_id = visit.visit_id
        self.case = visit.case
        self._sign_id = fresh_id()

    def in_queue(self, client: Client) -> bool:
        """Whether the hub's queue shows the visit."""
        found = items(client.get("/api/queue"), "items")
        return any(text(line, "visit", "visit_id") == self.visit_id for line in found)

    def wait_in_queue(self, client: Client, timeout_s: float = 30) -> float:
        """Wait for it; the seconds it took. Raises ClinicError."""
        return wait_until(lambda: self.in_queue(client), "the visit in the hub's queue", timeout_s)

    def page(self, client: Client) -> Json:
        """The record as the hub shows it."""
        return client.get(f"/api/visits/{self.visit_id}")

    def take(self, client: Client) -> Json:
        """Open and take it."""
        self.page(client)
        return client.post(f"/api/visits/{self.visit_id}/take")

    def check(self, client: Client) -> Json:
        """What the rules say about the draft, in the mode of a text consultation."""
        body = {"draft": cases.draft(self.case, declared_mode="text")}
        return client.post(f"/api/visits/{self.visit_id}/check", body)

    def sign(self, client: Client, password: str = "") -> str:
        """Sign the prescription; its id. Sent again it is signed once."""
        body: dict[str, Json] = {
            "command_id": self._sign_id,
            "draft": cases.draft(self.case, declared_mode="text"),
            "password": password,
        }
        return text(client.post(f"/api/visits/{self.visit_id}/sign", body), "prescription_id")

    def is_printed(self, client: Client) -> bool:
        """Whether the hub has heard that the slip was printed."""
        for prescription in items(self.page(client), "visit", "prescriptions"):
            if dig(prescription, "printed_ms"):
                return True
        return False

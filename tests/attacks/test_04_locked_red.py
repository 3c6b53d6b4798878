"""Attack 4: a locked node without anybody who could open it. A RED case is answered and printed; clean merge at unlock.

Against a hub and a node of their own processes.
"""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from edge.model.ids import ID_BYTES, make_id
from tests.attacks.ground import PATIENCE_S, WholeVisit, drained
from tests.kits.client import Client, Json, dig, items, text
from tests.kits.clinic import ROOT, Clinic, wait_until
from tests.kits.visit import DoctorVisit

pytestmark = [pytest.mark.serial, pytest.mark.timeout(240)]


def new_id() -> str:
    return make_id(secrets.token_bytes(ID_BYTES))


class LockedCase:
    """An emergency at a tablet on which nobody has logged in."""

    def __init__(self, tablet: Client) -> None:
        self.tablet, self.visit_id, self._key = tablet, "", secrets.token_hex(16)

    def open(self) -> str:
        body: dict[str, Json] = {"case": self._key, "name": "अज्ञात मरीज़", "gender": "male", "age": {"value": 55}}
        page = self.tablet.post("/api/emergency", body)
        self.visit_id = text(page, "visit", "visit_id")
        return text(page, "visit", "token")

    def say(self, kind: str, **fields: object) -> None:
        body = {"type": kind, "command_id": new_id(), "visit_id": self.visit_id, **fields}
        self.tablet.post(f"/api/emergency/{self.visit_id}/commands?case={self._key}", body)

    def page(self) -> Json:
        return self.tablet.get(f"/api/emergency/{self.visit_id}?case={self._key}")

    def slip(self, prescription_id: str) -> bytes:
        path = f"/api/emergency/{self.visit_id}/slip/{prescription_id}?case={self._key}"
        status, pdf = self.tablet.raw("GET", path)
        assert status == 200
        return pdf


def test_04_a_red_case_at_a_locked_node_is_answered_printed_and_merged(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic:
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        earlier = WholeVisit(clinic, 401)
        earlier.begin(nurse, doctor)
        clinic.node.kill()
        clinic.node.start()
        tablet = clinic.node_client()
        assert dig(tablet.get("/api/status"), "locked") is True
        case = LockedCase(tablet)
        token = case.open()
        case.say("record_vitals", vitals={"readings": [{"vital": "spo2", "value": 81}], "avpu": "V"})
        case.say("record_history", history={}, allergies={"none_known": True})
        case.say("record_complaints", complaints=[{"code": "other", "text": "fell from a roof"}])
        wait_until(lambda: dig(case.page(), "at_hub") is True, "the case at the hub", PATIENCE_S)
        queue = items(doctor.get("/api/queue"), "items")
        assert text(queue[0], "visit", "visit_id") == case.visit_id, "RED stands above everybody"
        side = DoctorVisit(earlier.nurse_side)
        side.visit_id = case.visit_id
        side.take(doctor)
        draft: dict[str, Json] = {
            "diagnosis": "Head injury",
            "diagnosis_code": "",
            "provisional": True,
            "medicines": [],
            "advice": "Keep the neck still; send to the district hospital now",
            "warn_signs_told": True,
            "allergy_acknowledged": True,
            "declared_mode": "text",
            "referral": {"to": "District hospital", "urgency": "now", "reason": "Head injury"},
        }
        body: dict[str, Json] = {"command_id": new_id(), "draft": draft, "password": clinic.doctor.password}
        signed = text(doctor.post(f"/api/visits/{case.visit_id}/sign", body), "prescription_id")
        wait_until(lambda: items(case.page(), "visit", "prescriptions") != [], "the answer, while locked", PATIENCE_S)
        (answer,) = items(case.page(), "visit", "prescriptions")
        assert text(answer, "prescription_id") == signed
        assert dig(tablet.get("/api/status"), "locked") is True
        pdf = tmp_path / "slip.pdf"
        pdf.write_bytes(case.slip(signed))
        command = [sys.executable, "-m", "edge.node", "verify-slip", str(pdf), "--data", str(clinic.node_data)]
        checked = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=True)
        assert json.loads(checked.stdout)["prescription_id"] == signed
        case.say("confirm_printed", prescription_id=signed)

        def is_printed_at_hub() -> bool:
            (one,) = items(dig(doctor.get(f"/api/visits/{case.visit_id}"), "visit"), "prescriptions")
            return dig(one, "printed_ms") != 0

        wait_until(is_printed_at_hub, "the print at the hub", PATIENCE_S)
        clinic.unlock(tablet)
        clinic.log_in_nurse(tablet)
        drained(tablet)
        rows = [row for row in items(tablet.get("/api/queue"), "items") if text(row, "visit", "token")]
        tokens = [text(row, "visit", "token") for row in rows]
        assert len(set(tokens)) == len(tokens) and {token, earlier.token} <= set(tokens)
        page = dig(tablet.get(f"/api/visits/{case.visit_id}"), "visit")
        assert len(items(page, "vitals")) == 1 and text(page, "token") == token
        (one,) = items(page, "prescriptions")
        assert dig(one, "printed_ms") != 0 and dig(one, "stored_ms") != 0
        at_hub = dig(doctor.get(f"/api/visits/{case.visit_id}"), "visit")
        assert len(items(at_hub, "vitals")) == 1 and len(items(at_hub, "prescriptions")) == 1
        assert b"fork" not in (tmp_path / "hub.log").read_bytes()

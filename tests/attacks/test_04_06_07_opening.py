"""Attacks 4, 6, 7 and 8 on what opens a node: a hub and a node of their own processes, one clinic for the whole file.

A RED case at a node that nobody can open; card and tablet after the close of day, and the sixth wrong PIN in the day; a
stolen node with its SIM. The tests run in this order: the last one revokes the node.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.model.ids import ID_BYTES, make_id
from edge.node.config import DAY_FILE
from edge.node.dayslots import DaySlot
from edge.node.unlock import Slot, Slots, _unwrap
from tests.attacks.ground import PATIENCE_S, WholeVisit, copy_card, drained
from tests.kits.client import Client, Json, dig, items, text
from tests.kits.clinic import ROOT, Clinic, wait_until
from tests.kits.visit import DoctorVisit
from tests.node.kit import contents

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("opening")) as made:
        yield made


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


def test_04_a_red_case_at_a_locked_node_is_answered_printed_and_merged(clinic: Clinic, tmp_path: Path) -> None:
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
    assert b"fork" not in (clinic.folder / "hub.log").read_bytes()


def is_locked(client: Client) -> bool:
    return dig(client.get("/api/status"), "locked") is True


def slots_on(card: Path) -> list[Slot]:
    """Every slot that lies on a card, the day's too."""
    day = msgspec.json.decode((card / DAY_FILE).read_bytes(), type=tuple[DaySlot, ...])
    return [*Slots(card).load(), *(one.slot for one in day)]


def opened_by(card: Path, tablet: bytes, pin: str) -> set[str]:
    """Kinds of the slots that somebody with a card, a tablet's secret and the PIN opens without our program."""

    slots = slots_on(card)

    async def each() -> set[str]:
        return {slot.kind for slot in slots if await _unwrap(slot, tablet, pin) is not None}

    return asyncio.run(each())


def unlock_by_tablet(clinic: Clinic, tablet: bytes, pin: str) -> tuple[int, str]:
    """Status and code of the answer to a tablet."""
    body = json.dumps({"tablet": tablet.hex(), "age_s": 60, "pin": pin}).encode()
    status, reply = clinic.node_client().raw("POST", "/api/tablet/unlock", body)
    return status, json.loads(reply).get("code", "")


def test_07_and_08_a_tablet_opens_the_node_by_its_pin_until_the_close_of_day(clinic: Clinic, tmp_path: Path) -> None:
    tablet, lost = secrets.token_bytes(32), secrets.token_bytes(32)
    pin, wrong = clinic.nurse.pin, str(10**6 - 1 - int(clinic.nurse.pin)).zfill(6)
    client = clinic.node_client()
    clinic.unlock(client)
    for secret in (lost, tablet):
        body = {"staff_id": clinic.nurse.staff_id, "pin": pin, "tablet": secret.hex()}
        client.csrf = text(client.post("/api/session", body), "csrf")
    clinic.node.kill()
    noon = tmp_path / "noon"
    copy_card(clinic.node_data, noon)
    assert opened_by(noon, tablet, pin) == {"day"}, "what is tried below must work in the day"
    assert opened_by(noon, tablet, wrong) == set()
    clinic.node.start()
    assert [unlock_by_tablet(clinic, lost, wrong)[0] for _ in range(5)] == [401] * 5
    clinic.node.kill()
    clinic.node.start()
    assert unlock_by_tablet(clinic, lost, pin) == (429, "too_many_attempts")
    assert unlock_by_tablet(clinic, tablet, pin) == (200, "")
    client = clinic.node_client()
    clinic.log_in_nurse(client)
    pid = clinic.node.pid
    assert dig(client.post("/api/day/close", {}), "erased") == 2
    gone = (409, "day_slot_gone")
    wait_until(lambda: unlock_by_tablet(clinic, tablet, pin) == gone, "the new process's refusal", 60)
    assert is_locked(clinic.node_client())
    assert clinic.node.pid == pid, "the same process, with another memory"
    clinic.node.kill()
    night = tmp_path / "night"
    copy_card(clinic.node_data, night)
    assert opened_by(night, tablet, pin) == set()
    assert {slot.kind for slot in slots_on(night)} <= {"badge", "recovery", "hub"}
    clinic.node.start()


def coordinator(clinic: Clinic) -> Client:
    """Somebody who coordinates and treats nobody, logged in at the hub."""
    clinic.doctor = clinic.make_coordinator()
    return clinic.doctor_client()


def asking(thief: Client) -> str:
    return text(thief.get("/api/hub-unlock"), "state")


def decide(hub: Client, one: Json, password: str, *, approve: bool = True) -> int:
    body = {
        "request": text(one, "request"),
        "approve": approve,
        "why": "Asha rang from her phone",
        "password": password,
    }
    status, _ = hub.raw("POST", f"/api/unlocks/{text(one, 'node_id')}", json.dumps(body).encode())
    return status


def test_06_a_person_opens_a_locked_node_and_nobody_and_nothing_else(clinic: Clinic) -> None:
    hub, thief = coordinator(clinic), clinic.node_client()
    assert {slot.kind for slot in Slots(clinic.node_data).load()} == {"badge", "recovery", "hub"}
    assert asking(thief) == "no"
    thief.post("/api/hub-unlock", {})
    wait_until(lambda: asking(thief) == "waiting", "the hub's word", PATIENCE_S)
    (one,) = items(hub.get("/api/unlocks"), "items")
    assert decide(hub, one, "not the password") == 401
    assert is_locked(thief) and asking(thief) == "waiting", "asking opens nothing, and a page left open neither"
    assert decide(hub, one, clinic.doctor.password) == 200
    wait_until(lambda: not is_locked(thief), "an open node", PATIENCE_S)
    clinic.log_in_nurse(clinic.node_client())
    clinic.node.kill()
    clinic.node.start()
    thief = clinic.node_client()
    assert is_locked(thief)
    wait_until(lambda: dig(thief.get("/api/status"), "link", "online") is True, "the hub", PATIENCE_S)
    thief.post("/api/hub-unlock", {})
    wait_until(lambda: asking(thief) in ("waiting", "refused"), "the hub's word", PATIENCE_S)
    assert is_locked(thief), "the first act opened once"

    def asks_anew() -> bool:
        (now,) = items(hub.get("/api/unlocks"), "items")
        return text(now, "state") == "waiting" and text(now, "request") != text(one, "request")

    wait_until(asks_anew, "the second request", PATIENCE_S)
    (again,) = items(hub.get("/api/unlocks"), "items")
    clinic.command("hub", ["revoke", *clinic.hub_store, "--node", text(again, "node_id")])
    assert decide(hub, again, clinic.doctor.password) == 409
    assert items(hub.get("/api/unlocks"), "items") == []

    def is_told() -> bool:
        return dig(thief.get("/api/status"), "link", "online") is False or asking(thief) == "refused"

    wait_until(is_told, "that the hub hears it no more", PATIENCE_S)
    assert is_locked(thief)
    everything = contents(clinic.node_data) + (clinic.folder / "node.log").read_bytes()
    assert text(again, "request").encode() not in everything

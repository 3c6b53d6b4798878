"""Attack 6: a stolen node with its SIM. Without a person's act at the hub nothing opens it, after revocation nobody."""

import json
import secrets
from pathlib import Path

import pytest

from edge.node.unlock import Slots
from tests.attacks.ground import PATIENCE_S
from tests.kits.client import Client, Json, dig, items, text
from tests.kits.clinic import Clinic, Doctor, wait_until
from tests.node.kit import contents

pytestmark = [pytest.mark.serial, pytest.mark.timeout(200)]


def coordinator(clinic: Clinic) -> Client:
    """Somebody who coordinates and treats nobody, logged in at the hub."""
    password = secrets.token_urlsafe(12)
    who = ["--id", "kavita", "--name", "Kavita Demo", "--registration", "-", "--qualification", "-", "--password-stdin"]
    shown = clinic.command("hub", ["add-doctor", *clinic.hub_store, *who], stdin=password)
    clinic.command("hub", ["role", *clinic.hub_store, "--id", "kavita", "--role", "coordinator"])
    clinic.doctor = Doctor("kavita", "Kavita Demo", password, text(shown, "totp_secret"))
    return clinic.doctor_client()


def asking(thief: Client) -> str:
    return text(thief.get("/api/hub-unlock"), "state")


def is_locked(client: Client) -> bool:
    return dig(client.get("/api/status"), "locked") is True


def decide(hub: Client, one: Json, password: str, *, approve: bool = True) -> int:
    body = {
        "request": text(one, "request"),
        "approve": approve,
        "why": "Asha rang from her phone",
        "password": password,
    }
    status, _ = hub.raw("POST", f"/api/unlocks/{text(one, 'node_id')}", json.dumps(body).encode())
    return status


def test_06_a_person_opens_a_locked_node_and_nobody_and_nothing_else(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic:
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
        everything = contents(clinic.node_data) + (tmp_path / "node.log").read_bytes()
        assert text(again, "request").encode() not in everything

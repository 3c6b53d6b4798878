"""A stolen node is replaced: the new machine gets the site's records, the old one is not heard any more."""

import contextlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from edge.node.config import load_config
from tests.attacks.ground import PATIENCE_S, WholeVisit, drained
from tests.kits.client import Client, dig, items, text
from tests.kits.clinic import Clinic, Server, free_port, wait_until

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(200)]


def head_states(clinic: Clinic) -> set[str]:
    """What the hub found of the chains that nodes have signed."""
    with contextlib.closing(sqlite3.connect(clinic.hub_data / "hub.db")) as database:
        return {state for (state,) in database.execute("SELECT DISTINCT state FROM heads")}


def old_badge(clinic: Clinic) -> bytes:
    """What opened the machine that was stolen."""
    return json.dumps({"badge": clinic.nurse.badge, "pin": clinic.nurse.pin}).encode()


def test_06_a_replacement_has_the_sites_records_and_the_stolen_node_none_of_its_rights(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic:
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        before = WholeVisit(clinic, 601)
        before.run(nurse, doctor)
        drained(nurse)
        clinic.node.stop()
        stolen = tmp_path / "stolen"
        shutil.copytree(clinic.node_data, stolen, ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(clinic.node_data)
        old = load_config(stolen)
        shown = clinic.command("hub", ["replace-token", "--data", str(clinic.hub_data), "--node", old.node_id.hex()])
        data = ["--data", str(clinic.node_data)]
        hub_url = f"http://{clinic.hub_ground.address}:{clinic.hub_port()}"
        made = clinic.command("edge.node", ["enrol", *data, "--hub", hub_url, "--token", text(shown, "token")])
        assert text(made, "node_id") == old.node_id.hex()
        came_back = [(text(one, "staff_id"), text(one, "name")) for one in items(made, "staff_without_badge")]
        assert came_back == [(clinic.nurse.staff_id, clinic.nurse.name)]
        person = ["--staff", clinic.nurse.staff_id, "--pin-stdin", "--recovery-code", text(made, "recovery_code")]
        staff = clinic.command("edge.node", ["renew-badge", *data, *person], stdin="471108")
        assert text(staff, "badge") != clinic.nurse.badge
        clinic.node.start()
        fresh = clinic.node_client()
        assert fresh.raw("POST", "/api/unlock", old_badge(clinic))[0] == 401
        fresh.post("/api/unlock", {"badge": text(staff, "badge"), "pin": "471108"})
        reply = fresh.post("/api/session", {"staff_id": text(staff, "staff_id"), "pin": "471108"})
        fresh.csrf = text(reply, "csrf")

        def is_back() -> bool:
            status, _ = fresh.raw("GET", f"/api/visits/{before.nurse_side.visit_id}")
            return status == 200 and before.is_whole(dig(before.nurse_side.page(fresh), "visit"))

        wait_until(is_back, "the old visit at the new machine", PATIENCE_S)
        after = WholeVisit(clinic, 602)
        after.run(fresh, doctor)
        drained(fresh)
        assert head_states(clinic) <= {"good", "waiting"}
        command = [sys.executable, "-m", "edge.node", "serve", "--data", str(stolen), "--no-announce"]
        command += ["--http", f"127.0.0.1:{free_port()}"]
        thief = Server("thief", clinic.node_ground, command, tmp_path / "thief.log")
        thief.start()
        try:
            there = Client(thief.url, connect=clinic.node_ground.connect)
            clinic.unlock(there)
            clinic.log_in_nurse(there)
            forged = WholeVisit(clinic, 603)
            forged.nurse_side.run(there)
            WholeVisit(clinic, 604).run(fresh, doctor)
            assert not forged.doctor_side.in_queue(doctor)
            assert dig(there.get("/api/status"), "link", "online") is False
        finally:
            thief.stop()

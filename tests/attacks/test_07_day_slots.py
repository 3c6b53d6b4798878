"""Attacks 7 and 8: card and tablet after the close of day, with the right PIN, and the sixth wrong one in the day.

Against a node's own process.
"""

import asyncio
import json
import secrets
from pathlib import Path

import msgspec
import pytest

from edge.node.config import DAY_FILE
from edge.node.dayslots import DaySlot
from edge.node.unlock import Slot, Slots, _unwrap
from tests.attacks.ground import copy_card
from tests.kits.client import Client, dig, text
from tests.kits.clinic import Clinic, wait_until

pytestmark = [pytest.mark.serial, pytest.mark.timeout(150)]


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


def test_07_and_08_a_tablet_opens_the_node_by_its_pin_until_the_close_of_day(tmp_path: Path) -> None:
    tablet, lost = secrets.token_bytes(32), secrets.token_bytes(32)
    with Clinic(tmp_path) as clinic:
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
        clinic.unlock(clinic.node_client())

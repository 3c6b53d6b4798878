"""People come back to a replaced node by name alone; a badge and a PIN are made here, and somebody vouches for them."""

import asyncio
from pathlib import Path

import pytest

from edge.model.errors import NotFound, Refused
from edge.model.records import Role
from edge.node import provision
from edge.node.unlock import FREE_ATTEMPTS, Slots
from edge.node.views import Staff
from tests.node.kit import PIN, Provisioned, Served, provisioned

REKHA = Staff("rekha-1", "Rekha Kumari", "रेखा कुमारी", Role.CHO, has_pin=False)
NEW_PIN = "739164"
PATH = f"/api/staff/{REKHA.staff_id}/badge"


async def with_rekha(folder: Path) -> Provisioned:
    """A node at which one person has a badge and another one is known by name."""
    setup = await provisioned(folder)
    dmk = await provision._open(folder, Slots(folder), (setup.recovery, ""))
    await asyncio.to_thread(
        provision._with_records, folder, setup.config, dmk, lambda journal: journal.views.list_staff(REKHA)
    )
    return setup


def vouched(setup: Provisioned, pin: str = PIN) -> dict[str, str]:
    return {"badge": setup.badge, "badge_pin": pin, "pin": NEW_PIN}


async def test_a_name_without_a_pin_logs_in_only_after_a_badge_was_made(tmp_path: Path) -> None:
    setup = await with_rekha(tmp_path / "data")
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        people = await served.node.clinic.store.read(lambda views: views.staff())
        assert {one.name: one.has_pin for one in people} == {"Asha Devi": True, "Rekha Kumari": False}
        mine = {"staff_id": REKHA.staff_id, "pin": NEW_PIN}
        for pin in (NEW_PIN, "0000"):
            assert (await tablet.call("POST", "/api/session", {**mine, "pin": pin}))[0] == 401
        status, made = await tablet.call("POST", PATH, vouched(setup))
        assert status == 200
        assert str(made["qr"]).startswith("data:image/svg+xml")
        status, reply = await tablet.call("POST", "/api/session", mine)
        assert status == 200
        assert reply["staff"] == {
            "staff_id": REKHA.staff_id, "name": REKHA.name, "name_hi": REKHA.name_hi, "role": "cho", "has_pin": True,
        }  # fmt: skip
        clinic = served.node.clinic
        assert await clinic.store.write(lambda journal: journal.list_staff(clinic.clock.now())) == 0
    async with Served(setup) as again:
        body = {"badge": made["badge"], "pin": NEW_PIN}
        assert (await again.tablet.call("POST", "/api/unlock", body))[0] == 200


async def test_nobody_gets_a_second_badge_and_no_stranger_one(tmp_path: Path) -> None:
    setup = await with_rekha(tmp_path / "data")
    async with Served(setup) as served:
        tablet = served.tablet
        assert (await tablet.call("POST", PATH, vouched(setup)))[0] == 423
        await tablet.login(setup)
        status, refused = await tablet.call("POST", f"/api/staff/{setup.staff_id}/badge", vouched(setup))
        assert (status, refused["code"]) == (409, "has_badge")
        assert (await tablet.call("POST", "/api/staff/nobody/badge", vouched(setup)))[0] == 404
        assert (await tablet.call("POST", PATH, {**vouched(setup), "pin": "12"}))[0] == 400


async def test_who_guesses_the_pin_of_the_one_who_vouches_waits_as_at_the_lock(tmp_path: Path) -> None:
    setup = await with_rekha(tmp_path / "data")
    async with Served(setup) as served:
        await served.tablet.login(setup)
        for _ in range(FREE_ATTEMPTS):
            assert (await served.tablet.call("POST", PATH, vouched(setup, "000000")))[0] == 401
        assert (await served.tablet.call("POST", PATH, vouched(setup)))[0] == 429


async def test_the_command_line_does_the_same_with_the_recovery_code(tmp_path: Path) -> None:
    setup = await with_rekha(tmp_path / "data")
    opener = (setup.recovery, "")
    staff, badge = await provision.renew_badge(setup.folder, setup.config, opener, REKHA.staff_id, NEW_PIN)
    assert (staff.name, staff.role, staff.has_pin) == (REKHA.name, REKHA.role, True)
    assert await provision._open(setup.folder, Slots(setup.folder), (badge, NEW_PIN))
    with pytest.raises(Refused):
        await provision.renew_badge(setup.folder, setup.config, opener, REKHA.staff_id, NEW_PIN)
    with pytest.raises(NotFound):
        await provision.renew_badge(setup.folder, setup.config, opener, "nobody", NEW_PIN)

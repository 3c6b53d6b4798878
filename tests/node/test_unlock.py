"""Badge, PIN and lock-out: what opens the node, and what a wrong PIN costs."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import msgspec
import pytest
from argon2.low_level import Type, hash_secret_raw

from edge.model.errors import BadInput, Refused
from edge.model.records import Role
from edge.node import provision, stretch
from edge.node.config import RECORDS_FILE
from edge.node.unlock import FREE_ATTEMPTS, Attempts, Slots, make_badge, open_with_badge, open_with_recovery
from edge.web.refusals import TooManyAttempts, WrongPin
from tests.node.kit import PIN, Provisioned, Served, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def attempts(folder: Path, clock: Clock) -> Attempts:
    return await asyncio.to_thread(Attempts, folder, clock)


async def test_a_badge_opens_only_with_its_own_pin(tmp_path: Path) -> None:
    dmk = bytes(range(32))
    badge, slot = await make_badge(dmk, "1234")
    counted = await attempts(tmp_path, Clock())
    assert await open_with_badge((slot,), counted, badge, "1234") == dmk
    assert await open_with_badge((slot,), counted, badge.lower().replace("-", " "), "1234") == dmk
    with pytest.raises(WrongPin):
        await open_with_badge((slot,), counted, badge, "1235")
    other, _ = await make_badge(dmk, "1234")
    with pytest.raises(WrongPin):
        await open_with_badge((slot,), counted, other, "1234")
    with pytest.raises(BadInput):
        await open_with_badge((slot,), counted, "UPB1-NONSENSE", "1234")
    assert dmk not in msgspec.json.encode(slot)


async def test_the_sixth_attempt_waits_and_neither_restart_nor_clock_shortens_the_wait(tmp_path: Path) -> None:
    clock = Clock()
    counted = await attempts(tmp_path, clock)
    for _ in range(FREE_ATTEMPTS):
        await counted.begin("badge-1")
    with pytest.raises(TooManyAttempts):
        await counted.begin("badge-1")
    await counted.begin("badge-2")
    clock.now_s = 5.0  # another boot: the monotonic clock began anew
    counted = await attempts(tmp_path, clock)
    clock.now_s += 59
    with pytest.raises(TooManyAttempts):
        await counted.begin("badge-1")
    clock.now_s += 1
    await counted.begin("badge-1")
    assert counted.wait_s("badge-1") == 120
    clock.now_s += 120
    await counted.begin("badge-1")
    await counted.succeeded("badge-1")
    assert (await attempts(tmp_path, clock)).wait_s("badge-1") == 0


async def test_wrong_pins_lock_a_login_out_and_a_restart_does_not_help(setup: Provisioned) -> None:
    wrong = {"staff_id": setup.staff_id, "pin": "000000"}
    async with Served(setup) as served:
        await served.tablet.login(setup)
        for _ in range(FREE_ATTEMPTS):
            assert (await served.tablet.call("POST", "/api/session", wrong))[0] == 401
        assert (await served.tablet.call("POST", "/api/session", wrong))[0] == 429
    async with Served(setup) as served:
        unlock = {"badge": setup.badge, "pin": PIN}
        assert (await served.tablet.call("POST", "/api/unlock", unlock))[0] == 200
        right = {"staff_id": setup.staff_id, "pin": PIN}
        status, refusal = await served.tablet.call("POST", "/api/session", right)
        assert (status, refusal["code"]) == (429, "too_many_attempts")


async def test_wrong_pins_lock_a_badge_out_before_anything_is_open(setup: Provisioned) -> None:
    async with Served(setup) as served:
        for expected in (401, 401, 401, 401, 401, 429):
            body = {"badge": setup.badge, "pin": "000000"}
            assert (await served.tablet.call("POST", "/api/unlock", body))[0] == expected
        assert (await served.tablet.get("/api/status"))["locked"] is True


async def test_the_recovery_code_and_a_badge_let_somebody_be_added(setup: Provisioned) -> None:
    opener = (setup.badge, PIN)
    member, badge = await provision.add_staff(
        setup.folder, setup.config, opener, "Ram Lal", "राम लाल", Role.PHARMACIST, "7777"
    )
    async with Served(setup) as served:
        assert (await served.tablet.call("POST", "/api/unlock", {"badge": badge, "pin": "7777"}))[0] == 200
        names = await served.tablet.get("/api/staff")
        assert [staff["name"] for staff in names["items"]] == ["Asha Devi", "Ram Lal"]  # type: ignore[attr-defined]
        body = {"staff_id": member.staff_id, "pin": "7777"}
        assert (await served.tablet.call("POST", "/api/session", body))[0] == 200
    with pytest.raises(WrongPin):
        await provision.add_staff(setup.folder, setup.config, ("UPR1" + "A" * 32, ""), "X", "", Role.ANM, "7777")


async def test_files_belong_to_their_owner_alone_and_a_node_is_enrolled_once(setup: Provisioned) -> None:
    def modes() -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in setup.folder.iterdir()}

    for name, mode in (await asyncio.to_thread(modes)).items():
        assert mode == 0o600, name
    with pytest.raises(Refused):
        await provision.enrol_node(setup.folder, "http://127.0.0.1:9", "UPK1-X")
    slots = await asyncio.to_thread(Slots(setup.folder).load)
    assert {slot.kind for slot in slots} == {"badge", "recovery"}
    assert len(await open_with_recovery(slots, setup.recovery)) == 32


async def test_a_pin_is_stretched_by_argon2id_in_a_helper_that_loads_nothing_of_the_node() -> None:
    salt = bytes(range(16))
    wanted = hash_secret_raw(b"1234", salt, stretch.PASSES, stretch.MEMORY_KIB, stretch.LANES, 32, Type.ID)
    assert await stretch.stretch("1234", salt) == wanted
    helper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", *stretch.helper()[1:]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    request = {"pin": "1234", "salt": salt.hex(), "passes": 1, "memory_kib": 8, "lanes": 1, "length": 32}
    out, told = await helper.communicate(json.dumps(request).encode())
    assert helper.returncode == 0 and len(out) == 64
    loaded = {line.rpartition(b"|")[2].strip().decode() for line in told.splitlines()}
    assert "argon2.low_level" in loaded
    assert not {"edge", "edge.model", "asyncio", "msgspec", "site"} & loaded


async def test_an_opening_that_broke_off_is_finished_by_the_next_log_in(setup: Provisioned) -> None:
    """Else the link stays at device grade and no answer of a doctor is opened until the next restart."""
    async with Served(setup) as served:
        full, told = [True], []

        async def listener() -> None:
            if full:
                raise OSError(28, "No space left on device")
            told.append(True)

        clinic, call = served.node.clinic, served.tablet.call
        clinic.on_unlocked.insert(0, listener)
        body = {"badge": setup.badge, "pin": PIN}
        assert (await call("POST", "/api/unlock", body))[0] >= 500
        log_in = {"staff_id": setup.staff_id, "pin": PIN}
        assert (await call("POST", "/api/session", log_in))[0] >= 500, "still no space"
        full.clear()
        assert (await call("POST", "/api/session", log_in))[0] == 200
        assert told == [True]
        assert (await call("POST", "/api/unlock", body))[0] == 200
        assert told == [True], "open is open"


async def test_records_that_do_not_open_with_the_right_key_are_told_to_who_judges_a_new_release(
    setup: Provisioned,
) -> None:
    with (setup.folder / RECORDS_FILE).open("r+b") as records:
        records.write(os.urandom(4096))
    async with Served(setup) as served:
        call = served.tablet.call
        assert (await call("POST", "/api/unlock", {"badge": setup.badge, "pin": "000000"}))[0] == 401
        assert (await served.tablet.get("/api/status"))["unreadable"] is False, "a wrong PIN says nothing of them"
        assert (await call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN}))[0] >= 400
        status = await served.tablet.get("/api/status")
        assert (status["locked"], status["unreadable"]) == (True, True)

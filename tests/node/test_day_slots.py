"""Day slots: what opens a node again from a tablet of the same day, and what no longer does."""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.model.records import Role
from edge.node import provision
from edge.node.clock import Clock as NodeClock
from edge.node.config import DAY_FILE
from edge.node.dayslots import AGREE_S, LIFE_S, STARTS_MAX, DaySlotGone, DaySlots
from edge.node.stretch import stretch
from edge.node.unlock import Attempts, open_with_day
from edge.web.refusals import TooManyAttempts, WrongPin
from tests.node.kit import PIN, Provisioned, Served, contents, provisioned

DMK, TABLET, SALT = bytes(range(32)), bytes(range(32, 64)), bytes(16)
MORNING_MS = 1_790_000_000_000
HOUR_S = 3600.0
VECTORS = Path(__file__).parents[1] / "vectors" / "slots.json"


class Node:
    """A node's clocks and folder over several starts; ``off`` is time without power."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unix_ms, self.monotonic_s = MORNING_MS, 10.0
        self.clock: NodeClock
        self.days: DaySlots

    async def start(self, *, stood_still: bool = False, off_s: float = 0.0) -> None:
        """``stood_still``: a machine without a battery, whose clock goes on from where it was."""
        self.unix_ms += 0 if stood_still else round(off_s * 1000)
        self.monotonic_s = 3.0
        self.clock = await asyncio.to_thread(NodeClock, self.folder, lambda: self.unix_ms)
        self.days = await asyncio.to_thread(DaySlots, self.folder, self.clock, lambda: self.monotonic_s)

    def run_for(self, seconds: float) -> None:
        self.unix_ms += round(seconds * 1000)
        self.monotonic_s += seconds

    async def put(self) -> str:
        return await self.days.put(DMK, TABLET, "asha", (SALT, await stretch(PIN, SALT)))

    async def opens(self, tablet_age_s: float) -> bool:
        """Whether the slot opens with the right PIN."""
        try:
            slot = self.days.find(TABLET, tablet_age_s)
        except DaySlotGone:
            return False
        attempts = await asyncio.to_thread(Attempts, self.folder, lambda: self.monotonic_s)
        return await open_with_day(slot, attempts, TABLET, PIN) == DMK


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    await made.start()
    await made.put()
    return made


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def test_every_kind_of_slot_is_wrapped_as_published() -> None:
    vector = json.loads(VECTORS.read_text())
    salt, nonce, dmk = (bytes.fromhex(vector[name]) for name in ("salt", "nonce", "dmk"))
    stretched = hash_secret_raw(vector["pin"].encode(), salt, 3, 64 * 1024, 1, 32, Type.ID)
    assert stretched.hex() == vector["stretched"]
    assert set(vector["slots"]) == {"badge", "day", "hub", "recovery"}
    for kind, slot in vector["slots"].items():
        code = bytes.fromhex(slot["code"])
        ikm = code + stretched if kind in ("badge", "day") else code
        kek = HKDF(SHA256(), 32, None, b"upk1 " + kind.encode()).derive(ikm)
        assert kek.hex() == slot["kek"]
        slot_id = hashlib.sha256(b"upk1 slot " + kind.encode() + code).digest()[:8]
        assert slot_id.hex() == slot["slot_id"]
        opened = AESGCM(kek).decrypt(nonce, bytes.fromhex(slot["wrapped"]), kind.encode() + slot_id)
        assert opened == dmk


async def test_a_slot_opens_after_a_power_cut_at_noon_and_only_with_its_pin(node: Node) -> None:
    node.run_for(4 * HOUR_S)
    await node.days.look()
    await node.start(off_s=600)
    attempts = await asyncio.to_thread(Attempts, node.folder, lambda: node.monotonic_s)
    slot = node.days.find(TABLET, 4 * HOUR_S + 660)
    with pytest.raises(WrongPin):
        await open_with_day(slot, attempts, TABLET, "000000")
    with pytest.raises(DaySlotGone):
        node.days.find(secrets.token_bytes(32), 4 * HOUR_S)
    assert await node.opens(4 * HOUR_S + 660)
    assert DMK not in await asyncio.to_thread(contents, node.folder)


async def test_the_sixth_wrong_pin_waits_and_a_power_cut_does_not_help(node: Node) -> None:
    attempts = await asyncio.to_thread(Attempts, node.folder, lambda: node.monotonic_s)
    slot = node.days.find(TABLET, 0)
    for _ in range(5):
        with pytest.raises(WrongPin):
            await open_with_day(slot, attempts, TABLET, "000000")
    with pytest.raises(TooManyAttempts):
        await open_with_day(slot, attempts, TABLET, PIN)
    await node.start(off_s=30)
    node.unix_ms += 10 * 365 * 86_400_000
    attempts = await asyncio.to_thread(Attempts, node.folder, lambda: node.monotonic_s)
    with pytest.raises(TooManyAttempts):
        await open_with_day(slot, attempts, TABLET, PIN)


async def test_fourteen_hours_end_it_while_the_node_runs_whatever_the_wall_clock_says(node: Node) -> None:
    node.run_for(LIFE_S - 1)
    node.unix_ms = 0
    await node.days.look()
    assert node.days.ids and await node.opens(100)
    node.run_for(1)
    assert not await node.opens(100)
    await node.days.look()
    assert node.days.ids == []
    await node.start()
    assert not await node.opens(100)


async def test_a_start_after_fourteen_hours_finds_no_slot(node: Node) -> None:
    await node.days.stop()
    await node.start(off_s=LIFE_S)
    assert node.days.ids == [] and not await node.opens(0)


async def test_a_night_that_the_nodes_clock_slept_through_does_not_count_as_none(node: Node) -> None:
    """The tablet's clock went on; and where it lies too, the two disagree or the starts run out."""
    node.run_for(8 * HOUR_S)
    await node.days.stop()
    await node.start(stood_still=True, off_s=16 * HOUR_S)
    assert node.days.ids, "nothing here says that a night has passed"
    assert not await node.opens(24 * HOUR_S)
    assert not await node.opens(8 * HOUR_S + AGREE_S + 1)
    assert not await node.opens(-1)


async def test_an_unsure_clock_opens_nothing_unless_the_tablet_agrees(node: Node) -> None:
    node.run_for(2 * HOUR_S)
    await node.days.stop()
    await node.start(stood_still=True, off_s=HOUR_S)
    assert not await node.opens(3 * HOUR_S)
    assert await node.opens(2 * HOUR_S + 60)
    node.clock.correct(node.unix_ms + round(HOUR_S * 1000))
    assert await node.opens(3 * HOUR_S), "the hub has told the time: that is certain"
    node.clock.correct(MORNING_MS - 60_000)
    assert not await node.opens(3 * HOUR_S), "made in the future"


async def test_starts_without_anybody_telling_the_time_are_counted(node: Node) -> None:
    for _ in range(STARTS_MAX):
        await node.start(stood_still=True)
        assert node.days.ids
    await node.start(stood_still=True)
    assert node.days.ids == []


async def test_making_a_slot_again_does_not_make_it_younger(node: Node) -> None:
    node.run_for(13 * HOUR_S)
    await node.days.stop()
    await node.start(off_s=60)
    await node.put()
    node.run_for(HOUR_S)
    await node.days.look()
    assert node.days.ids == []


async def test_an_erased_slot_is_overwritten_where_it_lay(node: Node) -> None:
    path = node.folder / DAY_FILE
    held = await asyncio.to_thread(path.open, "rb")
    try:
        assert b"wrapped" in await asyncio.to_thread(held.read)
        assert await node.days.erase() == 1
        held.seek(0)
        assert set(await asyncio.to_thread(held.read)) == {0}
    finally:
        held.close()
    assert b"wrapped" not in await asyncio.to_thread(contents, node.folder)


@pytest.fixture(params=[b"", b"\0" * 300, b'[{"slot": '])
def torn(request: pytest.FixtureRequest) -> Iterator[bytes]:
    yield request.param


async def test_what_a_power_cut_left_of_the_file_opens_nothing_and_stops_nothing(node: Node, torn: bytes) -> None:
    await asyncio.to_thread((node.folder / DAY_FILE).write_bytes, torn)
    await node.start()
    assert node.days.ids == []
    await node.put()
    assert await node.opens(0)


def secret_of(setup: Provisioned, key: bytes, staff_id: str) -> str:
    """What the tablet's page makes of its key."""
    return hmac.digest(key, b"upk1 tablet" + setup.config.node_id.hex().encode() + staff_id.encode(), "sha256").hex()


async def test_a_log_in_makes_a_slot_that_opens_the_next_process_until_the_day_is_closed(setup: Provisioned) -> None:
    tablet = secret_of(setup, bytes(32), setup.staff_id)
    opener = {"tablet": tablet, "age_s": 30, "pin": PIN}
    async with Served(setup) as served:
        call = served.tablet.call
        assert (await call("POST", "/api/tablet/unlock", opener))[1]["code"] == "day_slot_gone"
        assert (await call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN}))[0] == 200
        body = {"staff_id": setup.staff_id, "pin": PIN, "tablet": tablet}
        _, reply = await call("POST", "/api/session", body)
        assert (await served.tablet.get("/api/status"))["day_slots"] == [reply["day_slot"]]
    async with Served(setup) as served:
        call = served.tablet.call
        assert (await served.tablet.get("/api/status"))["locked"] is True
        assert (await call("POST", "/api/tablet/unlock", {**opener, "pin": "000000"}))[0] == 401
        status, reply = await call("POST", "/api/tablet/unlock", opener)
        assert (status, reply) == (200, {"locked": False, "staff_id": setup.staff_id})
        _, reply = await call("POST", "/api/session", {"staff_id": setup.staff_id, "pin": PIN})
        served.tablet.csrf = str(reply["csrf"])
        closed: list[bool] = []
        served.node.clinic.on_closed.append(lambda: closed.append(True))
        assert (await call("POST", "/api/day/close"))[1] == {"erased": 1}
        assert closed == [True]
        assert (await call("GET", "/api/queue"))[1]["code"] == "locked"
        assert (await call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN}))[0] == 423
    async with Served(setup) as served:
        status, reply = await served.tablet.call("POST", "/api/tablet/unlock", opener)
        assert (status, reply["code"]) == (409, "day_slot_gone")
        await served.tablet.login(setup)


async def test_a_technician_gets_no_slot_and_nobody_the_slot_of_one_who_was_removed(setup: Provisioned) -> None:
    opener = (setup.recovery, "")
    member, _ = await provision.add_staff(setup.folder, setup.config, opener, "Ravi", "", Role.TECHNICIAN, "7777")
    async with Served(setup) as served:
        await served.tablet.login(setup)
        body = {"staff_id": member.staff_id, "pin": "7777", "tablet": "00" * 32}
        assert (await served.tablet.call("POST", "/api/session", body))[1]["day_slot"] == ""
        body = {"staff_id": setup.staff_id, "pin": PIN, "tablet": "11" * 32}
        assert (await served.tablet.call("POST", "/api/session", body))[1]["day_slot"]
        await served.node.clinic.days.erase_of([setup.staff_id])
        assert (await served.tablet.get("/api/status"))["day_slots"] == []


async def test_a_day_is_closed_also_when_its_slots_cannot_be_written(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        body = {"staff_id": setup.staff_id, "pin": PIN, "tablet": "11" * 32}
        _, reply = await served.tablet.call("POST", "/api/session", body)
        served.tablet.csrf = str(reply["csrf"])
        (setup.folder / DAY_FILE).unlink()
        (setup.folder / DAY_FILE).mkdir()
        closed: list[bool] = []
        served.node.clinic.on_closed.append(lambda: closed.append(True))
        assert (await served.tablet.call("POST", "/api/day/close"))[0] == 500
        assert closed == [True], "the process is started anew, which locks"
        assert (await served.tablet.call("GET", "/api/queue"))[1]["code"] == "locked"

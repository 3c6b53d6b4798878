"""Full disks, torn and lost files, a folder served twice: a clear word, and nothing that was saved is lost."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlcipher3.dbapi2
from msgspec import json

from edge.node import ballast
from edge.node.clock import Clock, Kept
from edge.node.config import (
    ATTEMPTS_FILE,
    BALLAST_FILE,
    BALLAST_OF_COMMANDS_FILE,
    CLOCK_FILE,
    NODE_FILE,
    OUTBOX_FILE,
    RECORDS_FILE,
    SLOTS_FILE,
    NodeDamaged,
    load_config,
)
from edge.node.database import Database
from edge.node.store import AlreadyServed, Store
from edge.node.unlock import FIRST_WAIT_S, Attempts
from edge.web.refusals import TooManyAttempts, failure_of
from tests.kits.disk import NoDisk, fill, small
from tests.node.kit import PIN, Provisioned, Served, new_id, provisioned

DAY_MS = 86_400_000


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(ballast, "ROOM_BYTES", 1 << 20)
    try:
        with small(tmp_path / "disk", 20 << 20):
            yield tmp_path / "disk"
    except NoDisk as error:
        pytest.skip(str(error))


async def test_on_a_full_disk_the_records_open_and_a_red_patient_is_taken(small_disk: Path) -> None:
    setup = await provisioned(small_disk / "data")
    full = small_disk / "full"
    async with Served(setup) as served:
        await asyncio.to_thread(fill, full)
        of_commands = setup.folder / BALLAST_OF_COMMANDS_FILE
        assert of_commands.exists()
        who = {"case": "ab" * 16, "name": "Sita", "gender": "female", "age": {"value": 40}}
        status, page = await served.tablet.call("POST", "/api/emergency", who)
        assert status == 200, page
        await served.tablet.login(setup)
        assert of_commands.exists(), "an emergency has a ballast of its own, and leaves that of the others"
        _, visit = await served.tablet.register()
        await served.tablet.say("raise_triage", visit_id=visit, colour="red")
        assert len((await served.tablet.get("/api/queue"))["items"]) == 2  # type: ignore[arg-type]
        full.unlink()
    async with Served(setup) as served:
        assert (setup.folder / BALLAST_FILE).exists(), "there is room again"
        await served.tablet.login(setup)
        await asyncio.to_thread(fill, full)
        status, refusal = await served.tablet.call("PUT", f"/api/drafts/visit-{visit}", {"body": "{}", "revision": 1})
        assert (status, refusal["code"]) == (500, "storage_full"), "a draft is not what it is for"
    full.unlink()  # it was stopped on the full disk
    async with Served(setup) as served:
        await served.tablet.login(setup)
        assert len((await served.tablet.get("/api/queue"))["items"]) == 2  # type: ignore[arg-type]


async def test_a_folder_is_served_by_one_process_at_a_time(setup: Provisioned) -> None:
    first, second = (Store(setup.folder, setup.config, bytes(8)) for _ in range(2))
    await first.open()
    with pytest.raises(AlreadyServed):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


def test_a_transaction_that_meets_a_full_disk_leaves_the_store_usable(tmp_path: Path) -> None:
    store = Database(tmp_path / "some.db")
    store.table("things", {"name": int, "body": bytes}, "name", [])
    store.rows("PRAGMA max_page_count = 20")
    with pytest.raises(sqlcipher3.dbapi2.OperationalError) as met, store.transaction():
        for name in range(100):
            store.run("INSERT INTO things (name, body) VALUES (?, ?)", name, bytes(4000))
    assert failure_of(met.value).code == "storage_full"
    with store.transaction():
        store.run("INSERT INTO things (name, body) VALUES (1, x'01')")
    assert store.rows("SELECT name FROM things") == [(1,)]
    store.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left"), "storage_full"),
        (OSError(errno.EROFS, "Read-only"), "storage_full"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "storage_full"),
        (OSError(errno.EPIPE, "Broken pipe"), "internal"),
        (KeyError("database"), "internal"),
    ],
)
def test_a_failure_of_the_disk_has_a_name(error: Exception, code: str) -> None:
    assert failure_of(error).code == code


async def test_a_torn_file_of_the_node_is_named(setup: Provisioned) -> None:
    await asyncio.to_thread(halve, setup.folder / SLOTS_FILE)
    async with Served(setup) as served:
        status, refusal = await served.tablet.call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN})
        assert (status, refusal["code"]) == (500, "node_damaged")
    await asyncio.to_thread(halve, setup.folder / NODE_FILE)
    with pytest.raises(NodeDamaged):
        await asyncio.to_thread(load_config, setup.folder)


async def test_emptied_records_are_damage_and_no_new_beginning(setup: Provisioned) -> None:
    await asyncio.to_thread(os.truncate, setup.folder / RECORDS_FILE, 0)
    async with Served(setup) as served:
        status, refusal = await served.tablet.call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN})
        assert (status, refusal["code"]) == (500, "wrong_key")


async def test_a_damaged_count_of_wrong_pins_gives_nobody_a_free_attempt(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / ATTEMPTS_FILE).write_bytes, b"{")
    now_s = [1000.0]
    counted = await asyncio.to_thread(Attempts, tmp_path, lambda: now_s[0])
    with pytest.raises(TooManyAttempts):
        await counted.begin("staff-1")
    now_s[0] += FIRST_WAIT_S
    await counted.begin("staff-1")
    await counted.succeeded("staff-1")
    await counted.begin("staff-1")


async def test_what_a_lost_outbox_held_is_sealed_anew(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await served.node.clinic.seal_now()
        before = await served.node.clinic.store.outbox(lambda outbox: outbox.backlog())
    for name in (OUTBOX_FILE, OUTBOX_FILE + "-wal", OUTBOX_FILE + "-shm"):
        await asyncio.to_thread((setup.folder / name).unlink, missing_ok=True)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.node.clinic.seal_now()
        after = await served.node.clinic.store.outbox(lambda outbox: outbox.backlog())
        assert after[0] > 0
        assert after[1] > before[1] / 2
        line = (await served.tablet.get("/api/queue"))["items"][0]  # type: ignore[index]
        assert line["sync"] == "waiting"


async def test_a_corrected_clock_gives_no_token_that_somebody_who_waits_holds(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet, clock = served.tablet, served.node.clinic.clock
        await tablet.login(setup)
        today_ms = clock.now().wall_ms
        clock.correct(today_ms - DAY_MS)
        _, visit = await tablet.register()
        early = await tablet.fill(visit)
        clock.correct(today_ms)
        _, visit = await tablet.register()
        assert (early[-4:], (await tablet.fill(visit))[-4:]) == ("-001", "-002")


@pytest.mark.parametrize(
    ("offset_ms", "seen_ms", "own_ms", "expected_ms"),
    [
        (20_000 * DAY_MS, 20_001 * DAY_MS, 20_002 * DAY_MS, 20_002 * DAY_MS),
        (20_000 * DAY_MS, 20_001 * DAY_MS, 1000, 20_001 * DAY_MS),
        (-20_000 * DAY_MS, 20_001 * DAY_MS, 40_002 * DAY_MS, 20_002 * DAY_MS),
        (3_600_000, 20_001 * DAY_MS, 20_003 * DAY_MS, 20_003 * DAY_MS + 3_600_000),
    ],
    ids=["clock was set since", "starts at 1970 again", "still far ahead", "an hour behind as before"],
)
def test_a_start_guesses_the_time_from_what_it_knew(
    tmp_path: Path, offset_ms: int, seen_ms: int, own_ms: int, expected_ms: int
) -> None:
    (tmp_path / CLOCK_FILE).write_bytes(json.encode(Kept(offset_ms, seen_ms)))
    assert Clock(tmp_path, lambda: own_ms).now().wall_ms == expected_ms


async def test_a_body_nested_without_end_is_bad_input(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        headers = {"X-CSRF": served.tablet.csrf, "Content-Type": "application/json"}
        async with served.tablet.http.post("/api/commands", data=b'{"a":' * 50_000, headers=headers) as reply:
            assert reply.status == 400
            assert (await reply.json())["code"] == "bad_input"


async def test_another_command_under_a_used_id_is_refused_and_not_swallowed(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        patient, _ = await tablet.register()
        command = {"type": "open_visit", "command_id": new_id(), "visit_id": new_id(), "patient_id": patient}
        assert (await tablet.call("POST", "/api/commands", command))[0] == 200
        assert (await tablet.call("POST", "/api/commands", command))[0] == 200
        status, refusal = await tablet.call("POST", "/api/commands", {**command, "visit_id": new_id()})
        assert (status, refusal["code"]) == (409, "command_reused")

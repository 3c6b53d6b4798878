"""Who leads when a process is stopped, dies at a bad moment or takes long to begin; clocks that are set."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from edge.model import events as ev
from hub import directory
from hub.backup import init_hub
from hub.config import Settings
from hub.directory import revoke_node
from hub.leader import LEADER_LOCK, STILL_S, SURE_S, Leader, LeadsNoMore
from hub.store.engine import Store
from hub.store.schema import leadership
from tests.kits.clinic import Here, Server, free_port
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

from .kit import HubKit
from .test_rota_desk import RING_S, always_open, doctor, offer, ready, waits
from .test_together import Pair, nats, pair

PATIENCE_S = 60.0
__all__ = ["nats", "pair"]


class Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def store(postgres: Postgres, migrated: str) -> Iterator[Store]:
    opened = Store(postgres.database(migrated))
    yield opened
    opened.close()


def test_a_leader_that_was_stopped_loses_the_lead_and_can_write_nothing_when_it_goes_on(store: Store) -> None:
    clock = Time()
    old, new = Leader(store.engine, clock.monotonic_s), Leader(store.engine, clock.monotonic_s)

    def write(connection: Connection) -> str:
        return "written"

    try:
        assert (old.look(), new.look()) == (True, False)
        for _ in range(12):  # as long as it beats it leads
            clock.now_s += 1
            assert (old.look(), new.look()) == (True, False)
        assert store.write_now(old.fenced(write)) == "written"
        clock.now_s += SURE_S
        assert not old.leads, "nobody had to tell it"
        assert not new.look()
        clock.now_s += STILL_S
        assert not new.look(), "it has the connection ended"
        patience_s = time.monotonic() + PATIENCE_S
        while not new.look():
            assert time.monotonic() < patience_s
        with pytest.raises(LeadsNoMore):
            store.write_now(old.fenced(write))
        with pytest.raises(LeadsNoMore):
            store.write_now(Leader(store.engine).fenced(write))
        assert store.write_now(new.fenced(write)) == "written"
        assert not old.look()
        assert not old.look()
        assert (old.leads, new.look(), new.leads) == (False, True, True)
    finally:
        old.close()
        new.close()


def test_one_that_has_just_come_does_not_take_the_first_leader_for_a_stopped_one(store: Store) -> None:
    clock = Time()
    new = Leader(store.engine, clock.monotonic_s)
    first = store.engine.connect()  # it has the lock, and its first term is not written yet
    try:
        assert first.exec_driver_sql(f"SELECT pg_try_advisory_lock({LEADER_LOCK})").scalar()
        assert not new.look()
        assert first.exec_driver_sql("SELECT 1").scalar() == 1, "nobody ended its connection"
        clock.now_s += STILL_S
        assert not new.look()
        with pytest.raises(DBAPIError):  # and one that stays silent is ended
            first.exec_driver_sql("SELECT 1")
    finally:
        first.invalidate()
        first.close()
        new.close()


def _served(name: str, folder: Path, database: str, nats_url: str, ports: tuple[int, int]) -> Server:
    command = [sys.executable, "-m", "hub", "serve", "--data", str(folder / "hub"), "--database", database]
    command += ["--http", f"127.0.0.1:{free_port()}", "--udp", str(ports[0]), "--tls", str(ports[1])]
    command += ["--link-address", "127.0.0.1", "--nats", nats_url]
    return Server(name, Here(), command, folder / f"{name}.log")


def _said(folder: Path, name: str) -> list[str]:
    """What a process said of who leads."""
    found = []
    for line in (folder / f"{name}.log").read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line).get("event", ""))
        except ValueError:
            continue
    return [word for word in found if word in ("leads", "leads_no_more", "leader_stopped")]


def _until(folder: Path, name: str, word: str) -> None:
    patience_s = time.monotonic() + PATIENCE_S
    while word not in _said(folder, name):
        assert time.monotonic() < patience_s, (folder / f"{name}.log").read_text("utf-8")[-2000:]
        time.sleep(0.05)


def test_of_two_processes_the_other_leads_while_the_first_is_stopped_and_the_first_follows_when_it_goes_on(
    tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats
) -> None:
    database, ports = postgres.database(migrated), (free_port(), free_port())
    init_hub(Settings(tmp_path / "hub", database=database))
    first, second = (_served(name, tmp_path, database, nats.url, ports) for name in ("first", "second"))
    try:
        first.start()
        _until(tmp_path, "first", "leads")
        second.start()
        os.kill(first.pid, signal.SIGSTOP)
        _until(tmp_path, "second", "leads")
        os.kill(first.pid, signal.SIGCONT)
        _until(tmp_path, "first", "leads_no_more")
        assert _said(tmp_path, "first")[-1] == "leads_no_more"
        assert _said(tmp_path, "second")[-2:] == ["leader_stopped", "leads"]
    finally:
        first.kill()
        second.kill()


async def test_a_process_that_takes_long_to_begin_is_not_taken_for_a_stopped_one(
    pair: Pair,
) -> None:
    second, go_on = pair.second.hub.together, asyncio.Event()

    async def begin() -> None:
        await go_on.wait()

    second.on_lead.append(begin)
    await pair.stop_first()
    await pair.until(lambda: second.leader.leads)
    beat = select(leadership.c.number).where(leadership.c.name == "beat")

    def beats(connection: Connection) -> int:
        return connection.execute(beat).scalar() or 0

    since, patience_s = await pair.second.hub.store.read(beats), time.monotonic() + PATIENCE_S
    while await pair.second.hub.store.read(beats) < since + 2:
        assert time.monotonic() < patience_s
        await asyncio.sleep(0.05)
    assert not pair.second.hub.front.leads
    go_on.set()
    await pair.until(lambda: pair.second.hub.front.leads)


async def test_a_doctor_who_was_added_when_nobody_led_is_told_to_the_nodes_by_the_next_who_does(
    tmp_path: Path, database: str
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    node = await kit.enrol()
    await kit.add_doctor()  # no process serves
    await kit.start()
    try:

        def told() -> list[str]:
            return [one.person_id for one in node.said_by_hub() if isinstance(one, ev.StaffPublished)]

        await node.until(lambda: told() == ["asha"])
        for _ in range(500):  # a word is said first and noted after
            if not await kit.hub.store.read(directory.untold_doctors):
                break
            await asyncio.sleep(0.02)
        kit = await kit.restart()
        node.kit = kit
        await kit.add_doctor("ravi", "Dr Ravi")
        await node.until(lambda: "ravi" in told())
        assert sorted(told()) == ["asha", "ravi"], "once each"
    finally:
        await kit.stop()


async def test_a_node_that_was_only_heard_again_has_no_key_opened_and_one_that_is_revoked_has(kit: HubKit) -> None:
    node, other = await kit.enrol("UP01"), await kit.enrol("UP02")
    before = kit.hub.directory.by_id(node.keys.node_id)
    await kit.hub.store.write(lambda connection: connection.exec_driver_sql("UPDATE nodes SET seen_ms = 77").close())
    await kit.hub.reload_nodes()
    assert kit.hub.directory.by_id(node.keys.node_id) is before
    assert kit.hub.directory.site(node.node_id).seen_ms == 77
    await kit.hub.store.write(lambda connection: revoke_node(connection, other.node_id, kit.clock.ms))
    await kit.hub.reload_nodes()
    record = kit.hub.directory.by_id(other.keys.node_id)
    assert record is not None
    assert record.revoked
    assert kit.hub.directory.by_id(node.keys.node_id) is before


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_a_wall_clock_that_is_set_passes_no_offer_on_and_stands_nobody_up(tmp_path: Path, step_s: float) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub")).start()
    try:
        await _ask_and_set(kit, step_s)
    finally:
        await kit.stop()


async def _ask_and_set(kit: HubKit, step_s: float) -> None:
    await always_open(kit)
    node = await kit.enrol()
    page = await doctor(kit, "asha")
    await doctor(kit, "ravi")
    visit_id = await waits(node)
    await ready(kit, page)
    assert await offer(kit, page) == visit_id
    kit.clock.set_by_s(step_s)
    kit.hub.rota.changed()
    assert await offer(kit, page) == visit_id
    state = await page.get("/api/rota")
    assert state["ready"]
    assert 0 < int(str(state["until_ms"])) - kit.clock.ms <= RING_S * 1000
    kit.clock.pass_s(RING_S + 1)
    assert await offer(kit, page) != visit_id, "and by its own time it goes on"

"""The hub's side of updates by link: nodes that went dark hold up nobody, and no node's word is lost."""

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, select

from edge.sync import release
from edge.sync import updating as up
from hub import update_link, update_stock, waves
from hub.store.schema_office import update_told
from tests.sync.test_fleet import described

from .kit import HubKit, NodeKit

CONTENT = random.Random(5).randbytes(8 * up.PIECE_BYTES)
SHA = bytes.fromhex(release.parse_release(described(CONTENT)).sha256)
PATIENCE_S = 30.0


async def offered(kit: HubKit, folder: Path) -> None:
    """An update for everybody lies at the hub."""
    raw, file = described(CONTENT), folder / "update"
    await asyncio.to_thread(file.write_bytes, CONTENT)
    await asyncio.to_thread(update_stock.put, kit.settings.updates_folder, file, raw, bytes(64))
    plan = (waves.Wave(0),)

    def add(connection: Connection) -> None:
        waves.add(connection, raw, plan, kit.clock.ms, "asha")
        waves.change(connection, SHA.hex(), plan, kit.clock.ms, "asha", paused=False)

    await kit.hub.store.write(add)


async def want(kit: HubKit, node: NodeKit, numbers: range) -> None:
    """Ask for pieces, once the hub is heard."""
    await node.until(lambda: node.endpoint.link_state(kit.clock.monotonic_s()).online)
    for number in numbers:
        body = up.encode(up.Want(SHA, number * up.PIECE_BYTES, up.PIECE_BYTES))
        node.endpoint.send_update(body, b"want" + bytes((number,)), kit.clock.monotonic_s())


async def test_pieces_for_nodes_that_went_dark_hold_up_nobody(
    kit: HubKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offered(kit, tmp_path)
    monkeypatch.setattr(update_link, "IN_HAND_MAX_BYTES", up.WINDOW * up.PIECE_BYTES)
    dark, endpoint = await kit.enrol("UP01"), kit.hub.link.endpoint
    await want(kit, dark, range(up.WINDOW))
    monkeypatch.setattr(dark.endpoint, "receive", lambda data, path, now: None)
    waiting = up.WINDOW * up.PIECE_BYTES
    await dark.until(lambda: endpoint.updates_pending(dark.keys.node_id) >= waiting)
    kit.clock.pass_s(3600)
    assert endpoint.updates_pending(dark.keys.node_id) >= waiting, "they wait for it as long as its session is there"
    other = await kit.enrol("UP02")
    await want(kit, other, range(1))
    await other.until(lambda: up.Piece(SHA[:8], 0, CONTENT[: up.PIECE_BYTES]) in other.updates)


async def test_pieces_for_a_node_in_a_call_which_fetches_no_more_give_way_to_others(
    kit: HubKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each centre in a call holds what left for it before: so many of them filled the room of all."""
    await offered(kit, tmp_path)
    monkeypatch.setattr(update_link, "IN_HAND_MAX_BYTES", up.WINDOW * up.PIECE_BYTES)
    monkeypatch.setattr(update_link, "AGAIN_S", 0.01)
    busy, endpoint = await kit.enrol("UP01"), kit.hub.link.endpoint
    other = await kit.enrol("UP02")
    await want(kit, busy, range(up.WINDOW))
    monkeypatch.setattr(endpoint, "has_room", lambda path, line_bytes: False)  # nothing has left yet
    await busy.until(lambda: endpoint.updates_pending(busy.keys.node_id) >= up.WINDOW * up.PIECE_BYTES)
    busy.endpoint.limit_bulk(0.0)
    for _ in range(20):
        await busy.step()
    monkeypatch.undo()
    monkeypatch.setattr(update_link, "IN_HAND_MAX_BYTES", up.WINDOW * up.PIECE_BYTES)
    monkeypatch.setattr(update_link, "AGAIN_S", 0.01)
    endpoint.made_room(("mem", busy.node_id))
    await want(kit, other, range(1))
    first = up.Piece(SHA[:8], 0, CONTENT[: up.PIECE_BYTES])

    async def both(steps: int) -> None:
        for _ in range(steps):
            await busy.step()
            await other.step()

    await both(100)
    assert endpoint.presence(busy.keys.node_id, kit.clock.monotonic_s()).online
    assert first not in other.updates, "there is no room for it yet"
    for _ in range(4):
        kit.clock.pass_s(update_link.IDLE_S / 3)
        await both(20)
        assert endpoint.presence(busy.keys.node_id, kit.clock.monotonic_s()).online
    patience_s = time.monotonic() + PATIENCE_S
    while first not in other.updates:
        assert time.monotonic() < patience_s
        await both(1)
    assert not endpoint.updates_pending(busy.keys.node_id), "it asks again after its call"


async def test_a_node_that_a_pause_turned_away_is_told_when_the_pause_is_over(kit: HubKit, tmp_path: Path) -> None:
    """By itself it asks once an hour; until now an unpaused update waited for that."""
    await offered(kit, tmp_path)
    node = await kit.enrol()

    async def pause(paused: bool) -> None:
        plan = (waves.Wave(0),)
        await kit.hub.store.write(
            lambda connection: waves.change(connection, SHA.hex(), plan, kit.clock.ms, "asha", paused=paused)
        )

    await pause(True)
    await want(kit, node, range(1))
    await node.until(lambda: node.updates == [up.Gone(SHA)])
    await pause(False)
    heads = up.Offers((up.Head(SHA, "system", "1.2.0", len(CONTENT)),))
    await node.until(lambda: heads in node.updates)
    for _ in range(50):
        await node.step()
    assert node.updates == [up.Gone(SHA), heads], "once"


async def test_no_more_than_so_much_waits_for_one_node(
    kit: HubKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offered(kit, tmp_path)
    monkeypatch.setattr(update_link, "WAITING_MAX_BYTES", 2 * up.PIECE_BYTES)
    node, endpoint = await kit.enrol(), kit.hub.link.endpoint
    await want(kit, node, range(4))
    monkeypatch.setattr(node.endpoint, "receive", lambda data, path, now: None)
    node.endpoint.send_update(up.encode(up.Ask("amd64")), b"ask", kit.clock.monotonic_s())
    pieces = [up.Piece(SHA[:8], at, CONTENT[at : at + up.PIECE_BYTES]) for at in (0, up.PIECE_BYTES)]
    answers: list[up.Message] = [*pieces, up.Offers((up.Head(SHA, "system", "1.2.0", len(CONTENT)),))]
    size_bytes = sum(len(up.encode(one)) for one in answers)
    await node.until(lambda: endpoint.updates_pending(node.keys.node_id) == size_bytes)


def told(version: str) -> up.Told:
    return up.Told("system", version, "coming", 1, 2)


async def noted(kit: HubKit, expected: dict[str, str]) -> None:
    """Wait until the versions that nodes told are these."""
    query = select(update_told.c.node_id, update_told.c.version)
    end_s = time.monotonic() + PATIENCE_S
    found: dict[str, str] = {}
    while found != expected and time.monotonic() < end_s:
        await asyncio.sleep(0.02)
        found = await kit.hub.store.read(lambda c: {row.node_id: row.version for row in c.execute(query)})
    assert found == expected


@pytest.mark.parametrize("fails", [False, True])
async def test_a_word_that_comes_in_a_write_or_before_a_failed_one_is_kept(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    first, second = (number.to_bytes(8) for number in (1, 2))
    said = False

    async def interrupted(work: Callable[[Connection], object]) -> object:
        nonlocal said
        if not said:
            said = True
            kit.hub.updates.hear(first, up.encode(told("1.3.0")))
            if fails:
                raise OSError("the database is away")
        return await kit.hub.store.write(work)

    monkeypatch.setattr(kit.hub.updates, "_store", SimpleNamespace(write=interrupted, read=kit.hub.store.read))
    kit.hub.updates.hear(first, up.encode(told("1.2.0")))
    kit.hub.updates.hear(second, up.encode(told("1.2.0")))
    await noted(kit, {first.hex(): "1.3.0", second.hex(): "1.2.0"})


async def test_two_processes_may_note_the_same_node(kit: HubKit) -> None:
    for version in ("1.2.0", "1.3.0"):
        words = {bytes(8): told(version)}
        await kit.hub.store.write(partial(update_link.note, told=words, now_ms=1))
    await noted(kit, {bytes(8).hex(): "1.3.0"})

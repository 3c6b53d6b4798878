"""What lies aside at the hub for a later release is read after the update, once, and its visits are there."""

import asyncio
import secrets
import threading
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from edge.sync import bundle, holdings, inbox, seal
from edge.sync.link import BundleRef, StateArrived
from edge.sync.outbox import STORE_TIMEOUT_S
from hub import quarantine as aside
from hub import returns, views
from hub.hub import Hub
from hub.link import STATES_AT_WORK
from hub.store.schema import entries, heads, quarantine

from .kit import HubKit, new_id, registered, visit_events
from .test_blobs import PHOTO, ready, send_chunk, settled


async def restarted(kit: HubKit) -> None:
    """A hub that was updated starts on the same data."""
    totp = kit.totp
    await kit.stop()
    kit.hub = await asyncio.to_thread(Hub, kit.settings, kit.clock.wall_ms, kit.clock.monotonic_s)
    kit.totp = totp
    await kit.start()


async def counted(kit: HubKit) -> tuple[int, int]:
    def look(c: Connection) -> tuple[int, int]:
        both = [c.execute(select(func.count()).select_from(t)).scalar() or 0 for t in (quarantine, entries)]
        return both[0], both[1]

    return await kit.hub.store.read(look)


async def test_a_bundle_of_a_later_release_is_read_after_the_update(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    node = await kit.enrol()
    patient, visit = new_id(), new_id()
    payload = node.entries([registered(patient), *visit_events(visit, patient)])
    ref = node.endpoint.seal_bundle(payload)
    with monkeypatch.context() as older:
        older.setattr(bundle, "_MODELS", {})
        node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
        await node.until(lambda: ref.bundle_id in node.acked)
        assert node.acked[ref.bundle_id], "it lies aside"
        await restarted(kit)
        assert await counted(kit) == (1, 0), "an older release leaves it where it is"
    await restarted(kit)
    assert await counted(kit) == (0, len(payload.entries))
    found = await kit.hub.store.read(lambda c: views.load_visit(c, visit))
    assert found is not None
    assert found.visit.patient_id == patient
    await restarted(kit)
    assert await counted(kit) == (0, len(payload.entries))
    await kit.stop()


async def test_a_former_machines_head_that_lay_aside_is_no_false_alarm(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    node = await kit.enrol()
    ref = node.endpoint.seal_bundle(node.entries([registered(new_id())]))
    with monkeypatch.context() as older:
        older.setattr(bundle, "_MODELS", {})
        node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
        await node.until(lambda: node.acked.get(ref.bundle_id, False))
        await kit.enrol(replaces=node.node_id)
    await restarted(kit)
    assert await counted(kit) == (0, 1)
    assert await kit.hub.store.read(lambda c: list(c.execute(select(heads.c.state)).scalars())) == ["good"]
    await kit.stop()


async def test_a_piece_of_a_photo_of_a_later_release_is_read_after_the_update(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    case, _ = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(1, case.count))
    with monkeypatch.context() as older:
        older.setattr(inbox, "is_chunk", lambda packed: False)
        assert await send_chunk(case.node, case.chunk(0)) is True, "it lies aside"
        await restarted(kit)
        assert (await counted(kit))[0] == 1, "an older release leaves it where it is"
    await restarted(kit)
    assert (await counted(kit))[0] == 0
    page = await kit.login()
    assert (await case.state(page))["state"] == "whole"
    assert await (await page.call("GET", case.blob)).read() == PHOTO
    await kit.stop()


async def test_what_a_node_has_aside_is_bounded_and_the_rest_stays_with_the_node(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not taken is not acknowledged, a person hears of it, and readable entries go on."""
    monkeypatch.setattr(aside, "SHARE_ROWS", 2)
    node = await kit.enrol()

    async def broken() -> bytes:
        sealed = node.endpoint._epoch.seal_bundle(seal.pad(b"\x7f" + secrets.token_bytes(30)))
        ref = BundleRef(node.endpoint.opening, sealed, seal.bundle_id(sealed))
        node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
        return ref.bundle_id

    for _ in range(2):
        taken = await broken()
        await node.until(lambda: taken in node.acked)  # noqa: B023
    left = await broken()
    for _ in range(3):
        await node.send([registered(new_id())])
    assert left not in node.acked
    assert (await counted(kit))[0] == 2
    notices = await kit.hub.store.read(returns.load_notices)
    assert [(row["code"], row["node_id"], row["count"]) for row in notices] == [("quarantine_full", node.node_id, 1)]
    monkeypatch.setattr(aside, "SHARE_ROWS", 3)
    kit.clock.pass_s(STORE_TIMEOUT_S + 1)
    await node.until(lambda: left in node.acked)
    assert (await counted(kit))[0] == 3


async def test_a_node_that_asks_for_comparisons_without_end_does_not_fill_the_hub(kit: HubKit) -> None:
    node = await kit.enrol()
    link = kit.hub.link
    body = holdings.encode(holdings.Holdings(True, holdings.digest_of({}), ()))
    busy, go_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        busy.set()
        assert go_on.wait(30)

    holding = asyncio.create_task(kit.hub.store.write(hold))
    await asyncio.to_thread(busy.wait)
    for _ in range(100):
        await link.take(StateArrived(node.keys.node_id, body))
    assert len(link._at_work) == STATES_AT_WORK
    go_on.set()
    await holding
    await settled(kit)
    await link.take(StateArrived(node.keys.node_id, body))
    assert len(link._at_work) == 1, "it is answered again"


async def test_what_is_broken_stays_aside(tmp_path: Path, database: str) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    node = await kit.enrol()
    entry = msgspec.msgpack.encode(["no", "entry"])
    await node.send_payload(msgspec.structs.replace(node.entries([registered(new_id())]), entries=(entry,)))
    before = await counted(kit)
    assert before[0] > 0
    await restarted(kit)
    assert await counted(kit) == before
    await kit.stop()

"""What lies aside at the hub for a later release is read after the update, once, and its visits are there."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from edge.sync import bundle
from hub import views
from hub.hub import Hub
from hub.store.schema import entries, quarantine

from .kit import HubKit, new_id, registered, visit_events


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

"""Photos at the hub: whole by any order of arrival, proved, sealed, shown to who may see them, and audited."""

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from edge.model import events as ev
from edge.model.media import Facts, Manifest, Purpose, chunk_count, chunk_span
from edge.model.media_probe import probe
from edge.sync import blobs as core
from edge.sync.bundle import Chunk
from edge.sync.link import ChunkArrived
from edge.sync.seal import Grade
from hub import affected, blob_rows, glass
from hub.permits import Role
from hub.shelf import FolderShelf, ShelfFailed
from hub.store.schema import audit, blob_chunks, quarantine
from tests.kits import media as made

from .kit import PASSWORD, HubKit, NodeKit, Page, new_id, registered, visit_events
from .test_permits import person

PHOTO = made.jpeg_of(90_000)


class Case:
    """A visit with a photo that can be sent piece by piece."""

    def __init__(self, node: NodeKit, content: bytes = PHOTO, facts: Facts | None = None) -> None:
        self.node = node
        self.content = content
        self.visit_id, self.patient_id = new_id(), new_id()
        self.opening = [registered(self.patient_id), *visit_events(self.visit_id, self.patient_id)]
        salt = next(event.salt for event in self.opening if isinstance(event, ev.VisitOpened))
        found = facts or probe(made.reader(content), len(content))
        assert isinstance(found, Facts)
        self.manifest: Manifest = core.manifest_of(salt, Purpose.ORIGINAL, found, content)
        self.count = chunk_count(len(content))

    @property
    def path(self) -> str:
        return f"/api/visits/{self.visit_id}/media"

    @property
    def blob(self) -> str:
        return f"{self.path}/{self.manifest.blob_id}"

    def chunk(self, number: int) -> Chunk:
        start, length = chunk_span(len(self.content), number)
        return Chunk(self.manifest.blob_id, number, self.count, self.content[start : start + length])

    async def open_visit(self) -> None:
        await self.node.send(self.opening)

    async def announce(self) -> None:
        await self.node.send([ev.MediaAttached(self.visit_id, self.manifest)])

    async def send(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            assert await send_chunk(self.node, self.chunk(number)) is False

    async def state(self, page: Page) -> dict[str, object]:
        items = (await page.get(self.path))["items"]
        assert isinstance(items, list)
        (item,) = items
        assert isinstance(item, dict)
        return item


async def send_chunk(node: NodeKit, chunk: Chunk) -> bool:
    """Whether it went into quarantine."""
    ref = node.endpoint.seal_chunk(chunk)
    node.endpoint.submit_bundle(ref, 3, node.kit.clock.monotonic_s())
    await node.until(lambda: ref.bundle_id in node.acked)
    await settled(node.kit)
    return node.acked[ref.bundle_id]


async def settled(kit: HubKit) -> None:
    await asyncio.gather(*kit.hub.link._at_work)


async def ready(kit: HubKit, content: bytes = PHOTO, facts: Facts | None = None) -> tuple[Case, Page]:
    node = await kit.enrol()
    await kit.add_doctor()
    return Case(node, content, facts), await kit.login()


def files(kit: HubKit) -> list[Path]:
    return [path for path in kit.settings.blobs_folder.rglob("*") if path.is_file()]


def spoil(path: Path, damage: str) -> None:
    raw = bytearray(path.read_bytes())
    assert PHOTO[5_000:5_100] not in bytes(raw), "it lies there unsealed"
    raw[1_000] ^= 1
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(raw if damage == "bit" else raw[:500])


async def quarantined(kit: HubKit) -> set[str]:
    return set(await kit.hub.store.read(lambda c: c.execute(select(quarantine.c.reason)).scalars().all()))


@pytest.mark.parametrize("order", ["as sent", "chunks first", "manifest before visit", "backwards"])
async def test_a_photo_is_whole_whatever_comes_first(kit: HubKit, order: str) -> None:
    case, page = await ready(kit)
    numbers = list(range(case.count))
    if order == "as sent":
        await case.open_visit()
        await case.announce()
        await case.send(numbers)
    elif order == "chunks first":
        await case.send(numbers)
        await case.open_visit()
        await case.announce()
    elif order == "manifest before visit":
        await case.announce()
        await case.send(numbers)
        await case.open_visit()
    else:
        await case.open_visit()
        await case.send(reversed(numbers[2:]))
        await case.announce()
        await case.send([1, 0, 1, 0])
    await settled(kit)
    assert await case.state(page) == {
        "blob_id": case.manifest.blob_id,
        "purpose": "original",
        "state": "whole",
        "parts_here": case.count,
        "parts": case.count,
        "shown_bytes": len(PHOTO),
        "size_bytes": len(PHOTO),
    }
    reply = await page.call("GET", case.blob)
    assert await reply.read() == PHOTO
    assert await kit.hub.store.read(lambda c: c.execute(select(blob_chunks.c.number)).all()) == []


async def test_it_is_served_so_that_it_can_do_nothing_and_every_look_is_audited(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    reply = await page.call("GET", case.blob)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "image/jpeg"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "no-store" in reply.headers["Cache-Control"]
    await case.node.until(lambda: any(isinstance(e, ev.MediaSeen) for e in case.node.said_by_hub()))
    await page.call("GET", case.blob)
    lines = await kit.hub.store.read(
        lambda c: c.execute(select(audit.c.actor).where(audit.c.result == case.manifest.blob_id)).scalars().all()
    )
    assert lines == ["asha", "asha"]
    rest = {"Range": "bytes=1-"}
    assert (await page.call("GET", case.blob, headers=rest)).status == 206
    kit.clock.pass_s(3_601)
    for _ in range(2):
        assert (await page.call("GET", case.blob, headers=rest)).status == 206
    actors = select(audit.c.actor).where(audit.c.action == "media_opened")
    assert (await kit.hub.store.read(lambda c: c.execute(actors).scalars().all())) == ["asha"] * 3
    now_ms = kit.clock.ms + 1
    shown = await kit.hub.store.read(lambda connection: affected.look(connection, "asha", 0, now_ms))
    assert [one.patient_id for one in shown.people] == [case.patient_id], (
        "who saw a photo alone is found after a breach"
    )
    assert sum(isinstance(event, ev.MediaSeen) for event in case.node.said_by_hub()) == 1
    record = await page.get(f"/api/visits/{case.visit_id}")
    visit = record["visit"]
    assert isinstance(visit, dict)
    assert visit["media"][0]["seen_ms"] > 0


async def test_behind_broken_glass_photos_are_seen_while_it_is_open_and_each_request_is_audited(kit: HubKit) -> None:
    case, _ = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    await settled(kit)
    page = await person(kit, Role.COORDINATOR)
    path = f"/api/visits/{case.visit_id}"
    media = f"{path}/broken-glass/media"
    blob = f"{media}/{case.manifest.blob_id}"
    assert [(await page.call("GET", at)).status for at in (media, blob, case.blob)] == [409, 409, 403]
    reason = {"reason": "RED patient, no doctor answers", "password": PASSWORD}
    assert (await page.call("POST", f"{path}/break-glass", reason)).status == 200
    listed: Any = await page.get(media)
    assert [one["state"] for one in listed["items"]] == ["whole"]
    assert await (await page.call("GET", blob)).read() == PHOTO
    later = await page.call("GET", blob, headers={"Range": "bytes=100-"})
    assert later.status == 206 and await later.read() == PHOTO[100:]
    query = select(audit.c.actor, audit.c.subject, audit.c.result).where(audit.c.action == "media_opened")
    told = await kit.hub.store.read(lambda c: c.execute(query).all())
    assert told == [("coordinator", case.visit_id, f"break_glass {case.manifest.blob_id}")] * 2
    assert not any(isinstance(event, ev.MediaSeen) for event in case.node.said_by_hub()), "no doctor looked"
    kit.clock.pass_s(glass.OPEN_MS / 1000)
    assert [(await page.call("GET", at)).status for at in (media, blob)] == [409, 409]


async def test_one_range_is_given(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    for asked, status, span in (
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=65530-65550", 206, (65_530, 65_551)),
        ("bytes=-7", 206, (len(PHOTO) - 7, len(PHOTO))),
        ("bytes=70000-", 206, (70_000, len(PHOTO))),
        ("bytes=0-999999999", 206, (0, len(PHOTO))),
        ("bytes=9-3", 200, (0, len(PHOTO))),
        ("bytes=0-1,5-6", 200, (0, len(PHOTO))),
        ("lines=1-2", 200, (0, len(PHOTO))),
        ("bytes=999999-", 416, None),
    ):
        reply = await page.call("GET", case.blob, headers={"Range": asked})
        assert reply.status == status, asked
        if span is not None:
            assert await reply.read() == PHOTO[span[0] : span[1]]
        if status == 206 and span is not None:
            assert reply.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/{len(PHOTO)}"


async def test_what_is_not_whole_says_how_much_is_here_and_shows_what_can_be_shown(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send([3, 4])
    state = await case.state(page)
    assert (state["state"], state["parts_here"], state["parts"]) == ("waiting", 2, case.count)
    reply = await page.call("GET", case.blob)
    assert reply.status == 409
    assert (await reply.json())["code"] == "media_not_whole"
    await case.send(range(case.count - 1))
    shown = (await case.state(page))["shown_bytes"]
    assert shown in case.manifest.facts.parts
    assert isinstance(shown, int)
    assert await (await page.call("GET", case.blob)).read() == PHOTO[:shown]


async def test_nobody_sees_it_without_logging_in_or_under_another_visit(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    for path in (case.path, case.blob):
        assert (await Page(kit).call("GET", path)).status == 401
    other = Case(case.node)
    await other.open_visit()
    assert (await page.call("GET", f"{other.path}/{case.manifest.blob_id}")).status == 404
    assert (await page.call("GET", f"/api/visits/{new_id()}/media")).status == 404


async def test_a_damaged_chunk_is_kept_aside_and_asked_for_again(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(n for n in range(case.count) if n != 2)
    good = case.chunk(2)
    await send_chunk(case.node, msgspec.structs.replace(good, data=bytes((good.data[0] ^ 1,)) + good.data[1:]))
    assert await quarantined(kit) == {"chunk_mismatch"}
    assert (await case.state(page))["parts_here"] == case.count - 1
    await case.node.until(lambda: any(isinstance(e, ev.MediaWanted) for e in case.node.said_by_hub()))
    (wanted,) = [event for event in case.node.said_by_hub() if isinstance(event, ev.MediaWanted)]
    assert core.numbers_of(wanted.missing) == (2,)
    await case.send([2])
    assert (await case.state(page))["state"] == "whole"


async def test_chunks_of_another_shape_are_kept_aside(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.send([0])
    short = msgspec.structs.replace(case.chunk(1), data=b"short")
    assert await send_chunk(case.node, short) is False
    assert await send_chunk(case.node, msgspec.structs.replace(case.chunk(3), count=case.count + 1)) is True
    await case.announce()
    assert await send_chunk(case.node, msgspec.structs.replace(case.chunk(2), data=b"short")) is True
    assert await quarantined(kit) == {"chunk_stray"}
    await case.send(range(case.count))
    assert (await case.state(page))["state"] == "whole"


async def test_what_is_not_what_its_manifest_says_is_never_shown(kit: HubKit) -> None:
    page_ = b"<html><script>fetch('/api/queue')</script></html>" * 200
    case, page = await ready(kit, page_, probe(made.reader(PHOTO), len(PHOTO)))  # type: ignore[arg-type]
    case.manifest = msgspec.structs.replace(case.manifest, facts=msgspec.structs.replace(case.manifest.facts, parts=()))
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    assert (await case.state(page))["state"] == "refused"
    reply = await page.call("GET", case.blob)
    assert (await reply.json())["code"] == "media_refused"
    assert await quarantined(kit) == {"media_untrue"}


async def test_a_manifest_that_cannot_be_true_is_kept_aside(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    case.manifest = msgspec.structs.replace(case.manifest, size_bytes=1 << 40)
    await case.announce()
    assert await quarantined(kit) == {"manifest_malformed"}
    assert await page.get(case.path) == {"items": []}


async def test_a_node_cannot_speak_about_anothers_visit(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    stranger = await kit.enrol("UP02")
    lie = Case(stranger)
    await stranger.send([ev.MediaAttached(case.visit_id, lie.manifest)])
    await stranger.send([ev.MediaRemoved(case.visit_id, case.manifest.blob_id)])
    wrong = msgspec.structs.replace(case.chunk(0), data=b"x" * len(case.chunk(0).data))
    await send_chunk(stranger, wrong)
    assert (await case.state(page))["parts_here"] == 0
    await case.send(range(case.count))
    assert (await case.state(page))["state"] == "whole"


async def test_what_the_node_takes_back_is_gone(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    await case.node.send([ev.MediaRemoved(case.visit_id, case.manifest.blob_id)])
    await settled(kit)
    assert await page.get(case.path) == {"items": []}
    assert (await page.call("GET", case.blob)).status == 404
    assert await asyncio.to_thread(files, kit) == []
    await case.send([0])
    assert await page.get(case.path) == {"items": []}


async def test_a_photo_that_the_shelf_could_not_take_is_put_there_when_its_node_is_seen_again(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, broken = FolderShelf.put, True

    async def fails(self: FolderShelf, name: str, content: bytes) -> None:
        if broken:
            raise ShelfFailed("no room")
        await put(self, name, content)

    monkeypatch.setattr(FolderShelf, "put", fails)
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    assert (await case.state(page))["state"] == "waiting"
    broken = False
    kit.clock.pass_s(2 * 3_600)
    await kit.hub.blobs.node_seen(case.node.node_id)
    page = await kit.login()
    assert (await case.state(page))["state"] == "whole"
    assert await (await page.call("GET", case.blob)).read() == PHOTO


async def test_a_node_that_sends_only_beginnings_is_held_back_and_loses_nothing(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blob_rows, "LOOSE_MAX_BYTES", 40_000)
    case, page = await ready(kit)
    await case.open_visit()
    await case.send(range(4))
    ref = case.node.endpoint.seal_chunk(case.chunk(4))
    case.node.endpoint.submit_bundle(ref, 3, kit.clock.monotonic_s())
    for _ in range(50):
        await case.node.step()
    assert ref.bundle_id not in case.node.acked
    said = [record.getMessage() for record in caplog.records]
    assert "blob_limit" in said
    assert "event failed" not in said
    await case.announce()
    assert (await case.state(page))["parts_here"] == 4
    monkeypatch.setattr(blob_rows, "LOOSE_MAX_BYTES", 1 << 20)
    await case.node.until(lambda: ref.bundle_id in case.node.acked, 9_000)
    assert (await case.state(page))["parts_here"] == 5


async def test_pieces_that_nothing_ever_followed_do_not_keep_a_nodes_photos_out_for_ever(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_rows, "LOOSE_MAX_BYTES", 100_000)
    lost, _ = await ready(kit)
    await lost.open_visit()
    await lost.send(range(lost.count - 1))
    kit.clock.pass_s(31 * 24 * 3_600)
    page = await kit.login()
    case = Case(lost.node, made.jpeg_of(60_000, 7))
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    assert (await case.state(page))["state"] == "whole"
    await lost.announce()
    await lost.send([lost.count - 1])
    kit.clock.pass_s(2 * 3_600)
    await kit.hub.blobs.node_seen(lost.node.node_id)
    await lost.node.until(lambda: any(isinstance(e, ev.MediaWanted) for e in lost.node.said_by_hub()), 9_000)
    (wanted,) = [event for event in lost.node.said_by_hub() if isinstance(event, ev.MediaWanted)]
    await lost.send(core.numbers_of(wanted.missing))
    page = await kit.login()
    assert (await lost.state(page))["state"] == "whole"


async def test_a_hub_that_died_before_it_had_proved_proves_at_its_start(kit: HubKit) -> None:
    case, _ = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count - 1))
    last = ChunkArrived(case.node.keys.node_id, bytes(11), Grade.LOG, case.chunk(case.count - 1), b"")
    await kit.hub.store.write(lambda c: blob_rows.take_chunk(c, kit.hub.keys, last, kit.clock.ms))
    again = await kit.restart()
    try:
        page = await again.login()
        assert (await case.state(page))["state"] == "whole"
        assert await (await page.call("GET", case.blob)).read() == PHOTO
    finally:
        await again.hub.store.read(lambda c: None)
        kit.hub, kit.client = again.hub, again.client


@pytest.mark.parametrize("damage", ["lost", "bit", "cut"])
async def test_what_the_shelf_damaged_is_not_shown_and_is_asked_for(kit: HubKit, damage: str) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    (path,) = await asyncio.to_thread(files, kit)
    await asyncio.to_thread(spoil, path, damage)
    reply = await page.call("GET", case.blob)
    assert (reply.status, (await reply.json())["code"]) == (500, "vault_refused")
    await case.node.until(lambda: any(isinstance(e, ev.MediaWanted) for e in case.node.said_by_hub()))
    assert (await case.state(page))["state"] == "waiting"
    await case.send(range(case.count))
    assert await (await page.call("GET", case.blob)).read() == PHOTO


async def test_a_restored_hub_asks_for_what_it_should_long_have(kit: HubKit) -> None:
    case, _ = await ready(kit)
    await case.open_visit()
    await case.announce()
    await case.send([0])
    kit.clock.pass_s(2 * 3_600)
    await kit.hub.blobs.node_seen(case.node.node_id)
    await kit.hub.blobs.node_seen(case.node.node_id)
    await case.node.until(lambda: any(isinstance(e, ev.MediaWanted) for e in case.node.said_by_hub()), 9_000)
    (wanted,) = [event for event in case.node.said_by_hub() if isinstance(event, ev.MediaWanted)]
    assert core.numbers_of(wanted.missing) == tuple(range(1, case.count))


async def test_the_log_still_verifies_and_random_order_over_many_photos_ends_whole(kit: HubKit) -> None:
    node = await kit.enrol()
    await kit.add_doctor()
    page = await kit.login()
    cases = [Case(node, made.jpeg_of(30_000, seed)) for seed in range(3)]
    for case in cases:
        await case.open_visit()
    steps = [(case, number) for case in cases for number in (*range(case.count), -1)]
    random.Random(4).shuffle(steps)
    for case, number in steps:
        await (case.announce() if number < 0 else case.send([number]))
    for case in cases:
        assert (await case.state(page))["state"] == "whole"

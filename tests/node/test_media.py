"""Photos at a node: uploaded in pieces, sealed at rest, sent in chunks, taken back, and never half there."""

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.model import events as ev
from edge.model.ids import id_bytes
from edge.model.media import MediaType, chunk_count
from edge.model.media_strip import strip
from edge.node import link as node_link
from edge.node import media as node_media
from edge.node import store as node_store
from edge.node.courier import desk_of
from edge.node.database import Database
from edge.sync import blobs
from edge.sync.link import BundleAcked
from tests.kits import media as made
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, Tablet, contents, new_id, provisioned
from tests.node.test_link import at_hub, until

PHOTO = made.jpeg_of(300_000)
SMALL = made.jpeg_of(7_900)
PART = 256 * 1024


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


@pytest.fixture(autouse=True)
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_media, "HOLD_S", 0.0)


async def begin(tablet: Tablet, visit: str, upload: str, purpose: str, size: int) -> tuple[int, dict[str, object]]:
    body = {"purpose": purpose, "size_bytes": size}
    return await tablet.call("PUT", f"/api/visits/{visit}/uploads/{upload}", body)


async def part(tablet: Tablet, visit: str, upload: str, offset: int, data: bytes) -> tuple[int, dict[str, object]]:
    headers = {"X-CSRF": tablet.csrf, "Content-Type": "application/octet-stream"}
    path = f"/api/visits/{visit}/uploads/{upload}/parts/{offset}"
    async with tablet.http.put(path, data=data, headers=headers) as reply:
        return reply.status, await reply.json()


async def upload_all(tablet: Tablet, visit: str, purpose: str, content: bytes) -> str:
    upload = new_id()
    assert (await begin(tablet, visit, upload, purpose, len(content)))[0] == 200
    for at in range(0, len(content), PART):
        status, state = await part(tablet, visit, upload, at, content[at : at + PART])
        assert status == 200, state
    return upload


async def attach(tablet: Tablet, visit: str, photo: bytes = PHOTO, small: bytes = SMALL) -> tuple[str, str]:
    """A photo with its preview: their blob ids."""
    preview = await upload_all(tablet, visit, "preview", small)
    original = await upload_all(tablet, visit, "original", photo)
    reply = await tablet.say("attach_media", visit_id=visit, upload_id=original, preview_upload_id=preview)
    items = {item["blob_id"]: item for item in reply["visit"]["media"]}  # type: ignore[index]
    _, state = await begin(tablet, visit, original, "original", len(photo))
    found = str(state["blob_id"])
    return found, items[found]["preview_id"]


async def lines(tablet: Tablet, visit: str) -> dict[str, str]:
    page = await tablet.get(f"/api/visits/{visit}")
    items = page["sync"]
    assert isinstance(items, list)
    return {one["subject"]: one["state"] for one in items if one["item"] == "attachment"}


def arrived(hub: HubSide, blob: str) -> bytes:
    return b"".join(hub.chunks[place] for place in sorted(hub.chunks) if place[0] == blob)


def all_are(tablet: Tablet, visit: str, state: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await lines(tablet, visit)
        return bool(found) and set(found.values()) == {state}

    return check


async def test_a_photo_goes_to_the_hub_its_preview_first_and_its_line_is_honest(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        photo, small = await attach(tablet, visit)
        await served.node.clinic.seal_now()
        await until(all_are(tablet, visit, "hub_has_it"))
        assert (arrived(hub, photo), arrived(hub, small)) == (PHOTO, SMALL)
        assert next(iter(hub.chunks))[0] == small

        async def announced() -> bool:
            attached = [event for event in hub.events() if isinstance(event, ev.MediaAttached)]
            return [event.media.blob_id for event in attached] == [small, photo]

        await until(announced)
        assert hub.chunk_copies == hub.conflicts == 0
        hub.say(ev.MediaSeen(visit, photo, "dr-1"))

        async def doctor_opened() -> bool:
            return await lines(tablet, visit) == {small: "hub_has_it", photo: "doctor_opened"}

        await until(doctor_opened)
        async with tablet.http.get(f"/api/visits/{visit}/media/{photo}", headers={"Range": "bytes=65000-66000"}) as got:
            assert got.status == 206
            assert await got.read() == PHOTO[65_000:66_001]
            assert "sandbox" in got.headers["Content-Security-Policy"]
            assert got.headers["X-Content-Type-Options"] == "nosniff"
        async with tablet.http.get(f"/api/visits/{visit}/media/{photo}") as got:
            assert await got.read() == PHOTO


async def test_an_upload_goes_on_where_it_was_after_the_node_died(setup: Provisioned) -> None:
    upload = new_id()
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await begin(served.tablet, visit, upload, "original", len(PHOTO))
        status, state = await part(served.tablet, visit, upload, 0, PHOTO[:100_000])
        assert (status, state["held_bytes"]) == (200, 100_000)
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        status, state = await begin(tablet, visit, upload, "original", len(PHOTO))
        assert (status, state["held_bytes"], state["blob_id"]) == (200, 100_000, "")
        assert (await part(tablet, visit, upload, 0, PHOTO[:100_000]))[1]["held_bytes"] == 100_000
        status, state = await part(tablet, visit, upload, 200_000, PHOTO[200_000:])
        assert (status, state["code"]) == (409, "upload_gap")
        status, state = await part(tablet, visit, upload, 100_000, PHOTO[100_000:])
        assert (status, state["held_bytes"]) == (200, len(PHOTO))
        assert state["blob_id"]


async def test_whoever_asks_while_a_photo_is_judged_waits_and_it_is_judged_once(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        tablet, desk = served.tablet, served.node.media
        await tablet.login(setup)
        _, visit = await tablet.register()
        upload, judge, judged = new_id(), desk._judge, []
        began, go_on = threading.Event(), threading.Event()

        def slowly(*args: Any) -> Any:
            judged.append(1)
            began.set()
            go_on.wait(10)
            return judge(*args)

        monkeypatch.setattr(desk, "_judge", slowly)
        await begin(tablet, visit, upload, "preview", len(SMALL))
        last = asyncio.create_task(part(tablet, visit, upload, 0, SMALL))
        assert await asyncio.to_thread(began.wait, 10)
        again = asyncio.create_task(begin(tablet, visit, upload, "preview", len(SMALL)))
        await asyncio.sleep(0.3)  # without the turn it would be judged a second time now, and its file replaced
        go_on.set()
        (_, state), (_, told) = await last, await again
        assert state == told
        assert len(judged) == 1


async def test_what_should_not_be_taken_is_not(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        _, other = await tablet.register()
        status, reply = await begin(tablet, visit, new_id(), "original", 3 << 20)
        assert (status, reply["code"]) == (400, "media_too_large")
        assert (await begin(tablet, visit, new_id(), "film", 100))[0] == 400
        assert (await begin(tablet, new_id(), new_id(), "original", 100))[0] == 404
        assert (await part(tablet, visit, new_id(), 0, b"x"))[0] == 404
        upload = new_id()
        await begin(tablet, visit, upload, "original", 1_000)
        for offset, data in ((0, b""), (0, bytes(1_001)), (999, b"xx"), (999_999_999, b"x")):
            assert (await part(tablet, visit, upload, offset, data))[0] == 400
        assert (await part(tablet, visit, upload, 0, bytes(PART + 1)))[0] == 413
        assert (await part(tablet, other, upload, 0, b"x"))[0] == 404
        status, reply = await begin(tablet, visit, upload, "original", 1_001)
        assert (status, reply["code"]) == (409, "upload_reused")
        status, reply = await tablet.command("attach_media", visit_id=visit, upload_id=upload)
        assert (status, reply["code"]) == (409, "upload_incomplete")
        for content, code in (
            (b"<svg onload=alert(1)>" * 40, "media_type_unknown"),
            (PHOTO[:9_000], "media_damaged"),
            (made.sound(), "media_purpose"),
        ):
            bad = await upload_all(tablet, visit, "original", content)
            status, reply = await tablet.command("attach_media", visit_id=visit, upload_id=bad)
            assert (400 <= status < 500, reply["code"]) == (True, code)
            assert (await tablet.call("DELETE", f"/api/visits/{visit}/uploads/{bad}"))[0] == 204
        good = await upload_all(tablet, visit, "original", PHOTO)
        status, reply = await tablet.command("attach_media", visit_id=visit, upload_id=good)
        assert (status, reply["code"]) == (400, "preview_missing")
        status, reply = await tablet.command("attach_media", visit_id=other, upload_id=good)
        assert reply["code"] == "upload_unknown"
        tablet.csrf = "wrong"
        assert (await part(tablet, visit, good, 0, b"x"))[0] == 403


async def test_a_full_disk_is_said_and_the_upload_goes_on_when_there_is_room(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        upload = new_id()
        await begin(tablet, visit, upload, "preview", len(SMALL))

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            status, reply = await part(tablet, visit, upload, 0, SMALL)
            assert (status, reply["code"]) == (500, "storage_full")
        with monkeypatch.context() as patched:
            patched.setattr(node_media, "RESERVE_BYTES", 1 << 60)
            status, reply = await begin(tablet, visit, new_id(), "preview", 100)
            assert (status, reply["code"]) == (500, "storage_full")
        folder = setup.folder / "blobs"
        assert await asyncio.to_thread(lambda: list(folder.iterdir())) == []
        assert (await part(tablet, visit, upload, 0, SMALL))[1]["held_bytes"] == len(SMALL)


async def test_what_is_taken_back_before_it_was_sent_leaves_nothing(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        photo, small = await attach(tablet, visit)
        await served.node.media.seal_due()
        before = await served.node.clinic.store.outbox(lambda outbox: outbox.backlog())
        reply = await tablet.say("remove_media", visit_id=visit, blob_id=photo)
        assert all(item["removed_ms"] for item in reply["visit"]["media"])  # type: ignore[index]
        after = await served.node.clinic.store.outbox(lambda outbox: outbox.backlog())
        assert after[1] < before[1] - len(PHOTO)
        assert await asyncio.to_thread(lambda: list((setup.folder / "blobs").iterdir())) == []
        assert (await tablet.call("GET", f"/api/visits/{visit}/media/{small}"))[0] == 404
        assert await lines(tablet, visit) == {}


async def test_a_disk_shows_neither_pictures_nor_names_that_confirm_a_guess(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        photo, _ = await attach(served.tablet, visit)
        await served.node.media.seal_due()
    disk = await asyncio.to_thread(contents, setup.folder)
    for at in range(100, len(PHOTO) - 64, 10_007):
        assert PHOTO[at : at + 24] not in disk
    assert photo.encode() not in disk
    assert id_bytes(photo) not in disk
    for guess in (hashlib.sha256(PHOTO).digest(), hashlib.sha256(PHOTO[:8192]).digest()):
        assert guess[:8] not in disk
        assert guess.hex()[:16].encode() not in disk


async def test_chunks_of_a_node_that_is_locked_again_still_reach_the_hub(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        photo, small = await attach(served.tablet, visit)
        await served.node.media.seal_due()
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:

        async def all_there() -> bool:
            return arrived(hub, photo) == PHOTO and arrived(hub, small) == SMALL

        await until(all_there)
        assert served.node.clinic.locked
        await served.tablet.login(setup)
        await until(all_are(served.tablet, visit, "hub_has_it"))


async def test_what_the_hub_acknowledges_while_the_records_are_opening_shows_once_they_are_open(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has opened the records and learned from the outbox; the reader has not, so the node still counts
    as locked. Every acknowledgement comes in that moment."""
    sealed: list[bytes] = []
    async with Served(setup) as served:
        served.node.clinic.on_sealed.append(lambda one: sealed.append(one.ref.bundle_id))
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await attach(served.tablet, visit)
        await served.node.clinic.seal_now()
        await served.node.media.seal_due()
    reached, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def opened_late(folder: Path, key: bytes) -> Database:
        loop.call_soon_threadsafe(reached.set)
        assert go_on.wait(30)
        return Database(folder, key)

    async with Served(setup) as served:
        monkeypatch.setattr(node_store, "Database", opened_late)
        opening = asyncio.create_task(served.tablet.login(setup))
        await reached.wait()
        assert served.node.clinic.locked
        await served.node.link.hear_rows([BundleAcked(ref, 1) for ref in sealed], [])
        go_on.set()
        await opening
        page = await served.tablet.get(f"/api/visits/{visit}")
        states = {one["item"]: one["state"] for one in page["sync"]}  # type: ignore[attr-defined]
        assert set(states.values()) == {"hub_has_it"}, states
        assert await lines(served.tablet, visit)
        assert (await served.node.clinic.store.outbox(lambda outbox: outbox.levels())) == {}


async def test_a_stick_that_comes_right_after_a_photo_carries_all_of_it(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it can still be taken back: a stick that says complete has the day's last photo."""
    monkeypatch.setattr(node_media, "HOLD_S", 1.0)
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await attach(served.tablet, visit)
        carried = {one.bundle_id for one in await desk.waiting()}
        whole = chunk_count(len(PHOTO)) + chunk_count(len(SMALL))
        rows = await served.node.clinic.store.read(lambda views: views.media.unacknowledged())
        assert len(rows) == whole
        assert set(rows) <= carried


async def test_a_months_photos_wait_on_the_disk_and_not_in_memory(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_link, "WINDOW_BYTES", 20_000)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        first, _ = await attach(tablet, visit)
        second, _ = await attach(tablet, visit, made.jpeg_of(120_000, 9), made.jpeg_of(4_000, 9))
        await until(all_are(tablet, visit, "hub_has_it"))
        assert arrived(hub, first) == PHOTO
        assert arrived(hub, second) == made.jpeg_of(120_000, 9)


async def test_what_the_hub_lost_is_sent_again_and_what_a_lost_outbox_held_too(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        photo, _ = await attach(tablet, visit)
        await until(all_are(tablet, visit, "hub_has_it"))
        lost = [place for place in hub.chunks if place[0] == photo and place[1] in (0, 7)]
        for place in lost:
            del hub.chunks[place]
        hub.say(ev.MediaWanted(visit, photo, blobs.bitmap_of((0, 7, 999))))

        async def back() -> bool:
            return arrived(hub, photo) == PHOTO

        await until(back)
        assert hub.chunk_copies == 0
        await until(all_are(tablet, visit, "hub_has_it"))


async def test_a_case_packet_fits_thirty_thousand_bytes(setup: Provisioned) -> None:
    """Summary, vitals and three previews with their manifests, as they are on the wire, before any original."""
    sent: list[tuple[int, int]] = []
    async with Served(setup) as served:
        tablet = served.tablet
        served.node.clinic.on_sealed.append(lambda one: sent.append((one.cls, len(one.ref.sealed))))
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        for seed in (1, 2, 3):
            await attach(tablet, visit, made.jpeg_of(60_000, seed), made.jpeg_of(7_990, seed))
        await served.node.clinic.seal_now()
        await served.node.media.seal_due()
    case = [size for cls, size in sent if cls <= 2]
    packets = sum(-(-size // 1_100) for size in case)
    assert sum(case) > 3 * 5_500
    assert sum(case) + packets * (24 + 28 + 14) + 176 <= 30_000
    assert sum(size for cls, size in sent if cls == 3) > 3 * 42_000


async def test_a_photo_tells_no_place_whatever_sent_it_and_its_upload_can_be_resumed(setup: Provisioned) -> None:
    told = made.tagged("JPEG", 6, (640, 480))
    clean = strip(MediaType.JPEG, told)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        preview = await upload_all(tablet, visit, "preview", SMALL)
        original = await upload_all(tablet, visit, "original", told)
        status, state = await begin(tablet, visit, original, "original", len(told))
        assert (status, state["held_bytes"]) == (200, len(told))
        assert (await part(tablet, visit, original, 0, told[:PART]))[1] == state
        await tablet.say("attach_media", visit_id=visit, upload_id=original, preview_upload_id=preview)
        await served.node.clinic.seal_now()
        await until(all_are(tablet, visit, "hub_has_it"))
        photo = str(state["blob_id"])
        assert arrived(hub, photo) == clean
        async with tablet.http.get(f"/api/visits/{visit}/media/{photo}") as got:
            assert await got.read() == clean
    assert len(list((setup.folder / "blobs").iterdir())) == 2


async def test_originals_go_when_a_second_copy_is_certain_and_previews_stay(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet, clinic, desk = served.tablet, served.node.clinic, served.node.media
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        photo, small = await attach(tablet, visit)
        await clinic.seal_now()
        await until(all_are(tablet, visit, "hub_has_it"))
        later_ms = clinic.clock.now().wall_ms + 1
        assert await desk.prune(later_ms, 0) == 0, "the visit is open"
        await tablet.say("close_visit", visit_id=visit, outcome="completed")
        assert await desk.prune(later_ms, 0) == 0, "the hub has it once"
        asked = await clinic.store.write(lambda journal: journal.held.describe((), whole=True).question)
        await clinic.store.write(lambda journal: journal.held.copied(asked, media=False))
        assert await desk.prune(later_ms, 0) == 0, "its entries are there twice, its photo is not"
        await clinic.store.write(lambda journal: journal.held.copied(asked, media=True))
        assert await desk.prune(later_ms, 1) == 0, "it is among the last"
        assert await desk.prune(1, 0) == 0, "it is young"
        assert await desk.prune(later_ms, 0) == 2, "two parts of one photo"
        assert await lines(tablet, visit) == {small: "second_copy", photo: "second_copy"}
        async with tablet.http.get(f"/api/visits/{visit}/media/{photo}") as got:
            assert got.status == 404
        async with tablet.http.get(f"/api/visits/{visit}/media/{small}") as got:
            assert await got.read() == SMALL
        assert len(list((setup.folder / "blobs").iterdir())) == 1
        assert await desk.prune(later_ms, 0) == 0

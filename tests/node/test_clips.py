"""A recording becomes a clip of its visit at the node; what goes wrong with it ends with its process."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from edge.node import media as node_media
from tests.kits.recordings import recording
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, Tablet, provisioned
from tests.node.test_kill_points import Process, logged_in
from tests.node.test_link import at_hub, until
from tests.node.test_media import begin, upload_all

RECORDED = recording("walk", 1.5, 320, 240)


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


@pytest.fixture(autouse=True)
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_media, "HOLD_S", 0.0)


async def make(tablet: Tablet, visit: str, upload: str) -> tuple[int, dict[str, object]]:
    return await tablet.call("POST", f"/api/visits/{visit}/uploads/{upload}/clip", {})


async def media_of(tablet: Tablet, visit: str) -> list[dict[str, object]]:
    page = await tablet.get(f"/api/visits/{visit}")
    found = page["visit"]["media"]  # type: ignore[index]
    assert isinstance(found, list)
    return sorted(found, key=lambda one: str(one["purpose"]) != "preview")


async def test_a_recording_becomes_a_clip_whose_preview_is_at_the_hub_first(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        upload = await upload_all(tablet, visit, "clip", RECORDED)
        first, again = await asyncio.gather(make(tablet, visit, upload), make(tablet, visit, upload))
        assert first[0] == 200 and first == again, "asked twice it is made once"
        assert (await make(tablet, visit, upload))[0] == 200, "also when the answer was lost"
        preview, clip = await media_of(tablet, visit)
        assert (preview["purpose"], clip["purpose"], clip["preview_id"]) == ("preview", "clip", preview["blob_id"])
        assert clip["size_bytes"] == first[1]["clip_bytes"] and int(str(clip["size_bytes"])) < len(RECORDED)
        _, state = await begin(tablet, visit, upload, "clip", len(RECORDED))
        assert state["held_bytes"] == 0, "the recording itself is gone"
        await served.node.clinic.seal_now()

        async def whole() -> bool:
            here = sum(1 for blob, _ in hub.chunks if blob == clip["blob_id"])
            return here == clip["chunks"]

        await until(whole)
        assert next(iter(hub.chunks))[0] == preview["blob_id"]
        async with tablet.http.get(f"/api/visits/{visit}/media/{clip['blob_id']}") as got:
            shown = await got.read()
        assert got.headers["Content-Type"] == "video/webm"
        assert shown == b"".join(hub.chunks[place] for place in sorted(hub.chunks) if place[0] == clip["blob_id"])


async def test_a_codec_that_dies_or_lies_ends_its_process_and_the_recording_can_be_made_again(
    setup: Provisioned,
) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        upload = await upload_all(tablet, visit, "clip", RECORDED)
        desk = served.node.clips
        good = desk.command
        told = {"type": "made", "preview_bytes": 9, "clip_bytes": 9, "width": 1, "height": 1, "fps": 1, "tries": 1}
        lies = f"import json; print(json.dumps({told | {'took_s': 0}}))"
        for broken in ("import os; os.kill(os.getpid(), 11)", "import sys; sys.stdin.read(); print('hello')", lies, ""):
            desk.command = [sys.executable, "-c", broken]
            status, reply = await make(tablet, visit, upload)
            assert (status, reply["code"]) == (409, "clip_failed")
        assert (await tablet.call("GET", "/api/status"))[0] == 200
        assert await media_of(tablet, visit) == []
        desk.command = good
        assert (await make(tablet, visit, upload))[0] == 200
        assert len(await media_of(tablet, visit)) == 2


async def test_what_is_no_clip_is_refused_before_a_codec_sees_it(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        served.node.clips.command = ["/bin/false"]
        noise = await upload_all(tablet, visit, "clip", bytes(5_000))
        assert (await make(tablet, visit, noise))[1]["code"] == "media_type_unknown"
        assert (await make(tablet, visit, "0" * 16))[0] == 404
        short = "0123456789abcdef"
        await begin(tablet, visit, short, "clip", 5_000)
        assert (await make(tablet, visit, short))[1]["code"] == "upload_incomplete"
        assert (await begin(tablet, visit, "0123456789abcdeg", "clip", 9 << 20))[1]["code"] == "media_too_large"


async def test_the_nodes_own_camera_records_until_it_is_told_to_stop_and_gives_way_to_a_call(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        assert (await tablet.get("/api/status"))["own_camera"] is True
        _, visit = await tablet.register()
        path = f"/api/visits/{visit}/clips/0123456789abcdef"
        status, reply = await tablet.call("POST", path)
        assert (status, reply["most_s"]) == (200, 30)
        assert (await tablet.call("POST", path))[0] == 200, "asked again it goes on"
        status, reply = await tablet.call("POST", f"/api/visits/{visit}/clips/0123456789abcdeg")
        assert (status, reply["code"]) == (409, "clip_busy")
        await asyncio.sleep(1.0)  # of what is recorded
        status, reply = await tablet.call("POST", path + "/stop")
        assert status == 200 and (reply["width"], reply["height"]) == (640, 480)
        preview, clip = await media_of(tablet, visit)
        assert (clip["purpose"], clip["preview_id"]) == ("clip", preview["blob_id"])
        assert (await tablet.call("POST", path + "/stop"))[1] == reply, "also when the answer was lost"
        assert (await tablet.call("POST", f"/api/visits/{visit}/clips/fedcba9876543210/stop"))[0] == 404

        other = f"/api/visits/{visit}/clips/fedcba9876543210"
        assert (await tablet.call("POST", other))[0] == 200
        await served.node.clips.release()
        status, reply = await tablet.call("POST", other + "/stop")
        assert (status, reply["code"]) in ((409, "clip_failed"), (404, "not_found"))
        assert len(await media_of(tablet, visit)) == 2
        calls = iter((False, True))
        monkeypatch.setattr(served.node.clips, "_in_call", lambda: next(calls))
        status, reply = await tablet.call("POST", f"/api/visits/{visit}/clips/0000000000000002")
        assert (status, reply["code"]) == (409, "clip_busy"), "a call was taken while the camera was being opened"
        monkeypatch.undo()
        served.node.clips.recorder = [sys.executable, "-c", "print('nonsense')"]
        status, reply = await tablet.call("POST", f"/api/visits/{visit}/clips/0000000000000001")
        assert (status, reply["code"]) == (409, "clip_failed")


@pytest.mark.serial
async def test_a_clip_whose_attaching_was_killed_is_attached_once(setup: Provisioned) -> None:
    """SIGKILL with its preview kept, with both kept, and with it attached but unanswered; then asked again."""
    visit = upload = ""
    for kill_at in ("media.kept:2", "clip.kept", "clip.attached", ""):
        process = await Process.start(setup.folder, kill_at)
        try:
            async with logged_in(process, setup) as tablet:
                if not visit:
                    _, visit = await tablet.register()
                    upload = await upload_all(tablet, visit, "clip", RECORDED)
                if kill_at:
                    with contextlib.suppress(aiohttp.ClientError):
                        assert (await make(tablet, visit, upload))[0] == 0, "it answered before it was killed"
                    assert await asyncio.wait_for(process.child.wait(), 60) == -signal.SIGKILL
                    continue
                first, again = await make(tablet, visit, upload), await make(tablet, visit, upload)
                preview, clip = await media_of(tablet, visit)
                assert first == again
                assert (first[0], first[1]["clip_bytes"]) == (200, clip["size_bytes"])
                assert clip["preview_id"] == preview["blob_id"]
                _, state = await begin(tablet, visit, upload, "clip", len(RECORDED))
                assert state["held_bytes"] == 0, "the recording itself is gone"
        finally:
            if not kill_at:
                assert await process.stop() == 0


async def test_a_clip_is_kept_once_also_when_it_was_taken_back(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        upload = await upload_all(tablet, visit, "clip", RECORDED)
        assert (await make(tablet, visit, upload))[0] == 200
        _, clip = await media_of(tablet, visit)
        await tablet.say("remove_media", visit_id=visit, blob_id=clip["blob_id"])
        status, reply = await make(tablet, visit, upload)
        assert (status, reply["code"]) == (409, "media_removed")
        assert all(one["removed_ms"] for one in await media_of(tablet, visit))


async def test_a_recording_is_ended_and_forgotten_only_by_its_own_visit(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        _, other = await tablet.register()
        own, wrong = (f"/api/visits/{one}/clips/0123456789abcdef" for one in (visit, other))
        assert (await tablet.call("POST", own))[0] == 200
        await tablet.call("DELETE", wrong)
        status, reply = await tablet.call("POST", wrong + "/stop")
        assert (status, reply["code"]) == (404, "not_found")
        assert (await tablet.call("POST", own + "/stop"))[0] == 200, "nobody else has ended it"
        assert len(await media_of(tablet, visit)) == 2
        assert await media_of(tablet, other) == []
        assert (await tablet.call("POST", own))[0] == 200, "begun again it is the one that is there"
        assert (await tablet.call("POST", own + "/stop"))[0] == 200
        assert len(await media_of(tablet, visit)) == 2

        upload = await upload_all(tablet, visit, "clip", RECORDED)
        status, reply = await make(tablet, other, upload)
        assert (status, reply["code"]) == (404, "not_found")
        assert (await make(tablet, visit, upload))[0] == 200
        assert (await make(tablet, other, upload))[0] == 404, "also when it has been made"

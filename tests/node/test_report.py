"""The technician's report: true figures, for technicians alone, and nothing of a patient in it."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.model.records import Role
from edge.node import media as node_media
from edge.node import provision
from edge.node.checks.base import CheckGrade
from edge.node.journal import Journal
from edge.node.report import Report, told_of
from edge.node.telling import AGAIN_S, EVERY_S, is_due
from edge.node.views import Views
from edge.sync import holdings
from tests.node.hubside import HubSide
from tests.node.kit import COMPLAINT, MOBILE, NAME, PIN, VILLAGE, Provisioned, Served, provisioned
from tests.node.test_link import at_hub, until
from tests.node.test_media import PHOTO, SMALL, attach

WORD = ev.NodeTold("node", "udp", 1, 1)
WORSE = msgspec.structs.replace(WORD, findings=("disk:fail",))


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def all_sealed(served: Served) -> None:
    """Seal everything that was recorded; an audit line in the background may still come."""
    clinic = served.node.clinic
    deadline_s = time.monotonic() + 30.0
    while True:
        await clinic.seal_now()
        left = await clinic.store.read(_unsealed)
        if not left:
            return
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)


def _unsealed(views: Views) -> int:
    return views.unsealed()


async def test_the_page_is_for_the_technician_and_says_how_much_of_each_class_waits(setup: Provisioned) -> None:
    opener = (setup.recovery, "")
    technician, badge = await provision.add_staff(setup.folder, setup.config, opener, "Ravi", "", Role.TECHNICIAN, PIN)
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        await all_sealed(served)
        for path in ("/api/report", "/api/report/export.json"):
            status, refused = await tablet.call("GET", path)
            assert (status, refused["code"]) == (403, "forbidden")
        await tablet.login(msgspec.structs.replace(setup, staff_id=technician.staff_id, badge=badge))
        await all_sealed(served)
        raw = await tablet.get("/api/report")
        report = msgspec.convert(raw, Report)
        lines = {line.cls: line for line in report.backlog}
        for path in ("patients?q=", "queue", f"visits/{visit}", "drafts", "calls"):
            status, refused = await tablet.call("GET", f"/api/{path}")
            assert (status, refused["code"]) == (403, "forbidden"), path
        assert (await tablet.call("GET", "/api/session"))[0] == 200
        assert lines[1].items >= 1
        assert lines[1].size_bytes > 100
        assert sum(line.items for line in report.backlog) == report.link.backlog_items
        assert sum(line.size_bytes for line in report.backlog) == report.link.backlog_bytes
        assert lines[1].oldest_s is not None
        assert all(line.oldest_s is None or line.oldest_s < 600 for line in report.backlog), report.backlog
        assert report.unsealed in (0, 1, 2)
        assert [one.name for one in report.bearers if one.in_use] == ["udp"]
        assert {one.check for one in report.findings} >= {"disk", "clock", "last_ack", "modem"}
        async with tablet.http.get("/api/report/export.json") as reply:
            assert 'attachment; filename="upkendra-' in reply.headers["Content-Disposition"]
            saved = await reply.text()
        assert msgspec.json.decode(saved, type=Report).node_id == report.node_id
        text = json.dumps(raw, ensure_ascii=False) + saved
        assert [word for word in (NAME, VILLAGE, MOBILE, COMPLAINT, visit) if word in text] == []


async def test_a_locked_node_reports_what_waits_without_its_classes(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
        await all_sealed(served)
    async with Served(setup) as again:
        report = await again.node.reporter.report()
        assert report.locked
        assert [line.cls for line in report.backlog] == [-1]
        assert report.backlog[0].items == report.link.backlog_items > 0
        assert report.unsealed is None


async def test_entries_of_a_later_release_are_counted(setup: Provisioned) -> None:
    later = msgspec.msgpack.encode(ev.Entry(99, 1, 1 << 16, "", b"\x90"))
    newer = msgspec.msgpack.encode(ev.Entry(65, 2, 1 << 16, "", b"\x90"))
    known = msgspec.msgpack.encode(ev.entry_of(ev.VisitSeen("0" * 16, "d"), 1 << 16, ""))
    async with Served(setup) as served:
        await served.tablet.login(setup)
        sql = "INSERT INTO hub_entries (run, stream, seq, raw) VALUES (?, 5, ?, ?)"

        def put(journal: Journal) -> None:
            for seq, raw in enumerate((later, newer, known, later), 1):
                journal._db.run(sql, bytes(8), seq, raw)

        await served.node.clinic.store.write(put)
        report = await served.node.reporter.report()
        assert [(one.kind, one.version, one.entries) for one in report.later] == [(65, 2, 1), (99, 1, 2)]


async def ask_status(folder: Path) -> Report:
    command = (sys.executable, "-m", "edge.node", "status", "--data", str(folder))
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=True)
    return msgspec.json.decode(done.stdout, type=Report)


async def test_the_command_line_asks_the_running_node_and_looks_for_itself_when_none_runs(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
        await all_sealed(served)
        live = await ask_status(setup.folder)
        assert (live.running, live.locked) == (True, False)
    still = await ask_status(setup.folder)
    assert (still.running, still.locked) == (False, True)
    assert still.link.backlog_items >= live.link.backlog_items > 0
    assert still.node_id == live.node_id == setup.config.node_id.hex()


def test_the_hub_is_told_hourly_and_when_a_check_turns_but_never_twice_in_ten_minutes() -> None:
    assert is_due(None, 0.0, WORD)
    assert not is_due(WORD, EVERY_S - 1, WORD)
    assert is_due(WORD, EVERY_S, WORD)
    assert not is_due(WORD, AGAIN_S - 1, WORSE)
    assert is_due(WORD, AGAIN_S, WORSE)


async def test_what_the_hub_is_told_is_one_small_entry_of_the_audit_stream(setup: Provisioned) -> None:
    async with Served(setup) as served:
        telling = served.node.telling
        assert not await telling.look(10_000.0)
        await served.tablet.login(setup)
        assert await telling.look(10_000.0)
        assert not await telling.look(10_000.0 + AGAIN_S)
        rows = await served.node.clinic.store.write(
            lambda journal: journal._db.rows("SELECT stream, length(raw) FROM entries WHERE kind = 25")
        )
        ((stream, size_bytes),) = rows
        assert stream == 4
        assert size_bytes <= 200


async def test_the_report_says_what_the_day_carried_and_which_photos_its_cap_keeps_back(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_media, "HOLD_S", 0.0)
    capped = msgspec.structs.replace(setup.config, data_caps_mb={"udp": 0}, bulk_hours="00:00-24:00")
    async with HubSide(setup) as hub, Served(at_hub(msgspec.structs.replace(setup, config=capped), hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await attach(served.tablet, visit)
        await served.node.clinic.seal_now()
        await served.node.media.seal_due()

        async def preview_is_there() -> bool:
            photos = (await served.node.reporter.report()).photos
            return photos is not None and photos.items == 1

        await until(preview_is_there)
        report = await served.node.reporter.report()
        assert report.link.waits == "cap"
        assert report.link.waiting_bytes > 0
        assert report.photos is not None
        assert (report.photos.size_bytes, report.photos.left_bytes) == (len(PHOTO), len(PHOTO))
        assert report.photos.oldest_s is not None
        (use,) = report.usage
        assert (use.name, use.cap_bytes) == ("udp", 0)
        assert use.up_bytes > len(SMALL)
        assert use.down_bytes > 0
        assert report.bulk_hours == "00:00-24:00"


async def test_a_copied_card_is_a_fault_of_the_report_and_of_what_the_hub_is_told(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        hub.endpoint.send_state(setup.record.node_id, holdings.encode(holdings.Notice(holdings.NODE_TWICE, 1)), 1)
        hub.wake()

        async def told() -> bool:
            return bool(served.node.clinic.notices)

        await until(told)
        report = await served.node.reporter.report()
        (finding,) = [one for one in report.findings if one.check == "one_card"]
        assert (finding.grade, finding.value) == (CheckGrade.FAIL, holdings.NODE_TWICE)
        assert [one.code for one in report.notices] == [holdings.NODE_TWICE]
        assert "one_card:fail" in told_of(report).findings


async def test_a_technician_sees_one_picture_of_the_nodes_own_camera_while_no_call_has_it(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = (setup.recovery, "")
    technician, badge = await provision.add_staff(setup.folder, setup.config, opener, "Ravi", "", Role.TECHNICIAN, PIN)
    path = "/api/camera/still"
    async with Served(setup) as served:
        tablet, desk = served.tablet, served.node.clips
        await tablet.login(setup)
        status, refused = await tablet.call("POST", path)
        assert (status, refused["code"]) == (403, "forbidden")
        await tablet.login(msgspec.structs.replace(setup, staff_id=technician.staff_id, badge=badge))
        two = await asyncio.gather(tablet.call("POST", path), tablet.call("POST", path))
        (status, refused), (done, taken) = sorted(two, key=lambda one: -one[0])
        assert (status, refused["code"]) == (409, "clip_busy"), "one at a time"
        assert (done, taken["width"], taken["height"]) == (200, 1600, 1200)
        webp = base64.b64decode(str(taken["webp"]))
        assert (webp[:4], webp[8:12]) == (b"RIFF", b"WEBP") and len(webp) > 5_000
        folders = [one for one in setup.folder.rglob("*") if one.is_file()]
        assert [one.name for one in folders if webp[100:200] in one.read_bytes()] == [], "it is kept nowhere"
        good = desk.still_taker
        lies = "import json; print(json.dumps({'type': 'taken', 'size_bytes': 9, 'width': 1, 'height': 1}))"
        for broken in ("import os; os.kill(os.getpid(), 11)", "print('hello')", lies):
            desk.still_taker = [sys.executable, "-c", broken]
            status, refused = await tablet.call("POST", path)
            assert (status, refused["code"]) == (409, "clip_no_camera")
        desk.still_taker = [sys.executable, "-c", "import sys, time; sys.stdin.read(); time.sleep(600)"]
        waits = asyncio.create_task(tablet.call("POST", path))

        async def begun() -> bool:
            return desk._recording is not None

        await until(begun)
        monkeypatch.setattr(desk, "_in_call", lambda: True)
        await desk.release()  # a call was taken: it goes before
        status, refused = await waits
        assert (status, refused["code"]) == (409, "clip_busy")
        assert (await tablet.call("POST", path))[1]["code"] == "clip_busy"
        monkeypatch.undo()
        desk.still_taker = good
        assert (await tablet.call("POST", path))[0] == 200
        monkeypatch.setattr(desk, "_camera", "tablet")
        assert (await tablet.call("POST", path))[1]["code"] == "clip_no_camera"

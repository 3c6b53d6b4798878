"""What the OWASP lists ask of the hub and no other file here does: sessions, objects of others, hostile uploads."""

import asyncio
import io
import time
import zlib
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

from edge.web.routes import Auth
from hub import review
from hub.directory import revoke_node
from hub.permits import Role
from hub.web.api import Api
from hub.web.home_api import HomeApi
from tests.kits.media import jpeg, sound

from .home_kit import Telephone, always_open
from .kit import DRAFT, PASSWORD, HubKit, NodeKit, Page, filled, new_id, registered, visit_events

MARK: dict[str, object] = {"mark_id": new_id(), "kind": "line", "points": [1, 1, 9, 9]}
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", messages=StringIO())).start()
    await always_open(kit)
    yield kit
    await kit.stop()


async def visit_of(node: NodeKit, name: str = "Sita Devi", serial: int = 1) -> str:
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id, name), *visit_events(visit_id, patient_id, serial=serial)])
    return visit_id


# -- authentication and sessions -------------------------------------------------------------------------


async def test_every_route_of_both_apis_wants_a_session_and_whatever_changes_something_its_csrf_value(
    hub: HubKit,
) -> None:
    await hub.add_doctor()
    assert hub.hub.home is not None
    for routes, page in (
        (Api(hub.hub).routes(), await hub.login()),
        (HomeApi(hub.hub, hub.hub.home).routes(), await Telephone(hub).login()),
    ):
        stranger, page.csrf = Page(hub), "guessed"
        for route in routes:
            if route.auth is not Auth.SESSION:
                continue
            path = filled(route.path)
            assert (await stranger.call(route.method, path)).status == 401, (route.method, path)
            if route.method != "GET":
                reply = await page.call(route.method, path)
                assert (reply.status, (await reply.json())["code"]) == (403, "csrf"), (route.method, path)


async def test_a_session_that_a_stranger_put_into_a_browser_is_not_the_one_after_the_log_in(hub: HubKit) -> None:
    await hub.add_doctor()
    for cookie, logged_in, path in (
        ("upk_hub", hub.login, "/api/session"),
        ("upk_home", Telephone(hub).login, "/home/api/session"),
    ):
        planted = Page(hub)
        planted.cookies[cookie] = "planted-by-a-stranger"
        assert (await planted.call("GET", path)).status == 401
        first, second = await logged_in(), await logged_in()
        assert "planted-by-a-stranger" not in (first.cookies[cookie], second.cookies[cookie])
        assert len(second.cookies[cookie]) >= 40
        assert (await planted.call("GET", path)).status == 401
    for method in ("TRACE", "CONNECT", "PROPFIND"):
        assert (await Page(hub).call(method, "/api/session")).status in (400, 404, 405)


async def test_two_log_ins_have_two_sessions_and_the_end_of_one_is_not_that_of_the_other(hub: HubKit) -> None:
    await hub.add_doctor()
    first, second = await hub.login(), await hub.login()
    assert first.cookies["upk_hub"] != second.cookies["upk_hub"]
    stolen = Page(hub)
    stolen.cookies, stolen.csrf = dict(first.cookies), second.csrf
    assert (await stolen.call("PUT", "/api/rota/ready", {"ready": True})).status == 403, "each has its own CSRF value"
    assert (await first.call("DELETE", "/api/session")).status == 204
    assert (await first.call("GET", "/api/session")).status == 401
    assert (await second.call("GET", "/api/session")).status == 200


# -- objects of others -----------------------------------------------------------------------------------


async def test_a_visit_that_one_doctor_has_taken_is_changed_by_no_other_and_every_look_is_in_the_audit(
    hub: HubKit,
) -> None:
    await hub.add_doctor()
    await hub.add_doctor("ravi", "Dr Ravi")
    node = await hub.enrol()
    visit_id = await visit_of(node)
    asha, ravi = await hub.login(), await hub.login("ravi")
    root = f"/api/visits/{visit_id}"
    assert (await asha.call("POST", f"{root}/take")).status == 200
    assert (await asha.call("PUT", f"{root}/notes", {"text": "hers alone"})).status == 200
    before = (await asha.get(root))["visit"]
    tried = [
        await ravi.call("POST", f"{root}/take"),
        await ravi.call("POST", f"{root}/put-back"),
        await ravi.call("POST", f"{root}/hand-over", {"doctor_id": "ravi"}),
        await ravi.call("POST", f"{root}/sign", {"command_id": new_id(), "draft": DRAFT, "password": PASSWORD}),
        await ravi.call("PUT", f"{root}/answers/{new_id()}", raw=sound("webm"), headers=OCTETS),
        await ravi.call("POST", f"{root}/media/{new_id()}/marks", {"marks": [MARK]}),
    ]
    assert [reply.status for reply in tried] == [409] * len(tried), [await reply.text() for reply in tried]
    assert "hers alone" not in await (await ravi.call("GET", f"{root}/notes")).text()
    after = (await asha.get(root))["visit"]
    assert after == before
    await ravi.get(root)
    seen = await hub.hub.store.read(
        lambda c: c.exec_driver_sql("SELECT actor FROM audit WHERE action = 'record_opened'").scalars().all()
    )
    assert {"asha", "ravi"} <= set(seen)


async def test_a_viewer_of_figures_gets_nothing_of_a_patient_by_any_route(hub: HubKit) -> None:
    await hub.add_doctor("vera", "Vera")
    await hub.hub.store.write(lambda c: review.give_role(c, "vera", Role.VIEWER.value, hub.clock.ms))
    node = await hub.enrol()
    visit_id = await visit_of(node, "Lakshmi Bai")
    patient = await Telephone(hub).login()
    theirs = await patient.waiting()
    page = await hub.login("vera")
    for route in Api(hub.hub).routes():
        for one in (visit_id, theirs) if "{visit_id}" in route.path else ("",):
            path = filled(route.path.replace("{visit_id}", one))
            if (
                route.auth is not Auth.SESSION
                or path.endswith(".pdf")
                or (route.method, path) == ("DELETE", "/api/session")
            ):
                continue
            reply = await page.call(route.method, path)
            body = (await reply.read()).decode(errors="replace")
            assert not any(word in body for word in ("Lakshmi", "सीता", visit_id, theirs, "5550123456")), path


async def test_a_revoked_node_is_called_by_nobody_and_its_old_visits_stay_for_doctors(hub: HubKit) -> None:
    await hub.add_doctor()
    node = await hub.enrol()
    visit_id = await visit_of(node)
    await hub.hub.store.write(lambda c: revoke_node(c, node.node_id, hub.clock.ms))
    await hub.hub.reload_nodes()
    page = await hub.login()
    assert (await page.get(f"/api/visits/{visit_id}"))["visit"]["visit_id"] == visit_id  # type: ignore[index]
    later, patient_id = new_id(), new_id()
    payload = node.entries([registered(patient_id, "Nobody"), *visit_events(later, patient_id, serial=2)])
    ref = node.endpoint.seal_bundle(payload)
    node.endpoint.submit_bundle(ref, 1, hub.clock.monotonic_s())
    for _ in range(200):
        await node.step()
    assert ref.bundle_id not in node.acked
    assert (await page.call("GET", f"/api/visits/{later}")).status == 404
    assert not hub.hub.link.online(node.node_id)


# -- hostile uploads -------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG of a gigapixel in some kilobytes."""
    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG", optimize=True)
    return out.getvalue()


def jpeg_of_claims(width: int, height: int) -> bytes:
    """A small JPEG whose frame says that it is huge."""
    made = bytearray(jpeg(64, 64))
    at = made.index(b"\xff\xc0")
    made[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(made)


HOSTILE = {
    "bomb": bomb,
    "claims": lambda: jpeg_of_claims(65_500, 65_500),
    "none": lambda: jpeg_of_claims(0, 0),
    "gif with script": lambda: b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)//" * 20,
    "jpeg that is a page": lambda: b"\xff\xd8\xff\xe0<script>alert(1)</script>" * 20,
    "pdf": lambda: b"%PDF-1.7\n" + b"1 0 obj<</JS(app.alert(1))>>endobj\n" * 20,
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_photo_of_a_patient_is_refused_soon_and_costs_no_memory(hub: HubKit, kind: str) -> None:
    patient = await Telephone(hub).login()
    visit_id, small, hostile = await patient.waiting(), jpeg(40, 30), await asyncio.to_thread(HOSTILE[kind])
    since_s = time.process_time()
    for body, split in ((small + hostile, len(small)), (hostile + small, len(hostile))):
        path = f"/home/api/visits/{visit_id}/photos/{new_id()}?preview_bytes={split}"
        reply = await patient.call("PUT", path, raw=body, headers=OCTETS)
        assert 400 <= reply.status < 500, await reply.text()
    assert time.process_time() - since_s < 5, "of the processor: nothing of it is unpacked"
    assert (await patient.seen(visit_id))["photos"] == []


async def test_what_is_too_big_or_points_elsewhere_is_refused_before_it_is_read(hub: HubKit) -> None:
    patient = await Telephone(hub).login()
    visit_id = await patient.waiting()
    root = f"/home/api/visits/{visit_id}"
    huge, slip = bytes(20 << 20), b"%PDF-" + zlib.compress(bytes(30 << 20))
    refused = [
        await patient.call("PUT", f"{root}/photos/{new_id()}?preview_bytes=100", raw=huge, headers=OCTETS),
        await patient.call("PUT", f"{root}/photos/..%2f..%2fetc?preview_bytes=1", raw=b"xx", headers=OCTETS),
        await patient.call("GET", f"{root}/photos/%2e%2e"),
        await patient.call("PUT", f"{root}/photos/{new_id()}?preview_bytes=-1", raw=b"xx", headers=OCTETS),
        await patient.call("POST", "/home/api/check-slip", raw=slip, headers=OCTETS),
        await patient.call("POST", "/home/api/commands", raw=b"[" * 200_000),
        await patient.call("POST", "/home/api/commands", raw=b'{"type":"open_visit","visit_id":"\xff"}'),
        await patient.call("GET", "/home/..%2f..%2fhub.db"),
        await patient.call("GET", "/ui/..%2f..%2fkeys.json"),
    ]
    assert all(400 <= reply.status < 500 for reply in refused), [reply.status for reply in refused]
    assert (await patient.call("GET", "/home/api/session")).status == 200, "and the hub goes on"

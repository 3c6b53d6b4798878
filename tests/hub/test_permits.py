"""Every route × every role: what the table says is what the hub does, and a route without a line is for nobody."""

import asyncio

import msgspec
import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from msgspec import structs

from edge.media.signals import Ring
from edge.web.routes import Auth
from hub import accounts, affected, review
from hub.app import build_app
from hub.permits import PERMITS, Role
from hub.sms import SmsDesk, SmsOptions
from hub.store.schema import rota_waits
from hub.web.api import Api
from hub.web.sms_api import SmsApi

from .kit import HubKit, Page, filled, new_id, registered, visit_events


async def person(kit: HubKit, role: Role) -> Page:
    """Somebody with this role and no other, logged in."""
    await kit.add_doctor(role.value, f"Person {role.value}")
    if role is not Role.DOCTOR:
        now_ms = kit.clock.ms
        await kit.hub.store.write(lambda connection: review.give_role(connection, role.value, role.value, now_ms))
    return await kit.login(role.value)


@pytest.mark.parametrize("database", [""], ids=["sqlite"])  # roles are looked at before any row is
async def test_each_route_answers_forbidden_to_exactly_the_roles_that_the_table_leaves_out(kit: HubKit) -> None:
    desk = SmsDesk(kit.hub, SmsOptions("/dev/null"))
    routes = [one for one in Api(kit.hub, SmsApi(kit.hub, desk).routes()).routes() if one.auth is Auth.SESSION]
    assert {(one.method, one.path) for one in routes} == PERMITS.keys(), "the table names every route, and no other"
    assert kit.client is not None
    await kit.client.close()
    kit.client = TestClient(TestServer(build_app(kit.hub, {}, {}, desk)))
    await kit.client.start_server()
    for role in Role:
        page = await person(kit, role)
        held = {role, Role.DOCTOR} if role is Role.MEDICAL_OFFICER else {role}
        for route in sorted(routes, key=lambda one: ((one.method, one.path) == ("DELETE", "/api/session"), one.path)):
            path = filled(route.path)
            reply = await page.call(route.method, path)
            refused = reply.status == 403
            assert refused is not bool(held & PERMITS[route.method, route.path]), (role, route.method, route.path)
            assert reply.status != 401, (role, route.path)
            assert reply.status < 500 or "/early" in path, (role, route.path)  # there is no modem here


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.VIEWER, Role.ADMINISTRATOR, Role.PHARMACIST])
async def test_whoever_does_not_treat_sees_no_patient_and_nothing_is_published_to_nodes(
    kit: HubKit, role: Role
) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id, "Sita Devi"), *visit_events(visit_id, patient_id)])
    page = await person(kit, role)
    seen = []
    for method, path in PERMITS:
        if method == "GET" and role in PERMITS[method, path] and "{" not in path and "sms" not in path:
            reply = await page.call(method, path)
            seen.append((await reply.read()).decode(errors="replace"))
    assert seen
    assert not any(word in text for text in seen for word in ("Sita Devi", patient_id))
    staff = await kit.hub.store.read(lambda connection: _published(connection))
    assert role.value not in staff


def _published(connection: object) -> set[str]:
    from hub.directory import published_doctors

    return {one.person_id for one in published_doctors(connection)}  # type: ignore[arg-type]


async def test_a_role_that_was_taken_closes_the_door_at_the_next_request(kit: HubKit) -> None:
    page = await person(kit, Role.COORDINATOR)
    assert (await page.call("GET", "/api/coordination")).status == 200
    now_ms = kit.clock.ms
    await kit.hub.store.write(lambda connection: review.give_role(connection, "coordinator", "viewer", now_ms))
    await kit.hub.store.write(lambda connection: review.take_role(connection, "coordinator", "coordinator", now_ms))
    assert (await page.call("GET", "/api/coordination")).status == 403
    day = await page.get("/api/day")
    assert set(day) == {"waits", "districts"}


async def test_a_viewers_day_is_of_her_districts_in_fives_and_stands_in_the_audit(kit: HubKit) -> None:
    page, now_ms = await person(kit, Role.VIEWER), kit.clock.ms
    node = await kit.enrol()
    for district, people in (("Sitapur", 12), ("Gaya", 1)):
        for number in range(people):
            row: dict[str, object] = {
                "visit_id": f"{district}{number}",
                "district": district,
                "rank": 3,
                "since_ms": now_ms - 60_000,
            }
            row |= {"told_ms": now_ms, "told": None, "doctor_id": "asha", "taken_ms": now_ms, "done_ms": 0}
            await kit.hub.store.write(lambda c, row=row: c.execute(rota_waits.insert().values(**row)) and None)  # type: ignore[misc]
    kit.hub.directory.put_site(structs.replace(kit.hub.directory.site(node.node_id), node_id="11" * 8, district="Gaya"))
    await kit.hub.store.write(lambda c: accounts.put_districts(c, "viewer", ("Sitapur",), now_ms, "root"))
    day = await page.get("/api/day")
    hers: dict[str, object] = {"waiting": 0, "taken": 10, "wait_median_s": 60.0, "wait_p90_s": 60.0, "told": 0}
    hers |= {"error_median_s": None, "error_p90_s": None, "held_share": None}
    assert day == {"waits": hers, "districts": [{"district": "Sitapur", "waits": hers}]}, "nothing of another district"
    await kit.hub.store.write(lambda c: accounts.put_districts(c, "viewer", ("Gaya",), now_ms, "root"))
    one = await page.get("/api/day")
    assert one["districts"] == []
    assert (one["waits"]["taken"], one["waits"]["wait_median_s"]) == (0, None)  # type: ignore[index]
    reads = await kit.hub.store.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM audit WHERE action = 'report_read'").scalar()
    )
    assert reads == 2


async def test_who_is_no_doctor_any_more_calls_nobody_from_an_open_page_and_keeps_no_patient(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.add_doctor("ravi", "Dr Ravi")
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page, other = await kit.login(), await kit.login("ravi")
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    assert kit.client is not None
    socket = await kit.client.ws_connect("/api/live", headers={"Cookie": f"upk_hub={page.cookies['upk_hub']}"})
    await kit.hub.store.write(lambda c: review.give_role(c, "asha", Role.VIEWER.value, kit.clock.ms))
    await socket.send_str(msgspec.json.encode(Ring(new_id(), visit_id)).decode())
    async with asyncio.timeout(20):
        while (heard := await socket.receive()).type is WSMsgType.TEXT:
            assert "call_id" not in heard.json(), "she would have rung"
    assert socket.close_code == WSCloseCode.POLICY_VIOLATION
    async with asyncio.timeout(20):  # the hub gives her patient back by itself
        while (await other.call("POST", f"/api/visits/{visit_id}/take")).status != 200:
            await node.step()


async def test_the_audit_names_whose_records_an_account_opened(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.add_doctor("ravi", "Dr Ravi")
    node = await kit.enrol()
    patients, opened = [new_id() for _ in range(3)], [new_id() for _ in range(3)]
    for patient_id, visit_id in zip(patients, opened, strict=True):
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    asha, ravi = await kit.login(), await kit.login("ravi")
    start_ms = kit.clock.ms
    await asha.get(f"/api/visits/{opened[0]}")
    await asha.get(f"/api/visits/{opened[0]}")
    await asha.get(f"/api/visits/{opened[1]}")
    await ravi.get(f"/api/visits/{opened[2]}")
    end_ms = kit.clock.ms + 1
    found = await kit.hub.store.read(lambda connection: affected.look(connection, "asha", start_ms, end_ms))
    assert {one.patient_id for one in found.people} == set(patients[:2])
    assert (found.reads, found.audit_broken_at) == (3, 0)
    everybody = await kit.hub.store.read(lambda connection: affected.look(connection, "", start_ms, end_ms))
    assert {one.patient_id for one in everybody.people} == set(patients)
    assert {one.site_code for one in everybody.people} == {"UP01"}
    none = await kit.hub.store.read(lambda connection: affected.look(connection, "", end_ms, end_ms + 1))
    assert none.people == ()

"""Handing one's own patient on: to a doctor who is ready, or to a speciality; in a call and as a case."""

from edge.media.signals import Bye, Ring
from edge.model import events as ev
from edge.model.records import VisitState
from hub.rota import store as kept
from hub.rota.core import Settings

from .kit import HubKit, Page, new_id
from .test_live import connect, heard, say
from .test_rota_desk import OpenPage, always_open, doctor, offer, ready, waits
from .test_rota_gone import pass_s, take


async def is_of(kit: HubKit, doctor_id: str, *specialities: str) -> None:
    profile = kept.Profile(specialities=specialities)
    await kit.hub.store.write(lambda connection: kept.put_profile(connection, doctor_id, profile))
    await kit.hub.rota.reload()


async def hand(page: Page, visit_id: str, **to: str) -> tuple[int, str]:
    reply = await page.call("POST", f"/api/visits/{visit_id}/hand-over", to)
    return reply.status, "" if reply.status == 204 else str((await reply.json())["code"])


def visits_stamp(kit: HubKit, visit_id: str) -> int:
    visit = kit.hub.rota._opened.visit(visit_id)
    assert visit is not None
    return visit.stamps["speciality"] >> 16


async def holder(page: Page, visit_id: str) -> tuple[str, str]:
    visit = (await page.get(f"/api/visits/{visit_id}"))["visit"]
    assert isinstance(visit, dict)
    return visit["doctor_name"], visit["speciality"]


async def are_given(page: Page) -> list[bool]:
    """Of each visit in the queue, whether somebody else gave it to its doctor."""
    items = (await page.get("/api/queue"))["items"]
    assert isinstance(items, list)
    return [one["visit"]["given"] for one in items]


async def test_a_doctor_hands_her_own_case_to_a_colleague_who_is_ready_and_to_nobody_who_is_away(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    mine, other = await doctor(kit, "asha"), await doctor(kit, "ravi")
    visit_id = await waits(node)
    await ready(kit, mine)
    assert await offer(kit, mine) == visit_id
    await take(mine, visit_id)
    assert await are_given(mine) == [False], "she took it herself"
    people = (await mine.get("/api/colleagues"))["items"]
    assert [(one["doctor_id"], one["ready"]) for one in people] == [("asha", True), ("ravi", False)]  # type: ignore[attr-defined]
    assert await hand(mine, visit_id, doctor_id="ravi") == (409, "doctor_away")
    await ready(kit, other)
    assert await hand(mine, visit_id, doctor_id="ravi") == (204, "")
    assert await holder(mine, visit_id) == ("Dr ravi", "")
    assert await are_given(other) == [True]
    assert await hand(mine, visit_id, doctor_id="asha") == (409, "visit_taken")
    assert await hand(other, visit_id) == (400, "bad_input")
    assert await hand(other, visit_id, doctor_id="asha", speciality="general") == (400, "bad_input")
    lines = await kit.hub.store.read(
        lambda c: c.exec_driver_sql("SELECT actor, result FROM audit WHERE action = 'visit_handed_over'").all()
    )
    assert [tuple(one) for one in lines] == [("asha", "ravi")]


async def test_a_case_given_to_a_speciality_goes_to_its_doctor_and_after_a_while_to_any_doctor_who_is_told_so(
    kit: HubKit,
) -> None:
    await always_open(kit)
    node = await kit.enrol()
    mine, other = await doctor(kit, "asha"), await doctor(kit, "ravi")
    await kit.add_doctor("devi", "Dr devi")
    await is_of(kit, "devi", "child")
    child = await kit.login("devi")
    visit_id = await waits(node)
    await ready(kit, mine)
    assert await offer(kit, mine) == visit_id
    await take(mine, visit_id)
    assert await hand(mine, visit_id, speciality="skin") == (409, "no_such_speciality")
    assert await hand(mine, visit_id, speciality="child") == (204, "")
    assert await holder(mine, visit_id) == ("", "child")
    await ready(kit, other)
    await pass_s(kit, 80)
    assert await offer(kit, other) == await offer(kit, mine) == ""
    lines = (await other.get("/api/coordination"))["items"]
    assert [(one["visit_id"], one["why"]) for one in lines] == [(visit_id, "speciality")]  # type: ignore[attr-defined]
    await node.until(lambda: any(isinstance(one, ev.SpecialityWanted) for one in node.said_by_hub()))
    told = [one.state for one in node.said_by_hub() if isinstance(one, ev.VisitExpected)]
    assert told[-1] == "nobody"
    laptop = await OpenPage(kit, "devi").open()
    await ready(kit, child)
    assert await offer(kit, child) == visit_id
    assert (await child.get("/api/rota"))["instead_of"] == ""
    kit.hub.live.remove(laptop)
    await ready(kit, child, ready=False)
    asked_ms = visits_stamp(kit, visit_id)
    while kit.clock.ms - asked_ms < Settings().speciality_s * 1000:
        assert await offer(kit, mine) == await offer(kit, other) == ""
        await pass_s(kit, 10)
    now = [await page.get("/api/rota") for page in (mine, other)]
    assert [(one["offer"], one["instead_of"]) for one in now if one["offer"]] == [(visit_id, "child")]


async def test_who_hands_her_call_on_ends_it_and_the_next_doctor_is_asked_for_the_patient_at_once(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    mine, other = await doctor(kit, "asha"), await doctor(kit, "ravi")
    visit_id, call_id = await waits(node), new_id()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    await ready(kit, mine)
    assert await offer(kit, mine) == visit_id
    await take(mine, visit_id)
    socket = await connect(kit, mine)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: bool(node.signals))
    await node.send([ev.VisitMoved(visit_id, VisitState.IN_CALL, "call")])
    await ready(kit, other)
    assert await hand(mine, visit_id, speciality="general") == (204, "")
    await node.until(lambda: any(isinstance(one, Bye) and one.reason == "hangup" for one in heard(node)))
    assert await offer(kit, other) == visit_id
    assert (await mine.get("/api/rota"))["offer"] == ""
    await socket.close()

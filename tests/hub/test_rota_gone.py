"""A doctor who took a patient and vanished: the patient goes on to the next one, or to the coordinator."""

from edge.media.signals import Bye, Ring
from edge.model import events as ev
from edge.model.records import Colour, VisitState
from hub.rota.core import Settings

from .kit import HubKit, NodeKit, Page, new_id
from .test_live import connect, heard, say
from .test_rota_desk import OpenPage, always_open, offer, ready, waits

GONE_S, GONE_RED_S, GONE_IN_CALL_S = Settings().gone_s, Settings().gone_red_s, Settings().gone_in_call_s
STEP_S = 20.0


async def doctor(kit: HubKit, name: str) -> tuple[Page, OpenPage]:
    await kit.add_doctor(name, f"Dr {name}")
    return await kit.login(name), await OpenPage(kit, name).open()


async def pass_s(kit: HubKit, seconds: float) -> None:
    """Time as a running hub sees it: in steps, with a look at each."""
    while seconds > 0:
        kit.clock.pass_s(min(seconds, STEP_S))
        seconds -= STEP_S
        await kit.hub.presence.keep()
        await kit.hub.rota.look()


async def take(page: Page, visit_id: str) -> None:
    taken = await page.call("POST", "/api/rota/accept", {"visit_id": visit_id})
    assert taken.status == 200, await taken.text()


async def write(page: Page, visit_id: str) -> None:
    assert (await page.call("PUT", f"/api/visits/{visit_id}/notes", {"text": "fever for 3 days"})).status == 200


def assigned(node: NodeKit) -> list[str]:
    return [one.doctor_id for one in node.said_by_hub() if isinstance(one, ev.VisitAssigned)]


async def test_a_red_patient_whose_doctor_vanished_is_rung_on_at_once_also_when_she_was_writing(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    lost, laptop = await doctor(kit, "asha")
    visit_id = await waits(node, Colour.RED)
    await ready(kit, lost)
    assert await offer(kit, lost) == visit_id
    await take(lost, visit_id)
    assert (await lost.call("GET", f"/api/visits/{visit_id}")).status == 200
    await write(lost, visit_id)
    other, _ = await doctor(kit, "ravi")
    await ready(kit, other)
    kit.hub.live.remove(laptop)
    await pass_s(kit, GONE_RED_S - 15)
    assert (await other.get("/api/rota"))["offer"] == ""
    await pass_s(kit, 25)
    assert (await other.get("/api/rota"))["offer"] == visit_id
    await node.until(lambda: assigned(node) == ["asha", ""])
    await take(other, visit_id)
    told = (await lost.get("/api/rota"))["left"]
    assert [(one["visit_id"], one["to_name"]) for one in told] == [(visit_id, "Dr ravi")]  # type: ignore[attr-defined]
    assert (await lost.get(f"/api/visits/{visit_id}/notes"))["text"] == "fever for 3 days"
    assert (await lost.call("POST", "/api/rota/left", {"visit_id": visit_id})).status == 200
    assert (await lost.get("/api/rota"))["left"] == []


async def test_a_patient_in_the_middle_of_whose_prescription_the_doctor_vanished_is_reassigned(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    lost, laptop = await doctor(kit, "asha")
    only, begun = await waits(node, serial=1), await waits(node, serial=2)
    for visit_id in (begun, only):
        assert (await lost.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await write(lost, begun)
    other, _ = await doctor(kit, "ravi")
    await pass_s(kit, 2 * GONE_S)
    held = [(await other.get(f"/api/visits/{name}"))["visit"]["doctor_id"] for name in (begun, only)]  # type: ignore[index]
    assert held == ["asha", "asha"], "a page that is open keeps them, however long nothing is pressed"
    kit.hub.live.remove(laptop)
    await pass_s(kit, GONE_S + 15)
    items = (await other.get("/api/coordination"))["items"]
    found = {one["visit_id"]: (one["why"], one["doctor_name"]) for one in items}  # type: ignore[attr-defined]
    assert found == {begun: ("doctor_away", "Dr asha"), only: ("nobody", "")}
    await ready(kit, other)
    assert await offer(kit, other) == only
    given = await other.call("POST", f"/api/visits/{begun}/hand-over", {"doctor_id": "ravi"})
    assert given.status == 204, await given.text()
    assert (await other.get(f"/api/visits/{begun}"))["visit"]["doctor_id"] == "ravi"  # type: ignore[index]
    assert (await lost.get(f"/api/visits/{begun}/notes"))["text"] == "fever for 3 days"
    told = (await lost.get("/api/rota"))["left"]
    assert {one["visit_id"]: one["to_name"] for one in told} == {only: "", begun: "Dr ravi"}  # type: ignore[attr-defined]


async def test_a_call_whose_doctor_vanished_ends_and_the_red_patient_is_asked_for_again(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    lost, _ = await doctor(kit, "asha")
    visit_id, call_id = await waits(node, Colour.RED), new_id()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    socket = await connect(kit, lost)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: bool(node.signals))
    await node.send([ev.VisitMoved(visit_id, VisitState.IN_CALL, "call")])
    await socket.close()
    for laptop in list(kit.hub.live._consoles):
        kit.hub.live.remove(laptop)
    other, _ = await doctor(kit, "ravi")
    await ready(kit, other)
    for _ in range((GONE_IN_CALL_S + 20) // 10):
        await pass_s(kit, 10)
        for _ in range(5):
            await node.step()
    await node.until(lambda: any(isinstance(one, Bye) for one in heard(node)))
    assert await offer(kit, other) == visit_id


async def test_a_hub_that_stood_still_takes_no_patient_from_a_doctor_whom_it_could_not_see(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    page, _ = await doctor(kit, "asha")
    visit_id = await waits(node, Colour.RED)
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await kit.hub.rota.look()
    again = await kit.restart()
    node.kit = again
    try:
        again.clock.pass_s(3600)
        await again.hub.rota.look()
        assert set(again.hub.rota._held) == {visit_id}, "its page is about to come back"
        await pass_s(again, GONE_RED_S - 10)
        assert set(again.hub.rota._held) == {visit_id}
        await pass_s(again, 20)
        assert again.hub.rota._held == {}
    finally:
        await again.stop()

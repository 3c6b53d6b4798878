"""A doctor who took a patient and vanished: the patient goes on to the next one, or to the coordinator."""

import asyncio

import pytest
from sqlalchemy import Connection

from edge.media.signals import Bye, Ring
from edge.model import events as ev
from edge.model.records import Colour, VisitState
from hub.rota.core import Settings
from hub.rota.gone import TOGETHER_MOST_MS, Sight
from hub.store.dialect import put_many
from hub.store.schema_office import presence

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


async def _look(kit: HubKit, sight: Sight, names: set[str], seconds: float) -> None:
    while seconds > 0:
        kit.clock.pass_s(5)
        seconds -= 5
        await sight.look(names, kit.clock.ms)


@pytest.mark.parametrize("off_s", [-600, -11, 11, 600])
async def test_who_has_a_page_at_a_process_whose_clock_is_wrong_is_there_as_long_as_its_word_goes_on(
    kit: HubKit, off_s: int
) -> None:
    sight = Sight(kit.hub.store, lambda name: False)

    def says(connection: Connection) -> None:
        put_many(connection, presence, [{"person_id": "asha", "seen_ms": kit.clock.ms + off_s * 1000}], "seen_ms")

    for _ in range(GONE_S // 10 + 2):
        await kit.hub.store.write(says)
        await _look(kit, sight, {"asha"}, 10)
        assert sight.away_s("asha", kit.clock.ms) <= 10
    await _look(kit, sight, {"asha"}, GONE_S)
    assert GONE_S - 10 <= sight.away_s("asha", kit.clock.ms) <= GONE_S + 10


async def test_nobody_is_away_while_all_are_gone_at_once_and_who_does_not_come_back_is(kit: HubKit) -> None:
    """A proxy for browsers that stands still takes all pages with it."""
    pages = {"asha", "ravi", "bela", "tara"}
    sight = Sight(kit.hub.store, lambda name: name in pages)
    names = set(pages)
    await _look(kit, sight, names, 60)
    pages.clear()
    await _look(kit, sight, names, 3 * GONE_S)
    assert [sight.away_s(name, kit.clock.ms) for name in sorted(names)] == [0.0] * 4
    pages |= {"asha", "ravi", "bela"}
    await _look(kit, sight, names, GONE_S - 10)
    assert sight.away_s("tara", kit.clock.ms) < GONE_S, "she has as long to come back as anybody"
    await _look(kit, sight, names, 20)
    assert sight.away_s("tara", kit.clock.ms) >= GONE_S
    assert sight.away_s("asha", kit.clock.ms) == 0.0


async def test_all_who_left_at_once_are_away_when_it_lasts_and_two_are_not_all(kit: HubKit) -> None:
    pages = {"asha", "ravi", "bela"}
    sight = Sight(kit.hub.store, lambda name: name in pages)
    names = set(pages)
    await _look(kit, sight, names, 10)
    pages.clear()
    await _look(kit, sight, names, TOGETHER_MOST_MS / 1000 + 30)
    assert all(sight.away_s(name, kit.clock.ms) > GONE_S for name in names)
    two = Sight(kit.hub.store, lambda name: False)
    await _look(kit, two, {"asha", "ravi"}, GONE_S + 10)
    assert two.away_s("asha", kit.clock.ms) >= GONE_S


async def test_ready_that_is_pressed_while_she_is_written_away_counts(kit: HubKit) -> None:
    await always_open(kit)
    page, _ = await doctor(kit, "asha")
    await ready(kit, page)
    rota, asha = kit.hub.rota, await kit.hub.desk.doctor("asha")
    kit.clock.pass_s(60)
    await asyncio.gather(rota.set_ready(asha, ready=True), rota._send_away("asha"))
    await rota.reload()
    assert (await page.get("/api/rota"))["ready"]
    kit.clock.pass_s(60)
    await asyncio.gather(rota._send_away("asha"), rota.reload(), rota.set_ready(asha, ready=True))
    await rota.reload()
    assert (await page.get("/api/rota"))["ready"]
    await rota._send_away("asha")
    await rota.reload()
    assert not (await page.get("/api/rota"))["ready"]

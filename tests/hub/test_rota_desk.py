"""The rota of a running hub: asking, passing on, telling the node, the coordinator's list, a restart."""

import msgspec
import pytest

from edge.model import events as ev
from edge.model.errors import BadInput, NotFound
from edge.model.records import Colour
from edge.sync.bundle import BundlePayload
from hub.rota import plan
from hub.rota import store as kept
from hub.rota.core import Rota, Settings, Wanting
from hub.rota.hours import Hours, Shift
from hub.rota.words import MOST_S, Words

from .kit import HubKit, NodeKit, Page, new_id, registered, visit_events

RING_S = Settings().ring_s
ALWAYS = Hours(tuple(Shift(weekday, 0, 24 * 60) for weekday in range(7)))


class OpenPage:
    """A doctor's page that is open: what the hub needs of :class:`hub.live.Console`."""

    def __init__(self, kit: HubKit, doctor_id: str) -> None:
        self.doctor_id = doctor_id
        self.heard: list[str] = []
        self._kit = kit

    async def open(self) -> "OpenPage":
        self.doctor = await self._kit.hub.desk.doctor(self.doctor_id)
        self._kit.hub.live.add(self)
        return self

    def tell(self, text: str) -> None:
        self.heard.append(text)


async def always_open(kit: HubKit) -> None:
    await kit.hub.store.write(lambda connection: kept.put_hours(connection, ALWAYS))
    await kit.hub.rota.reload()


async def waits(node: NodeKit, colour: Colour = Colour.GREEN, serial: int = 1, follow_up_of: str = "") -> str:
    patient_id, visit_id = new_id(), new_id()
    events = visit_events(visit_id, patient_id, colour=colour, serial=serial, follow_up_of=follow_up_of)
    await node.send([registered(patient_id), *events])
    return visit_id


async def ready(kit: HubKit, page: Page, *, ready: bool = True) -> dict[str, object]:
    reply = await page.call("PUT", "/api/rota/ready", {"ready": ready})
    assert reply.status == 200, await reply.text()
    found: dict[str, object] = await reply.json()
    return found


async def offer(kit: HubKit, page: Page) -> object:
    await kit.hub.rota.look()
    return (await page.get("/api/rota"))["offer"]


async def doctor(kit: HubKit, name: str) -> Page:
    await kit.add_doctor(name, f"Dr {name}")
    page = await kit.login(name)
    await OpenPage(kit, name).open()
    return page


def expected(node: NodeKit, visit_id: str) -> list[ev.VisitExpected]:
    return [one for one in node.said_by_hub() if isinstance(one, ev.VisitExpected) and one.visit_id == visit_id]


async def test_a_doctor_who_does_not_answer_loses_the_patient_to_the_next_one_who_takes_her(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    first, second = await doctor(kit, "asha"), await doctor(kit, "ravi")
    visit_id = await waits(node)
    await ready(kit, first)
    assert await offer(kit, first) == visit_id
    await ready(kit, second)
    assert await offer(kit, second) == ""
    kit.clock.pass_s(RING_S)
    assert await offer(kit, second) == visit_id
    assert await offer(kit, first) == ""
    late = await first.call("POST", "/api/rota/accept", {"visit_id": visit_id})
    assert (late.status, (await late.json())["code"]) == (409, "offer_over")
    taken = await second.call("POST", "/api/rota/accept", {"visit_id": visit_id})
    assert taken.status == 200
    assert (await taken.json())["visit"]["doctor_name"] == "Dr ravi"
    assert await offer(kit, second) == ""
    await node.until(lambda: any(isinstance(one, ev.VisitAssigned) for one in node.said_by_hub()))


async def test_declining_hands_the_patient_on_and_the_audit_says_so(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    first, second = await doctor(kit, "asha"), await doctor(kit, "ravi")
    visit_id = await waits(node)
    await ready(kit, first)
    await ready(kit, second)
    assert await offer(kit, first) == visit_id
    assert (await first.call("POST", "/api/rota/decline", {"visit_id": visit_id})).status == 200
    assert await offer(kit, second) == visit_id
    lines = await kit.hub.store.read(lambda connection: connection.exec_driver_sql("SELECT action FROM audit").all())
    assert "offer_declined" in {row[0] for row in lines}


async def test_the_node_hears_a_range_when_doctors_sit_and_that_nobody_does_when_they_went(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    page = await doctor(kit, "asha")
    await ready(kit, page)
    busy, visit_id = await waits(node, serial=1), await waits(node, serial=2)
    assert await offer(kit, page) == busy
    assert (await page.call("POST", "/api/rota/accept", {"visit_id": busy})).status == 200
    await kit.hub.rota.look()
    await node.until(lambda: len(expected(node, visit_id)) == 1)
    (told,) = expected(node, visit_id)
    assert (told.state, told.low_min % 5, told.high_min % 5) == ("waiting", 0, 0)
    assert told.low_min < told.high_min
    await ready(kit, page, ready=False)
    kit.clock.pass_s(120)
    await kit.hub.rota.look()
    await node.until(lambda: [one.state for one in expected(node, visit_id)] == ["waiting", "nobody"])
    record = await page.get(f"/api/visits/{visit_id}")
    assert record["visit"]["expected"]["state"] == "nobody"  # type: ignore[index]
    coordination = await page.get("/api/coordination")
    (line,) = coordination["items"]  # type: ignore[misc]
    assert (line["visit_id"], line["why"], line["site_name"]) == (visit_id, "nobody", "Site UP01")  # type: ignore[has-type]


async def test_outside_the_hours_the_node_hears_when_doctors_sit_again(kit: HubKit) -> None:
    await kit.hub.store.write(lambda connection: kept.put_hours(connection, Hours((Shift(0, 0, 1),))))
    await kit.hub.rota.reload()
    node = await kit.enrol()
    visit_id = await waits(node)
    kit.clock.pass_s(90)
    await kit.hub.rota.look()
    await node.until(lambda: len(expected(node, visit_id)) == 1)
    (told,) = expected(node, visit_id)
    assert told.state == "closed"
    assert told.opens_ms == kit.hub.rota._hours.opens_ms(kit.clock.ms)
    await kit.hub.rota.look()
    assert len(expected(node, visit_id)) == 1, "told once"


async def test_a_coordinator_hands_a_patient_whom_nobody_took_to_a_doctor_who_sits(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    coordinator, page = await doctor(kit, "cora"), await doctor(kit, "asha")
    visit_id = await waits(node, Colour.RED)
    kit.clock.pass_s(90)
    await kit.hub.rota.look()
    (line,) = (await coordinator.get("/api/coordination"))["items"]  # type: ignore[misc]
    assert line["why"] == "red"  # type: ignore[has-type]
    away = await coordinator.call("POST", f"/api/visits/{visit_id}/hand-over", {"doctor_id": "asha"})
    assert (away.status, (await away.json())["code"]) == (409, "doctor_away")
    await ready(kit, page)
    given = await coordinator.call("POST", f"/api/visits/{visit_id}/hand-over", {"doctor_id": "asha"})
    assert given.status == 204, "a coordinator is shown no record"
    assert (await page.get(f"/api/visits/{visit_id}"))["visit"]["doctor_id"] == "asha"  # type: ignore[index]
    assert (await coordinator.get("/api/coordination"))["items"] == []
    again = await coordinator.call("POST", f"/api/visits/{visit_id}/hand-over", {"doctor_id": "asha"})
    assert (again.status, (await again.json())["code"]) == (409, "visit_taken")


async def test_ready_doctors_and_what_was_learnt_survive_a_restart_and_nothing_is_told_twice(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    page = await doctor(kit, "asha")
    await ready(kit, page)
    one, two = await waits(node, serial=1), await waits(node, serial=2)
    assert await offer(kit, page) == one
    assert (await page.call("POST", "/api/rota/accept", {"visit_id": one})).status == 200
    kit.clock.pass_s(300)
    assert (await page.call("POST", f"/api/visits/{one}/put-back")).status == 200
    await kit.hub.rota.look()
    await node.until(lambda: len(expected(node, two)) == 1)
    again = await kit.restart()
    node.kit = again
    try:
        await OpenPage(again, "asha").open()
        moved = await again.login()
        assert (await moved.get("/api/rota"))["ready"] is True
        assert await offer(again, moved) in (one, two)
        await again.hub.rota.look()
        for _ in range(50):
            await node.step()
        assert len(expected(node, two)) == 1
        figures = await again.hub.store.read(lambda connection: kept.figures(connection, 0, again.clock.ms))
        assert (figures.taken, figures.told) == (1, 1)
    finally:
        await again.stop()


async def test_a_doctor_whose_pages_are_all_closed_is_asked_for_nobody(kit: HubKit) -> None:
    await always_open(kit)
    node = await kit.enrol()
    await kit.add_doctor()
    page = await kit.login()
    await ready(kit, page)
    kit.clock.pass_s(30)
    await kit.hub.rota.look()
    await waits(node)
    assert await offer(kit, page) == ""
    await OpenPage(kit, "asha").open()
    assert await offer(kit, page) != ""


async def test_a_doctor_who_shut_her_page_without_a_word_keeps_no_clinic_open_in_the_night(kit: HubKit) -> None:
    late = Hours((Shift(0, 0, 1),))
    await kit.hub.store.write(lambda connection: kept.put_hours(connection, late))
    await kit.hub.rota.reload()
    node = await kit.enrol()
    page = await doctor(kit, "asha")
    await ready(kit, page)
    visit_id = await waits(node)
    await kit.hub.rota.look()
    assert kit.hub.rota.is_open(), "she sits outside the hours by her own will"
    kit.hub.live._consoles.clear()
    kit.clock.pass_s(100)
    await kit.hub.rota.look()
    await kit.hub.rota.look()
    assert not kit.hub.rota.is_open()
    await node.until(lambda: [one.state for one in expected(node, visit_id)][-1:] == ["closed"])


@pytest.mark.parametrize("body", [{}, {"ready": 1}, {"ready": True, "more": 1}])
async def test_a_malformed_word_about_the_rota_is_refused(kit: HubKit, body: object) -> None:
    await kit.add_doctor()
    page = await kit.login()
    assert (await page.call("PUT", "/api/rota/ready", body)).status == 400
    assert (await page.call("POST", "/api/rota/accept", {"visit_id": "no"})).status == 400


async def test_no_node_can_say_how_long_its_patients_wait(kit: HubKit) -> None:
    node = await kit.enrol()
    visit_id = await waits(node)
    lie: BundlePayload = node.entries([ev.VisitExpected(visit_id, "waiting", 0, 5)])
    await node.send_payload(lie)
    await kit.add_doctor()
    page = await kit.login()
    assert (await page.get(f"/api/visits/{visit_id}"))["visit"]["expected"] is None  # type: ignore[index]


PLAN = b"""{"hours": [{"weekday": 0, "start": "10:00", "end": "14:30"}, {"weekday": 6, "start": "09:00", "end": "11:00",
 "district": "Gaya"}], "holidays": [{"day": "2026-11-27", "name": "Guru Nanak", "district": "Patna"}],
 "doctors": {"asha": {"districts": ["Gaya"], "languages": ["hi", "mai"]}}}"""


async def test_an_administrators_plan_is_taken_over_by_the_running_hub_and_shown_as_it_was_written(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await doctor(kit, "asha")
    await ready(kit, page)
    wanted = plan.parse(PLAN)
    await kit.hub.store.write(lambda connection: plan.put(connection, wanted, kit.clock.ms))
    assert await kit.hub.store.read(plan.show) == msgspec.convert(msgspec.to_builtins(wanted), plan.Plan)
    kit.clock.pass_s(20)
    await kit.hub.rota.look()
    assert await offer(kit, page) == ""
    await waits(node)
    assert await offer(kit, page) == "", "the patient is of Sitapur, and she sees Gaya only"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"{}", b'{"hours": [{"weekday": 7, "start": "09:00", "end": "10:00"}]}',
        b'{"hours": [{"weekday": 1, "start": "10:00", "end": "09:00"}]}', b'{"hours": [], "more": 1}',
        b'{"hours": [{"weekday": 1, "start": "9:00", "end": "10:00"}]}',
        b'{"hours": [], "holidays": [{"day": "2026-02-30"}]}',
        b'{"hours": [], "doctors": {"a": {"languages": []}}}', b"\xff",
    ],
)  # fmt: skip
def test_a_plan_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput):
        plan.parse(raw)


async def test_a_plan_that_names_nobodys_account_changes_nothing(kit: HubKit) -> None:
    before = await kit.hub.store.read(plan.show)
    wanted = plan.parse(b'{"hours": [], "doctors": {"nobody": {}}}')
    with pytest.raises(NotFound):
        await kit.hub.store.write(lambda connection: plan.put(connection, wanted, kit.clock.ms))
    assert await kit.hub.store.read(plan.show) == before


async def test_when_many_are_to_be_told_a_look_tells_some_and_the_next_one_the_others(kit: HubKit) -> None:
    node = await kit.enrol()
    visits = [await waits(node, serial=number) for number in range(1, 5)]
    rota = Rota(Settings(), lambda now_ms, district: False)
    for number, visit_id in enumerate(visits):
        rota.want(Wanting(visit_id, 3, kit.clock.ms - 120_000 + number), kit.clock.ms)
    rota.look(kit.clock.ms)
    passed_s = 0.0

    def slow_s() -> float:
        """Of each word the beginning and the end are asked for, and the beginning of the look."""
        nonlocal passed_s
        passed_s += 0.3 * MOST_S
        return passed_s

    words = Words(kit.hub.desk, rota, kit.hub.store.write, slow_s)
    for told in (2, 4, 4):
        await words.tell(Hours(), kit.clock.ms)
        await node.until(lambda told=told: sum(len(expected(node, one)) for one in visits) == told)  # type: ignore[misc]
    assert [len(expected(node, one)) for one in visits] == [1, 1, 1, 1]

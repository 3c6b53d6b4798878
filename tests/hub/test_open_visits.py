"""The open visits in memory: what changed is read, what nobody told is found, and nothing is read twice for nothing."""

from sqlalchemy import Connection, update

from edge.model import events as ev
from edge.model.records import VisitState
from hub.open_visits import OpenVisits
from hub.store.schema import visits

from .kit import HubKit, NodeKit, new_id, registered, visit_events


async def _waits(node: NodeKit, follow_up_of: str = "") -> str:
    patient_id, visit_id = new_id(), new_id()
    events = visit_events(visit_id, patient_id, follow_up_of=follow_up_of)
    await node.send([registered(patient_id), *events])
    return visit_id


async def _close_untold(kit: HubKit, visit_id: str) -> None:
    """As a command of another process does it."""

    def act(connection: Connection) -> None:
        connection.execute(update(visits).where(visits.c.visit_id == visit_id).values(open=False))

    await kit.hub.store.write(act)


async def test_only_what_changed_is_read_again_when_many_are_open(kit: HubKit) -> None:
    node = await kit.enrol()
    first, second, third = [await _waits(node) for _ in range(3)]
    found = OpenVisits(kit.hub.store, at_once=2)
    await found.read()
    assert set(found.ids()) == {first, second, third}
    before = {name: found.get(name) for name in found.ids()}
    moved: list[str] = []
    found.on_change = moved.append

    await node.send([ev.VisitClosed(second, VisitState.NO_SHOW)])
    await found.read()
    assert set(found.ids()) == {first, second, third}, "nobody said that it changed"
    found.changed([second, third])
    await found.read()
    assert set(found.ids()) == {first, third}
    assert moved == [second]
    assert all(found.get(name) is before[name] for name in (first, third)), "what is the same is not read anew"


async def test_what_nobody_told_is_found_by_going_through_the_table(kit: HubKit) -> None:
    node = await kit.enrol()
    known = [await _waits(node) for _ in range(5)]
    found = OpenVisits(kit.hub.store, at_once=2)
    await found.sweep()
    assert list(found.ids()) == [], "nobody has asked"
    await found.read()
    await _close_untold(kit, known[1])
    late = await _waits(node)
    for _ in range(5):
        await found.sweep()
    assert set(found.ids()) == {*known, late} - {known[1]}


async def test_as_long_as_few_are_open_the_store_counts_whoever_told(kit: HubKit) -> None:
    node = await kit.enrol()
    known = [await _waits(node) for _ in range(3)]
    found = OpenVisits(kit.hub.store)
    await found.read()
    await _close_untold(kit, known[0])
    late = await _waits(node)
    await found.read()
    assert set(found.ids()) == {known[1], known[2], late}


async def test_the_doctor_of_the_earlier_visit_is_known_once_that_has_arrived(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, earlier_id = new_id(), new_id()
    earlier = [registered(patient_id), *visit_events(earlier_id, patient_id)]
    later_id = await _waits(node, follow_up_of=earlier_id)
    found = OpenVisits(kit.hub.store, at_once=1)
    await found.read()
    line = found.get(later_id)
    assert line is not None
    assert line.same_doctor == ""
    await node.send(earlier)
    await kit.hub.desk.take(earlier_id, await kit.hub.desk.doctor("asha"))
    for _ in range(3):
        await found.sweep()
    line = found.get(later_id)
    assert line is not None
    assert line.same_doctor == "asha"

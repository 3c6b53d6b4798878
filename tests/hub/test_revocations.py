"""Lists of what is revoked: who gets one, what it says, its numbers; sticks of machines that were replaced; offers."""

import msgspec
import pytest
from sqlalchemy import delete

from edge.model import events as ev
from edge.sync import bundle, courier, release, revocation, seal
from hub import directory, doctors, revocations
from hub.courier import Desk, Verdict
from hub.store.schema import revocations as table

from .kit import HubKit, NodeKit
from .test_courier import count, up, visit_of


async def lists(kit: HubKit) -> dict[bytes, revocation.SignedList]:
    """What a stick would carry now, checked as each node would."""
    found = {}
    for raw in await Desk(kit.hub).revoked():
        told = revocation.parse_list(raw)
        assert revocation.check_list(told, told.node_id, kit.hub.keys.sign_public, 0)
        found[told.node_id] = told
    return found


async def revoke(kit: HubKit, node: NodeKit) -> None:
    await kit.hub.store.write(lambda connection: directory.revoke_node(connection, node.node_id, kit.clock.ms))


def told_by_link(node: NodeKit) -> list[revocation.SignedList]:
    found = []
    for blob in node.downs.values():
        opened = seal.open_down(blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign)
        for raw in bundle.unpack(opened.payload).entries:
            event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
            if isinstance(event, ev.RevocationsPublished):
                found.append(revocation.parse_list(event.signed_list))
    return found


async def test_nodes_of_which_nothing_is_to_be_said_have_no_list(kit: HubKit) -> None:
    await kit.enrol()
    assert await lists(kit) == {}


async def test_a_revoked_node_has_a_list_that_says_so_and_comes_first(kit: HubKit) -> None:
    nodes = [await kit.enrol(code) for code in ("UP01", "UP02", "UP03")]
    await kit.add_doctor()
    await kit.hub.store.write(lambda connection: doctors.disable_doctor(connection, "asha", kit.clock.ms))
    await revoke(kit, nodes[1])
    first, *rest = await Desk(kit.hub).revoked()
    assert revocation.parse_list(first).node_id == nodes[1].keys.node_id
    assert revocation.parse_list(first).content.revoked_ms == kit.clock.ms
    assert {revocation.parse_list(raw).content.revoked_ms for raw in rest} == {0}
    assert len(rest) == 2


async def test_a_number_grows_with_each_change_also_when_the_clock_goes_back(kit: HubKit) -> None:
    node = await kit.enrol()
    await revoke(kit, node)
    first = (await lists(kit))[node.keys.node_id]
    assert (await lists(kit))[node.keys.node_id] == first
    kit.clock.ms -= 86_400_000
    await kit.hub.store.write(
        lambda connection: revocations.remove_staff(connection, node.node_id, "0" * 16, kit.clock.ms)
    )
    second = (await lists(kit))[node.keys.node_id]
    assert second.number > first.number
    assert second.content.staff == ("0" * 16,)
    await kit.hub.store.write(
        lambda connection: revocations.remove_staff(connection, node.node_id, "0" * 16, kit.clock.ms, back=True)
    )
    third = (await lists(kit))[node.keys.node_id]
    assert third.number > second.number
    assert third.content.staff == ()


async def test_closed_doctors_and_removed_staff_go_by_link_as_well_and_a_revoked_node_is_told_by_stick_alone(
    kit: HubKit,
) -> None:
    node, stolen = await kit.enrol(), await kit.enrol("UP02")
    await kit.add_doctor()
    await kit.hub.store.write(lambda connection: doctors.disable_doctor(connection, "asha", kit.clock.ms))
    await revoke(kit, stolen)
    await kit.hub.tell_revocations()
    await node.until(lambda: len(told_by_link(node)) == 1)
    (told,) = told_by_link(node)
    assert told == (await lists(kit))[node.keys.node_id]
    assert len(told.content.closed) == 1
    waiting = {name.node_id for name in await Desk(kit.hub).downs()}
    assert stolen.keys.node_id not in waiting
    await kit.hub.store.write(lambda connection: doctors.enable_doctor(connection, "asha", kit.clock.ms))
    await kit.hub.tell_revocations()
    await node.until(lambda: len(told_by_link(node)) == 2)
    assert max(told_by_link(node), key=lambda one: one.number).content.closed == ()


async def test_a_hub_that_lost_its_lists_gives_no_number_again(kit: HubKit) -> None:
    node = await kit.enrol()
    await revoke(kit, node)
    before = (await lists(kit))[node.keys.node_id].number
    kit.clock.pass_s(60)
    await kit.hub.store.write(lambda connection: connection.execute(delete(table)))
    again = await kit.restart()
    try:
        assert (await lists(again))[node.keys.node_id].number > before
    finally:
        await again.stop()


async def take(kit: HubKit, raw: bytes, *, replaced: bool) -> Verdict:
    (verdict,) = await Desk(kit.hub).take_ups([raw], replaced=replaced)
    return verdict


async def test_a_stick_of_a_replaced_machine_is_taken_only_when_a_person_says_so(kit: HubKit) -> None:
    old = await kit.enrol()
    raw, before = up(old, visit_of(old)), await count(kit)
    new = await kit.enrol(replaces=old.node_id)
    assert new.keys.node_id == old.keys.node_id
    assert (await lists(kit))[old.keys.node_id].content.machine == revocation.machine_of(
        seal.verifier_of(new.drawn.device)
    )
    verdict = await take(kit, raw, replaced=False)
    assert (verdict.row, verdict.code) == (None, "node_replaced")
    assert await count(kit) == before
    verdict = await take(kit, raw, replaced=True)
    assert verdict.row is not None
    assert verdict.fresh
    assert not verdict.row.quarantined
    assert await count(kit) > before
    assert (await take(kit, up(new, visit_of(new)), replaced=False)).fresh
    assert await take(kit, b"junk", replaced=True) == Verdict(code="courier_malformed")


async def test_a_machine_that_was_revoked_before_it_was_replaced_is_never_taken(kit: HubKit) -> None:
    stolen = await kit.enrol()
    raw = up(stolen, visit_of(stolen))
    await revoke(kit, stolen)
    await kit.enrol(replaces=stolen.node_id)
    assert (await take(kit, raw, replaced=True)).code == "node_revoked"


async def test_an_offer_is_signed_for_a_release_and_for_nodes_of_this_hub_only(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    raw = release.describe("system", "1.2.0", "amd64", [b"content"])
    for node_id in (node.keys.node_id, courier.EVERY_NODE):
        file = courier.parse(await desk.offer(node_id, raw, bytes(64)))
        assert isinstance(file, courier.UpdateFile)
        courier.check_update(file, kit.hub.keys.sign_public)
        assert (file.node_id, file.release, file.number) == (node_id, raw, kit.clock.ms)
    for node_id, content in ((b"stranger", raw), (node.keys.node_id, b"{}")):
        with pytest.raises(courier.CourierRefused):
            await desk.offer(node_id, content, bytes(64))


async def test_a_lost_tablet_is_told_to_its_node_alone_and_again_when_it_is_said_again(kit: HubKit) -> None:
    node, other = await kit.enrol("UP01"), await kit.enrol("UP02")
    for _ in range(2):
        now_ms = kit.clock.ms
        await kit.hub.store.write(lambda c, at=now_ms: revocations.lose_tablet(c, node.node_id, at))  # type: ignore[misc]
        await kit.hub.tell_revocations()
    told = [revocation.parse_list(raw) for raw in await kit.hub.store.read(revocations.lists)]
    assert [(one.node_id, one.content.tablets_ms) for one in told] == [(node.keys.node_id, kit.clock.ms + 1)]

    def said() -> list[ev.Event | ev.Unknown]:
        return [one for one in node.said_by_hub() if isinstance(one, ev.RevocationsPublished)]

    await node.until(lambda: len(said()) == 2)
    assert not [one for one in other.said_by_hub() if isinstance(one, ev.RevocationsPublished)]

"""What the hub's desk does with files of a stick: the link's pipeline, receipts for what is durable, nothing else."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from edge.model import events as ev
from edge.model.records import Role
from edge.sync import courier, seal
from edge.sync.bundle import FORMAT, NO_DICTIONARY, BundlePayload
from edge.sync.link import Cls
from edge.sync.log import Stream
from edge.sync.versions import Reads, Span
from hub import directory, down
from hub import quarantine as aside
from hub.courier import Desk, DownName, _is_in
from hub.keys import Keyring
from hub.store.schema import entries, quarantine

from .kit import HubKit, NodeKit, new_id, registered, visit_events


async def count(kit: HubKit, table: object = entries) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    return int(await kit.hub.store.read(lambda connection: connection.execute(query).scalar() or 0))


def up(node: NodeKit, payload: BundlePayload) -> bytes:
    ref = node.endpoint.seal_bundle(payload)
    return courier.up_file(courier.hub_of(node.keys.hub_sign), ref.opening, ref.sealed)


def visit_of(node: NodeKit) -> BundlePayload:
    patient_id = new_id()
    return node.entries([registered(patient_id), *visit_events(new_id(), patient_id)])


async def say_something(kit: HubKit, node: NodeKit, cls: Cls = Cls.CLINICAL) -> DownName:
    staff = ev.StaffPublished("asha", "Dr Asha Rao", Role.DOCTOR, "12345 MCI", "MBBS", bytes(32))
    said = await kit.hub.store.write(
        lambda connection: down.speak(connection, kit.hub.speaker, node.node_id, (staff,), "", kit.clock.ms, cls)
    )
    return DownName(said.node_id, said.seq)


async def test_the_hub_packs_only_what_the_node_has_said_that_it_reads(kit: HubKit) -> None:
    node = await kit.enrol()
    asked: list[bytes] = []

    def old(node_id: bytes) -> Reads:
        asked.append(node_id)
        return Reads(Span(1, 1), Span(1, 1), Span(7, 8), Span(9, 9))

    assert kit.hub.speaker.reads == kit.hub.link.endpoint.reads
    speaker = msgspec.structs.replace(kit.hub.speaker, reads=old)
    staff = ev.StaffPublished("asha", "Dr Asha Rao", Role.DOCTOR, "12345 MCI", "MBBS", bytes(32))
    said = await kit.hub.store.write(
        lambda connection: down.speak(connection, speaker, node.node_id, (staff,), "", kit.clock.ms)
    )
    opened = seal.open_down(said.blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign)
    assert asked == [node.keys.node_id]
    assert opened.payload[:2] == bytes((FORMAT, NO_DICTIONARY))


async def test_bundles_by_stick_and_by_link_are_stored_once_and_receipted(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    payload = visit_of(node)
    await node.send_payload(payload)
    raw = up(node, payload)
    other = up(node, visit_of(node))
    again, fresh, twice, junk = await desk.take_ups([raw, other, other, b"junk"], replaced=False)
    assert (again.fresh, fresh.fresh or twice.fresh) == (False, True)
    assert junk.row is None
    assert junk.code == "courier_malformed"
    assert again.row is not None
    assert fresh.row is not None
    receipt = courier.parse(await desk.receipt(node.keys.node_id, [again.row, fresh.row]))
    assert isinstance(receipt, courier.ReceiptFile)
    courier.check_receipt(receipt, node.keys.hub_sign)
    assert {row.level for row in receipt.rows} == {1}
    assert await count(kit) == 2 * len(payload.entries)
    assert await count(kit, quarantine) == 0


async def test_poison_is_quarantined_as_from_the_link_and_the_receipt_says_so(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    verdict, good = await desk.take_ups(
        [up(node, BundlePayload(1, node.run, Stream.HUB, 1, (b"not a node's",))), up(node, visit_of(node))],
        replaced=False,
    )
    assert verdict.row is not None
    assert verdict.row.quarantined
    assert verdict.code == "stream_forbidden"
    assert good.fresh
    assert await count(kit, quarantine) == 1


async def test_what_the_hub_has_no_room_for_stays_on_the_stick_and_the_rest_is_taken(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "SHARE_ROWS", 0)
    node, desk = await kit.enrol(), Desk(kit.hub)
    poison = BundlePayload(1, node.run, Stream.HUB, 1, (b"not a node's",))
    verdict, good = await desk.take_ups([up(node, poison), up(node, visit_of(node))], replaced=False)
    assert (verdict.row, verdict.code) == (None, "quarantine_full")
    assert good.fresh
    assert await count(kit, quarantine) == 0


async def test_no_receipt_is_signed_for_what_was_not_taken(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    (verdict,) = await desk.take_ups([up(node, visit_of(node))], replaced=False)
    assert verdict.row is not None
    made_up = courier.Row(bytes(11), bytes(16), 1)
    for node_id, row in ((node.keys.node_id, made_up), (bytes(8), verdict.row)):
        with pytest.raises(courier.CourierRefused):
            await desk.receipt(node_id, [row])
    with pytest.raises(courier.CourierRefused):
        await Desk(kit.hub).receipt(node.keys.node_id, [verdict.row])


async def test_a_node_gets_its_blobs_until_it_has_signed_for_them(kit: HubKit) -> None:
    node, other, desk = await kit.enrol(), await kit.enrol("UP02"), Desk(kit.hub)
    mine = [await say_something(kit, node) for _ in range(2)]
    theirs = await say_something(kit, other)
    assert set(await desk.downs()) == {*mine, theirs}
    file = courier.parse(await desk.down(mine[0]))
    assert isinstance(file, courier.DownFile)
    courier.check_down(file, node.keys.hub_sign)
    assert seal.open_down(file.blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign).seq == mine[0].seq
    hub8 = courier.hub_of(node.keys.hub_sign)
    forged = courier.stored_file(other.drawn.device, hub8, node.keys.node_id, [name.seq for name in mine])
    with pytest.raises(courier.CourierRefused):
        await desk.take_stored(forged)
    held = courier.stored_file(node.drawn.device, hub8, node.keys.node_id, [1, *(name.seq for name in mine)])
    assert await desk.take_stored(held) == 2
    assert await desk.take_stored(held) == 0
    assert await desk.downs() == (theirs,)
    assert await desk.down(mine[0]) == b""


async def test_prescriptions_lie_on_a_stick_before_the_parts_of_an_answer_that_was_spoken_first(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    slow = [await say_something(kit, node, Cls.PREVIEW) for _ in range(3)]
    urgent = await say_something(kit, node)
    assert await desk.downs() == (urgent, *slow)


@given(st.sets(st.integers(1, 60)))
def test_what_a_nodes_ranges_hold_is_found_among_them(seqs: set[int]) -> None:
    ranges = courier.ranges_of(seqs)
    assert {seq for seq in range(70) if _is_in(seq, ranges)} == seqs


async def test_a_revoked_node_gets_and_gives_nothing(kit: HubKit) -> None:
    node, desk = await kit.enrol(), Desk(kit.hub)
    said = await say_something(kit, node)
    before = await count(kit)
    raw = up(node, visit_of(node))
    await kit.hub.store.write(lambda connection: directory.revoke_node(connection, node.node_id, kit.clock.ms))
    await kit.hub.reload_nodes()
    (verdict,) = await desk.take_ups([raw], replaced=False)
    assert (verdict.row, verdict.code) == (None, "node_revoked")
    assert await desk.downs() == ()
    assert await desk.down(said) == b""
    assert await count(kit) == before


async def test_a_bundle_whose_hub_key_was_destroyed_is_asked_for_again(kit: HubKit) -> None:
    node = await kit.enrol()
    raw = up(node, visit_of(node))
    late = await asyncio.to_thread(HubKit, kit.settings.data, kit.settings.database, fresh=False)
    try:
        late.hub.keys = _without_kem(late)
        desk = Desk(late.hub)
        (verdict,) = await desk.take_ups([raw], replaced=False)
        assert verdict.row is not None
        assert verdict.row.level == courier.RESEAL_LEVEL
        receipt = courier.parse(await desk.receipt(node.keys.node_id, [verdict.row]))
        assert isinstance(receipt, courier.ReceiptFile)
        courier.check_receipt(receipt, node.keys.hub_sign)
    finally:
        await late.hub.stop()


def _without_kem(kit: HubKit) -> Keyring:
    return msgspec.structs.replace(kit.hub.keys, hub=seal.HubKeys((bytes(range(32)),), kit.hub.keys.hub.sign))

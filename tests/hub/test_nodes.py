"""What nodes say of themselves reaches slips, records and the list of nodes; nobody else can say it for them."""

import msgspec

from edge.model import events as ev
from edge.model.prescribing import SignedPrescription
from edge.model.records import Role
from edge.slips.verify import verify_signed
from edge.sync.bundle import BundlePayload
from edge.sync.log import Stream
from hub import nodes, views

from .kit import DRAFT, HubKit, NodeKit, new_id, registered, visit_events

TOLD = ev.NodeTold("node 0.1.0", "udp", 610, 48_000, (ev.ClassBacklog(1, 3, 900, 42),), ("disk:warn",), 900, 12, True)


def listed(staff_id: str, name: str) -> ev.StaffListed:
    return ev.StaffListed(staff_id, name, f"{name} (हि)", Role.ANM, bytes(range(16)))


def in_stream(
    node: NodeKit, stream: Stream, event: ev.Event, seq: int = 1, stamp: int = 1 << 16, actor: str = ""
) -> BundlePayload:
    raw = msgspec.msgpack.encode(ev.entry_of(event, stamp, actor))
    return BundlePayload(5, node.run, int(stream), seq, (raw,), None)


async def name_of(kit: HubKit, node: NodeKit, staff_id: str) -> str:
    return await kit.hub.store.read(lambda connection: nodes.worker_name(connection, node.node_id, staff_id))


async def both_views(kit: HubKit, node: NodeKit) -> tuple[tuple[nodes.Worker, ...], dict[str, nodes.Told]]:
    return await kit.hub.store.read(
        lambda connection: (nodes.workers(connection, node.node_id), nodes.all_told(connection))
    )


async def test_the_slip_names_the_worker_and_the_record_names_who_wrote_it(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([listed("anm1", "Sunita Devi"), registered(patient_id), *visit_events(visit_id, patient_id)])
    page = await kit.login()
    record = await page.get(f"/api/visits/{visit_id}")
    assert record["workers"] == [
        {"staff_id": "anm1", "name": "Sunita Devi", "name_hi": "Sunita Devi (हि)", "role": "anm"}
    ]
    signed = await page.call("POST", f"/api/visits/{visit_id}/sign", {"command_id": new_id(), "draft": DRAFT})
    assert signed.status == 200, await signed.text()
    await node.until(lambda: any(isinstance(one, ev.PrescriptionSigned) for one in node.said_by_hub()))
    said = next(one for one in node.said_by_hub() if isinstance(one, ev.PrescriptionSigned))
    verified = verify_signed(msgspec.msgpack.decode(said.signed, type=SignedPrescription), node.keys.hub_sign)
    assert verified.record.worker_name == "Sunita Devi"


async def test_a_name_is_the_latest_one_and_belongs_to_its_node_alone(kit: HubKit) -> None:
    first, second = await kit.enrol("UP01"), await kit.enrol("UP02")
    await first.send([listed("anm1", "Sunita Devi")])
    await first.send([listed("anm1", "Sunita Kumari")])
    await second.send([listed("anm1", "Rekha")])
    names = [await name_of(kit, node, "anm1") for node in (first, second)]
    assert names == ["Sunita Kumari", "Rekha"]
    assert await name_of(kit, first, "anm9") == "anm9"


async def test_a_name_in_a_stream_that_a_locked_node_can_write_does_not_count(kit: HubKit) -> None:
    node = await kit.enrol()
    await node.send_payload(in_stream(node, Stream.AUDIT, listed("anm1", "Somebody Else")))
    assert await kit.hub.store.read(lambda connection: nodes.workers(connection, node.node_id)) == ()


async def test_the_list_of_nodes_says_when_each_was_heard_and_what_it_said_last(kit: HubKit) -> None:
    await kit.add_doctor()
    talking, silent = await kit.enrol("UP01"), await kit.enrol("UP02")
    await talking.send_payload(in_stream(talking, Stream.AUDIT, TOLD, stamp=9 << 16))
    earlier = msgspec.structs.replace(TOLD, bearer="wss")
    await talking.send_payload(in_stream(talking, Stream.AUDIT, earlier, seq=2, stamp=8 << 16))
    page = await kit.login()
    await talking.until(lambda: kit.hub.link.online(talking.node_id))
    rows = (await page.get("/api/nodes"))["items"]
    assert isinstance(rows, list)
    one, other = rows
    assert (one["site_code"], one["online"], one["told"]["bearer"], one["told_ms"]) == ("UP01", True, "udp", 9)
    assert one["told"]["backlog"] == [{"cls": 1, "items": 3, "size_bytes": 900, "oldest_s": 42}]
    assert (other["node_id"], other["online"], other["last_ack_age_s"], other["told"]) == (
        silent.node_id,
        False,
        None,
        None,
    )


async def test_a_hub_that_restarted_still_knows_when_a_node_was_heard(kit: HubKit) -> None:
    node = await kit.enrol()
    await node.send([listed("anm1", "Sunita Devi")])
    again = await kit.restart()
    again.clock.pass_s(600)
    age_s = again.hub.link.last_ack_age_s(node.node_id)
    assert not again.hub.link.online(node.node_id)
    assert age_s is not None
    assert 590 <= age_s <= 660
    await again.stop()


async def test_both_views_are_computed_anew_from_the_entries(kit: HubKit) -> None:
    node = await kit.enrol()
    await node.send([listed("anm1", "Sunita Devi"), listed("anm1", "Sunita Kumari")])
    await node.send_payload(in_stream(node, Stream.AUDIT, TOLD))
    before = await both_views(kit, node)
    await kit.hub.store.write(lambda connection: views.rebuild(connection, kit.clock.ms))
    after = await both_views(kit, node)
    assert before == after
    assert [one.name for one in before[0]] == ["Sunita Kumari"]

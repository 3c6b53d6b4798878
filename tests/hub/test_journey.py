"""From a node's entries to a signed prescription and back, over the real protocol."""

import msgspec

from edge.model import events as ev
from edge.model.prescribing import PrescriptionRecord, SignedPrescription
from edge.model.records import VisitState
from edge.slips.verify import verify_signed

from .kit import DRAFT, HubKit, about_visits, new_id, registered, visit_events


async def test_a_queue_of_121_people_is_at_most_60_kilobytes(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    events: list[ev.Event] = []
    for serial in range(1, 122):
        patient_id = new_id()
        events.append(registered(patient_id, "लक्ष्मी देवी कुशवाहा विश्वकर्मा"))
        events += visit_events(new_id(), patient_id, serial=serial)
    for at in range(0, len(events), 200):
        await node.send(events[at : at + 200])
    page = await kit.login()
    reply = await page.call("GET", "/api/queue")
    raw = await reply.read()
    assert len(msgspec.json.decode(raw)["items"]) == 121
    assert len(raw) <= 60_000


async def test_a_doctor_sees_opens_signs_and_the_node_gets_a_prescription_that_verifies(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])

    page = await kit.login()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    queue = await page.get("/api/queue")
    (item,) = queue["items"]  # type: ignore[misc]
    assert (item["patient_name"], item["place"], item["node_online"]) == ("Sita Devi", 1, True)  # type: ignore[has-type]
    record = await page.get(f"/api/visits/{visit_id}")
    assert record["visit"]["token"] == "UP01-001"  # type: ignore[index]
    taken = await page.call("POST", f"/api/visits/{visit_id}/take")
    assert taken.status == 200
    command = {"command_id": new_id(), "draft": DRAFT}
    signed = await page.call("POST", f"/api/visits/{visit_id}/sign", command)
    assert signed.status == 200, await signed.text()
    prescription_id = (await signed.json())["prescription_id"]
    again = await page.call("POST", f"/api/visits/{visit_id}/sign", command)
    assert (await again.json())["prescription_id"] == prescription_id

    await node.until(lambda: len(about_visits(node.said_by_hub())) == 3)
    seen, assigned, prescribed = about_visits(node.said_by_hub())
    assert isinstance(seen, ev.VisitSeen)
    assert isinstance(assigned, ev.VisitAssigned)
    assert isinstance(prescribed, ev.PrescriptionSigned)
    verified = verify_signed(msgspec.msgpack.decode(prescribed.signed, type=SignedPrescription), node.keys.hub_sign)
    assert isinstance(verified.record, PrescriptionRecord)
    assert verified.record.medicines[0].generic == "PARACETAMOL"
    assert verified.record.token == "UP01-001"

    await node.send(
        [ev.PrescriptionStored(visit_id, prescription_id), ev.SlipPrinted(visit_id, prescription_id, "pdf")]
    )
    after = await page.get(f"/api/visits/{visit_id}")
    sync = after["sync"]
    assert isinstance(sync, list)
    assert [(line["item"], line["state"]) for line in sync] == [(prescription_id, "printed")]
    assert after["now_ms"] >= sync[0]["at_ms"] > 0
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED, True)])
    assert (await page.get("/api/queue"))["items"] == []

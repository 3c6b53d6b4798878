"""A copy of what is kept of a patient, for herself: all of it, by a medical officer alone, and written down."""

import asyncio
import base64
import io
import json
import zipfile

import pypdfium2

from edge.model import events as ev
from edge.slips.verify import verify_slip
from hub import affected, breach
from hub.permits import Role
from hub.store.schema import exchange_documents

from .kit import DRAFT, PASSWORD, HubKit, new_id, registered, visit_events
from .test_permits import person


async def test_the_copy_has_all_visits_slips_and_who_read_and_only_an_officer_makes_it(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, first, second, other = (new_id() for _ in range(4))
    await node.send([registered(patient_id, "सीता देवी #panic()")])
    for serial, visit_id in enumerate((first, second), 1):
        await node.send(visit_events(visit_id, patient_id, serial=serial))
    await node.send([registered(other, "Somebody Else"), *visit_events(new_id(), other, serial=3)])
    doctor = await kit.login()
    await doctor.get(f"/api/visits/{first}")
    reply = await doctor.call("POST", f"/api/visits/{first}/sign", {"command_id": new_id(), "draft": DRAFT})
    assert reply.status == 200
    prescription_id = str((await reply.json())["prescription_id"])
    await node.send([ev.ConsentRecorded(first, "data", False, "spoken", "hi", "data-1")])
    sent = {"document_id": "d", "visit_id": first, "kind": "x", "state": "sent", "tries": 1, "next_ms": 0, "code": ""}
    row = {"endpoint": "state-ehr", **sent, "made_ms": 1, "done_ms": 2}
    officer = breach.Officer("K. Rao", "+91 522 555", "")
    now_ms = kit.clock.ms
    await kit.hub.store.write(lambda c: c.execute(exchange_documents.insert().values(row)) and None)
    await kit.hub.store.write(lambda c: breach.put_officer(c, breach.Role.GRIEVANCE, officer, now_ms))

    admin, medical = await person(kit, Role.ADMINISTRATOR), await person(kit, Role.MEDICAL_OFFICER)
    body = {"password": PASSWORD, "reference": first}
    nominee = {"name": "Ram Devi", "relation": "mother", "phone": "5550199"}
    assert (await admin.call("PUT", "/api/nominees", {**body, "nominee": nominee})).status == 403
    assert (await medical.call("PUT", "/api/nominees", {**body, "nominee": {"name": "a\n"}})).status == 400
    assert (await medical.call("PUT", "/api/nominees", {**body, "nominee": nominee})).status == 200
    looked = await medical.call("POST", "/api/nominees/look", {"reference": patient_id})
    assert await looked.json() == nominee
    assert (await admin.call("POST", "/api/copies", body)).status == 403
    assert (await doctor.call("POST", "/api/copies", body)).status == 403
    assert (await medical.call("POST", "/api/copies", {**body, "password": "wrong"})).status == 401
    assert (await medical.call("POST", "/api/copies", {**body, "reference": new_id()})).status == 404
    made = await medical.call("POST", "/api/copies", body)
    assert made.status == 200, await made.text()
    told = await made.json()
    assert (told["visits"], told["file_name"]) == (2, "record-UP-01-000001.zip")
    record_id, types, text = await asyncio.to_thread(inside, base64.b64decode(told["zip"]), kit.hub.keys.sign_public)
    assert (record_id, types) == (prescription_id, ["Bundle"])
    shown = ("#panic()", "UP01-001", "UP01-002", "state-ehr", "K. Rao", "Ram Devi, mother", "refused")
    for expected in (*shown, DRAFT["diagnosis"]):
        assert str(expected) in text, expected
    assert "Somebody Else" not in text
    found = await kit.hub.store.read(lambda c: affected.look(c, "medical_officer", 0, kit.clock.ms + 1))
    assert [set(one.visit_ids) for one in found.people] == [{first, second}], "who was affected counts it"


def inside(raw: bytes, hub_key: bytes) -> tuple[str, list[str], str]:
    """Of a copy: the prescription whose slip holds, what its documents are, and the text of its page."""
    with zipfile.ZipFile(io.BytesIO(raw)) as held:
        names = held.namelist()
        (slip,) = (held.read(name) for name in names if name.startswith("slips/"))
        types = [json.loads(held.read(name))["resourceType"] for name in names if name.startswith("fhir/")]
        pages = pypdfium2.PdfDocument(held.read("record.pdf"))
        text = "\n".join(page.get_textpage().get_text_range() for page in pages)
    return verify_slip(slip, hub_key).record.prescription_id, types, text

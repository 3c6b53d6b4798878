"""Prescribing at the hub beyond the first signature: amending, cancelling, in person, shelf, saved lines, review."""

import asyncio
import secrets
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import select

from edge.model import events as ev
from edge.model.prescribing import SignedPrescription
from edge.model.records import Mode, VisitState
from edge.slips.words import slip_words
from hub import audit, nodes, review
from hub.prescriptions import record_of
from hub.store.schema import calls

from .kit import DRAFT, PASSWORD, HubKit, NodeKit, Page, draft_with, new_id, registered, visit_events
from .test_signing import LIST_A, LIST_B, PROHIBITED, codes, sign, video_call, waiting_visit

METFORMIN = "F071"


def today(kit: HubKit) -> str:
    return datetime.fromtimestamp(kit.clock.ms / 1000 + 19_800, UTC).strftime("%Y-%m-%d")


async def signed(page: Page, visit_id: str, draft: object = DRAFT, **more: object) -> str:
    status, body = await sign(page, visit_id, draft, **more)
    assert status == 200, body
    return str(body["prescription_id"])


async def cancel(page: Page, visit_id: str, prescription_id: str, **more: object) -> tuple[int, dict[str, object]]:
    body = {"command_id": new_id(), "prescription_id": prescription_id, "reason": "wrong dose", **more}
    reply = await page.call("POST", f"/api/visits/{visit_id}/cancel-prescription", body)
    return reply.status, await reply.json()


async def stands(page: Page, visit_id: str) -> dict[str, str]:
    record = await page.get(f"/api/visits/{visit_id}")
    return {one["prescription_id"]: one["standing"] for one in record["standing"]}  # type: ignore[attr-defined]


async def test_an_amendment_is_a_new_signed_record_that_reaches_the_node_and_opens_a_closed_visit(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    first = await signed(page, visit_id)
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    second = await signed(page, visit_id, {**DRAFT, "advice": "Rest."}, replaces=first, reason="advice changed")
    assert await stands(page, visit_id) == {first: "replaced", second: "valid"}
    assert (await page.get(f"/api/visits/{visit_id}"))["visit"]["state"] == "rx_ready"  # type: ignore[index]
    await node.until(lambda: any(getattr(one, "replaces", "") == first for one in node.said_by_hub()))
    said = next(one for one in node.said_by_hub() if isinstance(one, ev.PrescriptionSigned) and one.replaces)
    record = record_of(said.signed)
    assert (record.prescription_id, record.replaces, record.reason) == (second, first, "advice changed")


async def test_of_two_tabs_that_amend_the_same_only_one_does(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    first = await signed(page, visit_id)
    tries = [
        sign(page, visit_id, {**DRAFT, "advice": advice}, replaces=first, reason="tab") for advice in ("one", "two")
    ]
    answers = await asyncio.gather(*tries, cancel(page, visit_id, first))
    assert sorted(status for status, _ in answers) == [200, 409, 409]
    assert {body["code"] for status, body in answers if status == 409} == {"prescription_replaced"}
    assert (await cancel(page, visit_id, new_id()))[1]["code"] == "no_such_prescription"


async def test_a_cancelled_prescription_has_no_medicine_and_says_why(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    first = await signed(page, visit_id)
    assert (await cancel(page, visit_id, first, reason="  "))[1]["code"] == "reason_missing"
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    status, body = await cancel(page, visit_id, first)
    assert status == 200
    gone = str(body["prescription_id"])
    assert await stands(page, visit_id) == {first: "cancelled", gone: "cancelled"}
    record = await page.get(f"/api/visits/{visit_id}")
    last = record["prescriptions"][-1]  # type: ignore[index]
    assert (last["medicines"], last["cancels"], last["reason"], last["replaces"]) == ([], True, "wrong dose", first)
    assert (await sign(page, visit_id, DRAFT, replaces=gone))[1]["code"] == "prescription_replaced"


@pytest.mark.parametrize("drug", [PROHIBITED, LIST_A, LIST_B, METFORMIN, "F005"])
async def test_no_side_door_signs_what_the_front_door_denies(kit: HubKit, drug: str) -> None:
    """Amendment, saved lines, a follow-up chain by tele, an approval: each ends at the same gate."""
    node, page, visit_id = await waiting_visit(kit)
    await kit.hub.store.write(lambda c: review.give_role(c, "asha", review.MEDICAL_OFFICER, kit.clock.ms))
    line = draft_with(drug)["medicines"]
    saved = {"saved_id": new_id(), "name": "mine", "lines": line}
    assert (await page.call("PUT", "/api/saved-lines", saved)).status == 200
    items = {one["item"]["item"]: one["item"] for one in (await page.get("/api/review"))["items"]}  # type: ignore[attr-defined]
    if f"drug:{drug}" in items:
        fingerprint = items[f"drug:{drug}"]["fingerprint"]
        decision = {"item": f"drug:{drug}", "fingerprint": fingerprint, "decision": "approved"}
        assert (await page.call("POST", "/api/review", decision)).status == 200
    first = await signed(page, visit_id)
    given = (await page.get("/api/saved-lines"))["items"][0]["lines"]  # type: ignore[index]
    status, body = await sign(page, visit_id, {**DRAFT, "medicines": given}, replaces=first, reason="more")
    assert status == 422 and codes(body)
    following = new_id()
    patient_id = (await page.get(f"/api/visits/{visit_id}"))["visit"]["patient_id"]  # type: ignore[index]
    await node.send(visit_events(following, patient_id, serial=2, follow_up_of=visit_id))
    assert (await sign(page, following, draft_with(drug)))[0] == 422


async def test_list_b_opens_by_the_doctors_own_word_and_only_for_her(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    path = f"/api/visits/{visit_id}/in-person"
    assert (await page.call("POST", path, {"held_on": "2099-01-01"})).status == 400
    assert (await page.call("POST", path, {"held_on": today(kit)})).status == 204
    check = {"draft": draft_with(LIST_B)}
    mine = await (await page.call("POST", f"/api/visits/{visit_id}/check", check)).json()
    assert (mine["consult_type"], mine["denials"]) == ("follow_up", [])
    others = await (await other.call("POST", f"/api/visits/{visit_id}/check", check)).json()
    assert (others["consult_type"], codes(others)) == ("first", {"list_b_needs_follow_up"})
    await signed(page, visit_id, draft_with(LIST_B))


async def test_the_nurses_record_counts_and_a_node_cannot_speak_as_the_doctor(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await node.send([ev.InPersonConfirmed(visit_id, "asha", today(kit))])
    assert codes((await sign(page, visit_id, draft_with(LIST_B)))[1]) == {"list_b_needs_follow_up"}
    await node.send([ev.InPersonRecorded(visit_id, "asha", today(kit))])
    await signed(page, visit_id, draft_with(LIST_B))


async def test_a_node_that_heard_nothing_makes_no_video_consultation(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    call_id = await held(kit, visit_id, node)
    assert (await sign(page, visit_id, draft_with(LIST_A)))[0] == 200
    node, page, visit_id = await another_visit(kit, page, 2)
    call_id = await held(kit, visit_id, node)
    silent = ev.CallHeld(visit_id, call_id, "asha", 1, 90_001, 0.0, 0.0, 0.0, Mode.TEXT, "node", "hangup")
    await node.send([silent])
    assert codes((await sign(page, visit_id, draft_with(LIST_A)))[1]) == {"list_a_needs_video"}


async def another_visit(kit: HubKit, page: Page, serial: int) -> tuple[NodeKit, Page, str]:
    node = await kit.enrol(f"UP{serial:02d}")
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
    return node, page, visit_id


async def held(kit: HubKit, visit_id: str, node: NodeKit) -> str:
    await video_call(kit, visit_id, node.node_id, video_s=60, lasted_s=80)
    query = select(calls.c.call_id).where(calls.c.visit_id == visit_id)
    return str(await kit.hub.store.read(lambda connection: connection.execute(query).scalar()))


async def test_a_report_and_a_signature_at_the_same_time_never_sign_below_the_gate(kit: HubKit) -> None:
    """Twenty signatures race the call that makes them possible: none is signed by less video than the rule asks for."""
    node, page, visit_id = await waiting_visit(kit)
    attempts = [sign(page, visit_id, draft_with(LIST_A)) for _ in range(10)]
    answers = await asyncio.gather(*attempts, video_call(kit, visit_id, node.node_id, video_s=19, lasted_s=40))
    assert {answer[0] for answer in answers if answer} == {422}
    attempts = [sign(page, visit_id, draft_with(LIST_A)) for _ in range(10)]
    await asyncio.gather(*attempts, video_call(kit, visit_id, node.node_id, video_s=1, lasted_s=40))
    record = await page.get(f"/api/visits/{visit_id}")
    assert all(one["mode"] == "video" for one in record["prescriptions"])  # type: ignore[attr-defined]


async def test_the_picker_shows_what_lies_on_the_nodes_shelf_first(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await node.send([ev.StockReceived("F099", 10), ev.StockCounted("F002", 7), ev.StockReceived("F002", 5)])
    prescription = await signed(page, visit_id, draft_with("F002") | {"medicines": [dose("F002")]})
    await node.send([ev.Dispensed(visit_id, prescription, "F002", 2)])
    found = await page.get(f"/api/formulary?visit_id={visit_id}")
    first = [item["id"] for item in found["items"]][:2]  # type: ignore[attr-defined]
    levels = {one["drug_id"]: one["units"] for one in found["shelf"]}  # type: ignore[attr-defined]
    assert (set(first), levels) == ({"F002", "F099"}, {"F002": 10, "F099": 10})
    await kit.hub.store.write(nodes.rebuild)
    assert (await page.get(f"/api/formulary?visit_id={visit_id}"))["shelf"] == found["shelf"]
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    visit = (await page.get(f"/api/visits/{visit_id}"))["visit"]
    slip = visit["handed_out"][0]["stamp"]  # type: ignore[index]
    await node.send([ev.HandOutTakenBack(visit_id, "F002", slip), ev.ClosingTakenBack(visit_id, VisitState.RX_READY)])
    for _ in range(2):
        visit = (await page.get(f"/api/visits/{visit_id}"))["visit"]
        assert (visit["handed_out"], visit["state"]) == ([], "rx_ready")  # type: ignore[index]
        again = (await page.get(f"/api/formulary?visit_id={visit_id}"))["shelf"]
        assert {one["drug_id"]: one["units"] for one in again} == {"F002": 12, "F099": 10}  # type: ignore[attr-defined]
        await kit.hub.store.write(nodes.rebuild)
    other = await another_visit(kit, page, 3)
    assert (await page.get(f"/api/formulary?visit_id={other[2]}"))["shelf"] == []


def dose(drug_id: str) -> dict[str, object]:
    return {"drug_id": drug_id, "dose": "5 mL", "route": "oral", "frequency": "BD", "duration_days": 3}


async def test_saved_lines_are_the_doctors_own(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.add_doctor("ravi", "Dr Ravi")
    mine, other = await kit.login(), await kit.login("ravi")
    saved = {"saved_id": new_id(), "name": "Fever, adult", "lines": [dose("F002"), dose("F001")]}
    assert (await mine.call("PUT", "/api/saved-lines", saved)).status == 200
    assert [one["name"] for one in (await mine.get("/api/saved-lines"))["items"]] == ["Fever, adult"]  # type: ignore[attr-defined]
    assert (await other.get("/api/saved-lines"))["items"] == []
    assert (await other.call("DELETE", f"/api/saved-lines/{saved['saved_id']}")).status == 404
    unknown = {**saved, "lines": [dose("F999")]}
    assert (await (await mine.call("PUT", "/api/saved-lines", unknown)).json())["code"] == "unknown_drug"
    assert (await mine.call("DELETE", f"/api/saved-lines/{saved['saved_id']}")).status == 204


async def test_only_a_medical_officer_decides_and_every_decision_stands_in_the_chain(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    listed = await page.get("/api/review")
    items = {one["item"]["item"]: one["item"] for one in listed["items"]}  # type: ignore[attr-defined]
    amoxicillin = items["drug:F018"]
    decision = {"item": "drug:F018", "fingerprint": amoxicillin["fingerprint"], "decision": "rejected", "note": "no"}
    assert listed["may_decide"] is False and amoxicillin["sources"]
    assert (await page.call("POST", "/api/review", decision)).status == 403
    await kit.hub.store.write(lambda c: review.give_role(c, "asha", review.MEDICAL_OFFICER, kit.clock.ms))
    stale = {**decision, "fingerprint": secrets.token_hex(8)}
    assert (await (await page.call("POST", "/api/review", stale)).json())["code"] == "review_outdated"
    assert (await page.call("POST", "/api/review", decision)).status == 200
    draft = draft_with("F018")
    check = await (await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": draft})).json()
    assert "unclassified" in codes(check)
    assert (await page.call("POST", "/api/review", {**decision, "decision": "approved"})).status == 200
    check = await (await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": draft})).json()
    assert codes(check) == {"list_a_needs_video"}
    assert [one["code"] for one in check["warnings"]] == []
    assert "F018" in (await page.get("/api/formulary?q=amoxicillin"))["approved"]  # type: ignore[operator]
    assert await kit.hub.store.read(audit.verify) == 0
    await kit.hub.store.write(lambda c: review.take_role(c, "asha", review.MEDICAL_OFFICER, kit.clock.ms))
    assert (await page.call("POST", "/api/review", decision)).status == 403


async def test_cancelling_after_a_restart_asks_for_the_password(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    first = await signed(page, visit_id)
    again = await kit.restart()
    try:
        moved = Page(again)
        moved.csrf, moved.cookies = page.csrf, page.cookies
        assert (await cancel(moved, visit_id, first))[1]["code"] == "password_needed"
        assert (await cancel(moved, visit_id, first, password=PASSWORD))[0] == 200
        visit = (await moved.get(f"/api/visits/{visit_id}"))["visit"]
        for one in visit["prescriptions"]:  # type: ignore[index]
            assert one["prescription_id"]
    finally:
        await again.stop()


async def test_the_preview_is_word_for_word_what_the_slip_will_say(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    lines = [*DRAFT["medicines"], dose("F002")]  # type: ignore[misc]
    draft = {**DRAFT, "medicines": lines}
    checked = await (await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": draft})).json()
    await signed(page, visit_id, draft)
    visit = (await kit.hub.desk.open_record(visit_id, "asha")).owned.visit
    words = slip_words(msgspec.msgpack.decode(visit.prescriptions[0].signed, type=SignedPrescription), "rx-1", "a5")
    assert checked["dose_lines"] == [[one.line_hi, one.line_en] for one in words.medicines]
    half = {**draft, "medicines": [{"drug_id": "F001", "dose": "1"}]}
    checked = await (await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": half})).json()
    assert checked["dose_lines"] == [["", ""]]

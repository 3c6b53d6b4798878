"""The gate at signing, through HTTP: nobody signs what the rules deny."""

import msgspec
import pytest

from edge.media.signals import Accept, Report, Ring
from edge.model import events as ev
from edge.model.records import Colour, Mode, VisitState
from hub.store.schema import calls
from hub.web.sockets import SocketConsole

from .kit import DRAFT, PASSWORD, HubKit, NodeKit, Page, draft_with, new_id, registered, visit_events

LIST_A, LIST_B, PROHIBITED, NOT_BY_TELE = "F031", "F069", "F110", "F005"


async def waiting_visit(kit: HubKit, **how: object) -> tuple[NodeKit, Page, str]:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id, **how)])  # type: ignore[arg-type]
    return node, await kit.login(), visit_id


async def sign(page: Page, visit_id: str, draft: object, **more: object) -> tuple[int, dict[str, object]]:
    reply = await page.call("POST", f"/api/visits/{visit_id}/sign", {"command_id": new_id(), "draft": draft, **more})
    return reply.status, await reply.json()


def codes(body: dict[str, object]) -> set[str]:
    denials = body["denials"]
    assert isinstance(denials, list)
    return {denial["code"] for denial in denials}


async def video_call(kit: HubKit, visit_id: str, node_id: str, video_s: float, lasted_s: float) -> None:
    """A finished call as the doctor's browser reported it."""
    row = {
        "call_id": new_id(),
        "visit_id": visit_id,
        "node_id": node_id,
        "doctor_id": "asha",
        "phase": "ended",
        "started_ms": kit.clock.ms - int(lasted_s * 1000),
        "ended_ms": kit.clock.ms,
        "ended_because": "hangup",
        "held_ms": kit.clock.ms,
        "video_s": video_s,
        "audio_s": video_s,
        "concealed_s": 0.0,
        "frames": 100,
        "mode": Mode.VIDEO.value,
    }
    await kit.hub.store.write(lambda connection: connection.execute(calls.insert().values(**row)) and None)


@pytest.mark.parametrize(
    ("drug", "code"),
    [
        (PROHIBITED, "prohibited"),
        (NOT_BY_TELE, "not_by_tele"),
        (LIST_A, "list_a_needs_video"),
        (LIST_B, "list_b_needs_follow_up"),
        ("nothing", "unknown_drug"),
    ],
)
async def test_a_medicine_that_the_lists_close_is_denied_with_its_reason(kit: HubKit, drug: str, code: str) -> None:
    _node, page, visit_id = await waiting_visit(kit)
    status, body = await sign(page, visit_id, draft_with(drug))
    assert status == 422
    assert code in codes(body)
    record = await page.get(f"/api/visits/{visit_id}")
    assert record["prescriptions"] == []


async def test_list_a_opens_after_real_video_and_not_after_invented_seconds(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await video_call(kit, visit_id, node.node_id, video_s=600, lasted_s=2)
    status, body = await sign(page, visit_id, draft_with(LIST_A))
    assert (status, codes(body)) == (422, {"list_a_needs_video"})
    await video_call(kit, visit_id, node.node_id, video_s=60, lasted_s=80)
    assert (await sign(page, visit_id, draft_with(LIST_A)))[0] == 200


async def test_not_even_video_opens_a_prohibited_medicine(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await video_call(kit, visit_id, node.node_id, video_s=60, lasted_s=80)
    status, body = await sign(page, visit_id, draft_with(PROHIBITED))
    assert (status, "prohibited" in codes(body)) == (422, True)


async def test_what_is_denied_at_checking_is_denied_at_signing(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    draft = draft_with(LIST_A)
    reply = await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": draft})
    checked = await reply.json()
    assert checked["mode"] == "text"
    assert codes(checked) == codes((await sign(page, visit_id, draft))[1])


async def test_a_childs_dose_is_signed_once_it_is_confirmed_for_her_weight_and_the_next_record_shows_it(
    kit: HubKit,
) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id, later_id = new_id(), new_id(), new_id()
    await node.send([registered(patient_id, years=5), *visit_events(visit_id, patient_id)])
    page = await kit.login()
    reply = await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": DRAFT})
    checked = await reply.json()
    assert checked["child_doses"] == ["52 kg: F001 1 oral TDS"]
    assert codes(checked) == codes((await sign(page, visit_id, DRAFT))[1]) == {"child_dose"}
    assert (await sign(page, visit_id, {**DRAFT, "child_doses_seen": checked["child_doses"]}))[0] == 200
    lines = await kit.hub.store.read(
        lambda c: c.exec_driver_sql("SELECT actor FROM audit WHERE action = 'child_doses_confirmed'").all()
    )
    assert [one.actor for one in lines] == ["asha"]
    await node.send(visit_events(later_id, patient_id, serial=2))
    for days, runs in ((0, True), (3, False)):
        kit.clock.pass_s(days * 86_400)
        page = await kit.login()
        papers = (await page.get(f"/api/visits/{later_id}"))["earlier_papers"]
        assert isinstance(papers, list)
        (paper,) = papers
        assert (paper["visit_id"], paper["diagnosis"]) == (visit_id, "Viral fever")
        assert [(one["generic"], one["runs"]) for one in paper["medicines"]] == [("PARACETAMOL", runs)]


async def test_the_centre_hears_of_a_signing_that_the_rules_about_medicines_stopped_and_not_which_medicine(
    kit: HubKit,
) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await page.get(f"/api/visits/{visit_id}")
    unwritten = {**draft_with(PROHIBITED), "diagnosis": ""}
    for draft, status in (
        (unwritten, 422),
        (draft_with("nothing"), 422),
        ({**DRAFT, "diagnosis": ""}, 422),
        (DRAFT, 200),
    ):
        assert (await sign(page, visit_id, draft))[0] == status
    wanted = [ev.SigningDenied(visit_id, ("prohibited",)), ev.SigningDenied(visit_id, ("unknown_drug",))]

    def heard() -> list[object]:
        return [one for one in node.said_by_hub() if isinstance(one, ev.SigningDenied)]

    await node.until(lambda: any(isinstance(one, ev.PrescriptionSigned) for one in node.said_by_hub()))
    await node.until(lambda: len(heard()) == 2)
    assert heard() == wanted
    assert ev.VisitSeen(visit_id, "asha", tells_denials=True) in node.said_by_hub()
    record = await page.get(f"/api/visits/{visit_id}")
    assert len(record["visit"]["denied"]) == 2  # type: ignore[index]


async def test_a_red_visit_needs_a_referral_and_no_consent(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit, colour=Colour.RED, consent=False)
    status, body = await sign(page, visit_id, DRAFT)
    assert (status, codes(body)) == (422, {"referral_missing"})
    referral = {**DRAFT, "referral": {"to": "District Hospital", "urgency": "now", "reason": "chest pain"}}
    assert (await sign(page, visit_id, referral))[0] == 200


async def test_one_command_signs_once_and_serves_for_nothing_else(kit: HubKit) -> None:
    _node, page, visit_id = await waiting_visit(kit)
    command = {"command_id": new_id(), "draft": DRAFT}
    first = await (await page.call("POST", f"/api/visits/{visit_id}/sign", command)).json()
    second = await (await page.call("POST", f"/api/visits/{visit_id}/sign", command)).json()
    assert first == second
    other = await page.call("POST", f"/api/visits/{visit_id}/sign", {**command, "draft": draft_with("F002")})
    assert (other.status, (await other.json())["code"]) == (409, "command_reused")
    assert len((await page.get(f"/api/visits/{visit_id}"))["prescriptions"]) == 1  # type: ignore[arg-type]


async def test_after_a_restart_signing_asks_for_the_password(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    again = await kit.restart()
    try:
        moved = Page(again)
        moved.csrf, moved.cookies = page.csrf, page.cookies
        assert (await sign(moved, visit_id, DRAFT))[1]["code"] == "password_needed"
        assert (await sign(moved, visit_id, DRAFT, password="wrong one"))[0] == 401
        assert (await sign(moved, visit_id, DRAFT, password=PASSWORD))[0] == 200
    finally:
        await again.stop()


async def test_a_visit_that_another_doctor_took_is_neither_taken_nor_signed_nor_put_back(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    other = await kit.login("ravi")
    assert (await other.call("POST", f"/api/visits/{visit_id}/take")).status == 409
    assert (await other.call("POST", f"/api/visits/{visit_id}/put-back")).status == 409
    assert (await sign(other, visit_id, DRAFT))[1]["code"] == "visit_taken"
    assert (await page.call("POST", f"/api/visits/{visit_id}/put-back")).status == 200
    assert (await other.call("POST", f"/api/visits/{visit_id}/take")).status == 200


async def test_a_closed_visit_is_not_signed(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    assert (await sign(page, visit_id, DRAFT))[1]["code"] == "visit_closed"


async def test_notes_are_each_doctors_own(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    assert (await page.call("PUT", f"/api/visits/{visit_id}/notes", {"text": "खाँसी"})).status == 200
    assert (await page.get(f"/api/visits/{visit_id}/notes"))["text"] == "खाँसी"
    assert (await other.get(f"/api/visits/{visit_id}/notes"))["text"] == ""


async def reached_mode(page: Page, visit_id: str) -> object:
    reply = await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": DRAFT})
    return (await reply.json())["mode"]


async def test_a_call_that_nobody_took_makes_no_video_consultation_whatever_the_page_reports(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    call_id = new_id()
    console = SocketConsole(await kit.hub.desk.doctor("asha"))
    live = kit.hub.live
    await node.until(lambda: kit.hub.link.online(node.node_id))
    await live.from_console(console, _json(Ring(call_id, visit_id)))
    kit.clock.pass_s(55)
    lie = _json(Report(call_id, 900.0, 900.0, 0.0, 9000))
    await live.from_console(console, lie)
    assert await reached_mode(page, visit_id) == "text"
    await live.from_node(node.keys.node_id, msgspec.msgpack.encode(Accept(call_id, "Meena")))
    kit.clock.pass_s(10)
    await live.from_console(console, lie)
    assert await reached_mode(page, visit_id) == "audio"
    kit.clock.pass_s(15)
    assert await reached_mode(page, visit_id) == "video"


async def test_reports_of_a_reloaded_page_add_up(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    call_id = new_id()
    console = SocketConsole(await kit.hub.desk.doctor("asha"))
    live = kit.hub.live
    await node.until(lambda: kit.hub.link.online(node.node_id))
    await live.from_console(console, _json(Ring(call_id, visit_id)))
    await live.from_node(node.keys.node_id, msgspec.msgpack.encode(Accept(call_id, "Meena")))
    kit.clock.pass_s(100)
    for video_s in (10.0, 20.0, 3.0, 8.0):
        await live.from_console(console, _json(Report(call_id, video_s, video_s, 0.0, int(video_s * 10))))
    found = await page.get(f"/api/visits/{visit_id}")
    assert [call["video_s"] for call in found["calls"]] == [28.0]  # type: ignore[attr-defined]


def _json(signal: object) -> str:
    return msgspec.json.encode(signal).decode()

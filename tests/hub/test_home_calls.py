"""Calls between a doctor's page and a patient's telephone: ringing, taking, missing, coming back, proof, messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from sqlalchemy import Connection

from edge.media.signals import Accept, Answer, Bye, Candidate, Offer, Report, Ring, Signal
from edge.model.records import Mode, VisitState
from hub import views
from hub.home import calls as home_calls
from hub.home.calls import PAGES_MAX, RING_S, SILENCE_S

from .home_kit import Telephone, always_open, sent, sent_soon, to_text
from .kit import DRAFT, PASSWORD, PATIENCE_S, HubKit, Page, new_id
from .test_live import connect, hear
from .test_rota_desk import ready

OTHER = "5550999999"
SDP = "v=0\r\na=fingerprint:sha-256 AB:CD\r\n"


@pytest.fixture
async def home(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    await always_open(kit)
    yield kit
    await kit.stop()


async def sides(home: HubKit) -> tuple[Page, Telephone, str]:
    await home.add_doctor()
    patient = await Telephone(home).login()
    return await home.login(), patient, await patient.waiting()


async def until_state(patient: Telephone, visit_id: str, state: VisitState) -> dict[str, object]:
    for _ in range(int(PATIENCE_S / 0.05)):
        seen = await patient.seen(visit_id)
        if seen["state"] == state.value:
            return seen
        await asyncio.sleep(0.05)
    raise AssertionError(f"the visit is {seen['state']}")


async def in_call(home: HubKit) -> tuple[Page, Telephone, str, str, ClientWebSocketResponse, ClientWebSocketResponse]:
    page, patient, visit_id = await sides(home)
    doctor, telephone = await connect(home, page), await patient.live()
    call_id = new_id()
    await doctor.send_str(to_text(Ring(call_id, visit_id)))
    assert (await hear(telephone, "ring"))["doctor_name"] == "Dr Asha Rao"
    await telephone.send_str(to_text(Accept(call_id)))
    await telephone.send_str(to_text(Offer(call_id, SDP)))
    assert (await hear(doctor, "offer"))["sdp"] == SDP
    await until_state(patient, visit_id, VisitState.IN_CALL)
    return page, patient, visit_id, call_id, doctor, telephone


async def test_a_call_is_set_up_measured_by_both_and_opens_the_gate_for_list_a(home: HubKit) -> None:
    page, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    await doctor.send_str(to_text(Answer(call_id, "v=0")))
    assert (await hear(telephone, "answer"))["sdp"] == "v=0"
    await telephone.send_str(to_text(Candidate(call_id, "candidate:1")))
    assert (await hear(doctor, "candidate"))["candidate"] == "candidate:1"
    home.clock.pass_s(60)
    await telephone.send_str(to_text(Report(call_id, 40.0, 50.0, 1.0, 400, mode=Mode.VIDEO)))
    await doctor.send_str(to_text(Report(call_id, 45.0, 50.0, 0.5, 500, mode=Mode.VIDEO)))
    reference = await page.get("/api/reference")
    drug = next(one for one in reference["formulary"] if one["tpg_list"] == "A")  # type: ignore[attr-defined]
    line = {"drug_id": drug["id"], "dose": "1 measure", "route": "oral", "frequency": "BD", "duration_days": 3}
    await telephone.send_str(to_text(Bye(call_id, "hangup")))
    assert (await hear(doctor, "bye"))["reason"] == "hangup"
    await until_state(patient, visit_id, VisitState.RX_PENDING)
    record = await page.get(f"/api/visits/{visit_id}")
    (call,) = (one for one in record["visit"]["calls"] if one["side"] == "node")  # type: ignore[index]
    assert (call["video_s"], call["audio_s"], call["mode"]) == (40.0, 50.0, "video")
    body = {"command_id": new_id(), "draft": {**DRAFT, "medicines": [line]}, "password": PASSWORD}
    signed = await page.call("POST", f"/api/visits/{visit_id}/sign", body)
    assert signed.status == 200, await signed.text()


async def test_who_heard_nobody_was_in_no_consultation(home: HubKit) -> None:
    page, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    home.clock.pass_s(60)
    await doctor.send_str(to_text(Report(call_id, 50.0, 50.0, 0.0, 500, mode=Mode.VIDEO)))
    await telephone.send_str(to_text(Bye(call_id, "hangup")))
    await until_state(patient, visit_id, VisitState.WAITING)
    checked = await page.call("POST", f"/api/visits/{visit_id}/check", {"draft": DRAFT})
    assert (await checked.json())["mode"] == "text"


REFUSE = {
    "sqlite": (
        "CREATE TRIGGER full_disk BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        "DROP TRIGGER full_disk",
    ),
    "postgresql": (
        "ALTER TABLE entries ADD CONSTRAINT full_disk CHECK (false) NOT VALID",
        "ALTER TABLE entries DROP CONSTRAINT full_disk",
    ),
}
"""What makes the database refuse every new entry of a log, and what lets it take them again."""


async def test_the_end_of_a_call_that_the_database_refused_is_written_when_it_takes_it(
    home: HubKit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    refuse, take = REFUSE[home.hub.store.engine.dialect.name]
    await home.hub.store.write(lambda connection: connection.exec_driver_sql(refuse) and None)
    monkeypatch.setattr(home_calls, "END_AGAIN_S", 0.05)
    home.clock.pass_s(60)
    await telephone.send_str(to_text(Bye(call_id, "hangup")))
    assert (await hear(doctor, "bye"))["reason"] == "hangup"
    for _ in range(int(PATIENCE_S / 0.05)):
        if sum("was not written yet" in one.message for one in caplog.records) > 1:
            break
        await asyncio.sleep(0.05)
    assert await patient.state(visit_id) is VisitState.IN_CALL
    home.clock.pass_s(600)
    await home.hub.store.write(lambda connection: connection.exec_driver_sql(take) and None)
    seen = await until_state(patient, visit_id, VisitState.WAITING)
    assert home.hub.home is not None
    owned = await home.hub.store.read(lambda connection: views.load_visit(connection, visit_id))
    assert owned is not None, seen
    (proof,) = [one for one in owned.visit.calls if one.side == "node"]
    assert proof.ended_ms - proof.started_ms == 60_000, "it ended when it ended, not when that was written"


async def test_a_missed_call_frees_the_doctor_keeps_the_token_and_the_second_goes_to_the_end(home: HubKit) -> None:
    page, patient, visit_id = await sides(home)
    later = await Telephone(home, OTHER).login()
    home.clock.pass_s(60)
    other_visit = await later.waiting()
    doctor = await connect(home, page)
    for number in (1, 2):
        call_id = new_id()
        await doctor.send_str(to_text(Ring(call_id, visit_id)))
        await sent_soon(home, "turn_next", more_than=number - 1)
        home.clock.pass_s(RING_S)
        assert home.hub.home is not None
        await home.hub.home.calls.look()
        assert (await hear(doctor, "bye"))["reason"] == "no_answer"
        seen = await until_state(patient, visit_id, VisitState.NO_SHOW)
        assert (seen["missed"], seen["token_today"], seen["doctor_name"]) == (number, True, "")
        await sent_soon(home, "missed", more_than=number - 1)
        await patient.done("move_visit", visit_id=visit_id, state="waiting")
        queue = [item["visit"]["visit_id"] for item in (await page.get("/api/queue"))["items"]]  # type: ignore[attr-defined]
        assert queue == ([visit_id, other_visit] if number == 1 else [other_visit, visit_id])
    assert not await sent(home, "missed", OTHER)


async def test_a_call_that_ends_as_it_is_taken_leaves_the_patient_in_the_queue(
    home: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, patient, visit_id = await sides(home)
    doctor, telephone, call_id = await connect(home, page), await patient.live(), new_id()
    assert home.hub.home is not None
    calls, from_home = home.hub.home.calls, home.hub.live.from_home

    async def ends(visit: str, signal: Signal) -> None:
        await from_home(visit, signal)
        if isinstance(signal, Accept):  # the doctor gives up in this moment
            await from_home(visit, Bye(call_id, "hangup"))
            await calls.settled()

    monkeypatch.setattr(home.hub.live, "from_home", ends)
    await doctor.send_str(to_text(Ring(call_id, visit_id)))
    await hear(telephone, "ring")
    await telephone.send_str(to_text(Accept(call_id)))
    await hear(telephone, "bye")
    await telephone.send_str(to_text(Accept(call_id)))
    await hear(telephone, "refused")  # what was said before is done
    assert await patient.state(visit_id) is VisitState.WAITING


async def test_a_page_that_opens_while_it_rings_hears_it_and_another_account_never(home: HubKit) -> None:
    page, patient, visit_id = await sides(home)
    stranger = await Telephone(home, OTHER).login()
    foreign = await stranger.live()
    doctor, call_id = await connect(home, page), new_id()
    await doctor.send_str(to_text(Ring(call_id, visit_id)))
    await sent_soon(home, "turn_next")
    telephone = await patient.live()
    ring = await hear(telephone, "ring")
    assert (ring["call_id"], ring["visit_id"]) == (call_id, visit_id)
    for signal in (Accept(call_id), Offer(call_id, SDP), Bye(call_id, "hangup"), Report(call_id, 9.0, 9.0, 0.0, 9)):
        await foreign.send_str(to_text(signal))
        told = await hear(foreign, "refused")
        await foreign.send_str(to_text(msgspec.structs.replace(signal, call_id=new_id())))
        unknown = await hear(foreign, "refused")
        assert (
            (told["code"], told["message"])
            == (unknown["code"], unknown["message"])
            == (
                "call_unknown",
                "There is no such call.",
            )
        )
    assert await patient.state(visit_id) is VisitState.WAITING
    await telephone.send_str(to_text(Accept(call_id)))
    await hear(doctor, "accept")


async def test_the_page_that_took_the_call_has_it_until_it_closes_and_a_reload_takes_it_up(home: HubKit) -> None:
    _, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    second = await patient.live()
    await hear(second, "ring")
    await second.send_str(to_text(Offer(call_id, SDP, 7)))
    assert (await hear(second, "refused"))["code"] == "call_elsewhere"
    await telephone.close()
    await second.send_str(to_text(Offer(call_id, SDP, 8)))
    assert (await hear(doctor, "offer"))["attempt"] == 8
    assert (await until_state(patient, visit_id, VisitState.IN_CALL))["doctor_name"] == "Dr Asha Rao"


async def test_a_restart_of_the_hub_ends_no_call_and_silence_does(home: HubKit) -> None:
    page, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    await doctor.close()
    await telephone.close()
    again = await home.restart()
    try:
        page._kit = patient._kit = patient.kit = again
        telephone = await patient.live()
        assert (await hear(telephone, "ring"))["doctor_name"] == "Dr Asha Rao"
        doctor = await connect(again, page)
        await doctor.send_str(to_text(Ring(call_id, visit_id)))
        await hear(telephone, "ring")
        await telephone.send_str(to_text(Offer(call_id, SDP, 1)))
        assert (await hear(doctor, "offer"))["attempt"] == 1
        again.clock.pass_s(SILENCE_S)
        assert again.hub.home is not None
        await again.hub.home.calls.look()
        assert (await hear(doctor, "bye"))["reason"] == "failed"
        await until_state(patient, visit_id, VisitState.WAITING)
    finally:
        await again.stop()


async def test_a_call_that_ends_while_the_table_of_calls_is_read_is_not_put_back(
    home: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, patient, visit_id, call_id, doctor, _ = await in_call(home)
    assert home.hub.home is not None
    really = home.hub.store.read

    async def read(work: Callable[[Connection], object]) -> object:
        found = await really(work)
        monkeypatch.undo()
        await home.hub.live.from_home(visit_id, Bye(call_id, "hangup"))
        return found

    monkeypatch.setattr(home.hub.store, "read", read)
    await home.hub.home.calls._take_over()
    await hear(doctor, "bye")
    late = await patient.live()
    await late.send_str(to_text(Offer(call_id, SDP, 1)))
    assert (await hear(late, "refused"))["code"] == "call_unknown"


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_a_wall_clock_that_is_set_ends_no_call_at_home_and_adds_nothing_to_its_proof(
    home: HubKit, step_s: float
) -> None:
    page, patient, visit_id, call_id, doctor, telephone = await in_call(home)
    home.clock.set_by_s(step_s)
    assert home.hub.home is not None
    await home.hub.home.calls.look()
    assert await patient.state(visit_id) is VisitState.IN_CALL
    home.clock.pass_s(40)
    await telephone.send_str(to_text(Report(call_id, 900.0, 900.0, 0.0, 400, mode=Mode.VIDEO)))
    await telephone.send_str(to_text(Bye(call_id, "hangup")))
    assert (await hear(doctor, "bye"))["reason"] == "hangup"
    await until_state(patient, visit_id, VisitState.RX_PENDING)
    record = await page.get(f"/api/visits/{visit_id}")
    (call,) = (one for one in record["visit"]["calls"] if one["side"] == "node")  # type: ignore[index]
    assert 40.0 <= call["audio_s"] < 60.0


class Told:
    """A page that keeps what it is told."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.texts: list[str] = []

    def tell(self, text: str) -> None:
        self.texts.append(text)


async def test_after_a_restart_a_page_opens_also_while_another_call_begins(home: HubKit) -> None:
    _, _, visit_id, call_id, doctor, telephone = await in_call(home)
    await doctor.close()
    await telephone.close()
    again = await home.restart()
    try:
        assert again.hub.home is not None
        calls = again.hub.home.calls
        page = Told(await calls._owner_of(visit_id))
        adding = asyncio.create_task(calls.add(page))
        async with asyncio.timeout(PATIENCE_S):
            while page not in calls._pages:
                assert not adding.done()
                await asyncio.sleep(0)
        calls.say(new_id(), visit_id, Ring(new_id(), visit_id, "asha"))  # the page's first ring is being looked up
        await adding
        assert any(call_id in text for text in page.texts)
    finally:
        await again.stop()


async def test_a_patient_is_told_once_that_her_turn_is_near_and_only_when_a_doctor_sits(home: HubKit) -> None:
    page, _, _ = await sides(home)
    assert home.hub.home is not None
    await home.hub.home.calls.look()
    assert await sent(home, "turn_next") == []
    socket = await connect(home, page)
    await ready(home, page)
    await home.hub.rota.look()
    (text,) = await sent_soon(home, "turn_next")
    assert "H-001" in text
    for _ in range(3):
        await home.hub.home.calls.look()
    assert len(await sent(home, "turn_next")) == 1
    await socket.close()


async def test_a_page_hears_of_its_visits_and_is_cut_off_at_logout_and_takes_no_foreign_origin(home: HubKit) -> None:
    page, patient, visit_id = await sides(home)
    telephone = await patient.live()
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    assert (await hear(telephone, "visit"))["visit_id"] == visit_id
    await telephone.send_str("{}")
    assert (await hear(telephone, "refused"))["code"] == "bad_input"
    assert home.client is not None
    cookie = f"upk_home={patient.cookies['upk_home']}"
    foreign = await home.client.get(
        "/home/api/live",
        headers={
            "Cookie": cookie,
            "Origin": "https://evil.example",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    )
    assert foreign.status == 403
    assert (await patient.call("DELETE", "/home/api/session")).status == 204
    while (message := await telephone.receive(timeout=PATIENCE_S)).type is WSMsgType.TEXT:
        pass
    assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED)


async def test_one_account_holds_only_so_many_pages_open(home: HubKit) -> None:
    patient, other = await Telephone(home).login(), await Telephone(home, OTHER).login()
    pages = [await patient.live() for _ in range(PAGES_MAX)]
    with pytest.raises(WSServerHandshakeError) as refused:
        await patient.live()
    assert refused.value.status == 429
    await (await other.live()).close()
    await pages[0].close()
    for _ in range(int(PATIENCE_S / 0.05)):
        try:
            again = await patient.live()
        except WSServerHandshakeError:
            await asyncio.sleep(0.05)
        else:
            await again.close()
            return
    raise AssertionError("a page that was closed made no room")


async def test_a_hub_without_a_gateway_has_no_pages_for_patients(kit: HubKit) -> None:
    assert (await Page(kit).call("GET", "/home/api/opening")).status == 404

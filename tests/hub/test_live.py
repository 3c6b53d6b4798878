"""Call signals between a doctor's page and a node: checked, passed on, surviving a reload."""

import asyncio
import errno
from collections.abc import Callable

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType
from sqlalchemy import Connection, select, update

from edge.media.call import Phase
from edge.media.signals import Accept, Answer, Bye, Candidate, Offer, Report, Ring, Signal, fingerprint_tbs
from edge.model import events as ev
from edge.model.errors import BadInput
from edge.model.records import Mode, VisitState
from edge.sync import seal
from edge.web.sessions import UNTOUCHED_HEADER
from hub import live
from hub.live_again import RING_MOST_S
from hub.store.schema import calls, sessions
from hub.turn import Turn, ice_servers, turn_urls

from .kit import HubKit, NodeKit, Page, new_id, registered, visit_events

SDP = "v=0\r\na=fingerprint:sha-256 AB:CD\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=fingerprint:sha-256 AB:CD\r\n"


async def connect(kit: HubKit, page: Page) -> ClientWebSocketResponse:
    assert kit.client is not None
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    return await kit.client.ws_connect("/api/live", headers={"Cookie": cookie})


async def hear(socket: ClientWebSocketResponse, kind: str) -> dict[str, object]:
    """The next message of a kind; others are passed over."""
    while True:
        message: dict[str, object] = await socket.receive_json(timeout=5)
        if message["type"] == kind:
            return message


def say(signal: Signal) -> str:
    return msgspec.json.encode(signal).decode()


def signed_offer(node: NodeKit, call_id: str, sdp: str = SDP) -> Offer:
    return Offer(call_id, sdp, 0, seal.sign(node.drawn.device, fingerprint_tbs(call_id, sdp) or b""))


async def ready(kit: HubKit) -> tuple[NodeKit, Page, str]:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    return node, await kit.login(), visit_id


def heard(node: NodeKit) -> list[Signal]:
    return [msgspec.msgpack.decode(blob, type=Signal) for blob in node.signals]


async def ringing(kit: HubKit) -> tuple[NodeKit, ClientWebSocketResponse, str, str]:
    """A call that rings at the node: node, the doctor's page, visit, call."""
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: bool(heard(node)))
    return node, socket, visit_id, call_id


async def test_a_call_is_set_up_reported_and_ended_and_stands_in_the_record(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    (ring,) = heard(node)
    assert isinstance(ring, Ring)
    assert (ring.doctor_id, ring.doctor_name) == ("asha", "Dr Asha Rao")

    node.signal(Accept(call_id, "Meena"))
    node.signal(signed_offer(node, call_id))
    await node.until(lambda: kit.hub.link.signals.empty() and not node.endpoint.link_state(0).backlog_items)
    assert (await hear(socket, "accept"))["by"] == "Meena"
    assert (await hear(socket, "offer"))["sdp"] == SDP
    await socket.send_str(say(Answer(call_id, "v=0")))
    await socket.send_str(say(Candidate(call_id, "candidate:1")))
    await node.until(lambda: len(node.signals) == 3)
    kit.clock.pass_s(60)
    await socket.send_str(say(Report(call_id, 30.0, 31.0, 0.5, 300)))
    await socket.send_str(say(Bye(call_id, "hangup")))
    await node.until(lambda: any(isinstance(signal, Bye) for signal in heard(node)))
    await socket.send_str(say(Report(call_id, 32.0, 33.0, 0.5, 320)))
    await node.until(lambda: any(isinstance(event, ev.CallHeld) for event in node.said_by_hub()), 8000)
    held = next(event for event in node.said_by_hub() if isinstance(event, ev.CallHeld))
    assert (held.side, held.video_s, held.audio_s, held.ended_because) == ("doctor", 32.0, 33.0, "hangup")
    await socket.close()


async def test_a_page_that_reports_more_seconds_than_have_passed_gets_those_that_passed_into_the_log(
    kit: HubKit,
) -> None:
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    await node.until(lambda: kit.hub.link.online(node.node_id))
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    await kit.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(Accept(call_id, "Meena")))
    taken_ms = kit.clock.ms
    kit.clock.pass_s(60)
    await socket.send_str(say(Report(call_id, 5_000.0, 6_000.0, 7_000.0, 90_000, mode=Mode.VIDEO)))
    await socket.send_str(say(Bye(call_id, "hangup")))
    await node.until(lambda: any(isinstance(event, ev.CallHeld) for event in node.said_by_hub()), 8000)
    held = next(event for event in node.said_by_hub() if isinstance(event, ev.CallHeld))
    lasted_s = (held.ended_ms - taken_ms) / 1000
    assert 60 <= lasted_s < 1_000
    assert (held.video_s, held.audio_s, held.concealed_s) == (lasted_s, lasted_s, lasted_s)
    await socket.close()


async def test_a_node_that_is_not_there_is_said_so_at_once_and_the_visit_keeps_its_place(kit: HubKit) -> None:
    _, page, visit_id = await ready(kit)
    kit.clock.pass_s(600)
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(new_id(), visit_id)))
    assert (await hear(socket, "refused"))["code"] == "node_offline"
    queue = await page.get("/api/queue")
    assert [item["visit"]["visit_id"] for item in queue["items"]] == [visit_id]  # type: ignore[attr-defined]
    await socket.close()


async def test_an_offer_that_the_node_did_not_sign_is_not_passed_on(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    good = signed_offer(node, call_id)
    other = SDP.replace("AB:CD", "EE:FF")
    for offer in (
        Offer(call_id, SDP),
        Offer(call_id, other, 0, good.fingerprint_signature),
        Offer(call_id, SDP.replace("AB:CD", "EE:FF", 1), 0, good.fingerprint_signature),
    ):
        await kit.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(offer))
        assert (await hear(socket, "refused"))["code"] == "offer_unsigned"
    await kit.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(good))
    assert (await hear(socket, "offer"))["sdp"] == SDP
    await socket.close()


async def test_a_reloaded_page_takes_up_the_same_call_also_after_a_restart_of_the_hub(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    first = await connect(kit, page)
    await first.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    await first.close()
    again = await kit.restart()
    try:
        node.kit = again
        moved = Page(again)
        moved.csrf, moved.cookies = page.csrf, page.cookies
        await node.until(lambda: again.hub.link.online(node.node_id), 6000)
        second = await connect(again, moved)
        await second.send_str(say(Ring(call_id, visit_id)))
        await node.until(lambda: len(node.signals) == 2)
        await again.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(signed_offer(node, call_id)))
        assert (await hear(second, "offer"))["call_id"] == call_id
        await second.close()
    finally:
        await again.stop()


async def test_a_call_that_ended_just_before_a_restart_still_gets_into_the_log(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    call_id = new_id()
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    await socket.send_str(say(Bye(call_id, "hangup")))
    await node.until(lambda: len(node.signals) == 2)
    await socket.close()
    again = await kit.restart()
    try:
        node.kit = again
        await node.until(lambda: any(isinstance(event, ev.CallHeld) for event in node.said_by_hub()), 6000)
    finally:
        await again.stop()


async def test_nobody_speaks_in_anothers_call(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    stranger = await kit.enrol("UP02")
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    call_id = new_id()
    socket = await connect(kit, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    intruder = await connect(kit, other)
    for signal in (Answer(call_id, "v=0"), Bye(call_id, "hangup"), Ring(call_id, visit_id)):
        await intruder.send_str(say(signal))
        assert (await hear(intruder, "refused"))["code"] == "call_unknown"
    await intruder.send_str(say(Ring(new_id(), visit_id)))
    assert (await hear(intruder, "refused"))["code"] == "visit_taken"
    await kit.hub.live.from_node(stranger.keys.node_id, msgspec.msgpack.encode(Bye(call_id, "hangup")))
    phase = await kit.hub.store.read(lambda connection: connection.execute(select(calls.c.phase)).scalar())
    assert phase == "ringing"
    await intruder.close()
    await socket.close()


async def test_rubbish_on_the_socket_is_refused_and_the_page_stays_connected(kit: HubKit) -> None:
    _, page, _ = await ready(kit)
    socket = await connect(kit, page)
    named = f'"call_id":"{new_id()}"'
    for text in (
        "",
        "{",
        "[]",
        '{"type":"no_such"}',
        '{"type":"ring"}',
        '{"type":"bye","call_id":7,"reason":"x"}',
        f'{{"type":"candidate",{named},"candidate":"candidate:1","mline":-1}}',
        f'{{"type":"candidate",{named},"candidate":"candidate:1","attempt":{1 << 70}}}',
        f'{{"type":"report",{named},"video_s":-1,"audio_s":0,"concealed_s":0,"frames":0}}',
        f'{{"type":"report",{named},"video_s":0,"audio_s":0,"concealed_s":0,"frames":{1 << 63}}}',
        '{"type":"bye","x":' + "[" * 30_000,
    ):
        await socket.send_str(text)
        assert (await hear(socket, "refused"))["code"] == "bad_input"
    await kit.hub.live.from_node(bytes(8), b"\xc1")
    await asyncio.sleep(0)
    assert not socket.closed
    await socket.close()


async def test_a_page_of_another_origin_cannot_listen(kit: HubKit) -> None:
    _, page, _ = await ready(kit)
    assert kit.client is not None
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    headers = {"Cookie": cookie, "Origin": "https://elsewhere.example"}
    reply = await kit.client.get("/api/live", headers=headers)
    assert reply.status == 403


def test_addresses_of_turn_servers_are_taken_as_browsers_and_nodes_take_them() -> None:
    good = ["turn:hub.example:3478?transport=udp", "turn:[2001:db8::1]:3478?transport=tcp", "turns:hub.example:443"]
    assert turn_urls(good) == tuple(good)
    for bad in ("hub.example:3478", "turns:hub.example:443?transport=udp", "turn:a b", "turn:u@hub.example", "stun:x"):
        with pytest.raises(BadInput):
            turn_urls([bad])


def test_turn_credentials_end_and_are_made_only_with_a_secret() -> None:
    assert ice_servers(Turn(("turn:hub.example:3478",), ""), "node", 1000) == ()
    (server,) = ice_servers(Turn(("turn:hub.example:3478",), "s3cret"), "node", 1000)
    assert (server.username, server.credential) == ("15400:node", "Y+Q6oU9JIqZrsCeNQ9uL53U2e7s=")
    assert "s3cret" not in repr(Turn((), "s3cret"))


async def test_who_logs_out_hears_no_more(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    socket = await connect(kit, page)

    async def listen() -> None:
        async for _ in socket:
            pass

    listening = asyncio.ensure_future(listen())  # as a browser does all the time
    assert (await page.call("DELETE", "/api/session")).status == 204
    async with asyncio.timeout(5):
        await listening
    assert socket.close_code == WSCloseCode.POLICY_VIOLATION


async def test_a_page_whose_session_is_over_calls_nobody(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    socket = await connect(kit, page)
    kit.clock.pass_s(2 * 3600 + 1)
    await socket.send_str(say(Ring(new_id(), visit_id)))
    async with asyncio.timeout(5):
        while (await socket.receive()).type is not WSMsgType.CLOSE:
            pass
    assert socket.close_code == WSCloseCode.POLICY_VIOLATION
    assert node.signals == []


async def test_a_call_is_use_of_the_session_though_nobody_touches_the_page(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    call_id, socket = new_id(), await connect(kit, page)
    await node.until(lambda: kit.hub.link.online(node.node_id))
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    used = select(sessions.c.used_ms)
    for _ in range(5):
        kit.clock.pass_s(3600)
        await socket.send_str(say(Report(call_id, 1.0, 1.0, 0.0, 10)))
        await socket.send_str("x")
        await hear(socket, "refused")  # the report was taken before that
        await kit.hub.store.settled()
        assert await kit.hub.store.read(lambda connection: connection.execute(used).scalar()) == kit.clock.ms
    polled = await page.call("GET", "/api/queue", headers={UNTOUCHED_HEADER: str(5 * 3600)})
    assert polled.status == 200
    await socket.close()


async def test_a_call_whose_bye_was_lost_is_over_when_the_nodes_record_says_so(kit: HubKit) -> None:
    node, socket, visit_id, call_id = await ringing(kit)
    held = ev.CallHeld(visit_id, call_id, "dr", 0, 5_000, 1.0, 4.0, 0.0, Mode.AUDIO, "node", "failed")
    await node.send([held])
    assert (await hear(socket, "bye"))["reason"] == "failed"


async def test_a_ring_that_comes_again_while_the_node_answers_keeps_what_the_node_said(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    socket = await connect(kit, page)
    call_id = new_id()
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    console = next(iter(kit.hub.live._consoles))
    again = asyncio.create_task(kit.hub.live.from_console(console, say(Ring(call_id, visit_id))))
    await asyncio.sleep(0)  # it has looked the call up, and asks the database for the visit
    await kit.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(Accept(call_id, "Meena")))
    await again
    kit.clock.pass_s(30)
    await socket.send_str(say(Report(call_id, 20.0, 21.0, 0.0, 200)))
    await node.until(lambda: bool(kit.hub.live._calls[call_id].video_s))
    again = asyncio.create_task(kit.hub.live.from_console(console, say(Ring(call_id, visit_id))))
    await asyncio.sleep(0)
    await kit.hub.live.from_node(node.keys.node_id, msgspec.msgpack.encode(Bye(call_id, "hangup")))
    await again
    assert (await hear(socket, "refused"))["code"] == "call_over"
    await socket.close()


async def test_a_call_of_a_visit_that_another_doctor_took_meanwhile_does_not_ring_again(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    socket = await connect(kit, page)
    call_id = new_id()
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(node.signals) == 1)
    assert (await page.call("POST", f"/api/visits/{visit_id}/put-back")).status == 200
    assert (await other.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await socket.send_str(say(Ring(call_id, visit_id)))
    assert (await hear(socket, "refused"))["code"] == "visit_taken"
    await socket.close()


async def test_a_call_that_nobody_took_is_over_when_its_visit_is_closed(kit: HubKit) -> None:
    node, socket, visit_id, _ = await ringing(kit)
    await node.send([ev.VisitClosed(visit_id, VisitState.NO_SHOW, False)])
    assert (await hear(socket, "bye"))["reason"] == "no_answer"
    await socket.close()


async def phase_of(kit: HubKit, call_id: str) -> str:
    query = select(calls.c.phase).where(calls.c.call_id == call_id)
    return str(await kit.hub.store.read(lambda connection: connection.execute(query).scalar()))


async def test_a_call_that_another_process_ended_is_not_taken_any_more(kit: HubKit) -> None:
    node, socket, _, call_id = await ringing(kit)
    over = update(calls).where(calls.c.call_id == call_id).values(phase="ended", ended_ms=1, ended_because="hangup")
    await kit.hub.store.write(lambda connection: connection.execute(over) and None)
    node.signal(Accept(call_id, "Meena"))
    call = kit.hub.live._calls[call_id]
    await node.until(lambda: kit.hub.live._calls.get(call_id, None) is not call)
    await node.until(lambda: call_id not in kit.hub.live._calls, 6000)
    assert await phase_of(kit, call_id) == "ended"
    await socket.send_str("?")
    kinds = []
    while "refused" not in kinds:
        kinds.append((await socket.receive_json(timeout=5))["type"])
    assert "accept" not in kinds


async def test_the_end_of_a_call_that_a_full_disk_refused_is_written_later(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, socket, _, call_id = await ringing(kit)
    write, hangs, full = kit.hub.store.write, asyncio.Event(), asyncio.Event()

    async def on_a_full_disk(act: Callable[[Connection], object]) -> object:
        hangs.set()
        await full.wait()
        monkeypatch.setattr(kit.hub.live._desk.store, "write", write)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(live, "END_AGAIN_S", 0.05)
    monkeypatch.setattr(kit.hub.live._desk.store, "write", on_a_full_disk)
    await socket.send_str(say(Bye(call_id, "hangup")))
    await asyncio.wait_for(hangs.wait(), 20)
    assert await phase_of(kit, call_id) != "ended"
    known = kit.hub.live._calls[call_id]
    assert known.phase is Phase.ENDED
    kit.hub.live._calls[call_id] = msgspec.structs.replace(known, frames=7)  # a last report
    full.set()
    await node.until(lambda: call_id not in kit.hub.live._calls, 6000)
    assert await phase_of(kit, call_id) == "ended"


async def test_a_ring_of_which_its_node_says_no_end_is_ended_by_the_hub(kit: HubKit) -> None:
    """The node lost its power: the page rang until the doctor hung up, and she was in a call for everybody."""
    node, socket, _, call_id = await ringing(kit)
    kit.clock.pass_s(RING_MOST_S - 5)
    await kit.hub.together.again.look()
    assert [call.call_id for call in kit.hub.live.running()] == [call_id], "it may be heard there yet"
    kit.clock.pass_s(6)
    await kit.hub.together.again.look()
    assert (await hear(socket, "bye"))["reason"] == "no_answer"
    await node.until(lambda: Bye(call_id, "no_answer") in heard(node))
    assert kit.hub.live.running() == []


async def test_a_record_that_is_opened_first_is_read_and_audited_once(kit: HubKit) -> None:
    node, page, visit_id = await ready(kit)
    socket = await connect(kit, page)
    assert (await page.get(f"/api/visits/{visit_id}"))["visit"]["seen_ms"]  # type: ignore[index]
    await node.until(lambda: any(isinstance(one, ev.VisitSeen) for one in node.said_by_hub()))
    await socket.send_str("?")
    kinds = []
    while "refused" not in kinds:
        kinds.append((await socket.receive_json(timeout=5))["type"])
    assert "visit" not in kinds, "her own look comes back as a change, and her page reads all of it again"
    lines = "SELECT count(*) FROM audit WHERE action = 'record_opened'"
    assert await kit.hub.store.read(lambda connection: connection.exec_driver_sql(lines).scalar()) == 1
    await socket.close()


async def test_a_ring_that_is_rung_anew_rings_as_long_as_a_new_one(kit: HubKit) -> None:
    """The page was loaded again, or came back after a while without a network, and rings on."""
    node, socket, visit_id, call_id = await ringing(kit)
    kit.clock.pass_s(RING_MOST_S - 5)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await node.until(lambda: len(heard(node)) == 2)
    kit.clock.pass_s(RING_MOST_S - 5)
    await kit.hub.together.again.look()
    assert [call.call_id for call in kit.hub.live.running()] == [call_id], "counted from the first ring it was over"
    kit.clock.pass_s(6)
    await kit.hub.together.again.look()
    assert (await hear(socket, "bye"))["reason"] == "no_answer"
    await socket.close()


async def test_the_end_of_a_call_whose_process_was_killed_is_written_by_who_leads_without_a_restart(
    kit: HubKit,
) -> None:
    node, socket, visit_id, call_id = await ringing(kit)
    node.signal(Accept(call_id, "Meena"))
    await node.until(lambda: kit.hub.live._calls[call_id].taken)
    await socket.close()
    kit.hub.live._calls.clear()  # another process had it, and was killed when it had written the end

    def end(connection: Connection) -> None:
        values = {"phase": Phase.ENDED.value, "ended_ms": kit.clock.ms, "ended_because": "hangup"}
        connection.execute(update(calls).where(calls.c.call_id == call_id).values(**values))

    await kit.hub.store.write(end)
    await kit.hub.live.settle_left()
    assert not [one for one in node.said_by_hub() if isinstance(one, ev.CallHeld)], "its own process may do it yet"
    kit.clock.pass_s(31)
    await kit.hub.live.settle_left()
    await kit.hub.live.settle_left()
    await node.until(lambda: any(isinstance(one, ev.CallHeld) for one in node.said_by_hub()))
    held = [one for one in node.said_by_hub() if isinstance(one, ev.CallHeld)]
    assert [(one.visit_id, one.call_id, one.side) for one in held] == [(visit_id, call_id, "doctor")]


async def test_a_call_that_a_killed_process_left_running_ends_when_its_node_has_said_so(kit: HubKit) -> None:
    node, socket, visit_id, call_id = await ringing(kit)
    node.signal(Accept(call_id, "Meena"))
    await node.until(lambda: kit.hub.live._calls[call_id].taken)
    await socket.close()
    kit.hub.live._calls.clear()  # another process had it, and was killed before it wrote anything
    now_ms = kit.clock.ms
    held = ev.CallHeld(visit_id, call_id, "asha", now_ms, now_ms, 0.0, 0.0, 0.0, Mode.AUDIO, "node", "failed")
    await node.send([held])
    assert await phase_of(kit, call_id) != "ended"
    await kit.hub.live.settle_left()
    for _ in range(200):
        await kit.hub.store.settled()
        if await phase_of(kit, call_id) == "ended":
            break
    assert await phase_of(kit, call_id) == "ended"

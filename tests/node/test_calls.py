"""A doctor's call at the node: it rings on the tablets, is taken, offers signed media, and is recorded."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from edge.media import process
from edge.media.call import Kind
from edge.media.signals import Accept, Bye, CallStats, LanAnswer, Offer, Ring, Signal, fingerprint_tbs
from edge.model import events as ev
from edge.node import call_running
from edge.node.live import ByePush, CallPush, Push, RingPush
from edge.sync import seal
from edge.web.refusals import Unavailable
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, new_id, provisioned
from tests.node.test_link import at_hub, until


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def call_processes() -> list[int]:
    """The call processes that are children of this one."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            command = status.with_name("cmdline").read_bytes()
            if f"PPid:\t{os.getpid()}\n" in status.read_text() and b"edge.media" in command:
                found.append(int(status.parent.name))
    return found


def call_process() -> int:
    """One of them."""
    found = call_processes()
    assert found, "there is no call process"
    return found[0]


async def next_of(hub: HubSide, kind: type[Signal]) -> Signal:
    """The next signal of a kind; candidates and the like are passed over."""
    async with asyncio.timeout(30):
        while True:
            heard = await hub.signals.get()
            if isinstance(heard, kind):
                return heard


async def test_a_call_rings_is_taken_offers_signed_media_and_is_recorded_when_it_ends(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        token = await tablet.fill(visit)
        call_id = new_id()
        async with tablet.http.ws_connect("/api/live") as live:
            hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))
            async with asyncio.timeout(15):
                heard = await live.receive_json()
                while heard["type"] != "ring":
                    heard = await live.receive_json()
        ring = {"type": "ring", "call_id": call_id, "visit_id": visit, "doctor_name": "Dr Meera Iyer"}
        assert heard == ring | {"camera": "node"}
        second = new_id()
        hub.signal(Ring(second, visit, "dr-2", "Dr Other"))
        assert await next_of(hub, Bye) == Bye(second, "busy")

        status, calls = await tablet.call("POST", f"/api/calls/{call_id}/accept", {"tablet": "one"})
        assert status == 200
        assert calls["items"][0]["state"] == "connecting"  # type: ignore[index]
        accepted = await next_of(hub, Accept)
        assert accepted == Accept(call_id, "Asha Devi")
        offer = await next_of(hub, Offer)
        assert isinstance(offer, Offer)
        device = seal.verifier_of(setup.config.device)
        signed = fingerprint_tbs(call_id, offer.sdp)
        assert signed is not None
        assert seal.verify(device, signed, offer.fingerprint_signature)

        async def photos_wait() -> str:
            return str((await tablet.get("/api/status"))["link"]["waits"])  # type: ignore[index]

        assert await photos_wait() == "call", "photos and the like leave the link to the call"
        os.kill(await asyncio.to_thread(call_process), signal.SIGKILL)
        killed_s = time.monotonic()
        again = await next_of(hub, Offer)
        assert isinstance(again, Offer)
        assert again.attempt == offer.attempt + 1
        assert time.monotonic() - killed_s < 5, "a crash of the media ends an attempt, not the call"

        assert (await tablet.call("POST", f"/api/calls/{call_id}/end"))[0] == 200
        assert isinstance(await next_of(hub, Bye), Bye)
        assert await photos_wait() == ""
        page = await tablet.get(f"/api/visits/{visit}")
        assert page["visit"]["state"] == "waiting"  # type: ignore[index]
        assert page["visit"]["token"] == token  # type: ignore[index]

        async def recorded() -> bool:
            return any(isinstance(event, ev.CallHeld) and event.call_id == call_id for event in hub.events())

        await until(recorded)
        assert (await tablet.call("POST", f"/api/calls/{call_id}/end"))[0] == 404


async def test_a_ring_whose_end_was_lost_on_the_way_is_asked_for_and_ends(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_running, "ASK_S", 0.3)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))
        assert await next_of(hub, Ring) == Ring(call_id, visit), "the node asks whether it goes on"
        assert served.node.calls.current(), "nobody said that it does not"
        assert await next_of(hub, Ring) == Ring(call_id, visit), "and asks again"
        hub.signal(Bye(call_id, "hangup"))

        async def over() -> bool:
            return not served.node.calls.current()

        await until(over)


async def test_a_call_for_a_visit_that_is_not_here_is_turned_down(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        call_id = new_id()

        async def online() -> bool:
            return bool((await served.tablet.get("/api/status"))["link"]["online"])  # type: ignore[index]

        await until(online)
        hub.signal(Ring(call_id, new_id(), "dr-1", "Dr Meera Iyer"))
        assert await next_of(hub, Bye) == Bye(call_id, "failed")


async def test_a_visit_that_cannot_be_read_turns_the_call_down_at_once(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()

        async def online() -> bool:
            return bool((await served.tablet.get("/api/status"))["link"]["online"])  # type: ignore[index]

        await until(online)

        async def broken(query: object) -> None:
            raise OSError("disk I/O error")

        call_id = new_id()
        with monkeypatch.context() as patch:
            patch.setattr(served.node.clinic.store, "read", broken)
            hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))
            assert await next_of(hub, Bye) == Bye(call_id, "failed")


async def test_the_end_of_a_call_that_could_not_be_written_is_written_once_when_it_can_be(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet, desk = served.tablet, served.node.calls
        desk.ends.write_again_s = 0.05
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool((await tablet.get("/api/calls"))["items"])

        await until(rings)
        assert (await tablet.call("POST", f"/api/calls/{call_id}/accept", {"tablet": "one"}))[0] == 200
        store, tried = served.node.clinic.store, 0
        write = store.write

        async def full(act: object) -> None:
            nonlocal tried
            tried += 1
            raise OSError("No space left on device")

        monkeypatch.setattr(store, "write", full)
        assert (await tablet.call("POST", f"/api/calls/{call_id}/end"))[0] == 200, "the call is over all the same"
        assert isinstance(await next_of(hub, Bye), Bye)

        async def tried_again() -> bool:
            return tried >= 3

        await until(tried_again)
        monkeypatch.setattr(store, "write", write)

        async def recorded() -> bool:
            page = await tablet.get(f"/api/visits/{visit}")
            return (page["visit"]["state"], len(page["visit"]["calls"])) == ("waiting", 1)  # type: ignore[index]

        await until(recorded)
        assert desk.ends.left == []


async def test_a_camera_that_does_not_open_ends_the_call_with_that_reason(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub), camera="file:/no/such/picture.webm") as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        token = await tablet.fill(visit)
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool((await tablet.get("/api/calls"))["items"])

        await until(rings)
        told: list[Push] = []
        served.node.clinic.tablets.listeners.append(told.append)
        assert (await tablet.call("POST", f"/api/calls/{call_id}/accept", {"tablet": "one"}))[0] == 200
        assert await next_of(hub, Bye) == Bye(call_id, "no_camera")
        assert (await tablet.get("/api/calls"))["items"] == []

        async def back_in_the_queue() -> bool:
            page = await tablet.get(f"/api/visits/{visit}")
            return (page["visit"]["state"], page["visit"]["token"]) == ("waiting", token)  # type: ignore[index]

        await until(back_in_the_queue)
        over = [one for one in told if isinstance(one, ByePush) or (isinstance(one, CallPush) and one.state == "ended")]
        assert over[0] == ByePush(call_id, "no_camera"), "the first word of the end says why"
        assert len([one for one in over if isinstance(one, ByePush)]) == 1


async def test_a_call_that_ends_while_its_process_is_being_started_leaves_no_process(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool((await tablet.get("/api/calls"))["items"])

        await until(rings)
        desk = served.node.calls
        await asyncio.gather(desk.accept(call_id, setup.staff_id, "one"), desk.end(call_id), return_exceptions=True)

        async def silent() -> bool:
            with contextlib.suppress(AssertionError):
                await asyncio.to_thread(call_process)
                return False
            return True

        await until(silent)
        assert (await tablet.get("/api/calls"))["items"] == []


async def test_a_call_that_is_taken_before_its_first_process_runs_has_one_attempt_and_one_process(
    setup: Provisioned,
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        call_id, desk = new_id(), served.node.calls
        taking: list[asyncio.Task[None]] = []

        def take(message: Push) -> None:
            if isinstance(message, RingPush):
                taking.append(asyncio.create_task(desk._step(desk._calls[call_id], Kind.ACCEPTED)))

        served.node.clinic.tablets.listeners.append(take)
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def says_how_it_stands() -> bool:
            running = desk._calls.get(call_id)
            return (
                running is not None and running.stats is not None and len(await asyncio.to_thread(call_processes)) == 1
            )

        await until(says_how_it_stands)
        assert len(taking) == 1
        assert desk._calls[call_id].state.attempt == 0, "the process that came too late is no attempt"
        await desk.end(call_id)


async def test_a_visit_is_back_in_the_queue_when_the_doctor_hangs_up_while_the_call_is_being_taken(
    setup: Provisioned,
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        desk, clinic = served.node.calls, served.node.clinic
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool(desk.current())

        await until(rings)
        taking = asyncio.create_task(desk.accept(call_id, setup.staff_id, "one"))
        running = desk._calls[call_id]
        for _ in range(100_000):
            if running.accepted_by:
                break
            await asyncio.sleep(0)
        await desk._step(running, Kind.BYE)
        await taking
        assert (await clinic.visit(visit)).state == "waiting"


async def test_each_tablet_gets_the_answer_to_its_own_offer(setup: Provisioned) -> None:
    from aiortc import RTCConfiguration, RTCPeerConnection

    offers = []
    for kinds in (("audio",), ("audio", "video")):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        offers.append(connection.localDescription.sdp)
        await connection.close()
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        call_id, desk = new_id(), served.node.calls
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool(desk.current())

        await until(rings)
        await desk.accept(call_id, setup.staff_id, "one")
        asked = asyncio.gather(
            desk.lan(call_id, offers[0], "one"), desk.lan(call_id, offers[1], "two"), return_exceptions=True
        )
        running = desk._calls[call_id]
        for _ in range(100_000):
            if running.asked == 2:
                break
            await asyncio.sleep(0)
        await desk._heard(running, running.state.attempt, LanAnswer("the answer to the first", "one", 1))
        first, second = await asked
        assert isinstance(first, Unavailable)
        assert isinstance(second, str)
        assert second.count("\nm=") == 2
        await desk.end(call_id)


async def test_while_the_link_is_away_the_next_attempt_is_loaded_and_its_offer_leaves_with_the_return(
    setup: Provisioned,
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        call_id = new_id()
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool((await tablet.get("/api/calls"))["items"])

        await until(rings)
        desk = served.node.calls
        await desk.accept(call_id, setup.staff_id, "one")
        first = await next_of(hub, Offer)
        assert isinstance(first, Offer) and first.attempt == 0
        (running,) = await asyncio.to_thread(call_processes)

        await desk.link_changed(False)

        async def loaded() -> bool:
            return len(await asyncio.to_thread(call_processes)) == 2

        await until(loaded)
        (spare,) = set(await asyncio.to_thread(call_processes)) - {running}
        await desk.link_changed(True)
        second = await next_of(hub, Offer)
        assert isinstance(second, Offer) and second.attempt == 1
        assert await asyncio.to_thread(call_processes) == [spare], "the process that was loaded makes the offer"

        await desk.link_changed(False)
        await until(loaded)
        await desk.end(call_id)

        async def silent() -> bool:
            return not await asyncio.to_thread(call_processes)

        await until(silent)
        assert hub.signals.empty() or not isinstance(hub.signals.get_nowait(), Offer)


async def test_a_process_that_hangs_is_killed_and_the_call_goes_on_but_a_slow_start_is_no_hanging(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet, desk, call_id = served.tablet, served.node.calls, new_id()
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool(desk.current())

        await until(rings)
        await desk.accept(call_id, setup.staff_id, "one")
        first = await next_of(hub, Offer)
        running = desk._calls[call_id]
        fresh = call_running.RunningCall(running.ring, running.state, 0, 0.0)
        assert not fresh.hangs(time.monotonic() + 1e6), "nothing was heard of it yet"

        async def speaks() -> bool:
            return running.stats is not None

        await until(speaks)
        monkeypatch.setattr(call_running, "HANG_S", 2.0)
        os.kill(await asyncio.to_thread(call_process), signal.SIGSTOP)
        second = await next_of(hub, Offer)
        assert isinstance(first, Offer) and isinstance(second, Offer) and second.attempt == first.attempt + 1
        await desk.end(call_id)


def carried(attempt: int, audio_s: float) -> CallStats:
    """A process says how much of the doctor's sound it received so far."""
    return CallStats("connecting", "none", "", 0, 0, 0, 0, 0.0, 0, 0, audio_s, 0.0, 0.0, attempt=attempt)


async def test_what_each_process_of_a_call_carried_counts_once_also_when_the_one_before_ends_late(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet, desk, call_id = served.tablet, served.node.calls, new_id()
        monkeypatch.setattr(process, "END_TIMEOUT_S", 30.0)
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        hub.signal(Ring(call_id, visit, "dr-1", "Dr Meera Iyer"))

        async def rings() -> bool:
            return bool(desk.current())

        await until(rings)
        await desk.accept(call_id, setup.staff_id, "one")
        running = desk._calls[call_id]

        async def speaks() -> bool:
            return running.stats is not None and running.process is not None

        await until(speaks)
        assert running.process is not None
        late = running.process.pid
        os.kill(late, signal.SIGSTOP)  # it hears nothing any more, and says nothing
        await desk._heard(running, 0, carried(0, 10.0))
        await desk._step(running, Kind.LINK_DOWN)
        replacing = asyncio.create_task(desk._step(running, Kind.LINK_UP))

        async def is_ending() -> bool:
            return running.process is None

        await until(is_ending)
        for kind in (Kind.LINK_DOWN, Kind.LINK_UP):  # the link flaps meanwhile: the one after the next begins
            await desk._step(running, kind)
        assert running.process is not None and running.first == 2
        os.kill(running.process.pid, signal.SIGSTOP)
        await desk._heard(running, 2, carried(2, 7.0))
        os.kill(late, signal.SIGKILL)
        await replacing
        await desk._heard(running, 2, carried(2, 8.0))
        monkeypatch.setattr(process, "END_TIMEOUT_S", 0.2)
        await desk.end(call_id)
        visit_now = await served.node.clinic.visit(visit)
        assert [one.audio_s for one in visit_now.calls if one.call_id == call_id] == [18.0]

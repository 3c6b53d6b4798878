"""A call between a real node with its call process, a doctor's Chromium and a tablet's Chromium."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import WSMsgType, web
from playwright.async_api import Browser

from edge.media.call import Kind
from edge.media.signals import Offer, Report, Ring, Signal
from edge.model import events as ev
from edge.model.records import Mode
from tests.media.room import CALL_ID, Room, browsing, open_page
from tests.media.room import until as page_until
from tests.node.hubside import HubSide
from tests.node.kit import Served, Tablet, provisioned
from tests.node.test_calls import call_process
from tests.node.test_link import at_hub, until

pytestmark = [pytest.mark.browser, pytest.mark.serial]


class Consultation(Room):
    """The pages of a media room, with a node and its link where the room has a bare call process."""

    def __init__(self, hub: HubSide, tablet: Tablet) -> None:
        super().__init__("test")
        self._hub = hub
        self._nurse = tablet
        self._passing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Consultation":
        await self.open()
        self._passing = asyncio.create_task(self._pass_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._passing is not None:
            self._passing.cancel()
        await self.close()

    async def happen(self, kind: Kind, reason: str = "hangup") -> None:
        """The node runs the machine."""

    async def _pass_on(self) -> None:
        while True:
            await self._tell(await self._hub.signals.get())

    async def _get_signals(self, request: web.Request) -> web.WebSocketResponse:
        self._socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data != "ready":
                heard: Signal = msgspec.json.decode(message.data, type=Signal)
                if not isinstance(heard, Report):
                    self._hub.signal(heard)
        return socket

    async def _post_lan(self, request: web.Request) -> web.Response:
        body = {"sdp": await request.text(), "tablet": "one"}
        status, reply = await self._nurse.call("POST", f"/api/calls/{CALL_ID}/lan", body)
        return web.Response(status=status, text=str(reply.get("sdp", "")))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as one:
        yield one


@pytest.mark.parametrize("camera", ["test", "tablet"])
async def test_the_node_carries_a_call_over_a_killed_process_and_records_what_was_heard(
    browser: Browser, tmp_path: Path, camera: str
) -> None:
    setup = await provisioned(tmp_path / "data")
    async with HubSide(setup) as hub, Served(at_hub(setup, hub), camera=camera) as served:
        nurse = served.tablet
        await nurse.login(setup)
        _, visit = await nurse.register()
        await nurse.fill(visit)
        async with Consultation(hub, nurse) as room:
            doctor = await open_page(browser, f"{room.url}/doctor")
            await page_until(doctor, "window.call")
            began_s = time.monotonic()
            hub.signal(Ring(CALL_ID, visit, "dr-1", "Dr Meera Iyer"))

            async def rings() -> bool:
                return bool((await nurse.get("/api/calls"))["items"])

            await until(rings)
            assert (await nurse.call("POST", f"/api/calls/{CALL_ID}/accept", {"tablet": "one"}))[0] == 200
            tablet = await open_page(browser, f"{room.url}/tablet{'?camera' if camera == 'tablet' else ''}")
            await page_until(tablet, "window.call?.state === 'connected'")
            await page_until(doctor, "window.call.stats().frames > 20 && window.call.stats().audioLevel > 0.01")
            await tablet.wait_for_function(
                "window.call.stats().then((seen) => seen.audioS > 2 && seen.audioLevel > 0.01)", timeout=20_000
            )

            frames = (await doctor.evaluate("window.call.stats()"))["frames"]
            killed_s = time.monotonic()
            os.kill(await asyncio.to_thread(call_process), signal.SIGKILL)
            if camera == "tablet":
                # What the tablet's app does when it is told of the next attempt.
                await page_until(doctor, "window.call.attempt === 1")
                await tablet.evaluate("window.call.restart()")
            await page_until(doctor, f"window.call.attempt === 1 && window.call.stats().frames > {frames} + 5")
            print("moving pictures again after", round(time.monotonic() - killed_s, 2), "s")
            assert time.monotonic() - killed_s < 5 + 1.5, "the figures are a second old at most"
            await page_until(doctor, "window.call.state === 'connected'")
            running = served.node.calls._calls[CALL_ID]

            async def both_attempts_carried() -> bool:
                return running.stats is not None and running.stats.audio_s > 2 and running.totals()[1] > 4.5

            await until(both_attempts_carried)
            await doctor.evaluate("window.call.close()")

            async def recorded() -> bool:
                return any(isinstance(event, ev.CallHeld) for event in hub.events())

            await until(recorded)
            held = next(event for event in hub.events() if isinstance(event, ev.CallHeld))
            took_s = time.monotonic() - began_s
            assert (held.call_id, held.visit_id, held.ended_because) == (CALL_ID, visit, "hangup")
            assert 4 < held.audio_s <= took_s, "both attempts count"
            assert held.video_s <= took_s and 0 <= held.concealed_s < held.audio_s
            assert held.mode is (Mode.VIDEO if held.video_s >= 5 else Mode.AUDIO)
            assert 0 < held.ended_ms - held.started_ms <= took_s * 1000 + 100


async def test_a_call_that_nobody_takes_leaves_no_process_and_opens_no_camera(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    async with HubSide(setup) as hub, Served(at_hub(setup, hub), camera="file:/no/such/film") as served:
        nurse = served.tablet
        await nurse.login(setup)
        _, visit = await nurse.register()
        await nurse.fill(visit)
        hub.signal(Ring(CALL_ID, visit, "dr-1", "Dr Meera Iyer"))

        async def ready() -> bool:
            try:
                await asyncio.to_thread(call_process)
            except AssertionError:
                return False
            return True

        await until(ready)

        async def offer_is_made() -> bool:
            return any(isinstance(one, Offer) for one in served.node.calls._calls[CALL_ID].waiting)

        await until(offer_is_made)
        assert hub.signals.empty(), "an offer is made, but nothing leaves while it rings"
        assert (await nurse.get("/api/calls"))["items"], "the camera that cannot be opened was not opened"
        assert (await nurse.call("POST", f"/api/calls/{CALL_ID}/end"))[0] == 200

        async def gone() -> bool:
            return not await ready()

        await until(gone)
        assert not any(isinstance(event, ev.CallHeld) for event in hub.events())

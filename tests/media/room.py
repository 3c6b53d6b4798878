"""A room for media tests: a doctor's page, a tablet's page and a call process, wired without hub and node.

The page talks Signal JSON over a WebSocket, as it would through the hub. The room drives the real
call machine and the real process, as a node would.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from aiohttp import WSMsgType, web
from playwright.async_api import Browser, Page, async_playwright

from edge.media.call import Kind, Limits, RenewAttempt, StartAttempt, StopAttempt, TellAccept, TellBye, ring, step
from edge.media.process import CallProcess
from edge.media.signals import (
    Accept,
    Answer,
    Bye,
    CallEnded,
    CallError,
    CallStats,
    Candidate,
    FromCall,
    IceServer,
    LanAnswer,
    LanOffer,
    Offer,
    RenewCall,
    Report,
    Signal,
    StartCall,
)
from edge.media.testcard import CLOCK_MODULUS_MS, read_clock

CALL_ID = "0123456789abcdef"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",  # the relay's certificate is a throw-away one
]
_CALL_JS = Path(__file__).parents[2] / "edge" / "ui" / "call"
_READ_CLOCK = """
function readBlocks(video) {
  const canvas = document.createElement("canvas");
  canvas.width = 320; canvas.height = 240;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  pen.drawImage(video, 0, 0, 320, 240);
  const unix = Date.now();
  const blocks = [];
  for (let i = 0; i < 20; i += 1) blocks.push(pen.getImageData(i * 16 + 8, 8, 1, 1).data[1] > 127 ? 1 : 0);
  return {blocks, unix};
}
window.readBlocks = readBlocks;
"""
_DOCTOR_PAGE = """<!doctype html><title>doctor</title><video id=v playsinline></video><script type=module>
import { DoctorCall } from "/ui/call/doctor.js";
%CLOCK%
const socket = new WebSocket(`ws://${location.host}/signals`);
const options = new URLSearchParams(location.search);
window.states = [];
window.stills = [];
window.asides = [];
const stream = options.has("silent") ? null
  : await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480}});
const start = JSON.parse(await (await fetch("/start")).text());
window.call = new DoctorCall({
  callId: start.call_id, iceServers: start.ice_servers, localStream: stream,
  send: (signal) => socket.send(JSON.stringify(signal)),
  onState: (state) => window.states.push([Date.now(), state]),
  onStill: ({picture, takenAt}) => window.stills.push({bytes: picture.size, picture, at: performance.now(), takenAt}),
  onAside: (message) => window.asides.push(message),
  remoteVideo: document.getElementById("v"),
});
socket.onmessage = ({data}) => window.call.handle(JSON.parse(data));
await new Promise((resolve) => { if (socket.readyState === 1) resolve(); else socket.onopen = resolve; });
socket.send("ready");
</script>"""
_TABLET_PAGE = """<!doctype html><title>tablet</title><video id=v playsinline></video><script type=module>
import { TabletCall } from "/ui/call/tablet.js";
%CLOCK%
window.states = [];
window.call = new TabletCall({
  post: async (sdp) => {
    const reply = await fetch("/lan", {method: "POST", body: sdp});
    if (!reply.ok) throw new Error(String(reply.status));
    return reply.text();
  },
  remoteVideo: document.getElementById("v"),
  useCamera: new URLSearchParams(location.search).has("camera"),
  onState: (state) => window.states.push([Date.now(), state]),
});
await window.call.start();
</script>"""


KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.connections.push(this); }
};"""
"""A script that lets a test ask the page's connections for their figures."""


class Room:
    """One call between a doctor's page and a call process, and any number of tablets' pages."""

    def __init__(
        self,
        camera: str,
        *,
        ice_servers: tuple[IceServer, ...] = (),
        start_bps: int = 0,
        wrapper: Sequence[str] = (),
        encoder: str = "vp8",
    ) -> None:
        self.camera = camera
        self.ice_servers = ice_servers
        self.start_bps = start_bps
        self.wrapper = tuple(wrapper)
        self.encoder = encoder
        self.url = ""
        self.relay_only = False
        """Pass on the node's relayed candidates only."""
        self.state, _ = ring(CALL_ID, time.monotonic())
        self.limits = Limits(restart_s=0.5)
        self.process: CallProcess | None = None
        self.first = -1
        """The attempt with which the running process began."""
        self.stats: list[CallStats] = []
        self.errors: list[CallError] = []
        self.ended: list[CallEnded] = []
        self.reports: list[Report] = []
        self.offers: list[tuple[float, Offer]] = []
        self._news = asyncio.Condition()
        self._socket: web.WebSocketResponse | None = None
        self._lan_answers: asyncio.Queue[LanAnswer] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Serve the pages."""
        app = web.Application()
        app.router.add_get("/doctor", _page(_DOCTOR_PAGE))
        app.router.add_get("/tablet", _page(_TABLET_PAGE))
        app.router.add_get("/start", self._get_start)
        app.router.add_get("/signals", self._get_signals)
        app.router.add_post("/lan", self._post_lan)
        app.router.add_static("/ui/call", _CALL_JS)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._ticker = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Hang up and stop serving."""
        if self._ticker is not None:
            self._ticker.cancel()
        self.first = -1  # its end is no death that another attempt follows
        if self.process is not None and self.process.running:
            await self.process.stop()
        if self._socket is not None:
            await self._socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def happen(self, kind: Kind, reason: str = "hangup") -> None:
        """Something happened to the call: step the machine, carry out what it asks for."""
        self.state, effects = step(self.state, kind, time.monotonic(), reason=reason, limits=self.limits)
        for effect in effects:
            match effect:
                case StartAttempt(attempt):
                    await self._start_attempt(attempt)
                case RenewAttempt(attempt) if self.process is not None:
                    await self.process.send(RenewCall(attempt, self.ice_servers, self.start_bps))
                case StopAttempt(why) if self.process is not None:
                    await self.process.stop(why)
                case TellAccept():
                    await self._tell(Accept(CALL_ID))
                case TellBye(why):
                    await self._tell(Bye(CALL_ID, why))
                case _:
                    pass

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Wait until something that the process or the doctor said makes ``condition`` true."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(condition)

    async def _start_attempt(self, attempt: int) -> None:
        old, self.process, self.first = self.process, None, attempt
        if old is not None and old.running:
            await old.stop("replaced")

        async def on_message(message: FromCall) -> None:
            await self._from_process(attempt, message)

        self.process = await CallProcess.start(
            StartCall(CALL_ID, self.camera, self.ice_servers, attempt, self.start_bps, encoder=self.encoder),
            on_message,
            self.wrapper,
        )

    async def _from_process(self, attempt: int, message: FromCall) -> None:
        match message:
            case Offer() | Candidate() | CallStats() if message.attempt != self.state.attempt:
                pass  # the last words of an attempt that was replaced
            case Candidate() if self.relay_only and " typ relay " not in message.candidate:
                pass
            case Offer() | Candidate():
                if isinstance(message, Offer):
                    self.offers.append((time.monotonic(), message))
                await self._tell(message)
            case LanAnswer():
                self._lan_answers.put_nowait(message)
            case CallStats():
                self.stats.append(message)
                await self.happen(Kind.MEDIA_UP if message.state == "connected" else Kind.TICK)
                if message.state in ("disconnected", "failed"):
                    await self.happen(Kind.MEDIA_DOWN if message.state == "disconnected" else Kind.MEDIA_FAILED)
            case CallError():
                self.errors.append(message)
            case CallEnded():
                self.ended.append(message)
                if attempt == self.first:
                    await self.happen(Kind.PROCESS_DIED)
        async with self._news:
            self._news.notify_all()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            await self.happen(Kind.TICK)

    async def _tell(self, signal: Signal) -> None:
        if self._socket is not None and not self._socket.closed:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_str(msgspec.json.encode(signal).decode())

    async def _get_start(self, _request: web.Request) -> web.Response:
        start = {"call_id": CALL_ID, "ice_servers": msgspec.to_builtins(self.ice_servers)}
        return web.json_response(start)

    async def _get_signals(self, request: web.Request) -> web.WebSocketResponse:
        self._socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data == "ready":
                await self.happen(Kind.ACCEPTED if self.process is None else Kind.RANG)
                continue
            signal: Signal = msgspec.json.decode(message.data, type=Signal)
            match signal:
                case Answer() | Candidate() if self.process is not None:
                    await self.process.send(signal)
                case Report():
                    self.reports.append(signal)
                    async with self._news:
                        self._news.notify_all()
                case Bye():
                    await self.happen(Kind.BYE, signal.reason)
                case _:
                    pass
        return socket

    async def _post_lan(self, request: web.Request) -> web.Response:
        if self.process is None or not self.process.running:
            raise web.HTTPConflict
        await self.process.send(LanOffer(await request.text(), "tablet-1"))
        answer = await asyncio.wait_for(self._lan_answers.get(), 10)
        return web.Response(text=answer.sdp)


def _page(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text=text.replace("%CLOCK%", _READ_CLOCK), content_type="text/html")

    return handler


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Debian's Chromium with a fake camera and microphone."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def calling(
    camera: str,
    *,
    ice_servers: tuple[IceServer, ...] = (),
    start_bps: int = 0,
    wrapper: Sequence[str] = (),
    encoder: str = "vp8",
) -> AsyncIterator[Room]:
    """A room that is open. ``wrapper`` is a command that runs the call process somewhere else."""
    room = Room(camera, ice_servers=ice_servers, start_bps=start_bps, wrapper=wrapper, encoder=encoder)
    await room.open()
    try:
        yield room
    finally:
        await room.close()


async def open_page(browser: Browser, url: str, script: str = "") -> Page:
    """A page whose errors are shown. ``script`` runs before its own."""
    page = await browser.new_page()
    if script:
        await page.add_init_script(script)
    page.on("console", lambda message: print("page:", message.text))
    page.on("pageerror", lambda error: print("page error:", error))
    await page.goto(url)
    return page


async def until(page: Page, condition: str, timeout_s: float = 30.0) -> None:
    """Wait until a JavaScript condition holds in the page."""
    await page.wait_for_function(condition, timeout=timeout_s * 1000)


async def glass_to_glass_ms(page: Page) -> int | None:
    """From the camera's clock in the picture to the doctor's page; None when the clock cannot be read now."""
    seen = await page.evaluate("readBlocks(document.getElementById('v'))")
    clock_ms = read_clock(seen["blocks"])
    return None if clock_ms is None else (int(seen["unix"]) - clock_ms) % CLOCK_MODULUS_MS

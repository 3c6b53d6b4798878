"""Many calls at once at one hub process: 30 doctors' pages ring ten nodes each in the same moment.

From the doctor's ring to the node and back with the node's offer, and the answer to the node: all through the hub, over
the pages' WebSockets and the nodes' UDP. No media: it does not pass through the hub.
"""

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import pyotp

from edge.media.signals import Accept, Answer, Offer, Ring, Signal, fingerprint_tbs
from edge.sync import seal
from tests.bench.hub_load import LoadNode, hub_only, started, stopped
from tests.bench.rows import Row, at_most
from tests.hub.kit import new_id
from tests.kits.client import Client, text
from tests.kits.clinic import Clinic

DOCTORS, CALLS_EACH = 30, 10
REACH_S = 10.0
PASSWORD = "a long enough pass phrase"
SDP = "v=0\r\n" + "a=fingerprint:sha-256 AB:CD\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n" + "a=candidate:x\r\n" * 60
"""About the size of a real offer."""


class DoctorPage:
    """A doctor's console: a session and a WebSocket to one process of the hub."""

    def __init__(self, clinic: Clinic, name: str) -> None:
        who = ["--id", name, "--name", f"Dr {name}", "--registration", "B/1", "--qualification", "MBBS"]
        shown = clinic.command("hub", ["add-doctor", *clinic.hub_store, *who, "--password-stdin"], stdin=PASSWORD)
        client = Client(clinic.hub.url)
        code = pyotp.TOTP(text(shown, "totp_secret")).now()
        client.post("/api/login", {"user": name, "password": PASSWORD, "totp": code})
        self._cookies = dict(client._cookies)
        client.close()
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None
        self.on_message: Callable[[dict[str, object]], None] = lambda message: None

    async def connect(self, url: str) -> None:
        """Open, or open anew at another process. Raises aiohttp.ClientError."""
        await self.close()
        self._http = aiohttp.ClientSession(headers={"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())})
        self._socket = await self._http.ws_connect(f"{url}/api/live")
        self._reading = asyncio.create_task(self._read(self._socket))

    async def _read(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        async for message in connection:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.on_message(message.json())

    async def say(self, signal: Signal) -> None:
        """Send a signal. Raises ConnectionError when the socket is gone."""
        if self._socket is None or self._socket.closed:
            raise ConnectionResetError
        await self._socket.send_str(msgspec.json.encode(signal).decode())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._http is not None:
            await self._http.close()


class Calls:
    """Calls that are being set up, and when each got as far."""

    def __init__(self) -> None:
        self.rang_s: dict[str, float] = {}
        self.took_ms: dict[str, float] = {}
        self.refused: defaultdict[str, int] = defaultdict(int)
        self.all_set_up = asyncio.Event()
        self.wanted = 0

    def serve(self, node: LoadNode) -> None:
        """Let the node take whatever rings, with an offer, and note the answer."""

        def heard(signal: Signal) -> None:
            match signal:
                case Ring():
                    node.signal(Accept(signal.call_id, "Meena"))
                    signature = seal.sign(node.device, fingerprint_tbs(signal.call_id, SDP) or b"")
                    node.signal(Offer(signal.call_id, SDP, 0, signature))
                case Answer():
                    began = self.rang_s[signal.call_id]
                    self.took_ms.setdefault(signal.call_id, (time.monotonic() - began) * 1000)
                    if len(self.took_ms) >= self.wanted:
                        self.all_set_up.set()

        node.on_signal = heard

    def answer(self, page: DoctorPage) -> None:
        """Let the page answer each offer."""
        sending: set[asyncio.Task[None]] = set()

        def heard(message: dict[str, object]) -> None:
            if message["type"] == "offer":
                task = asyncio.create_task(page.say(Answer(str(message["call_id"]), SDP)))
                sending.add(task)
                task.add_done_callback(sending.discard)
            elif message["type"] == "call_refused":
                self.refused[str(message.get("code"))] += 1

        page.on_message = heard

    async def ring(self, page: DoctorPage, node: LoadNode) -> str:
        """Ring for the node's last visit; the call's id."""
        call_id = new_id()
        self.rang_s[call_id] = time.monotonic()
        await page.say(Ring(call_id, node.last_visit))
        return call_id


async def _measure(clinic: Clinic, doctors: int, each: int) -> list[Row]:
    nodes = await started(clinic, doctors * each)
    pages = []
    for number in range(doctors):
        page = await asyncio.to_thread(DoctorPage, clinic, f"d{number:03d}")
        await page.connect(clinic.hub.url)
        pages.append(page)
    calls = Calls()
    calls.wanted = len(nodes)
    for node in nodes:
        calls.serve(node)
    for page in pages:
        calls.answer(page)
    began = time.monotonic()
    await asyncio.gather(*(calls.ring(pages[number // each], node) for number, node in enumerate(nodes)))
    try:
        async with asyncio.timeout(120):
            await calls.all_set_up.wait()
    except TimeoutError:
        print(f"set up: {len(calls.took_ms)} of {len(nodes)}; refused: {dict(calls.refused)}", file=sys.stderr)
        raise
    all_s, took = time.monotonic() - began, sorted(calls.took_ms.values())
    for page in pages:
        await page.close()
    await stopped(nodes)
    return [
        at_most(f"{len(nodes)} calls rung at once: all set up", all_s, "s", REACH_S),
        Row("ring → answer at the node, median", round(took[len(took) // 2]), "ms"),
        Row("ring → answer at the node, 99th percentile", round(took[int(len(took) * 0.99)]), "ms"),
    ]


def run() -> list[Row]:
    """Measure on a real hub process on SQLite."""
    with tempfile.TemporaryDirectory() as name, hub_only(Path(name)) as clinic:
        return asyncio.run(_measure(clinic, DOCTORS, CALLS_EACH))

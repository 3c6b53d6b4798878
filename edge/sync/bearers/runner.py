"""Asyncio around the endpoints: send what the core says, re-arm one timer, hand events to the application.

No policy here but what :mod:`edge.sync.bearers.switch` says. ``now`` of the endpoints is ``time.monotonic()``.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable

from aiohttp import WSMsgType, web

from edge.sync.endpoint_hub import HubEndpoint
from edge.sync.endpoint_node import NodeEndpoint
from edge.sync.link import BundleArrived, BundleQuarantined, ChunkArrived, DownArrived, HubEvent, NodeEvent

from .base import BearerRefused, BearerState
from .hub_udp import HubUdp
from .outlet import Outlet
from .switch import Switch
from .udp import UdpBearer
from .wss import MESSAGE_MAX_BYTES, WssBearer

log = logging.getLogger("upkendra.sync")

SOCKETS_MAX = 4_096
"""WebSockets at one hub process; a stranger may open one without saying anything true."""
CLOSE_S = 2.0
SOCKET_PROOF_S, SOCKET_SILENT_S = 15.0, 60.0
"""A WebSocket is closed when no node has said anything authentic on it at first, and later, for so long: a node that
uses it speaks every 15 s. Strangers cannot hold the places of nodes by talking nonsense."""
SILENT_S = 5.0
"""After so long without an answer people are told that there is none; a packet under way is no silence."""
_IDLE_S = 1.0
_FAILED_PAUSE_S = 1.0


class NodeRunner:
    """Runs a node's endpoint over UDP, and over WSS where UDP is blocked."""

    def __init__(
        self,
        endpoint: NodeEndpoint,
        hub_host: str,
        udp_port: int,
        wss_port: int,
        tls_fingerprint: bytes,
        on_event: Callable[[NodeEvent], Awaitable[None]],
    ) -> None:
        """``wss_port`` 0: no fallback. ``on_event`` is awaited for one event after the other."""
        self.endpoint = endpoint
        self._on_event = on_event
        self._udp = UdpBearer(hub_host, udp_port, self._received)
        self._wss = WssBearer(hub_host, wss_port, tls_fingerprint, self._received) if wss_port else None
        self._wake = asyncio.Event()
        if self._wss is not None:
            self._wss.on_room = self._wake.set
        self._events: asyncio.Queue[NodeEvent] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._switch = Switch(time.monotonic())
        self._refused: dict[str, str] = {}
        """Why a bearer could not be opened when that was last tried."""

    async def start(self) -> None:
        """Open UDP and begin; a hub that cannot be reached is no error."""
        self._switch = Switch(time.monotonic())
        with contextlib.suppress(BearerRefused):
            await self._udp.open()
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._tell())]

    async def stop(self) -> None:
        tasks = [*self._tasks, *self._opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._udp.close()
        if self._wss is not None:
            await self._wss.close()

    def wake(self) -> None:
        """Call after any call of the endpoint: there may be something to send."""
        self._wake.set()

    def bearers(self) -> tuple[BearerState, ...]:
        """How each bearer stands, the one in use first."""
        silence, on_udp = self.endpoint.silence(time.monotonic()), self._switch.path == "udp"
        silent = silence.seconds > max(SILENT_S, 3 * silence.rtt_s)
        wss_up = self._wss is not None and self._wss.up
        udp_why = "blocked" if not on_udp else self._refused.get("udp", "silent") if silent else ""
        wss_why = "not_configured" if self._wss is None else "silent" if silent and not on_udp else ""
        if on_udp and self._wss is not None and not wss_up:
            wss_why = self._refused.get("wss", "") if silent else "not_needed"
        udp = BearerState("udp", on_udp, self._udp.up, udp_why, self._switch.moves)
        wss = BearerState("wss", not on_udp, wss_up, wss_why, self._switch.moves)
        return (udp, wss) if on_udp else (wss, udp)

    def _received(self, data: bytes, path: str) -> None:
        now = time.monotonic()
        if self.endpoint.receive(data, path, now):
            self._switch.heard(path, now)
        self._wake.set()

    async def _pump(self) -> None:
        await _forever(self._turn)

    async def _turn(self) -> None:
        now = time.monotonic()
        self._steer(now)
        for datagram, path in [] if self._crowded() else self.endpoint.datagrams_to_send(now):
            if path == "wss" and self._wss is not None:
                self._wss.send(datagram)
            else:
                self._udp.send(datagram)
        while (event := self.endpoint.next_event()) is not None:
            self._events.put_nowait(event)
        await _sleep(self._wake, None if self._crowded() else self.endpoint.get_timer())

    def _crowded(self) -> bool:
        """Whether the WebSocket has no room. Nothing is taken from the endpoint then: priority is decided later."""
        if self._wss is None or self._switch.path != "wss":
            return False
        self._wss.fit(self.endpoint.line_bytes)
        return self._wss.full

    def _steer(self, now: float) -> None:
        wss_up = self._wss is not None and self._wss.up
        steps = self._switch.steer(self.endpoint.silence(now), wss_up=wss_up, now=now)
        self.endpoint.use_path(steps.path, now)
        if self._wss is not None and steps.connect_wss:
            self._open(self._wss)
        if self._wss is not None and steps.drop_wss:
            self._close(self._wss)
        if steps.reopen_udp or not self._udp.up:
            self._open(self._udp)
        if steps.ask_udp:
            self.endpoint.probe_path("udp", now)

    def _open(self, bearer: UdpBearer | WssBearer) -> None:
        self._work(bearer.name, self._try_open(bearer))

    def _close(self, bearer: WssBearer) -> None:
        self._work(bearer.name, bearer.close())

    def _work(self, name: str, work: Coroutine[None, None, None]) -> None:
        """One thing at a time with each bearer."""
        if any(task.get_name() == name for task in self._opening):
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _try_open(self, bearer: UdpBearer | WssBearer) -> None:
        try:
            await bearer.open()
            self._refused.pop(bearer.name, None)
        except BearerRefused as error:
            log.info("bearer %s: %s", bearer.name, error.refusal.code)
            self._refused[bearer.name] = error.refusal.code.removeprefix("bearer_")
            await asyncio.sleep(_FAILED_PAUSE_S)
        self._wake.set()

    async def _tell(self) -> None:
        while True:
            event = await self._events.get()
            try:
                await self._on_event(event)
            except Exception as error:
                # Only types: a message could quote a record.
                log.error("an event of the link was not handled: %s, %s", type(event).__name__, type(error).__name__)
                if isinstance(event, DownArrived):
                    self.endpoint.down_failed(event.seq)
            self._wake.set()


class HubRunner:
    """Runs the hub's endpoint on one UDP socket and any number of WebSockets."""

    def __init__(
        self,
        endpoint: HubEndpoint,
        udp_addr: tuple[str, int],
        on_event: Callable[[HubEvent], Awaitable[None]],
        *,
        shared: bool = False,
    ) -> None:
        """``on_event`` is awaited for one event after the other. ``shared``: the port, with other processes."""
        self._shared = shared
        self.endpoint = endpoint
        self._addr = udp_addr
        self._on_event = on_event
        self._wake = asyncio.Event()
        self._events: asyncio.Queue[HubEvent] = asyncio.Queue()
        self._udp = HubUdp(self._heard, self._wake.set)
        self._sockets: dict[Hashable, Outlet] = {}
        endpoint.has_room = self._has_room
        self._named = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def udp_port(self) -> int:
        """The port that is listened on (useful when 0 was asked for)."""
        return self._udp.port

    async def start(self) -> None:
        """Bind the UDP socket. Raises OSError when the port is taken."""
        await self._udp.open(*self._addr, shared=self._shared)
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._tell())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._udp.close()

    def wake(self) -> None:
        """Call after any call of the endpoint: there may be something to send."""
        self._wake.set()

    def _heard(self, data: bytes, path: Hashable) -> bool:
        return self.endpoint.receive(data, path, time.monotonic())

    async def _pump(self) -> None:
        await _forever(self._turn)

    async def _turn(self) -> None:
        now = time.monotonic()
        self.endpoint.unix_offset_s = time.time() - now
        for datagram, path in self.endpoint.datagrams_to_send(now):
            self._send(datagram, path)
        while (event := self.endpoint.next_event()) is not None:
            self._events.put_nowait(event)
        await _sleep(self._wake, self.endpoint.get_timer())

    def _send(self, datagram: bytes, path: Hashable) -> None:
        outlet = self._sockets.get(path)
        if outlet is not None:
            outlet.send(datagram)
        elif isinstance(path, tuple) and path[0] == "udp":
            self._udp.send(datagram, path[1])

    def _has_room(self, path: Hashable, line_bytes: float) -> bool:
        """Whether more may be taken from the endpoint for that path. A WebSocket that is gone takes anything."""
        outlet = self._sockets.get(path)
        if outlet is None:
            return True
        outlet.fit(line_bytes)
        return not outlet.full

    def _made_room(self, path: Hashable) -> None:
        self.endpoint.made_room(path)
        self._wake.set()

    async def _tell(self) -> None:
        while True:
            event = await self._events.get()
            try:
                await self._on_event(event)
            except Exception as error:
                # Only types: a message could quote a record.
                log.error("an event of a link was not handled: %s, %s", type(event).__name__, type(error).__name__)
                if isinstance(event, BundleArrived | BundleQuarantined | ChunkArrived):
                    self.endpoint.bundle_failed(event.node_id, event.bundle_id)
            self._wake.set()

    @property
    def crowded(self) -> bool:
        """Whether there are as many WebSockets as this process takes."""
        return len(self._sockets) >= SOCKETS_MAX

    async def serve_socket(self, connection: web.WebSocketResponse) -> None:
        """Carry packets of one WebSocket until it closes, or no node has spoken on it for a while."""
        self._named += 1
        path = ("wss", self._named)
        outlet = self._sockets[path] = Outlet(connection, lambda: self._made_room(path))
        writer = asyncio.create_task(outlet.run())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SOCKET_PROOF_S) as patience:
                    async for message in connection:
                        if message.type is WSMsgType.BINARY and self._heard(message.data, path):
                            patience.reschedule(asyncio.get_running_loop().time() + SOCKET_SILENT_S)
                        self._wake.set()
        finally:
            del self._sockets[path]
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._made_room(path)


async def _forever(turn: Callable[[], Awaitable[None]]) -> None:
    """Turn after turn. One that fails is reported by its type, and the link goes on: it must not die in silence."""
    while True:
        try:
            await turn()
        except Exception as error:
            log.error("a turn of the link failed: %s", type(error).__name__)
            await asyncio.sleep(_FAILED_PAUSE_S)


async def _sleep(wake: asyncio.Event, until: float | None) -> None:
    """Until woken, until a time of ``time.monotonic()``, and never longer than a second."""
    pause_s = _IDLE_S if until is None else min(max(until - time.monotonic(), 0.0), _IDLE_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_s + 0.001):
            await wake.wait()
    wake.clear()


def wss_handler(runner: HubRunner) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """An aiohttp handler for GET /sync: binary messages, one packet each."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if runner.crowded:
            raise web.HTTPServiceUnavailable
        connection = web.WebSocketResponse(max_msg_size=MESSAGE_MAX_BYTES, autoping=True, timeout=CLOSE_S)
        await connection.prepare(request)
        await runner.serve_socket(connection)
        return connection

    return handle

"""A doctor's page on a WebSocket: an outgoing queue that never blocks, incoming signals one by one."""

import asyncio
import logging

from aiohttp import WSCloseCode, WSMsgType, web

from ..desk import Desk
from ..doctors import Doctor
from ..live import SIGNAL_MAX_BYTES, Live

logger = logging.getLogger("hub.sockets")
QUEUE_LIMIT = 500
"""A page that does not read so many messages is cut off; it connects again and loads anew."""
HEARTBEAT_S = 15.0
LOOK_S = 2.0
"""So soon a page is cut off whose session has ended without its doing."""
CLOSE_S = 2.0
"""How long a page may take to say goodbye."""


class OpenSockets:
    """Open pages of an application: closed when it stops, or when the session ends that opened them."""

    def __init__(self) -> None:
        self._sessions: dict[web.WebSocketResponse, str] = {}

    def add(self, socket: web.WebSocketResponse, session: str) -> None:
        """``session``: its token."""
        self._sessions[socket] = session

    def remove(self, socket: web.WebSocketResponse) -> None:
        self._sessions.pop(socket, None)

    async def end_session(self, session: str) -> None:
        """A doctor logged out."""
        for socket, opened_by in list(self._sessions.items()):
            if opened_by == session:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")

    async def close(self) -> None:
        """The hub stops."""
        for socket in list(self._sessions):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the hub stops")


SOCKETS = web.AppKey("sockets", OpenSockets)


class SocketConsole:
    """One open page (:class:`hub.live.Console`)."""

    def __init__(self, doctor: Doctor) -> None:
        self._doctor = doctor
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_LIMIT)
        self._lost = False

    @property
    def doctor(self) -> Doctor:
        return self._doctor

    def tell(self, text: str) -> None:
        if self._lost:
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._lost = True

    async def send_all(self, socket: web.WebSocketResponse) -> None:
        """Send what is queued until the page is gone or has fallen behind."""
        while not self._lost:
            await socket.send_str(await self._queue.get())
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")


async def serve_console(
    request: web.Request, live: Live, doctor: Doctor, session: str, desk: Desk
) -> web.WebSocketResponse:
    """Serve one page until it closes or its session (a token) ends; who says something must still be logged in."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_S, max_msg_size=SIGNAL_MAX_BYTES)
    await socket.prepare(request)
    console = SocketConsole(doctor)
    live.add(console)
    request.app[SOCKETS].add(socket, session)
    sender = asyncio.create_task(console.send_all(socket))
    watcher = asyncio.create_task(_cut_off(socket, session, desk))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if await desk.find_session(session) is None:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")
                    break
                await live.from_console(console, message.data)
    finally:
        request.app[SOCKETS].remove(socket)
        live.remove(console)
        sender.cancel()
        watcher.cancel()
        await asyncio.gather(sender, watcher, return_exceptions=True)
    return socket


async def _cut_off(socket: web.WebSocketResponse, session: str, desk: Desk) -> None:
    """Close the page when its session has run out, or its doctor's account was closed."""
    live = True
    while live:
        await asyncio.sleep(LOOK_S)
        try:
            live = await desk.is_live(session)
        except Exception:
            logger.exception("whether a session goes on could not be asked")
            break
    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")

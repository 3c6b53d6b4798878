"""A doctor's page on a WebSocket: an outgoing queue that never blocks, incoming signals one by one."""

import asyncio
import contextlib

from aiohttp import WSMsgType, web

from ..doctors import Doctor
from ..live import SIGNAL_MAX_BYTES, Live

QUEUE_LIMIT = 500
"""A page that does not read so many messages is cut off; it connects again and loads anew."""
HEARTBEAT_S = 15.0


class OpenSockets:
    """Open pages of an application, to be closed when it stops."""

    def __init__(self) -> None:
        self.all: set[web.WebSocketResponse] = set()


SOCKETS = web.AppKey("sockets", OpenSockets)


class SocketConsole:
    """One open page (:class:`hub.live.Console`)."""

    def __init__(self, doctor: Doctor) -> None:
        self._doctor = doctor
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_LIMIT)
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
            text = await self._queue.get()
            if text is None:
                return
            await socket.send_str(text)
        await socket.close(code=1013, message=b"too slow")


async def serve_console(request: web.Request, live: Live, doctor: Doctor) -> web.WebSocketResponse:
    """Serve one page until it closes."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=SIGNAL_MAX_BYTES)
    await socket.prepare(request)
    console = SocketConsole(doctor)
    live.add(console)
    request.app[SOCKETS].all.add(socket)
    sender = asyncio.create_task(console.send_all(socket))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await live.from_console(console, message.data)
    finally:
        request.app[SOCKETS].all.discard(socket)
        live.remove(console)
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sender
    return socket

"""A doctor's or a patient's page on a WebSocket: an outgoing queue that never blocks, incoming signals one by one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from edge.web.beat import next_or_beat
from edge.web.sessions import Session

from ..desk import Desk
from ..doctors import Doctor
from ..home.calls import HomeCalls
from ..home.desk import HomeDesk
from ..live import SIGNAL_MAX_BYTES, Live
from ..permits import PERMITS

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
        """Somebody logged out."""
        for socket, opened_by in list(self._sessions.items()):
            if opened_by == session:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")

    async def close(self) -> None:
        """The hub stops."""
        for socket in list(self._sessions):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the hub stops")


SOCKETS = web.AppKey("sockets", OpenSockets)


class SocketPage:
    """What is to be sent to one open page."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_LIMIT)
        self._lost = False

    def tell(self, text: str) -> None:
        """Queue a message; never blocks."""
        if self._lost:
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._lost = True

    async def send_all(self, socket: web.WebSocketResponse) -> None:
        """Send what is queued until the page is gone or has fallen behind."""
        while not self._lost:
            await socket.send_str(await next_or_beat(self._queue))
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")


class SocketConsole(SocketPage):
    """One open page of a doctor (:class:`hub.live_sides.Console`)."""

    def __init__(self, doctor: Doctor) -> None:
        super().__init__()
        self._doctor = doctor

    @property
    def doctor(self) -> Doctor:
        return self._doctor


class PatientPage(SocketPage):
    """One open page of a patient (:class:`hub.home.calls.Page`)."""

    def __init__(self, account_id: str) -> None:
        super().__init__()
        self._account_id = account_id

    @property
    def account_id(self) -> str:
        return self._account_id


class Sessions(Protocol):
    """Who can say whether a session goes on."""

    async def find_session(self, token: str) -> Session | None: ...

    async def is_live(self, token: str) -> bool: ...


class _Treating:
    """A doctor's session, as long as her roles are those of a page like this: they may be taken while it is open."""

    def __init__(self, desk: Desk, doctor_id: str) -> None:
        self._desk, self._doctor_id = desk, doctor_id

    def _may(self) -> bool:
        return bool(self._desk.roles(self._doctor_id) & PERMITS["GET", "/api/live"])

    async def find_session(self, token: str) -> Session | None:
        session = await self._desk.find_session(token)
        return session if self._may() else None

    async def is_live(self, token: str) -> bool:
        return await self._desk.is_live(token) and self._may()


async def serve_console(
    request: web.Request, live: Live, doctor: Doctor, session: str, desk: Desk
) -> web.WebSocketResponse:
    """Serve a doctor's page until it closes, its session (a token) ends or she is no doctor any more."""
    console = SocketConsole(doctor)

    async def hear(text: str) -> None:
        await live.from_console(console, text)

    async def begin() -> None:
        live.add(console)

    sessions = _Treating(desk, doctor.doctor_id)
    return await _serve(request, console, session, sessions, begin, hear, lambda: live.remove(console))


async def serve_patient(
    request: web.Request, calls: HomeCalls, account_id: str, session: str, desk: HomeDesk
) -> web.WebSocketResponse:
    """Serve a patient's page until it closes or its session (a token) ends."""
    page = PatientPage(account_id)

    async def hear(text: str) -> None:
        await calls.from_page(page, text)

    async def begin() -> None:
        await calls.add(page)

    return await _serve(request, page, session, desk, begin, hear, lambda: calls.remove(page))


async def _serve(
    request: web.Request,
    page: SocketPage,
    session: str,
    sessions: Sessions,
    begin: Callable[[], Awaitable[None]],
    hear: Callable[[str], Awaitable[None]],
    end: Callable[[], None],
) -> web.WebSocketResponse:
    """One page; who says something must still be logged in."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_S, max_msg_size=SIGNAL_MAX_BYTES)
    await socket.prepare(request)
    request.app[SOCKETS].add(socket, session)
    sender = asyncio.create_task(page.send_all(socket))
    watcher = asyncio.create_task(_cut_off(socket, session, sessions))
    try:
        await begin()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if await sessions.find_session(session) is None:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")
                    break
                await hear(message.data)
    finally:
        request.app[SOCKETS].remove(socket)
        end()
        sender.cancel()
        watcher.cancel()
        await asyncio.gather(sender, watcher, return_exceptions=True)
    return socket


async def _cut_off(socket: web.WebSocketResponse, session: str, sessions: Sessions) -> None:
    """Close the page when its session has run out, or its account was closed."""
    live = True
    while live:
        await asyncio.sleep(LOOK_S)
        try:
            live = await sessions.is_live(session)
        except Exception:  # the page comes back, perhaps in a call, and is looked at then: it is not logged out
            logger.exception("whether a session goes on could not be asked")
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the database is away")
            return
    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"logged out")

"""What the tablets are told without asking: one WebSocket each, small JSON messages.

A tablet that does not read is cut off rather than waited for; it loads everything anew when it
comes back. Knows no records.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from edge.model.marks import Mark
from edge.web.beat import next_or_beat

MAX_WAITING = 200
HEARTBEAT_S = 20.0
LOOK_S = 5.0
"""So soon a tablet is cut off whose session has ended without its doing."""
CLOSE_S = 2.0
"""How long a page may take to say goodbye."""


class QueueChanged(msgspec.Struct, frozen=True, tag="queue"):
    """The queue has changed: load it."""


class VisitChanged(msgspec.Struct, frozen=True, tag="visit", omit_defaults=True):
    """A visit has changed, and with it the queue."""

    visit_id: str
    command_id: str = ""
    """The command that changed it: whoever said that has the visit already, in the answer."""


class PrescriptionCame(msgspec.Struct, frozen=True, tag="prescription"):
    visit_id: str


class DraftChanged(msgspec.Struct, frozen=True, tag="draft"):
    """A half-filled form was kept: who has it open looks whether it is newer."""

    key: str
    revision: int


class Link(msgspec.Struct, frozen=True):
    """The link to the hub, by what the hub has acknowledged."""

    online: bool
    last_ack_age_s: float | None
    """None when the hub has never acknowledged anything to this process."""
    bearer: str
    rtt_ms: int
    rate_bps: int
    backlog_items: int
    backlog_bytes: int
    today_bytes: int = 0
    """IP bytes both ways on this bearer since midnight."""
    cap_bytes: int | None = None
    """After so many photos and the like wait until midnight."""
    waits: str = ""
    """Why they wait now: cap, hours, call (which leaves them little); empty when they do not."""
    waiting_items: int = 0
    waiting_bytes: int = 0


class LinkPush(Link, frozen=True, tag="link"):
    """The link's state has changed, or some seconds have passed."""


class RingPush(msgspec.Struct, frozen=True, tag="ring"):
    call_id: str
    visit_id: str
    doctor_name: str
    camera: str
    """"tablet" when the tablet that takes the call gives picture and sound, else "node"."""


class CallPush(msgspec.Struct, frozen=True, tag="call"):
    call_id: str
    visit_id: str
    state: str
    rung: str
    why: str
    attempt: int
    camera: str
    send_bps: int = 0
    recv_bps: int = 0
    lan_state: str = ""
    process: int = 0
    """Counts the call's processes: a new one needs a new leg from the tablet."""
    notes: bool = False
    """The link carries no sound worth the name: offer a voice note."""
    relayed: bool = False


class SharpPush(msgspec.Struct, frozen=True, tag="sharp"):
    """The doctor wants a sharp picture: the tablet whose camera the call uses takes it and attaches it to the visit."""

    call_id: str
    visit_id: str
    still_id: str
    doctor_name: str


class DrewPush(msgspec.Struct, frozen=True, tag="drew"):
    """The doctor drew on a photo of the visit, or took that mark back."""

    call_id: str
    visit_id: str
    blob_id: str
    mark_id: str
    mark: Mark | None
    """None: taken back."""


class ByePush(msgspec.Struct, frozen=True, tag="bye"):
    call_id: str
    reason: str


class Called(msgspec.Struct, frozen=True, tag="called"):
    """It is this visit's turn; ``again`` when it is called once more."""

    visit_id: str
    token: str
    again: bool


class DevicesChanged(msgspec.Struct, frozen=True, tag="devices"):
    """A medical device was plugged in or pulled: load them."""


class PrinterChanged(msgspec.Struct, frozen=True, tag="printer"):
    """A job of the thermal printer has come further: load them."""


class StickPush(msgspec.Struct, frozen=True, tag="stick"):
    """How a USB stick in this node stands."""

    stage: str
    """busy (leave it in), done (carried; not unmounted yet), out (may be pulled), failed (may be pulled too)."""
    written: int = 0
    """Of ``total`` bundles, or megabytes of an update."""
    total: int = 0
    code: str = ""
    """Why it failed, a code of docs/errors.md."""


class DeviceValue(msgspec.Struct, frozen=True):
    vital: str
    value: float


class MeasuredResult(msgspec.Struct, frozen=True):
    """What may be taken."""

    values: tuple[DeviceValue, ...]
    quality: str
    """good, or doubtful: compare it with the device's display first."""
    device_time: str
    """What the device's own clock said of it, YYYY-MM-DDTHH:MM; empty when it has none."""
    age_s: float | None
    """How old it is; null when that cannot be told."""


class MeasurePush(msgspec.Struct, frozen=True, tag="measure"):
    """How a measurement stands; only to the session that began it, four times a second at most."""

    measurement_id: str
    device_id: str
    visit_id: str
    state: str
    """absent, waiting, no_finger, searching, noisy, no_record, reading, ready."""
    values: tuple[DeviceValue, ...] = ()
    """To look at; empty when nothing holds."""
    result: MeasuredResult | None = None
    wave: tuple[int, ...] = ()
    """New points of the pulse wave, 0 to 127, oldest first; eight at most."""


Push: TypeAlias = (
    QueueChanged
    | VisitChanged
    | PrescriptionCame
    | DraftChanged
    | LinkPush
    | RingPush
    | DrewPush
    | CallPush
    | SharpPush
    | ByePush
    | Called
    | DevicesChanged
    | PrinterChanged
    | StickPush
    | MeasurePush
)


class _Channel(msgspec.Struct, frozen=True, eq=False):
    session: str
    """Token of the session that opened it."""
    waiting: "asyncio.Queue[str]"


class Tablets:
    """All connected tablets."""

    def __init__(self, is_live: Callable[[str], bool], look_s: float = LOOK_S) -> None:
        """``is_live`` says whether the session with this token goes on; it is asked every ``look_s``."""
        self._is_live = is_live
        self.look_s = look_s
        self._channels: dict[web.WebSocketResponse, _Channel] = {}
        self.listeners: list[Callable[[Push], None]] = []
        """Other parts of the node that hear what the tablets hear."""

    def __len__(self) -> int:
        return len(self._channels)

    def push(self, message: Push, session: str = "") -> None:
        """Tell every tablet, or those of one session (a token)."""
        for listener in self.listeners:
            listener(message)
        text = msgspec.json.encode(message).decode()
        for socket, channel in list(self._channels.items()):
            if session and channel.session != session:
                continue
            try:
                channel.waiting.put_nowait(text)
            except asyncio.QueueFull:
                del self._channels[socket]  # its sender cuts it off

    async def serve(self, request: web.Request, session: str) -> web.WebSocketResponse:
        """One tablet's connection, until it goes or its session (a token) ends."""
        # not compressed: a few bytes each in the clinic's own network, and each browser would ask for it
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_S, max_msg_size=4096, compress=False)
        await socket.prepare(request)
        channel = self._channels[socket] = _Channel(session, asyncio.Queue(MAX_WAITING))
        sender = asyncio.create_task(self._send(socket, channel))
        watcher = asyncio.create_task(self._cut_off(socket, session))
        try:
            async for message in socket:
                if message.type in (WSMsgType.ERROR, WSMsgType.BINARY):
                    break
        finally:
            self._channels.pop(socket, None)
            sender.cancel()
            watcher.cancel()
            await asyncio.gather(sender, watcher, return_exceptions=True)
        return socket

    async def _send(self, socket: web.WebSocketResponse, channel: _Channel) -> None:
        with contextlib.suppress(ConnectionError):
            while socket in self._channels:
                await socket.send_str(await next_or_beat(channel.waiting))
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def _cut_off(self, socket: web.WebSocketResponse, session: str) -> None:
        """Close the channel when its session has run out: nobody stands before this tablet any more."""
        live = True
        while live:
            await asyncio.sleep(self.look_s)
            live = self._is_live(session)
        await socket.close(code=WSCloseCode.POLICY_VIOLATION)

    async def end_session(self, session: str) -> None:
        """Somebody logged out: what her tablet's page hears ends, too."""
        for socket, channel in list(self._channels.items()):
            if channel.session == session:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION)

    async def close(self) -> None:
        """Say goodbye to all."""
        for socket in list(self._channels):
            await socket.close(code=WSCloseCode.GOING_AWAY)

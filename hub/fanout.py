"""What processes of one hub say to each other: typed messages, sealed, carried by NATS. A lone process says nothing.

Nothing that must not be lost travels here: it stands in the database, and each message only says where to look, or is
of this moment (a call's signal). NATS is not trusted: who reads along sees sizes and times, who plays a message again
or makes one is not believed. Knows no table.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import msgspec
import nats
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from edge.model.errors import BadInput
from edge.sync.seal import hkdf
from edge.web.logs import say

logger = logging.getLogger("hub.fanout")
SENDER_BYTES, COUNTER_BYTES = 8, 8
WAITING_MAX = 10_000
"""Messages that wait for NATS; what comes beyond is dropped, and found in the database a little later."""
FRESH_MS = 60_000
"""An older message is somebody's recording."""
SENDERS_MAX = 64
CONNECT_S = 5


class ToNode(Struct, frozen=True, tag=1, array_like=True):
    """A call's signal for a node, whoever speaks with it."""

    node_id: bytes
    blob: bytes


class ToDoctor(Struct, frozen=True, tag=2, array_like=True):
    """Something for the page that holds a call."""

    call_id: str
    text: str


class CallChanged(Struct, frozen=True, tag=3, array_like=True):
    """Read this call anew."""

    call_id: str


class DownMade(Struct, frozen=True, tag=4, array_like=True):
    """A node is to be told this; it stands in the database."""

    node_id: bytes
    seq: int


class DownHeld(Struct, frozen=True, tag=5, array_like=True):
    """The node holds it."""

    node_id: bytes
    seq: int


class VisitsChanged(Struct, frozen=True, tag=6, array_like=True):
    """Tell the pages; ``arrived``: new records of a node did it. No visits: only the queue."""

    visit_ids: tuple[str, ...]
    arrived: bool


class RotaTold(Struct, frozen=True, tag=7, array_like=True):
    """Tell the pages of a doctor, or all pages, that the rota has changed."""

    doctor_id: str


class Present(Struct, frozen=True, tag=8, array_like=True):
    """Whom this process speaks with, and whose pages it holds (names of :mod:`hub.peers`): all of them."""

    number: int
    """Counts what this process says of itself."""
    here: tuple[bytes, ...]


class Asked(Struct, frozen=True, tag=9, array_like=True):
    """A question to the process that leads; ``body`` is the asker's business."""

    number: int
    body: bytes


class Answered(Struct, frozen=True, tag=10, array_like=True):
    """An answer to ``to``. ``refused``: code and message, when it was not done."""

    to: bytes
    number: int
    body: bytes
    refused: tuple[str, str] | None


class PresentChanged(Struct, frozen=True, tag=11, array_like=True):
    """The same, as it differs from number - 1. Said every few seconds, also when nothing does."""

    number: int
    come: tuple[bytes, ...]
    gone: tuple[bytes, ...]


class PresentWanted(Struct, frozen=True, tag=12, array_like=True):
    """``of`` is to say everything again: something was missed."""

    of: bytes


class ToHome(Struct, frozen=True, tag=13, array_like=True):
    """Something of a doctor's for the page of a patient at home."""

    visit_id: str
    body: bytes
    """The signal."""


class HomeSaid(Struct, frozen=True, tag=14, array_like=True):
    """A patient's page that is in a call has said something, or (``here`` false) has closed."""

    call_id: str
    here: bool
    base: bytes
    """What pages before it received, and what it did: the others go on from there."""
    last: bytes


class ToPerson(Struct, frozen=True, tag=15, array_like=True):
    """Something for all pages of a doctor."""

    person_id: str
    text: str


Message: TypeAlias = (
    ToNode
    | ToDoctor
    | CallChanged
    | DownMade
    | DownHeld
    | VisitsChanged
    | RotaTold
    | Present
    | PresentChanged
    | PresentWanted
    | ToHome
    | HomeSaid
    | ToPerson
    | Asked
    | Answered
)
Hear: TypeAlias = Callable[[bytes, Message], Awaitable[None]]
"""Takes the sender's id and what it said."""


class Envelope(Struct, frozen=True, array_like=True):
    """What is sealed."""

    at_ms: int
    message: Message


_envelope = msgspec.msgpack.Decoder(Envelope)
_encode = msgspec.msgpack.Encoder().encode


class Sealer:
    """Seals what this process says and opens what others say. One key for each process, a counter as nonce."""

    def __init__(self, secret: bytes, own: bytes, wall_ms: Callable[[], int]) -> None:
        """``secret``: 32 bytes that all processes of the hub hold; ``own``: 8 random bytes of this process."""
        self._secret, self.own, self._wall_ms = secret, own, wall_ms
        self._counter = 0
        self._mine = self._key(own)
        self._others: OrderedDict[bytes, tuple[ChaCha20Poly1305, int]] = OrderedDict()

    def _key(self, sender: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(hkdf(self._secret, b"fanout", sender))

    def seal(self, message: Message) -> bytes:
        """sender8 ‖ counter8 ‖ AEAD."""
        self._counter += 1
        head = self.own + self._counter.to_bytes(COUNTER_BYTES, "big")
        plain = _encode(Envelope(self._wall_ms(), message))
        return head + self._mine.encrypt(bytes(4) + head[SENDER_BYTES:], plain, head)

    def open(self, data: bytes) -> tuple[bytes, Message] | None:
        """Sender and message; None for our own, for what was heard before, is old, or is nobody's of this hub."""
        head = data[: SENDER_BYTES + COUNTER_BYTES]
        sender, counter = head[:SENDER_BYTES], int.from_bytes(head[SENDER_BYTES:], "big")
        if len(head) < SENDER_BYTES + COUNTER_BYTES or sender == self.own:
            return None
        key, heard = self._others.get(sender) or (self._key(sender), 0)
        if counter <= heard:
            return None
        try:
            envelope = _envelope.decode(key.decrypt(bytes(4) + head[SENDER_BYTES:], data[len(head) :], head))
        except (InvalidTag, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if abs(self._wall_ms() - envelope.at_ms) > FRESH_MS:
            return None
        self._others[sender] = key, counter
        self._others.move_to_end(sender)
        while len(self._others) > SENDERS_MAX:
            self._others.popitem(last=False)
        return sender, envelope.message


class Fanout(Protocol):
    """How a process tells the others."""

    own: bytes
    alone: bool
    """Whether there are no others: what is said goes nowhere."""

    def say(self, message: Message) -> None:
        """Tell all other processes, soon and perhaps not at all; never blocks."""

    async def start(self, hear: Hear) -> None: ...

    async def stop(self) -> None: ...


class Alone:
    """The fan-out of a hub of one process."""

    own = b""
    alone = True

    def say(self, message: Message) -> None:
        """Nobody listens."""

    async def start(self, hear: Hear) -> None:
        """There is nothing to hear."""

    async def stop(self) -> None:
        """There is nothing to stop."""


class NatsFanout:
    """Through a NATS server; without it each process goes on with what the database says."""

    alone = False

    def __init__(self, url: str, secret: bytes, hub_public: bytes, own: bytes, wall_ms: Callable[[], int]) -> None:
        """``url``: nats:// or tls://, with user and password or a token if the server wants one. Raises BadInput."""
        if not url.startswith(("nats://", "tls://")):
            raise BadInput("A NATS server looks like nats://HOST:4222 or tls://HOST:4222.", field="nats")
        self._url = url
        self._subject = "upkendra." + hashlib.sha256(hub_public).hexdigest()[:16]
        self.own = own
        self._sealer = Sealer(secret, own, wall_ms)
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)
        self._client: Client | None = None
        self._sender: asyncio.Task[None] | None = None
        self._said_s = float("-inf")

    def say(self, message: Message) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            self._complain("fanout_full")

    async def start(self, hear: Hear) -> None:
        """Connect, now or as soon as the server is there, and hand over what others say, one after the other."""

        async def arrived(message: Msg) -> None:
            opened = self._sealer.open(message.data)
            if opened is None:
                return
            try:
                await hear(*opened)
            except Exception:
                logger.exception("what another process said was not done")

        self._sender = asyncio.create_task(self._send_all(arrived), name="hub-fanout")

    async def _send_all(self, arrived: Callable[[Msg], Awaitable[None]]) -> None:
        client = await self._connect(arrived)
        while True:
            message = await self._outgoing.get()
            if client.is_closed:  # the server refused something: the client gives up, and hears nothing any more
                client = await self._connect(arrived)
            try:
                await client.publish(self._subject, self._sealer.seal(message))
            except (NatsError, OSError):
                self._complain("fanout_lost")

    async def _connect(self, arrived: Callable[[Msg], Awaitable[None]]) -> Client:
        while True:
            try:
                client = self._client = await nats.connect(
                    self._url,
                    name="upkendra-hub",
                    no_echo=True,
                    connect_timeout=CONNECT_S,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    error_cb=self._failed,
                )
                await client.subscribe(self._subject, cb=arrived)
                say(logger, "fanout_connected")
                return client
            except (NatsError, OSError):
                self._complain("fanout_lost")
                await asyncio.sleep(1)

    async def _failed(self, error: Exception) -> None:
        self._complain("fanout_lost")

    def _complain(self, code: str) -> None:
        """At most once a minute: a server that is away would fill the log."""
        if time.monotonic() - self._said_s >= FRESH_MS / 1000:
            self._said_s = time.monotonic()
            say(logger, code, logging.WARNING)

    async def stop(self) -> None:
        """Leave. What still waits to be said is found in the database."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(NatsError, OSError):  # the server may be gone
                await self._client.close()

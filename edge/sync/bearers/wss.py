"""WebSocket over TLS 1.3, one binary message a packet, for places where UDP is blocked.

The certificate is pinned by the SHA-256 fingerprint from enrolment; names, dates and authorities do not
matter (a node's clock may stand at 1970). A small send buffer keeps priorities alive.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import socket
import ssl
import struct
import termios
from collections.abc import Callable

import aiohttp

from .base import BearerRefused, Received

MESSAGE_MAX_BYTES = 2_048
SEND_BUFFER_BYTES = 8_192
"""Least SO_SNDBUF: about one to one and a half bandwidth-delay products of a slow link."""
SEND_BUFFER_MAX_BYTES = 262_144
_RESIZE = 1.3
"""The buffer follows the line when that has changed by this factor."""
_LOOK_S = 0.02
"""How often a full connection is looked at."""
QUEUE_MAX = 64
"""Packets that wait for the connection; beyond it they are lost, and sent again by the transport."""
CONNECT_TIMEOUT_S = 15.0


def client_context() -> ssl.SSLContext:
    """TLS 1.3 without an authority: the fingerprint is the trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _narrow(
    transport: asyncio.BaseTransport | None, connection: socket.socket | None, size_bytes: int = SEND_BUFFER_BYTES
) -> None:
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)


def _unsent_bytes(connection: socket.socket | None) -> int:
    """What the kernel holds and the other side has not acknowledged (SIOCOUTQ, tcp(7)); 0 where that is unknown."""
    try:
        return 0 if connection is None else struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    except OSError:
        return 0


class WssBearer:
    """Node → hub over one long-lived WebSocket."""

    name = "wss"

    def __init__(self, host: str, port: int, fingerprint: bytes, received: Received) -> None:
        """``fingerprint``: SHA-256 of the hub's leaf certificate in DER."""
        self._url = f"wss://{f'[{host}]' if ':' in host else host}:{port}/sync"
        self._fingerprint, self._received = fingerprint, received
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self._limit_bytes = SEND_BUFFER_BYTES
        self.on_room: Callable[[], None] = lambda: None
        """Called when something that had to wait has left."""

    @property
    def full(self) -> bool:
        """Whether something waits here already. What leaves next is better decided when there is room for it."""
        return not self._queue.empty()

    def fit(self, line_bytes: float) -> None:
        """Let the kernel hold one and a quarter of the bandwidth-delay product."""
        wanted = min(max(int(1.25 * line_bytes), SEND_BUFFER_BYTES), SEND_BUFFER_MAX_BYTES)
        if not 1 / _RESIZE < wanted / self._limit_bytes < _RESIZE:
            self._limit_bytes = wanted
            if self._socket is not None:
                _narrow(None, self._socket.get_extra_info("socket"), wanted)

    @property
    def up(self) -> bool:
        return self._socket is not None and not self._socket.closed

    async def open(self) -> None:
        """Connect and check the pin. Raises BearerRefused."""
        await self.close()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._socket = await self._session.ws_connect(
                    self._url, ssl=client_context(), max_msg_size=MESSAGE_MAX_BYTES, autoping=True
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await self.close()
            raise BearerRefused("the hub does not answer over TLS", code="bearer_no_route") from error
        tls = self._socket.get_extra_info("ssl_object")
        leaf = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
        if not leaf or not hmac.compare_digest(hashlib.sha256(leaf).digest(), self._fingerprint):
            await self.close()
            raise BearerRefused("the certificate is not the hub's", code="bearer_wrong_certificate")
        _narrow(self._socket.get_extra_info("transport"), self._socket.get_extra_info("socket"))
        self._queue = asyncio.Queue(QUEUE_MAX)
        self._tasks = [asyncio.create_task(self._read(self._socket)), asyncio.create_task(self._write(self._socket))]

    async def _read(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        async for message in connection:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._received(message.data, "wss")

    async def _write(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            datagram = await self._queue.get()
            try:
                while _unsent_bytes(connection.get_extra_info("socket")) > self._limit_bytes:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_S)
                await connection.send_bytes(datagram)
            except (ConnectionError, aiohttp.ClientError):
                return
            self.on_room()

    def send(self, datagram: bytes) -> None:
        if self.up:
            with contextlib.suppress(asyncio.QueueFull):
                self._queue.put_nowait(datagram)

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await connection.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

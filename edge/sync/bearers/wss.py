"""WebSocket over TLS 1.3, one binary message a packet, for places where UDP is blocked.

The certificate is pinned by the SHA-256 fingerprint from enrolment; names, dates and authorities do not
matter (a node's clock may stand at 1970).
"""

import asyncio
import contextlib
import hashlib
import hmac
import ssl
from collections.abc import Callable

import aiohttp

from .base import BearerRefused, Received
from .outlet import Outlet

MESSAGE_MAX_BYTES = 2_048
CONNECT_TIMEOUT_S = 15.0


def client_context() -> ssl.SSLContext:
    """TLS 1.3 without an authority: the fingerprint is the trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class WssBearer:
    """Node → hub over one long-lived WebSocket."""

    name = "wss"

    def __init__(self, host: str, port: int, fingerprint: bytes, received: Received) -> None:
        """``fingerprint``: SHA-256 of the hub's leaf certificate in DER."""
        self._url = f"wss://{f'[{host}]' if ':' in host else host}:{port}/sync"
        self._fingerprint, self._received = fingerprint, received
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._outlet: Outlet | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.on_room: Callable[[], None] = lambda: None
        """Called when something that had to wait has left."""

    @property
    def full(self) -> bool:
        """Whether something waits here already. What leaves next is better decided when there is room for it."""
        return self._outlet is not None and self._outlet.full

    def fit(self, line_bytes: float) -> None:
        """Let the kernel hold one and a quarter of the bandwidth-delay product."""
        if self._outlet is not None:
            self._outlet.fit(line_bytes)

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
        self._outlet = Outlet(self._socket, lambda: self.on_room())
        self._tasks = [asyncio.create_task(self._read(self._socket)), asyncio.create_task(self._outlet.run())]

    async def _read(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        async for message in connection:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._received(message.data, "wss")

    def send(self, datagram: bytes) -> None:
        if self.up and self._outlet is not None:
            self._outlet.send(datagram)

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection, self._socket, self._outlet = self._socket, None, None
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await connection.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

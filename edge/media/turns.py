"""TURN over TLS for libnice, which takes ``turns:`` and then sends plain text (0.1.21).

One small forwarder a server: a port on loopback that libnice speaks TURN over TCP to, and a TLS
connection to the server for each connection to it. May not know what it carries.
"""

import asyncio
import contextlib
import logging
import re
import ssl

from msgspec.structs import replace

from edge.media.signals import IceServer

TLS_PORT = 5349
"""RFC 7065 §3.1: the port of a ``turns`` address that names none."""
CONNECT_TIMEOUT_S = 10.0
_PIECE_BYTES = 4096
_SEND_BUFFER_BYTES = 4096
"""What may wait in a connection: media that is late is worth nothing."""
_LOG = logging.getLogger(__name__)
_TURNS = re.compile(r"turns:(\[[0-9a-fA-F:]+\]|[^:?\[\]]+)(?::(\d{1,5}))?(?:\?transport=tcp)?")


def tls_context() -> ssl.SSLContext:
    """TLS without an authority (decision 0023): it gets through firewalls; what is secret is sealed inside by DTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsForwarders:
    """The forwarders of one call process."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, int], int] = {}
        self._servers: list[asyncio.Server] = []
        self._passing: set[asyncio.Task[None]] = set()

    async def through(self, servers: tuple[IceServer, ...]) -> tuple[IceServer, ...]:
        """The same servers, each ``turns:`` address replaced by that of a forwarder on loopback."""
        return tuple([replace(one, urls=tuple([await self._address(url) for url in one.urls])) for one in servers])

    async def close(self) -> None:
        """Close the ports and every connection."""
        for server in self._servers:
            server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _address(self, url: str) -> str:
        match = _TURNS.fullmatch(url)
        if match is None:
            return url
        place = (match.group(1).strip("[]"), int(match.group(2) or TLS_PORT))
        if place not in self._ports:
            self._ports[place] = await self._listen(place)
        return f"turn:127.0.0.1:{self._ports[place]}?transport=tcp"

    async def _listen(self, place: tuple[str, int]) -> int:
        async def connected(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._passing.add(task)
            try:
                await _forward(near_in, near_out, place)
            finally:
                self._passing.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_PIECE_BYTES)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])


async def _forward(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter, place: tuple[str, int]) -> None:
    """One connection, until either end closes it."""
    far_out: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            far_in, far_out = await asyncio.open_connection(
                *place, ssl=tls_context(), server_hostname=place[0], limit=_PIECE_BYTES
            )
        for writer in (near_out, far_out):
            writer.transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        ways = [asyncio.ensure_future(_pass(near_in, far_out)), asyncio.ensure_future(_pass(far_in, near_out))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    except (OSError, TimeoutError) as error:
        _LOG.info("a TURN server does not answer by TLS: %s", type(error).__name__)
    finally:
        near_out.transport.abort()
        if far_out is not None:
            far_out.transport.abort()


async def _pass(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := await source.read(_PIECE_BYTES):
            out.write(piece)
            await out.drain()

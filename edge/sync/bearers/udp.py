"""UDP: the bearer of choice. One socket for each open; a new one after silence finds new addresses."""

import asyncio

from .base import BearerRefused, Received


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, received: Received) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._received(data, "udp")

    def error_received(self, exc: Exception) -> None:
        """ICMP said no: the transport finds out by silence."""


class UdpBearer:
    """Node → hub over UDP."""

    name = "udp"

    def __init__(self, host: str, port: int, received: Received) -> None:
        self._host, self._port, self._received = host, port, received
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def up(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def open(self) -> None:
        """Resolve the hub's name and take a fresh local port; the old one stays if that fails. Raises BearerRefused."""
        loop = asyncio.get_running_loop()
        try:
            fresh, _ = await loop.create_datagram_endpoint(
                lambda: _Protocol(self._received), remote_addr=(self._host, self._port)
            )
        except OSError as error:
            raise BearerRefused("no way to the hub's address", code="bearer_no_route") from error
        await self.close()
        self._transport = fresh

    def send(self, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

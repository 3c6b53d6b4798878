"""UDP: the bearer of choice. Opened anew after silence, it finds new addresses; the same ones are kept for a while."""

import asyncio

from .base import BearerRefused, Received

KEPT_MAX = 2
"""Opened anew so often without a change of either address, the socket stays: the hub knows it, and has to be asked
again whether a new one is ours. The next time a new port is taken all the same, for the sake of a NAT that is stuck."""


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
        self._kept = 0

    @property
    def up(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def open(self) -> None:
        """Resolve the hub's name and see which address leads there. Raises BearerRefused: the old socket stays."""
        loop = asyncio.get_running_loop()
        try:
            fresh, _ = await loop.create_datagram_endpoint(
                lambda: _Protocol(self._heard), remote_addr=(self._host, self._port)
            )
        except OSError as error:
            raise BearerRefused("no way to the hub's address", code="bearer_no_route") from error
        if self._kept < KEPT_MAX and _addresses(self._transport) == _addresses(fresh):
            self._kept += 1
            fresh.close()
            return
        await self.close()
        self._kept = 0
        self._transport = fresh

    def _heard(self, data: bytes, path: str) -> None:
        self._kept = 0
        self._received(data, path)

    def send(self, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def _addresses(transport: asyncio.DatagramTransport | None) -> tuple[str, str, int] | None:
    """Ours without its port, and the hub's."""
    if transport is None or transport.is_closing():
        return None
    hub = transport.get_extra_info("peername")
    return str(transport.get_extra_info("sockname")[0]), str(hub[0]), int(hub[1])

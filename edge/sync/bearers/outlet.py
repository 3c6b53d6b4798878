"""What leaves over one WebSocket, at either end: little waits in buffers, so that priority is decided late.

The kernel holds about what the line holds; while one message waits above it, the transport hands out no other.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Protocol

import aiohttp

SEND_BUFFER_BYTES = 8_192
"""Least SO_SNDBUF: about one to one and a half bandwidth-delay products of a slow link."""
SEND_BUFFER_MAX_BYTES = 262_144
_RESIZE = 1.3
"""The buffer follows the line when that has changed by this factor."""
_LOOK_S = 0.02
"""How often a full connection is looked at."""
QUEUE_MAX = 64
"""Packets that wait for the connection; beyond it they are lost, and sent again by the transport."""


class Connection(Protocol):
    """A WebSocket of a client or of a server."""

    async def send_bytes(self, data: bytes) -> None: ...

    def get_extra_info(self, name: str, default: object = None) -> object: ...


class Outlet:
    """The packets that wait for one WebSocket."""

    def __init__(self, connection: Connection, on_room: Callable[[], None]) -> None:
        """``on_room`` is called when something that had to wait has left."""
        self._connection = connection
        self._on_room = on_room
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MAX)
        self._limit_bytes = SEND_BUFFER_BYTES
        transport = connection.get_extra_info("transport")
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        self._narrow()

    @property
    def full(self) -> bool:
        """Whether something waits here already. What leaves next is better decided when there is room for it."""
        return not self._queue.empty()

    def fit(self, line_bytes: float) -> None:
        """Let the kernel hold one and a quarter of the bandwidth-delay product."""
        wanted = min(max(int(1.25 * line_bytes), SEND_BUFFER_BYTES), SEND_BUFFER_MAX_BYTES)
        if not 1 / _RESIZE < wanted / self._limit_bytes < _RESIZE:
            self._limit_bytes = wanted
            self._narrow()

    def send(self, datagram: bytes) -> None:
        """Queue a packet; one that finds no room is lost."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(datagram)

    async def run(self) -> None:
        """Write until the connection ends."""
        while True:
            datagram = await self._queue.get()
            try:
                while self._unsent_bytes() > self._limit_bytes:  # noqa: ASYNC110 - the kernel has nothing to wait on
                    await asyncio.sleep(_LOOK_S)
                await self._connection.send_bytes(datagram)
            except (ConnectionError, aiohttp.ClientError):
                return
            self._on_room()

    def _socket(self) -> socket.socket | None:
        # asyncio hands out a wrapper that has the same methods.
        found: socket.socket | None = self._connection.get_extra_info("socket")  # type: ignore[assignment]
        return found

    def _narrow(self) -> None:
        connection = self._socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limit_bytes)

    def _unsent_bytes(self) -> int:
        """What the kernel holds and the other side has not acknowledged (SIOCOUTQ, tcp(7)); 0 where unknown."""
        connection = self._socket()
        try:
            unsent = None if connection is None else fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return 0 if unsent is None else int(struct.unpack("i", unsent)[0])

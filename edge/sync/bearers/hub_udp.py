"""The hub's UDP socket: many datagrams are read at a time, so that a flood costs a glance at each and little else.

Beyond what this process can look at, the kernel drops, and a stranger's datagrams take the honest ones along: a deep
buffer carries bursts. What the kernel does not take for sending is lost, like anything on a link.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Hashable

BUFFER_BYTES = 4 * 1024 * 1024
"""Asked for; the kernel gives what ``net.core.rmem_max`` allows, and all to a process that may force it."""
READ_MAX = 128
"""Datagrams taken before other work has its turn."""
_DATAGRAM_MAX_BYTES = 65_536
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
"""socket(7); Python has no names for them."""


class HubUdp:
    """One bound socket, all nodes."""

    def __init__(self, received: Callable[[bytes, Hashable], object], read: Callable[[], None]) -> None:
        """``received`` is called with each datagram and its path, ``read`` after as many as were taken at a time."""
        self._received, self._read = received, read
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    async def open(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind and listen. Raises OSError when the port is taken.

        ``shared``: with other processes of this machine; the kernel keeps a node at one of them while it lives.
        """
        loop = asyncio.get_running_loop()
        family, kind, proto, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM))[0]
        bound = socket.socket(family, kind, proto)
        try:
            bound.setblocking(False)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for plain, forced in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
                bound.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)
                with contextlib.suppress(PermissionError):
                    bound.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        self._socket = bound
        loop.add_reader(bound, self._take, bound)

    def _take(self, bound: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nothing more, or ICMP said no: the transport finds out by silence
            for _ in range(READ_MAX):
                data, address = bound.recvfrom(_DATAGRAM_MAX_BYTES)
                self._received(data, ("udp", address))
        self._read()

    def send(self, datagram: bytes, address: tuple[str, int]) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(datagram, address)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

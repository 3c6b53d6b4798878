"""How a courier command talks to the running node or hub beside it: a Unix socket that only the owner may open.

The command does all work on the stick, so that a stick that hangs or lies hangs the command and never
the clinic; what has to be stored or signed is asked for here. ``length4 ‖ body`` each way, one
question at a time. Knows nothing of what is said.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, Self

from edge.model.errors import Fault, UpkendraError

log = logging.getLogger("upkendra.sync")

SOCKET_NAME: Final = "courier.sock"
MESSAGE_MAX_BYTES: Final = 32 << 20
ANSWER_S: Final = 120.0

Answerer = Callable[[bytes], Awaitable[bytes]]


class ControlRefused(UpkendraError):
    """The running service does not answer the courier any more. What was done holds; try again."""

    code = "courier_service_gone"
    fault = Fault.US


class ControlServer:
    """Answers couriers. ``begin`` makes one answerer for each connection."""

    def __init__(self, data: Path, begin: Callable[[], Answerer]) -> None:
        self._data = data
        self._begin = begin
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen in the data folder. Where no socket can be made the service goes on without."""
        try:
            listener = await asyncio.to_thread(self._bind)
        except OSError as error:
            log.warning("no courier socket: %s", errno.errorcode.get(error.errno or 0, "?"))
            return
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    def _bind(self) -> socket.socket:
        with _short(self._data) as path:
            if path.is_socket():
                path.unlink()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(str(path))
                path.chmod(0o600)
            except OSError:
                listener.close()
                raise
            return listener

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        answer = self._begin()
        try:
            while True:
                write_frame(writer, await answer(await read_frame(reader)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def stop(self) -> None:
        """Fall silent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in set(self._open):
            writer.close()
        with contextlib.suppress(OSError):
            await asyncio.to_thread((self._data / SOCKET_NAME).unlink)


class ControlClient:
    """The command's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, data: Path) -> Self | None:
        """A connection; None when nothing runs there."""
        link = await asyncio.to_thread(_connect, data)
        return None if link is None else cls(*await asyncio.open_unix_connection(sock=link))

    async def ask(self, body: bytes) -> bytes:
        """One question, one answer. Raises ControlRefused."""
        try:
            write_frame(self._writer, body)
            await self._writer.drain()
            return await asyncio.wait_for(read_frame(self._reader), ANSWER_S)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            raise ControlRefused("The service stopped while the stick was read. Start it and try again.") from None

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """One message. Raises IncompleteReadError at the end, ValueError for one that is too large."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MESSAGE_MAX_BYTES:
        raise ValueError("a message is too large")
    return await reader.readexactly(size)


def write_frame(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Hand one message over."""
    writer.write(len(body).to_bytes(4, "big") + body)


def _connect(data: Path) -> socket.socket | None:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(data) as path:
            link.connect(str(path))
    except OSError:
        link.close()
        return None
    return link


@contextlib.contextmanager
def _short(data: Path) -> Iterator[Path]:
    """A path to the socket that fits the 107 bytes of a socket address, however long the folder's is."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{folder}") / SOCKET_NAME
    finally:
        os.close(folder)

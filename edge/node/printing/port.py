"""The line to a printer behind one interface: USB (the kernel's ``/dev/usb/lp0``), serial, network (TCP, port 9100).

Knows no ESC/POS. A line is opened for one job and closed after it, so that a printer may be switched off in between.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from typing import Protocol

import serial
from msgspec import Struct

from edge.model.errors import BadInput
from edge.slips.render import ROLLS

TCP = "tcp:"
TCP_PORT = 9100
BAUD = 19_200
OPEN_TIMEOUT_S = 5.0


class Printer(Struct, frozen=True):
    """What ``--printer`` said."""

    roll_mm: int
    port: str
    """``/dev/usb/lp0``, ``/dev/ttyUSB0`` (or ``/dev/ttyUSB0@9600``), ``tcp:HOST`` or ``tcp:HOST:PORT``."""


class Line(Protocol):
    """An open line."""

    async def write(self, data: bytes) -> None:
        """Give bytes; comes back when the line has taken them. Raises OSError."""

    async def close(self) -> None:
        """Let the line go."""


def parse_printer(text: str) -> Printer:
    """``MM=PORT``. Raises BadInput."""
    width, _, port = text.partition("=")
    if not width.isdecimal() or int(width) not in ROLLS:
        raise BadInput(f"A printer is MM=PORT; MM is one of {', '.join(map(str, ROLLS))}.", field="printer")
    path, at, baud = port.partition("@")
    if port.startswith(TCP):
        host, _, number = port.removeprefix(TCP).rpartition(":")
        good = bool(host and number.isdecimal()) or bool(number)
    else:
        good = path.startswith("/") and (not at or baud.isdecimal())
    if not good:
        raise BadInput("A printer's port is /dev/usb/lp0, /dev/ttyUSB0@BAUD or tcp:HOST:PORT.", field="printer")
    return Printer(int(width), port)


async def open_line(port: str, on_bytes: Callable[[bytes], None]) -> Line:
    """Open the line to a printer. Raises OSError, also for a printer that is not plugged in."""
    if port.startswith(TCP):
        return await _NetworkLine.open(port, on_bytes)
    return await _DeviceLine.open(port, on_bytes)


class _NetworkLine:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_bytes: Callable[[bytes], None]
    ) -> None:
        self._writer = writer
        self._listening = asyncio.create_task(_listen(reader, on_bytes))

    @classmethod
    async def open(cls, port: str, on_bytes: Callable[[bytes], None]) -> "_NetworkLine":
        rest = port.removeprefix(TCP)
        host, colon, number = rest.rpartition(":")
        if not colon:
            host, number = rest, str(TCP_PORT)
        try:
            opened = await asyncio.wait_for(asyncio.open_connection(host, int(number)), OPEN_TIMEOUT_S)
        except TimeoutError:
            raise OSError("the printer does not answer") from None
        return cls(*opened, on_bytes)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def _listen(reader: asyncio.StreamReader, on_bytes: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(256):
            on_bytes(data)


class _DeviceLine:
    """A character device that the kernel gives: a printer on USB, or a serial port."""

    def __init__(self, descriptor: int, held: serial.Serial | None, on_bytes: Callable[[bytes], None]) -> None:
        self._descriptor, self._held, self._on_bytes = descriptor, held, on_bytes
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._readable)

    @classmethod
    async def open(cls, port: str, on_bytes: Callable[[bytes], None]) -> "_DeviceLine":
        path, _, baud = port.partition("@")

        def opened() -> tuple[int, serial.Serial | None]:
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                    raise OSError(f"{path} is no device")
                if not os.isatty(descriptor):
                    return descriptor, None
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)
            held = serial.Serial(path, int(baud or BAUD), timeout=0, write_timeout=0, exclusive=True)
            return held.fileno(), held

        return cls(*await asyncio.to_thread(opened), on_bytes)

    async def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                await self._writable()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._descriptor)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, 256)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_bytes(data)
        else:  # pulled, or a printer that says nothing more; the next write tells which
            asyncio.get_running_loop().remove_reader(self._descriptor)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._held is not None:
            await asyncio.to_thread(self._held.close)
        else:
            os.close(self._descriptor)

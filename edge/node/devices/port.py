"""A serial line in the event loop: opened on a thread, read and written without blocking, lost with one call.

What the panel board and the medical devices share. Knows no protocol. Opening happens on a thread, because a USB
adapter that dies can hold up an open for seconds.
"""

import asyncio
import os
import stat
import termios
from collections.abc import Callable
from pathlib import Path

import serial

BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
MAX_WAITING_BYTES = 4096
"""A port that takes nothing for so long is given up."""
PORT_ERRORS = (OSError, serial.SerialException, termios.error)
PTY_MAJORS = range(136, 144)
"""Linux, Documentation/admin-guide/devices.txt."""


class SerialLine:
    """One port, opened at most once at a time. All methods in the loop."""

    def __init__(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """``on_lost`` is called once for a port that died; :meth:`close` has still to be called."""
        self._on_bytes, self._on_lost = on_bytes, on_lost
        self._port: serial.Serial | None = None
        self._descriptor = -1
        self._out = bytearray()

    @property
    def is_open(self) -> bool:
        return self._port is not None

    async def open(self, device: str, baud: int, parity: str = "N") -> None:
        """Open a port for us alone. Raises one of :data:`PORT_ERRORS`."""

        def opened() -> serial.Serial:
            # A pseudo-terminal carries no parity, and refuses to be told of any.
            said = Path(device).stat()
            own = "N" if stat.S_ISCHR(said.st_mode) and os.major(said.st_rdev) in PTY_MAJORS else parity
            return serial.Serial(device, baud, parity=own, timeout=0, write_timeout=0, exclusive=True)

        port = await asyncio.to_thread(opened)
        self._port, self._descriptor = port, port.fileno()
        self._out.clear()
        os.set_blocking(self._descriptor, False)
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the port takes it. Nothing happens on a port that is not open."""
        if self._port is not None and data:
            self._out += data
            self._flush()

    async def close(self) -> None:
        """Let the port go. May be called on a closed one."""
        port, self._port = self._port, None
        if port is not None:
            self._deafen()
            await asyncio.to_thread(port.close)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_bytes(data)
        else:
            self._give_up()

    def _flush(self) -> None:
        try:
            written = os.write(self._descriptor, self._out)
        except BlockingIOError:
            written = 0
        except OSError:
            self._give_up()
            return
        del self._out[:written]
        loop = asyncio.get_running_loop()
        if len(self._out) > MAX_WAITING_BYTES:
            self._give_up()
        elif self._out:
            loop.add_writer(self._descriptor, self._flush)
        else:
            loop.remove_writer(self._descriptor)

    def _deafen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)

    def _give_up(self) -> None:
        self._deafen()
        self._out.clear()
        self._on_lost()

"""Telling systemd that the node serves, and again and again that it still does (sd_notify(3), WatchdogSec=).

Without ``NOTIFY_SOCKET`` in the environment nothing is told. The watchdog is fed only while the writer of the records
answers: a loop that turns above a store that hangs is no clinic.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

SOCKET = "NOTIFY_SOCKET"
WATCHDOG_US = "WATCHDOG_USEC"


class Notifier:
    """One connection to the service manager, from a process's environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get(SOCKET, "")
        text = environment.get(WATCHDOG_US, "")
        self.every_s = int(text) / 1e6 / 2 if text.isdecimal() and int(text) > 0 else 0.0
        """Half of what the manager waits for a sign of life; 0 without a watchdog."""

    @classmethod
    def of_process(cls) -> "Notifier":
        """This process's. Children do not inherit it: they are not the service."""
        environment = dict(os.environ)
        for name in (SOCKET, WATCHDOG_US):
            os.environ.pop(name, None)
        return cls(environment)

    def say(self, text: str) -> None:
        """Send one message (``READY=1``); a manager that is gone is not an error."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that does not read is not waited for
            sender.connect(address)
            sender.send(text.encode())

    async def feed(self, answers: Callable[[], Awaitable[object]]) -> None:
        """Feed the watchdog for as long as ``answers()`` comes back within the time. Runs until cancelled."""
        if not self.every_s:
            return
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(answers(), self.every_s)
                self.say("WATCHDOG=1")
            await asyncio.sleep(self.every_s)

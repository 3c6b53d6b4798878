"""The node's sockets for tablets: plain HTTP, or HTTPS with a plain door beside it that helps tablets to trust it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from edge.model.errors import BadInput
from edge.web.server import IDLE_S

from . import lan_tls
from .web.door import door_app

SHUTDOWN_S = 2.0
HTTPS_PORT = 443

Address = tuple[str, int]


def parse_address(text: str, field: str = "http") -> Address:
    """``ADDR:PORT``. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput("An address is written ADDR:PORT.", field=field)
    return host.strip("[]"), int(port)


class Secure(Struct, frozen=True):
    """Where to speak HTTPS, and what tablets call the node."""

    address: Address
    names: lan_tls.LanNames


class Listening:
    """Open sockets. ``http`` and ``https`` are where they are, with the ports that were taken for 0."""

    def __init__(self) -> None:
        self.http: Address = ("", 0)
        self.https: Address | None = None
        self.url = ""
        """Where a tablet finds the pages, by name, when they are behind HTTPS."""
        self._runners: list[web.AppRunner] = []

    async def open(
        self,
        make_app: Callable[[bool], Awaitable[web.Application]],
        folder: Path,
        http: Address,
        secure: Secure | None,
    ) -> None:
        """Listen. ``make_app(secure)`` gives the pages and API. Raises OSError."""
        if secure is None:
            self.http = await self._listen(await make_app(False), http, None)
            return
        ca, context = await asyncio.to_thread(lan_tls.load, folder, secure.names)
        self.https = await self._listen(await make_app(True), secure.address, context)
        port = self.https[1]
        self.url = f"https://{secure.names.name}" + ("" if port == HTTPS_PORT else f":{port}")
        self.http = await self._listen(await asyncio.to_thread(door_app, ca, self.url), http, None)

    async def _listen(self, app: web.Application, address: Address, tls: ssl.SSLContext | None) -> Address:
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, keepalive_timeout=IDLE_S)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, *address, shutdown_timeout=SHUTDOWN_S, ssl_context=tls).start()
        return address[0], runner.addresses[0][1]

    async def close(self) -> None:
        """Say goodbye and close, the door last."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

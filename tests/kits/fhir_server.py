"""A small real FHIR endpoint: takes a Bundle by PUT, or does what a test wants it to do instead."""

import asyncio
import json
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

TOKEN = "a-token-of-the-test"


class FhirServer:
    """Listens on a port of this machine. ``then`` says what the next requests meet; with none left it takes them."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        """Bundles by id, as a FHIR server keeps them."""
        self.asked = 0
        self.then: list[int | str] = []
        """An HTTP status, ``hang`` (no answer), ``taken, no answer``, ``redirect``, ``cut`` (connection closed), or
        ``page``: 200 with a page for people, as something in front of an endpoint gives it."""
        self.retry_after = ""
        self.token = TOKEN
        self.url = ""
        """The base address, once it listens."""
        self.taken = asyncio.Event()
        app = web.Application()
        app.router.add_put("/fhir/Bundle/{id}", self._put)
        self._server = TestServer(app)

    async def start(self) -> None:
        """Listen."""
        await self._server.start_server()
        self.url = str(self._server.make_url("/fhir"))

    async def stop(self) -> None:
        await self._server.close()

    async def _put(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        body = json.loads(await request.read())
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if request.content_type != "application/fhir+json" or body["id"] != request.match_info["id"]:
            return web.Response(status=400)
        step = self.then.pop(0) if self.then else 201
        if step in (200, 201, "taken, no answer"):
            self.held[body["id"]] = body
            self.taken.set()
        if step in ("hang", "taken, no answer"):
            await asyncio.Event().wait()
        if step == "cut":
            assert request.transport is not None
            request.transport.abort()
        if step == "redirect":
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/elsewhere"})
        if step == "page":
            return web.Response(text="<html>Log in</html>", content_type="text/html")
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=step if isinstance(step, int) else 500, headers=headers, body=b"x" * 200_000)

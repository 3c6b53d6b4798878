"""What must go through on a full disk goes through: it is tried once more after the ballast was thrown."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge.web.logs import say
from edge.web.refusals import failure_of
from edge.web.routes import ROUTE

logger = logging.getLogger("edge.node")

FIRST: Final = frozenset(
    {
        *("/api/emergency", "/api/emergency/{visit_id}/commands"),
        *("/api/unlock", "/api/tablet/unlock", "/api/session"),
    }
)
"""Routes that the first ballast is for: emergencies, and the way into the records."""
COMMANDS: Final = "/api/commands"
"""What is recorded of everybody, RED patients among them: a ballast of its own first. No photo, no draft."""


def over_a_full_disk(throw: Callable[[], bool], throw_of_commands: Callable[[], bool]) -> Middleware:
    """A middleware. Both throw a ballast, say whether there was one, and block."""

    def make_room(path: str) -> bool:
        if path == COMMANDS:
            return throw_of_commands()
        return path in FIRST and (throw() or throw_of_commands())

    @web.middleware
    async def again(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:
            route = request.get(ROUTE)
            full = failure_of(error).code == "storage_full"
            if not full or route is None or not await asyncio.to_thread(make_room, route.path):
                raise
        say(logger, "ballast_thrown", logging.WARNING)
        return await handler(request)

    return again

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
        *("/api/emergency", "/api/emergency/{visit_id}/commands", "/api/commands"),
        *("/api/unlock", "/api/tablet/unlock", "/api/session"),
    }
)
"""Routes that the ballast is for: emergencies, what is recorded, and the way into the records. No photo, no draft."""


def over_a_full_disk(throw: Callable[[], bool]) -> Middleware:
    """A middleware. ``throw`` makes room and says whether there was some to make; it blocks."""

    @web.middleware
    async def again(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:
            route = request.get(ROUTE)
            full = failure_of(error).code == "storage_full"
            if not full or route is None or route.path not in FIRST or not await asyncio.to_thread(throw):
                raise
        say(logger, "ballast_thrown", logging.WARNING)
        return await handler(request)

    return again

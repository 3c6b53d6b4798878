"""What calls hear of the hub: signals, and whether the link came or went, one after the other in their order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("edge.node.calls")


class CallInbox:
    """Lets nobody wait who puts something in."""

    def __init__(self, take: Callable[[bytes | bool], Awaitable[None]]) -> None:
        """``take`` is awaited for a signal's bytes, or for whether the link is up."""
        self._take = take
        self._news: asyncio.Queue[bytes | bool] = asyncio.Queue()
        self._listener: asyncio.Task[None] | None = None

    def put(self, news: bytes | bool) -> None:
        self._news.put_nowait(news)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            news = await self._news.get()
            try:
                await self._take(news)
            except Exception:
                logger.exception("a signal was not handled")

    def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()

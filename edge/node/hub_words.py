"""What the hub says once about bundles, on its way to the disk; also when the disk does not take it at once.

Without it an acknowledgement that met a full disk was lost until the next start. Knows no bundle and no link.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from edge.sync.link import BundleAcked, Reseal

logger = logging.getLogger("edge.node.link")

WRITE_AGAIN_S = 5.0
"""So long after a word could not be written it is tried again."""
Word: TypeAlias = BundleAcked | Reseal


class HubWords:
    """The words that came by the link and are not written yet."""

    def __init__(self, write: Callable[[Word], Awaitable[None]]) -> None:
        self._write = write
        self.write_again_s = WRITE_AGAIN_S
        self.left: list[Word] = []
        self._writer: asyncio.Task[None] | None = None

    async def take(self, word: Word) -> None:
        """Write a word now, or as soon as the disk takes it; never raises."""
        if not await self._written(word):
            self.left.append(word)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write_again())

    async def _written(self, word: Word) -> bool:
        try:
            await self._write(word)
        except Exception as error:
            # Only types: a message could quote a record.
            logger.error("the hub's word was not written yet: %s, %s", type(word).__name__, type(error).__name__)
            return False
        return True

    async def _write_again(self) -> None:
        while self.left:
            await asyncio.sleep(self.write_again_s)
            waiting, self.left = self.left, []
            self.left += [word for word in waiting if not await self._written(word)]

    async def stop(self) -> None:
        """The node stops: what is not written the hub says again after the next start."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

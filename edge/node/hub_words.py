"""What the hub says once about bundles, on its way to the disk; also when the disk does not take it at once.

Without it an acknowledgement that met a full disk was lost until the next start. Words about one bundle are written in
the order in which they came; a word that cannot be written holds up no other bundle's. Knows no bundle and no link.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from edge.sync.link import BundleAcked, Reseal

logger = logging.getLogger("edge.node.link")

WRITE_AGAIN_S = 5.0
"""So long after a word could not be written it is tried again."""
BUNDLES_MAX: Final = 10_000
"""About so many bundles words are kept. Of what comes beyond, the hub speaks again after the next start."""
Word: TypeAlias = BundleAcked | Reseal


class HubWords:
    """The words that came by the link and are not written yet."""

    def __init__(self, write: Callable[[Word], Awaitable[None]], bundles_max: int = BUNDLES_MAX) -> None:
        self._write, self._bundles_max = write, bundles_max
        self.write_again_s = WRITE_AGAIN_S
        self.left: dict[bytes, list[Word]] = {}
        """Bundle → what is to be written of it, in order. Who waited longest is tried first."""
        self._writer: asyncio.Task[None] | None = None

    async def take(self, word: Word) -> None:
        """Write a word now, or as soon as the disk takes it and those before it; never raises."""
        before = self.left.get(word.bundle_id)
        if before is not None:
            if word not in before:
                before.append(word)
        elif not await self._written(word):
            self._keep(word)

    def _keep(self, word: Word) -> None:
        if word.bundle_id not in self.left and len(self.left) >= self._bundles_max:
            logger.error("too many of the hub's words wait for the disk: one was dropped")
            return
        waiting = self.left.setdefault(word.bundle_id, [])
        if word not in waiting:
            waiting.append(word)
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
            while self.left and await self._write_first():
                pass

    async def _write_first(self) -> bool:
        """Write all of one bundle; False when the disk still refuses: then others come first the next time."""
        bundle_id, words = next(iter(self.left.items()))
        while words:
            if not await self._written(words[0]):
                self.left[bundle_id] = self.left.pop(bundle_id)
                return False
            del words[0]
        del self.left[bundle_id]
        return True

    async def stop(self) -> None:
        """The node stops: what is not written the hub says again after the next start."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

"""Work that a serving process does again and again: one task, a pause between two times, and a failure ends nothing.

What went away, a database or a disk, comes back. Knows nothing of the work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable


class Often:
    """One piece of work; it may be started again after it was stopped."""

    def __init__(
        self,
        work: Callable[[], Awaitable[object]],
        every_s: float,
        logger: logging.Logger,
        failed: str,
        *,
        first_s: float = 0.0,
    ) -> None:
        """``every_s``: from the end of one time to the next; ``first_s``: before the first; ``failed`` is logged."""
        self._work, self._every_s, self._first_s = work, every_s, first_s
        self._logger, self._failed = logger, failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._logger.name)

    async def stop(self) -> None:
        """End it, in the middle of the work if need be."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                await self._work()
            except Exception:
                self._logger.exception(self._failed)
            await asyncio.sleep(self._every_s)

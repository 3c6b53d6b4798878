"""The stills that go to the doctor while the link carries no moving picture.

Takes the source's latest picture when one is due, makes it as small as the ladder says, and lets its
pieces out at the ladder's rate, so that sound never waits behind it.
"""

import asyncio
import logging
import time

from edge.media.aside import StillPacer
from edge.media.ladder import Allocation
from edge.media.leg import Outlet
from edge.media.still import webp_within
from edge.media.wan import WanLeg

FRESH_S = 3.0
"""An older picture of the source is no still of now."""
SIDE_PX = 320
_LOG = logging.getLogger(__name__)


class StillSender:
    """The stills of one call. Runs on the event loop of the call process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outlet: Outlet) -> None:
        self._loop = loop
        self._outlet = outlet
        self._pacer = StillPacer()
        self._making: asyncio.Task[None] | None = None

    def tick(self, wan: WanLeg, allocation: Allocation, now_s: float) -> None:
        """Called several times a second while the data channel is open."""
        if allocation.still_every_s <= 0:
            self._pacer.clear()
            return
        piece = self._pacer.due(now_s, allocation.still_bytes / allocation.still_every_s)
        if piece is not None:
            wan.send_aside(piece)
        making = self._making is not None and not self._making.done()
        if not making and wan.aside_waits == 0 and self._pacer.wants(now_s, allocation.still_every_s):
            self._making = asyncio.create_task(self._make(allocation.still_bytes))

    async def _make(self, most_bytes: int) -> None:
        last = self._outlet.last
        if last is None or time.monotonic() - last[3] > FRESH_S:
            return
        i420, width, height, taken_s = last
        try:
            made = await self._loop.run_in_executor(None, webp_within, i420, width, height, SIDE_PX, most_bytes)
        except (ValueError, OSError) as error:
            _LOG.warning("no still could be made: %s", type(error).__name__)
            return
        now_s = time.monotonic()
        self._pacer.begin(made, now_s - taken_s, now_s)

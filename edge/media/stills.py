"""The stills that go to the doctor while the link carries no moving picture, and sharp ones that he asks for.

A small one is the source's latest picture, made as small as the ladder says; its pieces leave at the ladder's rate, so
that sound never waits behind it. A sharp one is taken anew, as large as the camera gives it, and goes to the node,
which makes it a photo of the visit.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from edge.media.aside import StillPacer
from edge.media.capture import Source
from edge.media.ladder import Allocation
from edge.media.leg import Outlet
from edge.media.signals import CallError, SharpTaken
from edge.media.still import webp_within
from edge.media.wan import WanLeg
from edge.model.errors import Fault, Refusal
from edge.model.media import Purpose

FRESH_S = 3.0
"""An older picture of the source is no still of now."""
SIDE_PX = 320
SHARP_SIDE_PX = 1_600
SHARP_BYTES = 300_000
PREVIEW_SIDE_PX = 240
PREVIEW_BYTES = 8_000
"""As the tablets' own photos."""
PIECE_BYTES = 96 * 1024
"""In base64 well within a line to the node."""
_NICE = 10
"""Making a large picture small gives way to the call's sound."""
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


class SharpStills:
    """Sharp pictures of the node's own camera. Runs on the event loop of the call process."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, outlet: Outlet, say: Callable[[SharpTaken | CallError], None]
    ) -> None:
        self._loop = loop
        self._outlet = outlet
        self._say = say
        self._asked: set[str] = set()
        self._pool = ThreadPoolExecutor(1, "sharp", _be_nice)
        self._taking: asyncio.Task[None] | None = None

    def ask(self, still_id: str, source: Source) -> None:
        """Take one; asked twice under one name it is taken once, and one at a time."""
        busy = self._taking is not None and not self._taking.done()
        if still_id in self._asked or busy:
            return
        self._asked.add(still_id)
        self._taking = asyncio.create_task(self._take(still_id, source))

    async def _take(self, still_id: str, source: Source) -> None:
        try:
            made = await self._loop.run_in_executor(self._pool, self._make, source)
        except Exception as error:
            _LOG.warning("no sharp picture could be taken: %s", type(error).__name__)
            self._say(CallError(Refusal("camera_failed", "The camera gave no sharp picture.", fault=Fault.US)))
            return
        for purpose, content in made:
            for offset in range(0, len(content), PIECE_BYTES):
                piece = content[offset : offset + PIECE_BYTES]
                self._say(SharpTaken(still_id, purpose, len(content), offset, piece))
                await asyncio.sleep(0)

    def _make(self, source: Source) -> tuple[tuple[Purpose, bytes], ...]:
        """Preview and original. Blocking. Raises ValueError when there is no picture."""
        taken = source.sharp()
        if taken is None:
            last = self._outlet.last
            if last is None or time.monotonic() - last[3] > FRESH_S:
                raise ValueError("no picture")
            taken = last[:3]
        preview = webp_within(*taken, PREVIEW_SIDE_PX, PREVIEW_BYTES)
        return (Purpose.PREVIEW, preview), (Purpose.ORIGINAL, webp_within(*taken, SHARP_SIDE_PX, SHARP_BYTES))


def _be_nice() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)

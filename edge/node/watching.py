"""How long the node runs and has no hub, day by day: kept in ``watched.json``, and said in the log when a day is over.

Counted in steps of a clock that only goes on, so a clock that is set counts no hour twice; only the day comes from the
node's time. What a process that was killed had not written yet, at most ``OFFLINE_KEEP_S`` of a time without the hub,
counts as time in which the node was off. Counts while the records are locked, too; says it when they are open.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Annotated

from msgspec import DecodeError, Meta, Struct, ValidationError, field, json

from edge.model.clock import day_of
from edge.model.watched import DAY_MOST_S, LinkWatched

from .clinic import Clinic
from .config import WATCHED_FILE, write_private

logger = logging.getLogger("edge.node.watching")

LOOK_S = 5.0
GAP_MOST_S = 60.0
"""A step that is longer was no watching: the process stood still."""
OFFLINE_KEEP_S = 600.0
"""The file is written so often without the hub; the card counts its writes."""
ONLINE_KEEP_S = 3600.0
ENDED_S = 60.0
"""… and at the end of a time without it, when so much was not written yet."""
AGAIN_S = 300.0
"""Days that could not be said (a full disk) are tried again after so long."""


class Seconds(Struct):
    """Of one day."""

    ran_s: float = 0.0
    offline_s: float = 0.0


class Kept(Struct):
    """``watched.json``."""

    part: Annotated[bytes, Meta(min_length=4, max_length=4)]
    """Of :class:`LinkWatched`: a new one whenever days were told, so that no word of a part ever has less."""
    days: dict[int, Seconds] = field(default_factory=dict)
    """Days that the log does not hold yet."""


def _fresh_part() -> bytes:
    return secrets.token_bytes(4)


class LinkWatch:
    """Of one running node."""

    def __init__(self, clinic: Clinic, online: Callable[[], bool], now_s: float) -> None:
        """``online``: whether the hub is there; ``now_s``: of a clock that only goes on. Blocking: reads a file."""
        self._clinic, self._online = clinic, online
        self._path = clinic.folder / WATCHED_FILE
        self._kept = Kept(_fresh_part())
        with contextlib.suppress(FileNotFoundError, DecodeError, ValidationError):  # torn: counted anew
            self._kept = json.decode(self._path.read_bytes(), type=Kept)
        self._seen_s = self._written_s = now_s
        self._tried_s = now_s - AGAIN_S
        self._loose_offline_s = 0.0
        """Without the hub, and not in the file yet."""
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._often())

    async def stop(self) -> None:
        """Count until now and keep it."""
        if self._task is not None:
            self._over.set()
            await self._task
            self._count(time.monotonic())
            await self._keep(time.monotonic())

    def words(self) -> tuple[LinkWatched, ...]:
        """What the log does not hold yet; the present day grows."""
        return tuple(_word(day, self._kept.part, found) for day, found in sorted(self._kept.days.items()))

    async def look(self, now_s: float) -> None:
        """Count until now, say the days that are over, keep what is due."""
        ended = self._count(now_s)
        today = day_of(self._clinic.clock.now().wall_ms)
        over = [word for word in self.words() if word.day < today]
        if over and not self._clinic.locked and now_s - self._tried_s >= AGAIN_S:
            self._tried_s = now_s
            await self._clinic.record(*over)
            for word in over:
                self._kept.days.pop(word.day, None)
            self._kept.part = _fresh_part()
            await self._keep(now_s)
        elif ended or now_s - self._written_s >= (OFFLINE_KEEP_S if self._loose_offline_s else ONLINE_KEEP_S):
            await self._keep(now_s)

    def _count(self, now_s: float) -> bool:
        """Add the time since the last look; whether a time without the hub has ended that is not in the file."""
        passed_s, self._seen_s = now_s - self._seen_s, now_s
        if not 0.0 < passed_s <= GAP_MOST_S:
            return False
        online = self._online()
        found = self._kept.days.setdefault(day_of(self._clinic.clock.now().wall_ms), Seconds())
        found.ran_s += passed_s
        if not online:
            found.offline_s += passed_s
            self._loose_offline_s += passed_s
        return online and self._loose_offline_s >= ENDED_S

    async def _keep(self, now_s: float) -> None:
        self._written_s, self._loose_offline_s = now_s, 0.0
        await asyncio.to_thread(write_private, self._path, json.encode(self._kept))

    async def _often(self) -> None:
        while not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), LOOK_S)
            except TimeoutError:
                try:
                    await self.look(time.monotonic())
                except Exception:
                    logger.exception("watching the link failed")


def _word(day: int, part: bytes, found: Seconds) -> LinkWatched:
    ran_s = min(round(found.ran_s), DAY_MOST_S)
    return LinkWatched(max(day, 0), part, ran_s, min(round(found.offline_s), ran_s))

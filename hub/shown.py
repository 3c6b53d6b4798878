"""Which patients a list showed to whom: a line of the audit log with their ids, without one for each look.

What a page shows first is written before it is answered; what comes to the list while the page stays is gathered for at
most a minute. A process that is killed loses that minute's additions, and nothing else. Knows no HTTP.
"""

import asyncio
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from . import audit
from .store.engine import Store

GATHER_MS: Final = 60_000
AGAIN_MS: Final = 3_600_000
FORGET_MS: Final = 15 * 60_000
"""A page that asked for nothing for so long is opened anew."""


class List(StrEnum):
    """Lists that name patients; the audit log's actions."""

    QUEUE = "queue_shown"
    EARLY = "early_shown"
    """Early copies by SMS: the ids are the first eight letters of visits'."""


class _View:
    __slots__ = ("asked_ms", "due", "now", "written_ms")

    def __init__(self) -> None:
        self.now: frozenset[str] = frozenset()
        self.due: set[str] = set()
        self.written_ms = self.asked_ms = 0


class Shown:
    """Of one process of the hub."""

    def __init__(self, store: Store, wall_ms: Callable[[], int]) -> None:
        self._store, self._wall_ms = store, wall_ms
        self._views: dict[tuple[str, List], _View] = {}
        self._opened: dict[tuple[str, str, str], int] = {}

    async def note(self, person_id: str, which: List, ids: Iterable[str]) -> None:
        """A list is about to be shown. Returns when what has to be written before is durable."""
        now_ms = self._wall_ms()
        view = self._views.setdefault((person_id, which), _View())
        if not 0 <= now_ms - view.asked_ms < FORGET_MS:
            view.now = frozenset()
        view.asked_ms = now_ms
        there = frozenset(ids)
        view.due |= there - view.now
        view.now = there
        if view.due and not 0 <= now_ms - view.written_ms < GATHER_MS:
            await self._write(person_id, which, view, now_ms)

    async def opened(self, person_id: str, action: str, visit_id: str) -> None:
        """Part of one record is about to be shown: one line an hour, however often a page asks."""
        now_ms = self._wall_ms()
        key = (person_id, action, visit_id)
        if 0 <= now_ms - self._opened.get(key, -AGAIN_MS) < AGAIN_MS:
            return
        await self._store.write(lambda connection: audit.record(connection, now_ms, *key))
        self._opened[key] = now_ms

    async def flush(self, *, everything: bool = False) -> None:
        """Write what was gathered for a minute, or (at the end) all of it; forget pages that are gone."""
        now_ms = self._wall_ms()
        self._opened = {key: at_ms for key, at_ms in self._opened.items() if 0 <= now_ms - at_ms < AGAIN_MS}
        for (person_id, which), view in list(self._views.items()):
            late = not 0 <= now_ms - view.written_ms < GATHER_MS
            if view.due and (late or everything):
                await self._write(person_id, which, view, now_ms)
            if not view.due and not 0 <= now_ms - view.asked_ms < FORGET_MS:
                self._views.pop((person_id, which), None)

    async def _write(self, person_id: str, which: List, view: _View, now_ms: int) -> None:
        ids, view.due, view.written_ms = sorted(view.due), set(), now_ms

        def act(connection: Connection) -> None:
            for at in range(0, len(ids), audit.SHOWN_MAX):
                audit.record_shown(connection, now_ms, person_id, which.value, ids[at : at + audit.SHOWN_MAX])

        try:
            await self._store.write(act)
        except (Exception, asyncio.CancelledError):
            view.due |= set(ids)
            view.written_ms = 0
            raise

"""Who is there: whoever has a page open, or asked something a moment ago. In the database, for all processes.

Being there is not using: a page that asks by itself is there all the same. Knows no HTTP and no rota.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import Connection, select

from .store.dialect import Row, put_many
from .store.engine import Store
from .store.schema_office import presence

logger = logging.getLogger("hub.presence")
KEPT_EVERY_S: Final = 10.0


class Presence:
    """What this process knows of who is there, on its way into the database."""

    def __init__(self, store: Store, wall_ms: Callable[[], int], with_page: Callable[[], Iterable[str]]) -> None:
        """``with_page``: who has a page open at this process."""
        self._store, self._wall_ms, self._with_page = store, wall_ms, with_page
        self._asked: dict[str, int] = {}

    def note(self, person_id: str) -> None:
        """Somebody's page asked something."""
        self._asked[person_id] = self._wall_ms()

    async def keep(self) -> None:
        """Write who was there since the last time."""
        asked, self._asked = self._asked, {}
        now_ms = self._wall_ms()
        seen = asked | dict.fromkeys(self._with_page(), now_ms)
        if not seen:
            return
        rows: list[Row] = [{"person_id": name, "seen_ms": at_ms} for name, at_ms in sorted(seen.items())]
        await self._store.write(lambda connection: put_many(connection, presence, rows, "seen_ms"))

    async def keep_on(self) -> None:
        """Write it every few seconds."""
        while True:
            try:
                await self.keep()
            except Exception:
                logger.exception("who is there could not be written")  # a database that went away comes back
            await asyncio.sleep(KEPT_EVERY_S)


def load_seen(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """When these people were there last, as far as it is known."""
    query = select(presence).where(presence.c.person_id.in_(sorted(names)))
    return {row.person_id: row.seen_ms for row in connection.execute(query)}

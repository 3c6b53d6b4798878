"""Sends what waits to the endpoint, one at a time, as long as this process leads. Journal first, then speak.

An endpoint that does not answer is asked ever more rarely, whatever waits; a document that fails lets the others go
first. What was begun when a process died is sent again: a PUT under the document's own id changes nothing there.
"""

import asyncio
import logging
from collections.abc import Callable

from edge.web.logs import say

from ..directory import Site
from ..store.engine import Store
from . import outbox
from .endpoint import TAKEN, Answer, Endpoint

logger = logging.getLogger("hub.exchange")
POLL_S = 5.0
BATCH = 20
PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0


class Exporter:
    """One endpoint's sender."""

    def __init__(
        self, store: Store, site_of: Callable[[str], Site], endpoint: Endpoint, wall_ms: Callable[[], int]
    ) -> None:
        self._store, self._site_of, self._endpoint, self._wall_ms = store, site_of, endpoint, wall_ms
        self._task: asyncio.Task[None] | None = None
        self._failed = 0
        """Tries in a row that the endpoint did not answer well."""
        self._said = ""

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="hub-exchange")

    async def stop(self) -> None:
        """Send no more; what is on its way is sent again by whoever leads next."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._endpoint.close()

    async def _run(self) -> None:
        while True:
            wait_s = PAUSE_S
            try:
                wait_s = await self.step()
            except Exception:
                logger.exception("the exchange failed")  # a database that went away comes back
            await asyncio.sleep(wait_s)

    async def step(self) -> float:
        """Look for new documents and send what is due; seconds until the next time."""
        seen = await self._store.read(
            lambda connection: outbox.look(connection, self._endpoint, self._site_of, self._wall_ms())
        )
        if seen is not None:
            await self._store.write(lambda connection: outbox.keep(connection, self._endpoint, seen, self._wall_ms()))
        waiting = await self._store.read(
            lambda connection: outbox.due(connection, self._endpoint, self._wall_ms(), BATCH)
        )
        for document_id, visit_id in waiting:
            answer = await self._send(document_id, visit_id)
            if answer.code and not answer.final:
                self._failed += 1
                return max(min(PAUSE_S * 2.0 ** min(self._failed - 1, 10), LONGEST_PAUSE_S), answer.wait_s)
            self._failed = 0
        more = len(waiting) == BATCH or (seen is not None and seen.more)
        return 0.0 if more else POLL_S

    async def _send(self, document_id: str, visit_id: str) -> Answer:
        due = await self._store.write(
            lambda connection: outbox.begin(
                connection, self._endpoint, self._site_of, document_id, visit_id, self._wall_ms()
            )
        )
        if due is None:
            return TAKEN
        answer = await self._endpoint.put(due.document_id, due.content)
        await self._store.write(
            lambda connection: outbox.finish(
                connection, self._endpoint, due, answer.code, answer.final, self._wall_ms()
            )
        )
        if answer.code != self._said:
            level = logging.WARNING if answer.code else logging.INFO
            say(logger, "fhir_not_taken" if answer.code else "fhir_taken", level, code=answer.code)
            self._said = answer.code
        return answer

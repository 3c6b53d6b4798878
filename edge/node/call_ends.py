"""What a call leaves in the record when it is over, also when the record could not be written at once.

Moves the visit along with its call. Knows no signals and no processes.
"""

import asyncio
import contextlib
import logging

from edge.model import events as ev
from edge.model.errors import NotFound
from edge.model.records import VisitState

from .clinic import Clinic

logger = logging.getLogger("edge.node.calls")

WRITE_AGAIN_S = 5.0
"""So long after the end of a call could not be recorded it is tried again."""


class _End:
    """The end of a call that the record does not hold yet."""

    def __init__(self, held: ev.CallHeld, then: VisitState) -> None:
        self.held = held
        self.then = then
        """Where the visit goes afterwards."""
        self.recorded = False


class CallEnds:
    """Ends of calls on their way into the record, in their order."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic
        self.write_again_s = WRITE_AGAIN_S
        self.left: list[_End] = []
        self._one_writer = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def add(self, held: ev.CallHeld, then: VisitState) -> None:
        """Record the end of a call and move its visit. What cannot be written now is tried again; never raises."""
        self.left.append(_End(held, then))
        await self._write()
        if self.left and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write_again())

    async def move(self, visit_id: str, state: VisitState) -> None:
        """Follow the call in the visit, where the visit has not gone further already. Raises NotFound."""
        visit = await self._clinic.visit(visit_id)
        into_call = state is VisitState.IN_CALL
        fits = visit.state in (VisitState.WAITING, VisitState.RX_PENDING, VisitState.TRIAGED, VisitState.DRAFT)
        if (into_call and fits) or (not into_call and visit.state is VisitState.IN_CALL):
            await self._clinic.record(ev.VisitMoved(visit.visit_id, state, "call"))

    async def close(self) -> None:
        """The node stops: try once more."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._write()

    async def _write(self) -> None:
        async with self._one_writer:
            while self.left:
                end = self.left[0]
                try:
                    if not end.recorded:
                        await self._clinic.record(end.held)
                        end.recorded = True
                    with contextlib.suppress(NotFound):
                        await self.move(end.held.visit_id, end.then)
                except Exception:
                    logger.exception("the end of a call could not be written; it is tried again")
                    return
                self.left.pop(0)

    async def _write_again(self) -> None:
        while self.left:
            await asyncio.sleep(self.write_again_s)
            await self._write()

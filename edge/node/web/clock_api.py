"""What time it is, by a person: asked only where the machine's clock is doubted (:mod:`edge.node.clock`)."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Call, Route


class SayTime(Struct, frozen=True, forbid_unknown_fields=True):
    """What time it is now."""

    time_ms: Annotated[int, Meta(ge=1_767_225_600_000, le=4_102_444_800_000)]
    """Unix ms, of 2026 to 2099."""


class TimeNow(Struct, frozen=True):
    """The node's time from now on."""

    time_ms: int


class ClockApi:
    """Handlers over one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def post_clock(self, call: Call[SayTime, None]) -> TimeNow:
        """Say what time it is, where the node's clock is doubted. The hub's word replaces it when it comes."""
        clock = self._clinic.clock
        clock.say(call.body.time_ms)
        await asyncio.to_thread(clock.keep)
        await self._clinic.accessed(call.subject, "clock_set", "")
        return TimeNow(clock.now().wall_ms)

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        return (Route("POST", "/api/clock", self.post_clock, SayTime, TimeNow, errors=(409, 423)),)

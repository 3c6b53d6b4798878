"""Opening a locked node by its hub: a person here asks, a person there acts, and the hub's secret opens its slot.

Knows neither HTTP nor sockets: the link carries what is asked and told.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from edge.model.errors import Refused
from edge.sync import frames as fr
from edge.sync.link import UnlockTold
from edge.web.logs import say

from .clinic import Clinic

logger = logging.getLogger("edge.node")

ASKS_FOR_S = 30 * 60.0
"""Nobody at the hub acted for so long: whoever still wants it asks again."""
AGAIN_S = 10.0


class Asked(StrEnum):
    """How it stands."""

    NO = "no"
    """Nobody asks."""
    SENT = "sent"
    """The hub has not answered yet."""
    WAITING = "waiting"
    """The hub has it; a person there has to act."""
    REFUSED = "refused"
    OPENED = "opened"
    FAILED = "failed"
    """Released, and it opens nothing: the slot is missing or of another time."""


class HubAsking(Struct, frozen=True):
    """What the locked page shows."""

    state: Asked
    since_s: int
    possible: bool
    """Whether this node has a slot that the hub opens."""
    online: bool


class HubOpening:
    """One node's request."""

    def __init__(self, clinic: Clinic, begin: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """``begin`` asks the hub with a request's name until ``end``."""
        self._clinic, self._begin, self._end = clinic, begin, end
        self._state = Asked.NO
        self._since_s = 0.0
        self._request = b""

    async def now(self) -> HubAsking:
        """How it stands."""
        self._expire()
        since_s = int(time.monotonic() - self._since_s) if self._state is not Asked.NO else 0
        online = self._clinic.link_now is not None and self._clinic.link_now().online
        return HubAsking(self._state, since_s, await asyncio.to_thread(self._clinic.has_hub_slot), online)

    def _expire(self) -> None:
        asks = self._state in (Asked.SENT, Asked.WAITING)
        if asks and time.monotonic() - self._since_s > ASKS_FOR_S:
            self.stop()

    async def ask(self) -> HubAsking:
        """Ask the hub from now on. Raises Refused (``not_locked``, ``hub_slot_missing``, ``asked_just_now``)."""
        now_s = time.monotonic()
        if not self._clinic.locked:
            raise Refused("The box is open.", code="not_locked")
        if not await asyncio.to_thread(self._clinic.has_hub_slot):
            raise Refused("The hub has no key to this box. Use a badge.", code="hub_slot_missing")
        if self._state in (Asked.SENT, Asked.WAITING):
            return await self.now()
        if self._state is not Asked.NO and now_s - self._since_s < AGAIN_S:
            raise Refused("The hub was asked a moment ago. Wait ten seconds.", code="asked_just_now")
        self._state, self._since_s = Asked.SENT, now_s
        self._request = secrets.token_bytes(fr.REQUEST_BYTES)
        self._begin(self._request)
        say(logger, "hub_asked_to_unlock")
        return await self.now()

    def stop(self) -> None:
        """Ask no more."""
        self._end()
        self._state, self._request = Asked.NO, b""

    async def heard(self, told: UnlockTold) -> None:
        """The hub's word."""
        if told.request != self._request or self._state not in (Asked.SENT, Asked.WAITING):
            return
        if told.state == fr.UNLOCK_RELEASED:
            self._end()
            self._state = Asked.FAILED  # also when the opening ends in an error, of a full disk say
            opened = await self._clinic.unlock_by_hub(told.secret)
            self._state = Asked.OPENED if opened else Asked.FAILED
            say(logger, "hub_unlocked" if opened else "hub_slot_failed")
        elif told.state == fr.UNLOCK_REFUSED:
            self._end()
            self._state = Asked.REFUSED
            say(logger, "hub_refused_to_unlock")
        else:
            self._state = Asked.WAITING

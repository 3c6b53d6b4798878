"""Updates that a stick offers this node: which one is wanted, and its copy into ``updates/``."""

import time
from typing import Final

from edge.sync import courier
from edge.sync.bearers.usb import Stick
from edge.sync.bearers.usb_payload import Progress, open_payload
from edge.sync.bearers.usb_visit import Tell

from .courier import NodeDesk
from .spool import Spool

OFFERS_MAX: Final = 32
"""Offers of one stick that are looked at."""
TELL_EVERY: Final = 32
"""Blocks of 1 MiB."""


class Updates:
    """The offers of one visit."""

    def __init__(self, stick: Stick, desk: NodeDesk, spool: Spool, tell: Tell) -> None:
        self._stick = stick
        self._desk = desk
        self._spool = spool
        self._tell = tell
        self._offers: dict[bytes, courier.UpdateFile] = {}

    def note(self, offer: courier.UpdateFile) -> None:
        """An offer of our hub, by its own word: the same one many times is one, and there is an end to them."""
        if len(self._offers) < OFFERS_MAX:
            self._offers[offer.signature] = offer

    async def take(self, taken: list[str], refused: dict[str, int]) -> None:
        """Copy what is wanted, the newest offers first; fills in ``taken`` and ``refused``. Raises StickRefused."""
        for offer in sorted(self._offers.values(), key=lambda one: -one.number):
            try:
                said = await self._take(offer)
            except courier.CourierRefused as error:
                refused[error.refusal.code] = refused.get(error.refusal.code, 0) + 1
                continue
            if said:
                taken.append(said)

    async def _take(self, offer: courier.UpdateFile) -> str:
        found = self._spool.look(offer)
        if found is None:
            return ""
        count = found.block_count
        self._tell(f"Copying the update {found.name} {found.version}: {count} MB.")
        with open_payload(self._stick, found) as block:
            if block is None:
                raise courier.CourierRefused("the update itself is not on the stick", code="update_missing")
            made = self._spool.copy(offer, found, block, time.time_ns() // 1_000_000, self._progress(count))
        await self._desk.update_taken(made.name, made.version)
        self._tell(f"The update {made.name} {made.version} lies here, whole.")
        return f"{made.name} {made.version}"

    def _progress(self, count: int) -> Progress:
        def told(done: int) -> None:
            if done % TELL_EVERY == 0:
                self._tell(f"{done} of {count} MB copied.")

        return told

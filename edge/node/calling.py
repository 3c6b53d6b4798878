"""Whose turn it is: the next token is called from a tablet, by the panel's button, or by a call that a doctor begins.

Keeps who was called today, so that a restart calls nobody twice; tells tablets, the panel's display and the public
board. The board hears token numbers and nothing else. Knows no HTTP and no serial line.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model.clock import day_of
from edge.model.fold import Visit
from edge.model.queue import Waiting, order, waits
from edge.model.records import Colour, VisitState
from edge.web.logs import say

from .clinic import Clinic
from .config import write_private
from .here import QUEUE_DAYS_MS
from .live import Called, Push, QueueChanged, VisitChanged

logger = logging.getLogger("edge.node")

CALLED_FILE = "called.json"
SHOWN = 4
"""So many called tokens the board shows, the latest large."""
NEXT_SHOWN = 12
"""So many of those who wait."""
ORDER_S = 30.0
"""So long the board keeps an order that nothing has changed: waiting itself changes it, an hour at a time."""
Press = tuple[int, int]
"""Number and up-time of a press of the panel's button."""


class CallOfToken(Struct, frozen=True):
    """A token that was called today."""

    visit_id: str
    token: str
    serial: int
    at_ms: int
    times: int
    red: bool = False


class Memory(Struct, frozen=True):
    """``called.json``: who was called today, the present one last, and the last press that was carried out."""

    day: int = 0
    called: tuple[CallOfToken, ...] = ()
    press: Press = (0, 0)
    """A repetition after our own restart is known by it."""


class BoardCall(Struct, frozen=True):
    """A token as the public board shows and says it."""

    token: str
    digits: str
    """What the voice says of it: the day's number."""
    at_ms: int
    times: int
    """How often it was called; the board says it again when this grows."""


class BoardNow(Struct, frozen=True):
    """Everything that the public board gets to know."""

    site_name: str
    demo: bool
    training: bool
    """A node for practice."""
    locked: bool
    """True: the node is locked or starts, and shows no number."""
    time_ms: int
    called: tuple[BoardCall, ...] = ()
    """Latest first."""
    waiting: tuple[str, ...] = ()
    """Tokens in the order in which they will be called."""
    more: int = 0
    """How many wait behind those."""


class Calling:
    """Calls tokens for one clinic."""

    def __init__(self, clinic: Clinic, folder: Path) -> None:
        self._clinic = clinic
        self._file = folder / CALLED_FILE
        self._memory = Memory()
        self._one = asyncio.Lock()
        self._waiting: tuple[str, ...] | None = None
        self._stale_s = 0.0
        self.on_called: list[Callable[[CallOfToken], None]] = []
        """Told of each call, also of one that is said once more."""

    async def start(self) -> None:
        """Read who was called before, and follow what happens in the clinic."""
        self._memory = await asyncio.to_thread(self._load)
        self._clinic.tablets.listeners.append(self._pushed)

    @property
    def present(self) -> CallOfToken | None:
        """Who was called last today."""
        called = self._today().called
        return called[-1] if called else None

    def carried_out(self, press: Press) -> bool:
        """Whether this press of the button has had its effect already."""
        return press == self._memory.press

    async def next(self, press: Press = (0, 0)) -> CallOfToken | None:
        """Call the first in the queue who was not called today; None when nobody is left. Raises Locked."""
        async with self._one:
            memory = self._today()
            called = {one.visit_id for one in memory.called}
            found = next((one for one in await self._queue() if one.visit_id not in called), None)
            return await self._call(found, memory, press)

    async def again(self, press: Press = (0, 0)) -> CallOfToken | None:
        """Say the last call once more; None when nobody was called today. Raises Locked."""
        async with self._one:
            memory = self._today()
            visit = await self._clinic.visit(memory.called[-1].visit_id) if memory.called else None
            return await self._call(visit, memory, press)

    async def call(self, visit_id: str) -> CallOfToken | None:
        """Call this visit, first or once more; None for one that stands in no queue. Raises Locked, NotFound."""
        async with self._one:
            visit = await self._clinic.visit(visit_id)
            callable_ = waits(visit) or visit.state is VisitState.IN_CALL
            return await self._call(visit if callable_ else None, self._today(), (0, 0))

    async def board(self) -> BoardNow:
        """What the public board shows. Works while the node is locked, and shows no number then."""
        clinic = self._clinic
        config, now_ms = clinic.config, clinic.clock.now().wall_ms
        if clinic.locked:
            return BoardNow(config.site.name, config.demo, config.training, True, now_ms)
        memory, loop_s = self._today(), asyncio.get_running_loop().time()
        if self._waiting is None or loop_s >= self._stale_s:
            today = day_of(now_ms)
            calm = [one for one in await self._queue() if one.colour is not Colour.RED]
            self._waiting = tuple(one.token for one in calm if one.token and one.token_day == today)
            self._stale_s = loop_s + ORDER_S
        called = {one.token for one in memory.called}
        waiting = [one for one in self._waiting if one not in called]
        shown = [one for one in reversed(memory.called) if one.token][:SHOWN]
        return BoardNow(
            config.site.name,
            config.demo,
            config.training,
            False,
            now_ms,
            tuple(BoardCall(one.token, f"{one.serial:03d}", one.at_ms, one.times) for one in shown),
            tuple(waiting[:NEXT_SHOWN]),
            max(0, len(waiting) - NEXT_SHOWN),
        )

    # -- inside -------------------------------------------------------------------------------------

    async def _queue(self) -> list[Visit]:
        now_ms = self._clinic.clock.now().wall_ms

        here = await self._clinic.store.here(now_ms)
        lately = [Waiting(one.visit, one.patient) for one in here if one.visit.opened_ms >= now_ms - QUEUE_DAYS_MS]
        return [one.visit for one in order(lately, now_ms)]

    async def _call(self, visit: Visit | None, memory: Memory, press: Press) -> CallOfToken | None:
        press = press if press != (0, 0) else memory.press
        if visit is None:
            if press != memory.press:
                await self._keep(msgspec.structs.replace(memory, press=press))
            return None
        now_ms = self._clinic.clock.now().wall_ms
        before = next((one for one in memory.called if one.visit_id == visit.visit_id), None)
        times = before.times + 1 if before else 1
        red = visit.colour is Colour.RED
        call = CallOfToken(visit.visit_id, visit.token, visit.token_serial, now_ms, times, red)
        called = (*(one for one in memory.called if one.visit_id != visit.visit_id), call)
        await self._keep(Memory(memory.day, called, press))
        for listener in self.on_called:
            listener(call)
        self._clinic.tablets.push(Called(visit.visit_id, visit.token, times > 1))
        return call

    def _pushed(self, message: Push) -> None:
        if isinstance(message, QueueChanged | VisitChanged):
            self._waiting = None
        if isinstance(message, VisitChanged):
            self._clinic.later(self._follow(message.visit_id))

    async def _follow(self, visit_id: str) -> None:
        """A visit that goes into its call without having been called is shown all the same."""
        here = await self._clinic.store.here(self._clinic.clock.now().wall_ms)
        if not any(one.visit.visit_id == visit_id and one.visit.state is VisitState.IN_CALL for one in here):
            return  # at almost every change, and whoever calls a token is not to wait for it
        async with self._one:
            memory = self._today()
            if any(one.visit_id == visit_id for one in memory.called):
                return
            visit = await self._clinic.visit(visit_id)
            if visit.state is VisitState.IN_CALL:
                await self._call(visit, memory, (0, 0))

    def _today(self) -> Memory:
        today = day_of(self._clinic.clock.now().wall_ms)
        return self._memory if self._memory.day == today else Memory(today, (), self._memory.press)

    def _load(self) -> Memory:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Memory)
        except FileNotFoundError:
            return Memory()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            say(logger, "called_unreadable", logging.WARNING)
            return Memory()

    async def _keep(self, memory: Memory) -> None:
        await asyncio.to_thread(write_private, self._file, msgspec.json.encode(memory))
        self._memory = memory

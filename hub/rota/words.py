"""What centres are told of the wait of each patient: once when there is something to say, again when it has changed.

Each word is an entry in a node's log, so it costs a commit. When many are due at once (the hours begin, or end;
a day's peak), they go out slowly: whoever is asked for patients meanwhile, and what arrives, must not wait for them.
Knows no doctor's page.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sqlalchemy import Connection

from edge.model import events as ev
from edge.model.fold import Expected as Said

from .. import down, views
from ..desk import Desk
from . import gone
from . import store as kept
from .core import Rota, Wanting, Why
from .hours import Hours
from .seen import differs
from .waits import Expected, Told, Waits

AT_ONCE: Final = 2_000
"""Of those who were told something, so many are looked at in one look; all in turn. Who was told nothing is always."""
PAUSE_AFTER: Final = 200
"""After so many the loop may do something else."""
MOST_S: Final = 1.0
"""No longer than this one look tells; the rest is told by the next."""
REST: Final = 3
"""After a word so many times as long is left to others: what arrives is written by the same writer, and its node waits
for the acknowledgement. The busier the writer, the longer a word takes, and the rarer they become."""


class Writing(Protocol):
    """How the rota writes: as the process that leads, or not at all."""

    def __call__(self, work: Callable[[Connection], down.DownBlob | None], /) -> Awaitable[down.DownBlob | None]: ...


class Words:
    """What was said, and what is to be said."""

    def __init__(self, desk: Desk, rota: Rota, write: Writing, monotonic_s: Callable[[], float]) -> None:
        self._desk, self._rota, self._write, self._monotonic_s = desk, rota, write, monotonic_s
        self.waits = Waits()
        self._told: dict[str, tuple[Said, Expected | None, int]] = {}
        """Visit → what was said last, the first range, and when that was."""
        self._turn = 0

    def shift(self, by_ms: int) -> None:
        """The clock was set."""
        self._told = {name: (said, first, at_ms + by_ms) for name, (said, first, at_ms) in self._told.items()}

    def forget(self, visit_id: str) -> None:
        """It waits no more, and nobody took it."""
        self._told.pop(visit_id, None)

    def taken(self, visit_id: str, now_ms: int) -> None:
        """A doctor has taken the visit: what it was told first was true, or was not."""
        _, first, told_ms = self._told.pop(visit_id, (None, None, 0))
        if first is not None:
            self.waits.learn(Told(first, (now_ms - told_ms) / 1000))

    async def tell(self, hours: Hours, now_ms: int) -> None:
        """Say what is due, the first in the queue before the last."""
        began_s = self._monotonic_s()
        opens: dict[str, int] = {}
        chances: dict[tuple[str, str], tuple[int, int]] = {}
        self._turn += 1
        parts = -(-len(self._told) // AT_ONCE) or 1
        for number, (one, ahead) in enumerate(self._rota.with_ahead()):
            if number % PAUSE_AFTER == PAUSE_AFTER - 1:
                await asyncio.sleep(0)
            if one.visit_id in self._told and (number + self._turn) % parts:
                continue
            if self._rota.wanting(one.visit_id) is None:
                continue  # taken while the others were told
            said: Said | None
            expected: Expected | None
            if self._rota.unclaimed.get(one.visit_id) is Why.CLOSED:
                if one.district not in opens:
                    opens[one.district] = hours.opens_ms(now_ms, one.district)
                said, expected = Said("closed", 0, 0, opens[one.district], now_ms), None
            else:
                needs = (one.district, one.speciality)
                if needs not in chances:
                    chances[needs] = self._rota.sitting(one)
                said, expected = self._word(one, ahead, *chances[needs], now_ms)
            before = self._told.get(one.visit_id)
            if said is not None and self._is_due(one, said, expected, now_ms):
                word_s = self._monotonic_s()
                try:
                    await self._say(one, said, expected, now_ms)
                except BaseException:
                    self._unsay(one.visit_id, before)
                    raise
                now_s = self._monotonic_s()
                if now_s - began_s >= MOST_S:
                    return
                await asyncio.sleep(REST * (now_s - word_s))

    def _word(self, one: Wanting, ahead: int, sits: int, free: int, now_ms: int) -> tuple[Said | None, Expected | None]:
        """What is to be said about a wait within the hours; None while it is too early to say anything."""
        expected = self.waits.expect(ahead, sits, free)
        if expected is not None:
            return Said("waiting", *expected.range_min, 0, now_ms), expected
        nobody = self._rota.unclaimed.get(one.visit_id) in (Why.NOBODY, Why.SPECIALITY, Why.RED)
        return (Said("nobody", 0, 0, 0, now_ms) if nobody else None), None

    def _is_due(self, one: Wanting, said: Said, expected: Expected | None, now_ms: int) -> bool:
        """Whether this is to be said; from then on it counts as said."""
        before, first, first_ms = self._told.get(one.visit_id, (None, None, 0))
        visit = self._desk.opened.visit(one.visit_id)
        if before is None and visit is not None and (known := visit.expected) is not None:
            before, first, first_ms = known, None, known.at_ms  # an earlier process told that
        due = before is None or differs(before, said)
        self._told[one.visit_id] = (
            said if due or before is None else before,
            first or expected,
            first_ms if first else now_ms,
        )
        return due

    def _unsay(self, visit_id: str, before: tuple[Said, Expected | None, int] | None) -> None:
        """It was not written: the next look tries again."""
        self._told.pop(visit_id, None)
        if before is not None:
            self._told[visit_id] = before

    async def _say(self, one: Wanting, said: Said, expected: Expected | None, now_ms: int) -> None:
        def act(connection: Connection) -> down.DownBlob | None:
            kept.note_told(connection, one, expected, now_ms)
            owned = views.load_visit(connection, one.visit_id)
            if owned is None or not gone.stands(owned.visit):
                return None
            event = ev.VisitExpected(one.visit_id, said.state, said.low_min, said.high_min, said.opens_ms)
            return down.speak(connection, self._desk.speaker, owned.node_id, (event,), "", now_ms)

        blob = await self._write(act)
        self._desk.tell(one.visit_id, blob)

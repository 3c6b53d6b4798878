"""What a word of another process would have told, when it was lost: looked for in the database every few seconds.

Also ends rings of which no side says any more that they are over. Knows no HTTP and no link.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select

from edge.media.call import Limits, Phase

from .desk import Desk
from .live import Live
from .live_sides import LiveCall, ThirdChanged, to_text
from .store.schema import calls
from .third_rows import running

LOOK_S: Final = 3.0
LATE_S: Final = 15.0
"""A ring reaches its node so late, at most, and its node's word the hub."""
RING_MOST_S: Final = Limits().ring_s + LATE_S
"""A ring that is older is heard by nobody any more: its node would have ended it."""


class Again:
    """What one process looks at again."""

    def __init__(self, desk: Desk, live: Live, *, alone: bool) -> None:
        """``alone``: there is no other process whose word could be lost."""
        self._desk, self._live, self._alone = desk, live, alone
        self._thirds: dict[str, tuple[str, str, str]] = {}
        """Who is asked into which call, as the pages here know it."""

    async def look(self) -> None:
        """One look: whose call has ended or was taken elsewhere, what rings for nobody, who is asked."""
        for call_id in await self._desk.store.read(self._further):
            await self._live.call_changed(call_id)
        await self._give_up()
        if not self._alone and (self._thirds or self._live.doctors_here()):
            await self._look_at_thirds()

    async def _give_up(self) -> None:
        """End what rings for nobody. That another process has rung anew may stand in the database only."""
        rung_ms = self._desk.wall_ms() - int(RING_MOST_S * 1000)
        old = [call for call in self._live.running() if call.phase is Phase.RINGING and call.started_ms < rung_ms]
        if not old:
            return
        for call_id, started_ms in await self._desk.store.read(lambda connection: _rung(connection, old)):
            if started_ms < rung_ms:
                present = next((call for call in self._live.running() if call.call_id == call_id), None)
                if present is not None and present.phase is Phase.RINGING:
                    await self._live.give_up(present)
            else:
                await self._live.call_changed(call_id)

    def _further(self, connection: Connection) -> list[str]:
        """Calls that have come further in the database than here."""
        known = dict.fromkeys(self._live.at_home(), Phase.CONNECTING)  # only their ends matter to patients' pages
        known |= {call.call_id: call.phase for call in self._live.running()}
        if not known:
            return []
        query = select(calls.c.call_id, calls.c.phase).where(calls.c.call_id.in_(known))
        return [call_id for call_id, phase in connection.execute(query) if _is_further(phase, known[call_id])]

    async def _look_at_thirds(self) -> None:
        found = await self._desk.store.read(running)
        before, self._thirds = self._thirds, {one.third_id: (one.doctor_id, one.asked_id, one.phase) for one in found}
        changed = before.items() ^ self._thirds.items()
        for person_id in {person for _, (*people, _) in changed for person in people}:
            self._live.tell_person_here(person_id, to_text(ThirdChanged()))


def _rung(connection: Connection, among: Sequence[LiveCall]) -> list[tuple[str, int]]:
    """Of these, what rings by the database, and when it was rung last."""
    names = [call.call_id for call in among]
    query = select(calls.c.call_id, calls.c.started_ms)
    rows = connection.execute(query.where(calls.c.call_id.in_(names), calls.c.phase == Phase.RINGING.value))
    return [(row.call_id, row.started_ms) for row in rows]


def _is_further(written: str, known: Phase) -> bool:
    """Whether a call has ended, or was taken, and is not known to be."""
    return written == Phase.ENDED or (known is Phase.RINGING and written != Phase.RINGING)

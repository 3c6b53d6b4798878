"""Doctors who took a patient, or said that they are ready, and are not there any more: for how long, and what of it.

A visit that only waits goes back to its place in the queue; one in the middle of something waits for the coordinator,
but a RED one for nobody. What the doctor wrote stays hers. Knows no page and no clock.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from edge.model import events as ev
from edge.model import queue
from edge.model.fold import Visit
from edge.model.records import Colour, VisitState

from .. import audit, down, views
from ..presence import load_seen
from ..store.dialect import put_row
from ..store.engine import Store
from ..store.schema import notes, rx_drafts
from ..store.schema_office import rota_left
from . import store as kept

READ_EVERY_MS: Final = 4_000
PAUSE_MS: Final = 30_000
"""After so long without a look the hub or its database stood still: nobody could be seen, so nobody was away."""
TOGETHER, TOGETHER_MS, UNSEEN_MS = 3, 30_000, 25_000
"""When nobody at all is there any more, and so many were lost within so long of each other, it is the way to them that
is gone (a proxy, the hub's own line), not they."""
TOGETHER_MOST_MS: Final = 15 * 60_000
"""Longer than this it is not believed: the day may be over."""
LEFT_KEPT_MS: Final = 24 * 3_600_000
BEGUN: Final = (VisitState.IN_CALL, VisitState.RX_PENDING)


class Left(Struct, frozen=True):
    """A visit that went on without the doctor who had taken it."""

    visit_id: str
    token: str
    colour: str
    at_ms: int
    to_name: str
    """Who has it now; "" for nobody."""


def stands(visit: Visit) -> bool:
    """Whether a doctor is to be asked for a visit: it waits, or its doctor left it in the middle; nobody has it."""
    return not visit.doctor_name and (queue.waits(visit) or visit.state in BEGUN)


class Sight:
    """When each of some people was there last. Times are the caller's, Unix ms."""

    def __init__(self, store: Store, has_page: Callable[[str], bool]) -> None:
        self._store, self._has_page = store, has_page
        self._seen: dict[str, int] = {}
        self._words: dict[str, int] = {}
        """What the database said of each last: by whose clock, nobody knows."""
        self._cut_off = False
        self._looked_ms = self._read_ms = 0

    async def look(self, names: Iterable[str], now_ms: int) -> None:
        """Look after these people and forget all others. Who was not looked after before counts as there now."""
        paused = not 0 <= now_ms - self._looked_ms <= PAUSE_MS
        known = {} if paused else self._seen
        self._looked_ms = now_ms
        self._seen = {name: known.get(name, now_ms) for name in names}
        without = []
        for name in self._seen:
            if self._has_page(name):
                self._seen[name] = now_ms
            else:
                without.append(name)
        if without and not 0 <= now_ms - self._read_ms < READ_EVERY_MS:
            self._read_ms = now_ms
            await self._read(without, now_ms)
        self._look_whether_cut_off(now_ms)

    async def _read(self, names: list[str], now_ms: int) -> None:
        """Another process may see them. Its word is new when it has changed: its clock may be minutes off ours."""
        words = await self._store.read(lambda connection: load_seen(connection, names))
        for name, word in words.items():
            if name in self._seen and self._words.get(name, word) != word:
                self._seen[name] = now_ms
        self._words = {name: word for name, word in (self._words | words).items() if name in self._seen}

    def _look_whether_cut_off(self, now_ms: int) -> None:
        last_ms = max(self._seen.values(), default=now_ms)
        lost = sum(last_ms - seen_ms <= TOGETHER_MS for seen_ms in self._seen.values())
        unseen_ms = now_ms - last_ms
        was, self._cut_off = self._cut_off, UNSEEN_MS <= unseen_ms <= TOGETHER_MOST_MS and lost >= TOGETHER
        if was and not self._cut_off and unseen_ms < UNSEEN_MS:  # the way is there again: they have time to come back
            self._seen = dict.fromkeys(self._seen, now_ms)

    def shift(self, by_ms: int) -> None:
        """The clock was set: nobody has been away for longer because of it."""
        self._seen = {name: at_ms + by_ms for name, at_ms in self._seen.items()}
        self._looked_ms += by_ms
        self._read_ms = 0

    def away_s(self, name: str, now_ms: int) -> float:
        """For how long somebody who is looked after has not been there; nobody is away while nobody can be seen."""
        return 0.0 if self._cut_off else max(0, now_ms - self._seen.get(name, now_ms)) / 1000


def is_begun(connection: Connection, visit: Visit) -> bool:
    """Whether the doctor of a visit is in the middle: a call was held, or something is written."""
    mine = (visit.visit_id, visit.doctor_id)
    note = select(notes.c.text).where(notes.c.visit_id == mine[0], notes.c.doctor_id == mine[1])
    sheet = select(rx_drafts.c.saved_ms).where(rx_drafts.c.visit_id == mine[0], rx_drafts.c.doctor_id == mine[1])
    written = connection.execute(note).scalar() or connection.execute(sheet).scalar() is not None
    return bool(written) or not queue.waits(visit)


def release(
    connection: Connection, speaker: down.Speaker, visit_id: str, gone_id: str, now_ms: int
) -> down.DownBlob | None:
    """Give a visit that this doctor took back to the queue; None when she is in the middle, or has it no more."""
    owned = views.load_visit(connection, visit_id)
    if owned is None or owned.visit.doctor_id != gone_id or not owned.visit.doctor_name:
        return None
    if owned.visit.colour is not Colour.RED and is_begun(connection, owned.visit):
        return None
    audit.record(connection, now_ms, "", "visit_released", visit_id, gone_id)
    kept.note_freed(connection, visit_id)
    note_left(connection, visit_id, gone_id, "", now_ms)
    return down.speak(connection, speaker, owned.node_id, (ev.VisitAssigned(visit_id, "", ""),), gone_id, now_ms)


def note_left(connection: Connection, visit_id: str, gone_id: str, to_id: str, now_ms: int) -> None:
    """A visit went on without its doctor: she is told when she comes back."""
    connection.execute(delete(rota_left).where(rota_left.c.at_ms < now_ms - LEFT_KEPT_MS))
    put_row(connection, rota_left, {"visit_id": visit_id, "doctor_id": gone_id, "to_id": to_id, "at_ms": now_ms})


def forget_left(connection: Connection, visit_id: str, doctor_id: str) -> None:
    """She knows of it, or has the visit again."""
    mine = (rota_left.c.visit_id == visit_id, rota_left.c.doctor_id == doctor_id)
    connection.execute(delete(rota_left).where(*mine))


def load_left(connection: Connection, since_ms: int) -> dict[str, tuple[Left, ...]]:
    """Doctor → what went on without her since then, and who has it now."""
    query = select(rota_left).where(rota_left.c.at_ms >= since_ms).order_by(rota_left.c.at_ms)
    found: dict[str, tuple[Left, ...]] = {}
    for row in connection.execute(query).all():
        owned = views.load_visit(connection, row.visit_id)
        if owned is not None:
            visit = owned.visit
            left = Left(visit.visit_id, visit.token, visit.colour.value, row.at_ms, visit.doctor_name)
            found[row.doctor_id] = (*found.get(row.doctor_id, ()), left)
    return found

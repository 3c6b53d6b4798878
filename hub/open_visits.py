"""The visits that are not closed, in memory, for the queue and the rota: after a change only what changed is read.

A day leaves tens of thousands of them at a state's hub. To read all after each change held up the acknowledgements of
what arrived meanwhile (docs/decisions/0058). Whoever changes a visit says which; what nobody said (another process
whose word was lost, a command) is found by going through the table in slices. Knows no clock and no page.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, select

from edge.model.fold import Patient, Visit

from . import views
from .store.engine import Store
from .store.schema import patients, visits

SLICE: Final = 500
"""Visits that are read at once. As long as no more are open, all are read each time, whoever said what."""

_ROWS = select(
    visits.c.visit_id,
    visits.c.open,
    visits.c.node_id,
    visits.c.arrived_ms,
    visits.c.view,
    patients.c.view.label("patient_view"),
).select_from(visits.outerjoin(patients, patients.c.patient_id == visits.c.patient_id))


class Line(Struct, frozen=True):
    """An open visit with what queue and rota need to know of it."""

    owned: views.Owned
    patient: Patient | None
    """None while the registration has not arrived."""
    same_doctor: str
    """Whoever has the visit that this one follows up; "" for none, or while that one has not arrived."""


class _Known(Struct, frozen=True):
    """A line, and the bytes that it was read from."""

    raw: bytes
    raw_patient: bytes
    arrived_ms: int
    line: Line


class OpenVisits:
    """What this process knows of the visits that are not closed."""

    def __init__(self, store: Store, at_once: int = SLICE) -> None:
        self._store, self._at_once = store, at_once
        self._known: dict[str, _Known] = {}
        self._due: set[str] = set()
        self._begun = False
        """Whether somebody has asked; until then nothing is kept."""
        self._whole = False
        """Whether all were read once."""
        self._after = ""
        """So far the present round through the table has come."""
        self._met: set[str] = set()
        """What was read in this round."""
        self._one = asyncio.Lock()
        self.on_change: Callable[[str], None] = lambda visit_id: None
        """Hears of each visit that became another, was opened or closed."""

    def ids(self) -> Iterable[str]:
        return self._known.keys()

    def get(self, visit_id: str) -> Line | None:
        """An open visit as it was read last; None for one that is closed or was never heard of."""
        known = self._known.get(visit_id)
        return None if known is None else known.line

    def visit(self, visit_id: str) -> Visit | None:
        """The same without what belongs to it."""
        known = self._known.get(visit_id)
        return None if known is None else known.line.owned.visit

    def lines(self) -> list[Line]:
        """All, in no order."""
        return [known.line for known in self._known.values()]

    def changed(self, visit_ids: Iterable[str]) -> None:
        """These were changed, and are read before the next look."""
        if self._begun:
            self._due.update(visit_ids)

    async def read(self) -> None:
        """Bring up to date what is said to have changed; all of it the first time, and while there are few."""
        async with self._one:
            self._begun = True
            await self._read_due()
            if not self._whole or len(self._known) <= self._at_once:
                await self._read_round()

    async def read_all(self) -> None:
        """Believe nothing that was read before this."""
        async with self._one:
            self._begun = True
            await self._read_round()

    async def sweep(self) -> None:
        """A step on through the table, to find what nobody told; if somebody has asked at all."""
        async with self._one:
            if self._whole:
                await self._read_due()
                await self._read_slice()

    async def _read_round(self) -> None:
        self._after = ""
        self._met.clear()
        while await self._read_slice():
            pass
        await self._read_due()
        self._whole = True

    async def _read_slice(self) -> bool:
        """The next visits of the round; whether it goes on. What was not met in it is looked at by itself."""
        query = (
            _ROWS.where(visits.c.open, visits.c.visit_id > self._after).order_by(visits.c.visit_id).limit(self._at_once)
        )
        rows = await self._take(query)
        if len(rows) == self._at_once:
            self._after = rows[-1].visit_id
            return True
        self._due |= self._known.keys() - self._met
        self._after = ""
        self._met.clear()
        return False

    async def _read_due(self) -> None:
        while self._due:
            chunk = [self._due.pop() for _ in range(min(self._at_once, len(self._due)))]
            try:
                rows = await self._take(_ROWS.where(visits.c.visit_id.in_(sorted(chunk))))
            except BaseException:
                self._due.update(chunk)
                raise
            for visit_id in set(chunk) - {row.visit_id for row in rows if row.open}:
                if self._known.pop(visit_id, None) is not None:
                    self.on_change(visit_id)

    async def _take(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Read these and keep those that are open; what stands here already costs a comparison of bytes."""

        def load(connection: Connection) -> tuple[Sequence[Row[Any]], dict[str, _Known]]:
            rows = connection.execute(query).all()
            return rows, self._fresh(connection, [row for row in rows if row.open])

        rows, fresh = await self._store.read(load)
        self._met.update(row.visit_id for row in rows)
        self._known.update(fresh)
        for visit_id in fresh:
            self.on_change(visit_id)
        return rows

    def _fresh(self, connection: Connection, rows: list[Row[Any]]) -> dict[str, _Known]:
        """What has become another. On a reader's thread: whoever changes what is known waits meanwhile."""
        found: list[tuple[str, _Known]] = []
        for row in rows:
            known = self._known.get(row.visit_id)
            if known is None or (known.raw, known.raw_patient, known.arrived_ms) != (
                row.view,
                row.patient_view or b"",
                row.arrived_ms,
            ):
                known = _known_of(row, known)
            elif not _lacks_doctor(known.line):
                continue
            found.append((row.visit_id, known))
        earlier = {known.line.owned.visit.follow_up_of for _, known in found} - {""}
        if earlier:
            seen = select(visits.c.visit_id, visits.c.doctor_id).where(visits.c.visit_id.in_(sorted(earlier)))
            doctors = {row.visit_id: str(row.doctor_id) for row in connection.execute(seen)}
            found = [(visit_id, _with_doctor(known, doctors)) for visit_id, known in found]
        return {visit_id: known for visit_id, known in found if known != self._known.get(visit_id)}


def _known_of(row: Row[Any], before: _Known | None) -> _Known:
    raw, raw_patient = bytes(row.view), bytes(row.patient_view or b"")
    if before is not None and before.raw_patient == raw_patient:
        patient = before.line.patient
    else:
        patient = views.patient_in(raw_patient) if raw_patient else None
    owned = views.Owned(views.visit_in(raw), row.node_id, row.arrived_ms)
    return _Known(raw, raw_patient, row.arrived_ms, Line(owned, patient, ""))


def _lacks_doctor(line: Line) -> bool:
    return bool(line.owned.visit.follow_up_of) and not line.same_doctor


def _with_doctor(known: _Known, doctors: dict[str, str]) -> _Known:
    line = known.line
    doctor_id = doctors.get(line.owned.visit.follow_up_of, "")
    if doctor_id == line.same_doctor:
        return known
    return _Known(known.raw, known.raw_patient, known.arrived_ms, Line(line.owned, line.patient, doctor_id))

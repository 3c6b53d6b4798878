"""Everybody who is here: the visits of the queue's page with their patients, kept from one asking to the next.

Each change is heard by all tablets, and whoever shows the queue loads it: forty visits, of which one has changed. Only
that one is read again. Works on the reader's thread; knows no HTTP.
"""

from collections.abc import Iterable

import msgspec

from edge.model.age import age_text
from edge.model.clock import day_of
from edge.model.fold import Patient, Visit
from edge.model.progress import Carried, Line, visit_line
from edge.model.queue import Waiting, line_of, order, places_of, since_ms, stays
from edge.model.records import OPEN_STATES, Colour, VisitState

from .touched import Touched
from .views import Views
from .web.schema import Queue, QueueItem

QUEUE_DAYS_MS = 36 * 3600 * 1000
"""Older visits have no place in the order: their patients do not sit in the room. What is still owed to them stays on
the page (:func:`edge.model.queue.stays`)."""


class Here(msgspec.Struct, frozen=True):
    """A visit, its patient (None when not known here yet), and how its entries were carried."""

    visit: Visit
    patient: Patient | None
    carried: tuple[Carried, ...]
    refs: tuple[bytes, ...]
    """The bundle of each entry; empty for one that none covers."""
    settled: Line | None
    """Its line, where that does not depend on what has left: the hub has all of it."""

    def line(self, sent: frozenset[bytes]) -> Line:
        """The one honest line of the visit; ``sent``: bundles that have left."""
        if self.settled is not None:
            return self.settled
        pairs = zip(self.carried, self.refs, strict=True)
        now = [msgspec.structs.replace(one, left=True) if ref in sent else one for one, ref in pairs]
        return visit_line(now, self.visit.seen_ms, self.visit.prescriptions)


class Everybody:
    """Of one opened store."""

    def __init__(self, views: Views, touched: Touched) -> None:
        self._views, self._touched = views, touched
        self._found: dict[str, Here] = {}
        self._day = -1
        self._rows: tuple[Here, ...] = ()
        self._reading = False

    def is_fresh(self, now_ms: int) -> bool:
        """Whether :meth:`rows` are what the records say. On any thread."""
        return not self._reading and not self._touched.waits and self._day == day_of(now_ms)

    def rows(self, now_ms: int) -> tuple[Here, ...]:
        """The visits that stand, in the order of their opening, then today's whose patient did not come when called."""
        return tuple(one for one in self._rows if stays(one.visit, now_ms - QUEUE_DAYS_MS))

    def renew(self, now_ms: int) -> None:
        """Read what was touched. Blocking; on the reader's thread."""
        self._reading = True  # until the rows are there: what was taken waits no more
        day, touched = day_of(now_ms), self._touched.take()
        try:
            if touched is None or day != self._day:
                found = self._views.standing_visits(now_ms - QUEUE_DAYS_MS) + self._views.absent_visits(day)
                self._found = {visit.visit_id: self._read(visit) for visit in found}
            else:
                again = touched | {name for name, one in self._found.items() if one.visit.patient_id in touched}
                for visit_id in again:
                    visit = self._views.visit(visit_id)
                    if visit is not None and _is_here(visit, day):
                        self._found[visit_id] = self._read(visit)
                    else:
                        self._found.pop(visit_id, None)
        except BaseException:
            self._touched.lost()
            raise
        self._day = day
        self._rows = tuple(sorted(self._found.values(), key=_place))
        self._reading = False

    def _read(self, visit: Visit) -> Here:
        rows = self._views.carried(visit.visit_id)
        carried = tuple(
            Carried(kind, at_ms, bool(ref), False, level, level_ms) for kind, at_ms, level, level_ms, ref in rows
        )
        settled = None
        if all(one.level for one in carried):
            settled = visit_line(carried, visit.seen_ms, visit.prescriptions)
        patient = self._views.patient(visit.patient_id)
        return Here(visit, patient, carried, tuple(ref for *_, ref in rows), settled)


def queue_of(here: Iterable[tuple[Here, str]], sent: frozenset[bytes], now_ms: int) -> Queue:
    """The queue's page, each with the state of its short copy by SMS: first those who wait in their order, then the
    others by their opening, then those who did not come when they were called."""
    rows = list(here)
    ordered = order((Waiting(one.visit, one.patient) for one, _ in rows if _is_in_the_room(one.visit, now_ms)), now_ms)
    rank = {waiting.visit.visit_id: number for number, waiting in enumerate(ordered)}
    places = places_of(ordered)
    rows.sort(key=lambda row: rank.get(row[0].visit.visit_id, len(rank)))
    items: list[QueueItem] = []
    for one, sms in rows:
        visit, patient, line = one.visit, one.patient, one.line(sent)
        age = age_text(patient.person, patient.registered_ms, now_ms) if patient else ""
        waited_s = max(0, now_ms - since_ms(visit)) // 1000
        name, sex = (patient.person.name, patient.person.gender.value) if patient else ("", "")
        place = places.get(visit.visit_id, 0)
        items.append(QueueItem(line_of(visit), name, age, sex, place, waited_s, line.state, line.at_ms, sms))
    return Queue(items, day_of(now_ms))


def _is_in_the_room(visit: Visit, now_ms: int) -> bool:
    return visit.opened_ms >= now_ms - QUEUE_DAYS_MS or visit.colour is Colour.RED


def _is_here(visit: Visit, day: int) -> bool:
    if visit.state in OPEN_STATES:
        return True
    return visit.state is VisitState.NO_SHOW and visit.token_day == day and not visit.closed_ms


def _place(one: Here) -> tuple[bool, int]:
    visit = one.visit
    return (False, visit.opened_ms) if visit.state in OPEN_STATES else (True, visit.token_serial)

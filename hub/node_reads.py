"""What the audit of the nodes says about readings of records: entries of kind 18, in the terms of :mod:`hub.affected`.

A node writes the id of what was opened: a person, a visit, a prescription or a recording. It does not say which tablet.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, or_, select

from edge.model import events as ev
from edge.model.clock import COUNTER_BITS, day_start_ms, iso_day, stamp_ms
from edge.model.errors import NotFound
from edge.sync.log import Stream

from . import views
from .store.schema import blobs, entries, nodes, patients

IN_MAX: Final = 500
OF_VISITS: Final = frozenset({"read_visit", "referral_slip", "fhir_documents", "take_reading"})
OF_PEOPLE: Final = frozenset({"read_patient"})
OF_PRESCRIPTIONS: Final = frozenset({"read_prescription", "slip", "check_slip"})
OF_MEDIA: Final = frozenset({"read_media"})
OF_DAYS: Final = frozenset({"day_register"})
"""A list of everybody who came on a day."""
UNSAID: Final = frozenset({"due_list"})
"""A list of people of whom the line says nothing."""
_KNOWN: Final = OF_VISITS | OF_PEOPLE | OF_PRESCRIPTIONS | OF_MEDIA | OF_DAYS | UNSAID
_entry = msgspec.msgpack.Decoder(ev.Entry)


class Line(Struct, frozen=True):
    """One reading at a node."""

    at_ms: int
    """By the node's clock."""
    node_id: str
    actor: str
    """``staff@centre``."""
    action: str
    subject: str


class Found(Struct, frozen=True):
    """One visit, or (``visit_id`` empty) the person alone, that somebody at a node saw."""

    line: Line
    visit_id: str = ""
    patient_id: str = ""
    listed: bool = False


def node_ids(connection: Connection, place: str) -> tuple[str, ...]:
    """The nodes of a centre's code, or the one of a node's id."""
    query = select(nodes.c.node_id).where(or_(nodes.c.site_code == place, nodes.c.node_id == place))
    return tuple(connection.execute(query).scalars())


def need_place(connection: Connection, place: str) -> None:
    """Raises NotFound for a centre of which this hub has never heard; ``""`` is all of them."""
    if place and not node_ids(connection, place):
        raise NotFound("There is no centre with this code.")


def lines(connection: Connection, staff_id: str, place: str, from_ms: int, to_ms: int) -> list[Line]:
    """Readings of a span by one of the staff (``""``: by all), at one centre (``""``: at all), oldest first."""
    query = (
        select(entries.c.node_id, entries.c.stamp, entries.c.raw, nodes.c.site_code)
        .join(nodes, nodes.c.node_id == entries.c.node_id)
        .where(entries.c.kind == ev.KIND_OF[ev.Accessed], entries.c.stream == int(Stream.AUDIT))
        .where(entries.c.stamp >= _stamp(from_ms), entries.c.stamp < _stamp(to_ms))
    )
    if place:
        query = query.where(entries.c.node_id.in_(node_ids(connection, place)))
    found = []
    for row in connection.execute(query.order_by(entries.c.stamp)):
        try:
            entry = _entry.decode(bytes(row.raw))
            event = ev.event_of(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(event, ev.Accessed) and event.action in _KNOWN and staff_id in ("", entry.actor):
            actor = f"{entry.actor}@{row.site_code}"
            found.append(Line(stamp_ms(row.stamp), row.node_id, actor, event.action, event.subject))
    return found


def _stamp(at_ms: int) -> int:
    """The first stamp of a time; what a column cannot hold is its last."""
    return min(max(at_ms, 0) << COUNTER_BITS, (1 << 63) - 1)


def whom(connection: Connection, said: Sequence[Line]) -> Iterator[Found]:
    """Whom these lines are about; a line about nothing that is here comes back with its subject as a visit's id."""
    parted = OF_PRESCRIPTIONS | OF_MEDIA | OF_DAYS
    here = {name: _Node(connection, name) for name in {one.node_id for one in said if one.action in parted}}
    known = _known(connection, {one.subject for one in said if one.action in OF_PEOPLE})
    for one in said:
        if one.action in OF_PEOPLE and one.subject in known:
            yield Found(one, patient_id=one.subject)
        elif one.action in OF_DAYS:
            for visit_id in here[one.node_id].shown(one):
                yield Found(one, visit_id=visit_id, listed=True)
        elif one.action in OF_PRESCRIPTIONS | OF_MEDIA:
            yield Found(one, visit_id=here[one.node_id].parts.get(one.subject, one.subject))
        elif one.action not in UNSAID:
            yield Found(one, visit_id=one.subject)


def _known(connection: Connection, patient_ids: set[str]) -> set[str]:
    wanted, found = sorted(patient_ids), set[str]()
    for at in range(0, len(wanted), IN_MAX):
        these = patients.c.patient_id.in_(wanted[at : at + IN_MAX])
        found.update(connection.execute(select(patients.c.patient_id).where(these)).scalars())
    return found


class _Node:
    """Visits of a node, and what belongs to each."""

    def __init__(self, connection: Connection, node_id: str) -> None:
        self._visits = views.visits_of_node(connection, node_id)
        rows = connection.execute(select(blobs.c.blob_id, blobs.c.visit_id).where(blobs.c.node_id == node_id))
        self.parts: dict[str, str] = {row.blob_id: row.visit_id for row in rows}
        """A prescription, a recording or a spoken answer → its visit."""
        for visit in self._visits:
            self.parts |= dict.fromkeys((one.prescription_id for one in visit.prescriptions), visit.visit_id)
            self.parts |= dict.fromkeys((one.answer_id for one in visit.answers), visit.visit_id)

    def shown(self, line: Line) -> list[str]:
        """Visits that the register of a day can have shown: of that day, and before it what was still open."""
        day = iso_day(line.subject)
        if day is None:
            return []
        start_ms, end_ms = day_start_ms(day), day_start_ms(day + 1)
        of_day = [one.visit_id for one in self._visits if start_ms <= one.opened_ms < end_ms]
        open_still = (one for one in self._visits if one.opened_ms < start_ms)
        return of_day + [one.visit_id for one in open_still if not one.closed_ms or one.closed_ms > line.at_ms]

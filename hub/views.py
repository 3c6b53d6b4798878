"""Entries → the patients and visits that the hub shows. Views are derived; entries are the truth.

A visit is folded only from entries of the node that opened it and from the hub's own log for that
node; hub kinds count only in the hub's log. So no node can speak about another's patient, or as the
hub.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from edge.model import events as ev
from edge.model import queue
from edge.model.fold import Patient, Visit, fold_patient, fold_visit
from edge.model.records import OPEN_STATES
from edge.sync.log import Stream

from . import nodes
from .store.dialect import lock, put_row
from .store.schema import entries, patients, visits

FIRST_HUB_KIND = 64
VISIT_OPENED = ev.KIND_OF[ev.VisitOpened]
PATIENT_REGISTERED = ev.KIND_OF[ev.PatientRegistered]
_encode = msgspec.msgpack.Encoder().encode
_entry = msgspec.msgpack.Decoder(ev.Entry)
_visit = msgspec.msgpack.Decoder(Visit)
_patient = msgspec.msgpack.Decoder(Patient)
_OF_PATIENT = (
    select(entries.c.raw, entries.c.node_id, entries.c.kind)
    .where(entries.c.patient_id == bindparam("patient"))
    .order_by(entries.c.stamp, entries.c.id)
)
_OF_VISIT = (
    select(entries.c.raw, entries.c.node_id, entries.c.kind, entries.c.stream)
    .where(entries.c.visit_id == bindparam("visit"))
    .order_by(entries.c.stamp, entries.c.id)
)
_KNOWN = select(visits.c.node_id, visits.c.arrived_ms).where(visits.c.visit_id == bindparam("visit"))
"""Made once: to build a statement costs more than to run it."""


class Owned(Struct, frozen=True):
    """A visit with what only the hub knows about it."""

    visit: Visit
    node_id: str
    arrived_ms: int
    """When the hub first heard that the visit waits; 0 before."""


DAYS_OFF_MS = 7 * 86_400_000


def since_ms(owned: Owned) -> int:
    """From when a visit counts as waiting (token or missed turn), by the hub's clock where the node's is wrong."""
    late_ms = owned.arrived_ms - (owned.visit.queued_ms or owned.visit.opened_ms)
    return queue.since_ms(owned.visit) + (0 if 0 <= late_ms <= DAYS_OFF_MS else late_ms)


def readable(raw: bytes) -> tuple[ev.Entry, ev.Event | ev.Unknown] | None:
    """The entry and event in raw bytes; None when they are neither."""
    try:
        entry = _entry.decode(raw)
        return entry, ev.event_of(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def patient_of(event: ev.Event | ev.Unknown) -> str:
    """The patient whom an entry describes; "" for one about a visit or about neither."""
    return event.patient_id if isinstance(event, ev.PatientRegistered | ev.PatientAmended) else ""


def counts(event: ev.Event | ev.Unknown, kind: int, stream: int) -> bool:
    """Whether an event may be said in this stream: hub kinds by the hub, the others by the node."""
    if isinstance(event, ev.CallHeld):
        return event.side == ("doctor" if stream == Stream.HUB else "node")
    if isinstance(event, ev.VisitMoved):
        return True
    return (kind >= FIRST_HUB_KIND) == (stream == Stream.HUB)


def refold(connection: Connection, visit_ids: Iterable[str], patient_ids: Iterable[str], now_ms: int) -> None:
    """Compute these views anew from the entries, in causal order, within the present transaction."""
    for patient_id in sorted(set(patient_ids) - {""}):
        _refold_patient(connection, patient_id)
    for visit_id in sorted(set(visit_ids) - {""}):
        _refold_visit(connection, visit_id, now_ms)


def _refold_patient(connection: Connection, patient_id: str) -> None:
    lock(connection, patient_id)
    rows = connection.execute(_OF_PATIENT, {"patient": patient_id}).all()
    owner = next((row.node_id for row in rows if row.kind == PATIENT_REGISTERED), "")
    patient: Patient | None = None
    for row in rows:
        found = readable(row.raw) if row.node_id == owner else None
        if found is not None:
            patient = fold_patient(patient, found[1], found[0].stamp >> 16)
    if patient is not None:
        put_row(connection, patients, {"patient_id": patient_id, "node_id": owner, "view": _encode(patient)})


def _refold_visit(connection: Connection, visit_id: str, now_ms: int) -> None:
    lock(connection, visit_id)
    rows = connection.execute(_OF_VISIT, {"visit": visit_id}).all()
    known = connection.execute(_KNOWN, {"visit": visit_id}).first()
    owner = known.node_id if known else next((row.node_id for row in rows if row.kind == VISIT_OPENED), "")
    visit: Visit | None = None
    late: list[tuple[ev.Entry, ev.Event | ev.Unknown]] = []
    for row in rows:
        found = readable(row.raw) if row.node_id == owner else None
        if found is None or not counts(found[1], row.kind, row.stream):
            continue
        entry, event = found
        if visit is None and not isinstance(event, ev.VisitOpened):
            late.append(found)
            continue
        visit = fold_visit(visit, event, entry.stamp, entry.actor)
        for early, early_event in late:
            visit = fold_visit(visit, early_event, early.stamp, early.actor)
        late.clear()
    if visit is None:
        return
    arrived_ms = known.arrived_ms if known else 0
    put_row(
        connection,
        visits,
        {
            "visit_id": visit_id,
            "node_id": owner,
            "patient_id": visit.patient_id,
            "state": visit.state.value,
            "colour": visit.colour.value,
            "open": visit.state in OPEN_STATES,
            "doctor_id": visit.doctor_id[:60],
            "queued_ms": visit.queued_ms,
            "arrived_ms": arrived_ms or now_ms,
            "view": _encode(visit),
        },
    )


def load_visit(connection: Connection, visit_id: str) -> Owned | None:
    """A visit, or None. Within a writer's transaction it stays as it is until that ends."""
    lock(connection, visit_id)
    row = connection.execute(
        select(visits.c.view, visits.c.node_id, visits.c.arrived_ms).where(visits.c.visit_id == visit_id)
    ).first()
    return None if row is None else Owned(_visit.decode(row.view), row.node_id, row.arrived_ms)


def load_open(connection: Connection, doctor_ids: Iterable[str]) -> list[Owned]:
    """Visits of these doctors that are not closed."""
    hers = (visits.c.open, visits.c.doctor_id.in_(sorted(doctor_ids)))
    rows = connection.execute(select(visits.c.view, visits.c.node_id, visits.c.arrived_ms).where(*hers))
    return [Owned(visit_in(row.view), row.node_id, row.arrived_ms) for row in rows]


def visit_in(raw: bytes) -> Visit:
    """The visit in the bytes of its view."""
    return _visit.decode(raw)


def patient_in(raw: bytes) -> Patient:
    """The patient in the bytes of a view."""
    return _patient.decode(raw)


def load_patient(connection: Connection, patient_id: str) -> Patient | None:
    """A patient, or None while the registration has not arrived."""
    row = connection.execute(select(patients.c.view).where(patients.c.patient_id == patient_id)).first()
    return None if row is None else _patient.decode(row.view)


def node_of_patient(connection: Connection, patient_id: str) -> str:
    """The node or home site that registered a patient; "" while nobody here has heard of one."""
    found = select(patients.c.node_id).where(patients.c.patient_id == patient_id)
    return str(connection.execute(found).scalar() or "")


def has_visit(connection: Connection, patient_id: str) -> bool:
    """Whether a visit of hers is here."""
    found = select(visits.c.visit_id).where(visits.c.patient_id == patient_id).limit(1)
    return connection.execute(found).first() is not None


def load_patients(connection: Connection, patient_ids: Iterable[str]) -> dict[str, Patient]:
    """Several patients by id."""
    wanted = sorted(set(patient_ids))
    rows = connection.execute(select(patients.c.patient_id, patients.c.view).where(patients.c.patient_id.in_(wanted)))
    return {row.patient_id: _patient.decode(row.view) for row in rows}


def visits_of_patient(connection: Connection, patient_id: str) -> list[Visit]:
    """All visits of a patient, oldest first: for "first or follow-up" and earlier prescriptions."""
    rows = connection.execute(select(visits.c.view).where(visits.c.patient_id == patient_id))
    return sorted((_visit.decode(row.view) for row in rows), key=lambda visit: visit.opened_ms)


def visits_of_node(connection: Connection, node_id: str) -> list[Visit]:
    """All visits of a node."""
    rows = connection.execute(select(visits.c.view).where(visits.c.node_id == node_id))
    return [_visit.decode(row.view) for row in rows]


def rebuild(connection: Connection, now_ms: int) -> int:
    """Compute all views anew; returns the number of visits."""
    nodes.rebuild(connection)
    rows = connection.execute(select(entries.c.visit_id, entries.c.patient_id).distinct()).all()
    refold(connection, (row.visit_id for row in rows), (row.patient_id for row in rows), now_ms)
    return len({row.visit_id for row in rows} - {""})

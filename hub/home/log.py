"""What patients at home say, into the log of their site: command → decide → entries → views, in one transaction.

The hub's own process writes the site's ``clinical`` stream under its own run, as a node writes its log: one writer, and
everything that reads entries of nodes reads these. Knows no HTTP and no session.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.clock import Instant
from edge.model.decide import Actor, NodeState, decide
from edge.model.errors import Refusal, Refused
from edge.model.fold import Visit
from edge.model.media import Upload
from edge.sync import faults
from edge.sync.log import Stream

from .. import down, views
from ..directory import Site
from ..down import Speaker
from ..store.schema import entries
from . import rows, sites

PATIENT = "patient"
"""Who said an entry of a home site."""
ENTRIES_MAX: Final = 300
"""Of one visit (ours, unsourced - verify); each change folds all of them anew."""
MOVES_MAX: Final = 100
BYTES_MAX: Final = 256 * 1024
"""Of what a patient wrote about one visit; photos are bounded by number and by the day's bytes."""
HOME = "home"
"""The hub itself, about a call or a missed turn."""


def append(
    connection: Connection, speaker: Speaker, site_id: str, events: Sequence[ev.Event], actor: str, now_ms: int
) -> None:
    """Append events to a home site's log and fold the views anew."""
    down.write(connection, speaker, site_id, Stream.CLINICAL, events, actor, now_ms)
    faults.point("home-said")
    visit_ids, patient_ids = map(ev.visit_of, events), map(views.patient_of, events)
    views.refold(connection, visit_ids, patient_ids, now_ms)


def need_room(connection: Connection, site_id: str, visit_id: str, *, moving: bool) -> None:
    """Raise Refused(visit_full) for a visit of which its patient has said as much as one may.

    To come back to the queue or to end a visit there is more room than to say something.
    """
    mine = (entries.c.visit_id == visit_id) & (entries.c.node_id == site_id)
    sizes = select(func.count(), func.coalesce(func.sum(func.length(entries.c.raw)), 0)).where(mine)
    count, size_bytes = connection.execute(sizes).one()
    if count >= ENTRIES_MAX + (MOVES_MAX if moving else 0) or (size_bytes >= BYTES_MAX and not moving):
        raise Refused("This visit holds as much as it can. Tell the doctor the rest.", code="visit_full")


def perform(
    connection: Connection,
    speaker: Speaker,
    site: Site,
    command: cmd.Command,
    uploads: Sequence[Upload],
    now_ms: int,
) -> Refusal | list[ev.Event]:
    """Ask the model about a patient's command, and record what it leads to."""
    if isinstance(command, cmd.RegisterPatient | cmd.IssueToken):
        numbered = "people" if isinstance(command, cmd.RegisterPatient) else rows.day_name(now_ms)
        rows.hold_serial(connection, numbered)
    state = _state(connection, site, command, uploads, now_ms)
    decided = decide(state, command, Instant(now_ms), Actor(PATIENT, None), secrets.token_bytes(16))
    if isinstance(decided, Refusal) or not decided:
        return decided
    append(connection, speaker, site.node_id, decided, PATIENT, now_ms)
    for event in decided:
        if isinstance(event, ev.TokenIssued):
            rows.put_serial(connection, rows.day_name(now_ms), event.serial)
        elif isinstance(event, ev.PatientRegistered):
            rows.put_serial(connection, "people", state.local_serial + 1)
    return decided


def _state(
    connection: Connection,
    site: Site,
    command: cmd.Command,
    uploads: Sequence[Upload],
    now_ms: int,
) -> NodeState:
    visit = _visit(connection, getattr(command, "visit_id", ""))
    patient_id = visit.patient_id if visit is not None else getattr(command, "patient_id", "")
    patient = views.load_patient(connection, patient_id) if patient_id else None
    amended = views.visits_of_patient(connection, patient_id) if isinstance(command, cmd.AmendPatient) else []
    return NodeState(
        sites.CODE,
        sites.NAME,
        site.demo,
        patient=patient,
        visit=visit,
        local_serial=rows.serial(connection, "people"),
        day_serial=rows.serial(connection, rows.day_name(now_ms)),
        uploads=tuple(uploads),
        patient_visits=tuple(amended),
    )


def _visit(connection: Connection, visit_id: str) -> Visit | None:
    owned = views.load_visit(connection, visit_id) if visit_id else None
    return owned.visit if owned is not None else None

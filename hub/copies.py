"""A copy of what is kept of a person, for herself (security.md R2): a page to read, her slips, and FHIR documents.

Made for whoever she is shown to be at the centre; each of her visits counts as opened by who makes it. Knows no HTTP.
"""

import io
import zipfile
from collections import Counter

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from edge.model.errors import NotFound
from edge.model.fhir import Origin, documents
from edge.model.fold import Patient, Visit
from edge.model.prescribing import SignedPrescription
from edge.model.prescription import Site as Place
from edge.slips.record_copy import Kept, Reader, copy_page, render_copy
from edge.slips.refusal import SlipRefused
from edge.slips.render import render_slip

from . import audit, breach, nodes, nominees, retention, views
from .affected import READS
from .directory import NodeDirectory
from .store.schema import audit as lines
from .store.schema import doctors, exchange_documents
from .store.schema_home import home_people

VISITS_AT_ONCE = 500
_signed = msgspec.msgpack.Decoder(SignedPrescription)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Gathered(Struct, frozen=True):
    """What a copy is made of."""

    kept: Kept
    origins: tuple[Origin, ...]
    """Of each visit."""


def gather(connection: Connection, directory: NodeDirectory, patient_id: str) -> Gathered:
    """All that is kept of her. Only reads. Raises NotFound."""
    patient = views.load_patient(connection, patient_id)
    if patient is None:
        raise NotFound("Nobody here has this number.")
    found: list[tuple[Visit, str]] = []
    origins: list[Origin] = []
    for visit in views.visits_of_patient(connection, patient_id):
        owned = views.load_visit(connection, visit.visit_id)
        if owned is None:
            continue
        site = directory.site(owned.node_id)
        worker = "" if site.home else nodes.worker_name(connection, owned.node_id, visit.opened_by)
        found.append((owned.visit, f"{site.site_name}, {site.district}"))
        origins.append(Origin(Place(site.site_name, site.site_code), worker, site.demo))
    officer = breach.load_officer(connection, breach.Role.GRIEVANCE)
    kept = Kept(
        patient,
        tuple(found),
        {name.value: one.keep_days for name, one in retention.settings(connection).items()},
        _shared(connection, [visit.visit_id for visit, _ in found]),
        _readers(connection, [visit.visit_id for visit, _ in found], patient_id),
        "" if officer is None else ", ".join(filter(None, (officer.name, officer.phone, officer.email))),
        nominees.load(connection, patient_id).line,
        any(origin.demo for origin in origins),
    )
    return Gathered(kept, tuple(origins))


def note(connection: Connection, gathered: Gathered, actor: str, now_ms: int) -> None:
    """Audit it: each of her visits was opened."""
    for visit, _ in gathered.kept.visits:
        audit.record(connection, now_ms, actor, "record_opened", visit.visit_id, "copy")
    audit.record(connection, now_ms, actor, "copy_made", gathered.kept.patient.patient_id)


def zipped(gathered: Gathered, now_ms: int) -> bytes:
    """The file. Blocking."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:

        def add(name: str, content: bytes) -> None:
            made.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content, zipfile.ZIP_DEFLATED)

        add("record.pdf", render_copy(copy_page(gathered.kept, now_ms)))
        for (visit, _), origin in zip(gathered.kept.visits, gathered.origins, strict=True):
            for name, slip in _slips(visit):
                add(name, slip)
            for one in documents(visit, gathered.kept.patient, origin):
                add(f"fhir/{one.document_id}.json", one.content)
    return out.getvalue()


def file_name(patient: Patient) -> str:
    """No name of a person."""
    return f"record-{patient.local_id or patient.patient_id}.zip"


def _slips(visit: Visit) -> list[tuple[str, bytes]]:
    found = []
    for state in visit.prescriptions:
        try:
            found.append((f"slips/{state.prescription_id}.pdf", render_slip(_signed.decode(state.signed), paper="a5")))
        except (SlipRefused, msgspec.MsgspecError):
            continue
    return found


def _shared(connection: Connection, visit_ids: list[str]) -> tuple[tuple[str, int], ...]:
    """Which other systems were sent how many documents of these visits."""
    found: Counter[str] = Counter()
    for at in range(0, len(visit_ids), VISITS_AT_ONCE):
        some = exchange_documents.c.visit_id.in_(visit_ids[at : at + VISITS_AT_ONCE])
        query = select(exchange_documents.c.endpoint, func.count()).where(some, exchange_documents.c.done_ms > 0)
        for endpoint, count in connection.execute(query.group_by(exchange_documents.c.endpoint)):
            found[str(endpoint)] += count
    return tuple(sorted(found.items()))


def _readers(connection: Connection, visit_ids: list[str], patient_id: str) -> tuple[Reader, ...]:
    """Who opened them, by this hub's audit log; the accounts of a patient at home are herself."""
    names = {row.doctor_id: row.name for row in connection.execute(select(doctors.c.doctor_id, doctors.c.name))}
    own = set(
        connection.execute(select(home_people.c.account_id).where(home_people.c.patient_id == patient_id)).scalars()
    )
    times: Counter[str] = Counter()
    last: dict[str, int] = {}
    for at in range(0, len(visit_ids), VISITS_AT_ONCE):
        some = lines.c.subject.in_(visit_ids[at : at + VISITS_AT_ONCE])
        query = select(lines.c.actor, func.count(), func.max(lines.c.at_ms)).where(some, lines.c.action.in_(READS))
        for actor, count, last_ms in connection.execute(query.group_by(lines.c.actor)):
            who = "" if actor in own else names.get(actor, str(actor))
            times[who] += count
            last[who] = max(last.get(who, 0), last_ms)
    return tuple(Reader(who, times[who], last[who]) for who in sorted(times, key=lambda one: -last[one]))

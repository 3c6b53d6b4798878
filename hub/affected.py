"""Who was affected: whose records were opened, by whom and when, from the audit log alone (security.md B4).

Names and clinical content stay out: a patient is an id, with the centre that can tell the person.
"""

from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, and_, func, select

from edge.model.clock import IST_OFFSET_S

from . import audit
from .home.sites import CODE as HOME_CODE
from .store.schema import audit as lines
from .store.schema import nodes, visits
from .store.schema_home import home_sites

DAY_MS: Final = 86_400_000
READS: Final = ("record_opened", "media_opened", "preview_opened", "answer_opened")
"""Audit actions that show content of a record; their subject is a visit."""


class Person(Struct, frozen=True):
    """One patient whose record was opened."""

    patient_id: str
    site_code: str
    district: str
    visit_ids: tuple[str, ...]
    actors: tuple[str, ...]
    first_ms: int
    last_ms: int


class Affected(Struct, frozen=True):
    people: tuple[Person, ...]
    reads: int
    audit_broken_at: int
    """0: the chain is whole, so that nothing was taken out of it."""


def span_of(first: int, last: int) -> tuple[int, int]:
    """Beginning and end of Indian days, both of them whole, in ms."""
    return first * DAY_MS - IST_OFFSET_S * 1000, (last + 1) * DAY_MS - IST_OFFSET_S * 1000


def people(connection: Connection, actor: str, from_ms: int, to_ms: int, now_ms: int) -> Affected:
    """Patients whose records were opened in a span, by one account or (``""``) by any. The asking is audited too."""
    audit.record(connection, now_ms, "", "affected_listed", actor)
    within = and_(lines.c.at_ms >= from_ms, lines.c.at_ms < to_ms, lines.c.action.in_(READS))
    query = (
        select(
            lines.c.at_ms,
            lines.c.actor,
            lines.c.subject,
            visits.c.patient_id,
            func.coalesce(nodes.c.site_code, HOME_CODE).label("site_code"),
            func.coalesce(nodes.c.district, home_sites.c.district, "").label("district"),
        )
        .where(within)
        .join(visits, visits.c.visit_id == lines.c.subject)
        .outerjoin(nodes, nodes.c.node_id == visits.c.node_id)
        .outerjoin(home_sites, home_sites.c.node_id == visits.c.node_id)
        .order_by(lines.c.seq)
    )
    rows = connection.execute(query.where(lines.c.actor == actor) if actor else query).all()
    found: dict[str, Person] = {}
    for row in rows:
        known = found.get(row.patient_id)
        found[row.patient_id] = Person(
            row.patient_id,
            row.site_code,
            row.district,
            tuple(sorted({*(known.visit_ids if known else ()), row.subject})),
            tuple(sorted({*(known.actors if known else ()), row.actor})),
            known.first_ms if known else row.at_ms,
            row.at_ms,
        )
    return Affected(tuple(found.values()), len(rows), audit.verify(connection))

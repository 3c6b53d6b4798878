"""Break-glass: a coordinator opens one record when no doctor can be had. With a reason, for a quarter of an hour, seen.

Everybody who treats may open records anyway. For the others this is the only way to one, of one visit, to read and
nothing else; the audit marks each read, and somebody else looks at all of it every week (security.md S4).
"""

import secrets
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from edge.model.errors import NotFound, Refused
from edge.model.ids import ID_BYTES, make_id

from . import audit
from .desk import need_visit
from .store.dialect import lock
from .store.schema import doctors, nodes, visits
from .store.schema_office import glass

OPEN_MS: Final = 15 * 60_000
DAY_MS: Final = 24 * 3600_000
OPENINGS_A_DAY: Final = 10
"""Of one person in 24 hours, our choice: an emergency is one patient, and a list of all of them is none."""
SET_BACK_MS: Final = 60_000
"""A clock that was set back further closes what was opened before: it would stay open for longer."""
SHOWN_MAX: Final = 500


class Opening(Struct, frozen=True):
    """One time that the glass was broken. No name of a patient stands here: whoever reviews sees none either."""

    glass_id: str
    person_id: str
    person_name: str
    visit_id: str
    site_code: str
    reason: str
    at_ms: int
    until_ms: int
    reads: int
    reviewed_by: str
    reviewed_ms: int
    """0: nobody has looked at it."""
    verdict: str


def break_glass(connection: Connection, person_id: str, visit_id: str, reason: str, now_ms: int) -> int:
    """Let a person read one visit's record for a while; until when, Unix ms. Raises NotFound, Refused(glass_many)."""
    need_visit(connection, visit_id)
    lock(connection, f"glass {person_id}")
    lately = (glass.c.person_id == person_id) & (glass.c.at_ms > now_ms - DAY_MS)
    if connection.execute(select(func.count()).where(lately)).scalar_one() >= OPENINGS_A_DAY:
        raise Refused("You have opened as many records as one may in a day. Ask an administrator.", code="glass_many")
    until_ms = now_ms + OPEN_MS
    connection.execute(
        glass.insert().values(
            glass_id=make_id(secrets.token_bytes(ID_BYTES)),
            person_id=person_id,
            visit_id=visit_id,
            reason=reason,
            at_ms=now_ms,
            until_ms=until_ms,
            reads=0,
            reviewed_by="",
            reviewed_ms=0,
            verdict="",
        )
    )
    audit.record(connection, now_ms, person_id, "glass_broken", visit_id, reason)
    return until_ms


def need_open(connection: Connection, person_id: str, visit_id: str, now_ms: int) -> tuple[str, int]:
    """The opening by which somebody may read now, and until when, Unix ms. Raises Refused(glass_closed)."""
    mine = (
        glass.c.person_id == person_id,
        glass.c.visit_id == visit_id,
        glass.c.until_ms > now_ms,
        glass.c.at_ms <= now_ms + SET_BACK_MS,
    )
    row = connection.execute(select(glass).where(*mine).order_by(glass.c.until_ms.desc())).first()
    if row is None:
        raise Refused("This record is not open to you. Break the glass, with a reason.", code="glass_closed")
    return row.glass_id, int(row.until_ms)


def read(connection: Connection, person_id: str, visit_id: str, now_ms: int, blob_id: str = "") -> int:
    """Count a look at the record, or at one photo or recording of it, and mark it in the audit log.

    Until when reading goes on, Unix ms. Raises Refused(glass_closed).
    """
    glass_id, until_ms = need_open(connection, person_id, visit_id, now_ms)
    connection.execute(update(glass).where(glass.c.glass_id == glass_id).values(reads=glass.c.reads + 1))
    if blob_id:
        audit.record(connection, now_ms, person_id, "media_opened", visit_id, f"break_glass {blob_id}")
    else:
        audit.record(connection, now_ms, person_id, "record_opened", visit_id, "break_glass")
    return until_ms


def listed(connection: Connection) -> list[Opening]:
    """What was opened: what nobody has reviewed first, then the latest."""
    query = (
        select(glass, doctors.c.name, nodes.c.site_code)
        .join(doctors, doctors.c.doctor_id == glass.c.person_id, isouter=True)
        .join(visits, visits.c.visit_id == glass.c.visit_id, isouter=True)
        .join(nodes, nodes.c.node_id == visits.c.node_id, isouter=True)
        .order_by(glass.c.reviewed_ms != 0, glass.c.at_ms.desc())
        .limit(SHOWN_MAX)
    )
    return [
        Opening(
            row.glass_id,
            row.person_id,
            row.name or row.person_id,
            row.visit_id,
            row.site_code or "",
            row.reason,
            row.at_ms,
            row.until_ms,
            row.reads,
            row.reviewed_by,
            row.reviewed_ms,
            row.verdict,
        )
        for row in connection.execute(query)
    ]


def review(connection: Connection, glass_id: str, person_id: str, verdict: str, now_ms: int) -> None:
    """Say what one found. Raises NotFound, Refused(own_glass, glass_reviewed)."""
    row = connection.execute(select(glass).where(glass.c.glass_id == glass_id)).first()
    if row is None:
        raise NotFound("There is no such opening.")
    if row.person_id == person_id:
        raise Refused("Nobody reviews what she opened herself.", code="own_glass")
    this = (glass.c.glass_id == glass_id) & (glass.c.reviewed_ms == 0)
    values = {"reviewed_by": person_id, "reviewed_ms": now_ms, "verdict": verdict}
    if connection.execute(update(glass).where(this).values(values)).rowcount == 0:
        raise Refused("Somebody has reviewed this already.", code="glass_reviewed")
    audit.record(connection, now_ms, person_id, "glass_reviewed", row.visit_id, verdict)

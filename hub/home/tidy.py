"""What ends by itself at home, where no nurse closes the day. The rule is pure; figures are ours (unsourced - verify).

A case that waits stays until a doctor answers or the patient takes it back, and RED is never closed by a clock.
"""

from typing import Final

from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model.fold import Visit
from edge.model.records import Colour, VisitState

from .. import views
from ..down import Speaker
from ..store.schema import visits
from ..store.schema_home import home_sites
from . import log

ANSWER_KEPT_MS: Final = 48 * 3_600_000
"""An answer that nobody called finished counts as finished after this."""
DRAFT_KEPT_MS: Final = 24 * 3_600_000
"""Questions that nobody went on with are taken back after this."""


def ends_as(visit: Visit, now_ms: int) -> VisitState | None:
    """As what a visit ends now by itself; None while it goes on."""
    quiet_ms = now_ms - (visit.changed_stamp >> 16)
    if visit.state is VisitState.RX_READY and quiet_ms > ANSWER_KEPT_MS:
        return VisitState.COMPLETED
    begun = visit.state in (VisitState.DRAFT, VisitState.TRIAGED) and visit.colour is not Colour.RED
    return VisitState.CANCELLED if begun and quiet_ms > DRAFT_KEPT_MS else None


def close_old(connection: Connection, speaker: Speaker, now_ms: int) -> list[str]:
    """Close what has ended by itself; the visits that were."""
    at_home = select(home_sites.c.node_id)
    query = select(visits.c.visit_id).where(visits.c.open, visits.c.node_id.in_(at_home))
    closed = []
    for row in connection.execute(query).all():
        owned = views.load_visit(connection, row.visit_id)
        outcome = ends_as(owned.visit, now_ms) if owned is not None else None
        if owned is not None and outcome is not None:
            event = ev.VisitClosed(row.visit_id, outcome)
            log.append(connection, speaker, owned.node_id, (event,), log.HOME, now_ms)
            closed.append(row.visit_id)
    return closed

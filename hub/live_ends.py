"""Why a call is over whose Bye was lost with the link: what its node's records say."""

from collections.abc import Callable

from sqlalchemy import Connection

from edge.media.call import Phase
from edge.model.records import OPEN_STATES

from . import views
from .live_sides import LiveCall


def reader_of_end(call: LiveCall) -> Callable[[Connection], str | None]:
    def read(connection: Connection) -> str | None:
        """Why the call is over by the node's records: it says so, or closed the visit of one that still rings."""
        owned = views.load_visit(connection, call.visit_id)
        if owned is None:
            return None
        for one in owned.visit.calls:
            if one.call_id == call.call_id and one.side == "node":
                return one.ended_because
        return "no_answer" if call.phase is Phase.RINGING and owned.visit.state not in OPEN_STATES else None

    return read

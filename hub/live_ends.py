"""How calls end in the records: what a node's say of one whose Bye was lost, and the hub's own side of the proof."""

from collections.abc import Callable

from sqlalchemy import Connection, select, update

from edge.media.call import Phase
from edge.model import events as ev
from edge.model.records import OPEN_STATES

from . import down, views
from .live_sides import LiveCall
from .prescriptions import calls_of
from .store.dialect import lock
from .store.schema import calls


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


def write_held(
    connection: Connection, speaker: down.Speaker, call_id: str, now_ms: int
) -> tuple[str, down.DownBlob | None]:
    """Write the doctor's side of the proof of a call, once: its visit, and what the node has to hear."""
    lock(connection, call_id)
    this = calls.c.call_id == call_id
    row = connection.execute(select(calls).where(this)).first()
    if row is None or row.held_ms:
        return "", None
    connection.execute(update(calls).where(this).values(held_ms=now_ms))
    seen = next(one for one in calls_of(connection, row.visit_id, now_ms) if one.call_id == call_id)
    held = ev.CallHeld(
        row.visit_id,
        seen.call_id,
        seen.doctor_id,
        seen.started_ms,
        seen.ended_ms,
        seen.video_s,
        seen.audio_s,
        seen.concealed_s,
        seen.mode,
        seen.side,
        seen.ended_because,
    )
    return row.visit_id, down.speak(connection, speaker, row.node_id, (held,), row.doctor_id, now_ms)

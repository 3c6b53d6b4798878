"""Answers to a locked node: how the emergencies stand that its very process has opened, and their prescriptions.

A node that is locked cannot open what is sealed to its records key. It hears such answers in its epoch, and only about
visits whose opening the same process wrote in its urgent log: whoever has stolen a locked node hears about nobody else.
"""

from sqlalchemy import Connection, select

from edge.sync import locked
from edge.sync.log import Stream

from . import views
from .store.schema import entries


def answers(connection: Connection, node_id: bytes, run: bytes, asked: locked.AskAnswers) -> list[locked.Answer]:
    """What to tell the process ``run`` of a node that is locked now."""
    found: list[locked.Answer] = []
    for visit_id in asked.visit_ids[: locked.VISITS_MAX]:
        opened = select(entries.c.node_id, entries.c.run, entries.c.stream).where(
            entries.c.visit_id == visit_id, entries.c.kind == views.VISIT_OPENED
        )
        openings = {(row.node_id, bytes(row.run), row.stream) for row in connection.execute(opened)}
        owned = views.load_visit(connection, visit_id)
        # And nobody else's: an id can be read off a slip, and opened once more by a thief.
        if owned is None or openings != {(node_id.hex(), run, Stream.URGENT.value)}:
            continue
        visit = owned.visit
        state, doctor = visit.state.value, (visit.doctor_name, visit.doctor_id)
        new = [one for one in visit.prescriptions if one.prescription_id not in asked.have]
        found += [
            locked.Answer(visit_id, state, doctor[0], one.prescription_id, one.signed, doctor[1]) for one in new
        ] or [locked.Answer(visit_id, state, doctor[0], doctor_id=doctor[1])]
    return found

"""What doctors draw on photos: kept as an entry of the hub's log for the node, beside the photo. Knows no HTTP."""

from sqlalchemy import Connection

from edge.model import events as ev
from edge.model import marks as rules
from edge.model.errors import BadInput, NotFound, Refused
from edge.model.fold import Visit
from edge.model.marks import Mark
from edge.model.media import Purpose

from . import audit, down
from .desk import Desk, need_open, need_visit


class Marks:
    """Over one hub's desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def keep(self, visit_id: str, blob_id: str, doctor_id: str, marks: tuple[Mark, ...]) -> Visit:
        """Keep marks on a photo; those that are kept already change nothing.

        Raises NotFound, BadInput(mark_malformed), Refused(visit_closed, visit_taken, marks_too_many).
        """
        desk = self._desk

        def act(connection: Connection) -> tuple[Visit, down.DownBlob | None]:
            owned = need_open(connection, visit_id)
            if owned.visit.doctor_name and owned.visit.doctor_id != doctor_id:
                raise Refused("Another doctor has taken this visit.", code="visit_taken")
            item = next((one for one in owned.visit.media if one.blob_id == blob_id and not one.removed_ms), None)
            if item is None or item.purpose is not Purpose.ORIGINAL:
                raise NotFound("There is no such photo here. It may not have arrived yet.")
            known = {mark.mark_id for drawn in item.drawn for mark in drawn.marks}
            fresh = tuple(mark for mark in marks if mark.mark_id not in known)
            refusal = rules.check(fresh, len(known))
            if refusal is not None and refusal.code == "mark_malformed":
                raise BadInput(refusal.message, field=refusal.field, code=refusal.code)
            if refusal is not None:
                raise Refused(refusal.message, code=refusal.code)
            if not fresh:
                return owned.visit, None
            now_ms = desk.wall_ms()
            audit.record(connection, now_ms, doctor_id, "photo_marked", visit_id, blob_id)
            event = ev.DoctorMarked(visit_id, blob_id, doctor_id, fresh)
            blob = down.speak(connection, desk.speaker, owned.node_id, (event,), doctor_id, now_ms)
            return need_visit(connection, visit_id).visit, blob

        visit, blob = await desk.store.write(act)
        desk.tell(visit_id, blob)
        return visit

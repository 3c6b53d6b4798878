"""Prescriptions that are being written: each doctor's own sheet of a visit, until it is signed.

A sheet is no part of the record and is not sent to a node. It carries the command id under which it
will be signed, so that a page that was reloaded in the middle of signing does not sign twice.
"""

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model.prescribing import PrescriptionDraft

from .desk import Desk, need_open, need_visit
from .store.dialect import put_row
from .store.schema import commands, rx_drafts

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PrescriptionDraft).decode


class Sheet(Struct, frozen=True):
    """What a doctor has written so far, under which command it will be signed, and when it was kept."""

    draft: PrescriptionDraft | None = None
    command_id: str = ""
    saved_ms: int = 0


def drop(connection: Connection, visit_id: str, doctor_id: str) -> None:
    """Forget a sheet: it was signed."""
    connection.execute(rx_drafts.delete().where(rx_drafts.c.visit_id == visit_id, rx_drafts.c.doctor_id == doctor_id))


class Drafts:
    """Keeping and giving back sheets for the doctors of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def save(self, visit_id: str, doctor_id: str, draft: PrescriptionDraft, command_id: str) -> Sheet:
        """Keep a sheet. One whose command was signed already is not kept. Raises NotFound, Refused(visit_closed)."""

        def act(connection: Connection) -> Sheet:
            need_open(connection, visit_id)
            if connection.execute(select(commands.c.command_id).where(commands.c.command_id == command_id)).first():
                return Sheet()
            sheet = Sheet(draft, command_id, self._desk.wall_ms())
            row = {"visit_id": visit_id, "doctor_id": doctor_id, "command_id": command_id}
            put_row(connection, rx_drafts, {**row, "draft": _encode(draft), "saved_ms": sheet.saved_ms})
            return sheet

        return await self._desk.store.write(act)

    async def load(self, visit_id: str, doctor_id: str) -> Sheet:
        """A doctor's own sheet of a visit; an empty one when there is none. Raises NotFound."""

        def look(connection: Connection) -> Sheet:
            need_visit(connection, visit_id)
            mine = (rx_drafts.c.visit_id == visit_id) & (rx_drafts.c.doctor_id == doctor_id)
            row = connection.execute(select(rx_drafts).where(mine)).first()
            return Sheet(_decode(row.draft), row.command_id, row.saved_ms) if row else Sheet()

        return await self._desk.store.read(look)

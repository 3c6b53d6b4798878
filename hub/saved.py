"""A doctor's own favourites and templates: lines that she wrote and saved, given back to her alone.

Nothing is ever put into a prescription here; what she takes up is checked at signing like anything
else. A favourite is a template of one line.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, func, select

from edge.model.errors import NotFound, Refused
from edge.model.ids import Id
from edge.model.prescribing import DraftLine
from edge.model.records import Name

from . import formularies
from .desk import Desk
from .store.dialect import put_row
from .store.schema import rx_saved

SAVED_MAX = 200
_encode = msgspec.msgpack.Encoder().encode
_lines = msgspec.msgpack.Decoder(tuple[DraftLine, ...])


class Saved(Struct, frozen=True, forbid_unknown_fields=True):
    """Lines under a name of the doctor's choice."""

    saved_id: Id
    name: Name
    lines: Annotated[tuple[DraftLine, ...], Meta(min_length=1, max_length=20)]


class SavedLines:
    """Keeping and giving back, for the doctors of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, doctor_id: str) -> tuple[Saved, ...]:
        """What this doctor saved, by name."""
        query = select(rx_saved).where(rx_saved.c.doctor_id == doctor_id).order_by(rx_saved.c.name)
        rows = await self._desk.store.read(lambda connection: connection.execute(query).all())
        return tuple(Saved(row.saved_id, row.name, _lines.decode(row.lines)) for row in rows)

    async def put(self, doctor_id: str, saved: Saved) -> None:
        """Keep lines, in the place of what had this id. Raises Refused(unknown_drug, saved_full)."""

        def act(connection: Connection) -> None:
            known = {drug.id for drug in formularies.standing(connection).content.items}
            if any(line.drug_id not in known for line in saved.lines):
                raise Refused("This medicine is not in the formulary.", code="unknown_drug", field="lines")
            mine = rx_saved.c.doctor_id == doctor_id
            others = select(func.count()).select_from(rx_saved).where(mine, rx_saved.c.saved_id != saved.saved_id)
            if (connection.execute(others).scalar() or 0) >= SAVED_MAX:
                raise Refused(f"At most {SAVED_MAX} can be saved. Remove one first.", code="saved_full")
            row = {"doctor_id": doctor_id, "saved_id": saved.saved_id, "name": saved.name}
            put_row(connection, rx_saved, {**row, "lines": _encode(saved.lines), "saved_ms": self._desk.wall_ms()})

        await self._desk.store.write(act)

    async def remove(self, doctor_id: str, saved_id: str) -> None:
        """Forget lines. Raises NotFound."""
        this = rx_saved.delete().where(rx_saved.c.doctor_id == doctor_id, rx_saved.c.saved_id == saved_id)
        if not await self._desk.store.write(lambda connection: connection.execute(this).rowcount):
            raise NotFound("Nothing is saved under this id.")

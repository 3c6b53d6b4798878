"""Whom a patient has named to speak in her place when she cannot (security.md R2). Kept as long as her name is."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, delete, select

from . import audit
from .store.dialect import put_row
from .store.schema_rights import nominees

Words = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class Nominee(Struct, frozen=True, forbid_unknown_fields=True):
    """One person."""

    name: Annotated[str, Meta(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    """Empty: nobody."""
    relation: Words = ""
    phone: Annotated[str, Meta(pattern=r"^(\+?[0-9][0-9 -]{1,17})?$(?!\n)")] = ""

    @property
    def line(self) -> str:
        """As a page says it."""
        return ", ".join(filter(None, (self.name, self.relation, self.phone)))


def load(connection: Connection, patient_id: str) -> Nominee:
    """Who it is; without a name while nobody is."""
    row = connection.execute(select(nominees).where(nominees.c.patient_id == patient_id)).first()
    return Nominee() if row is None else Nominee(row.name, row.relation, row.phone)


def put(connection: Connection, patient_id: str, nominee: Nominee, actor: str, now_ms: int) -> None:
    """Note who it is now, in the place of who was named before; without a name nobody is."""
    if nominee.name.strip():
        named = {"name": nominee.name.strip(), "relation": nominee.relation.strip(), "phone": nominee.phone}
        put_row(connection, nominees, {"patient_id": patient_id, **named, "noted_ms": now_ms, "noted_by": actor})
    else:
        erase(connection, patient_id)
    audit.record(connection, now_ms, actor, "nominee_noted", patient_id, "ok" if nominee.name.strip() else "nobody")


def erase(connection: Connection, patient_id: str) -> None:
    """Forget who it was."""
    connection.execute(delete(nominees).where(nominees.c.patient_id == patient_id))

"""How long things are kept, by class: until further notice unless the State has fixed a time, and never below a floor.

Nothing is erased because its time is over: a time only says from when on a request may be carried out
(:mod:`hub.erasure`). Floors as in security.md R1 and S6.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from edge.model.errors import BadInput

from . import audit
from .store.dialect import put_row
from .store.schema_rights import retention

MOST_DAYS: Final = 36_525


class Class(StrEnum):
    """What is kept apart."""

    CLINICAL = "clinical"
    """A visit with all that was said in it, its photos, notes and calls' questions."""
    REGISTRATION = "registration"
    """Who a person is: name, village, telephone."""
    ACCOUNT = "account"
    """The telephone number with which a patient at home logs in."""
    REASONS = "reasons"
    """Why somebody broke glass for a visit. The audit log itself is erased by nothing."""


FLOOR_DAYS: Final = {Class.CLINICAL: 1096, Class.REGISTRATION: 366, Class.ACCOUNT: 366, Class.REASONS: 366}
"""Three years for medical records (IMC regulations 2002: unsourced - verify), a year for all else (DPDP rules r.6(1)(e)
and r.8(3)), leap days counted in."""


class Setting(Struct, frozen=True):
    """One class; ``keep_days`` 0: kept, whoever asks."""

    name: Class
    keep_days: int
    floor_days: int
    changed_ms: int = 0
    changed_by: str = ""


def settings(connection: Connection) -> dict[Class, Setting]:
    """Every class."""
    rows = {row[0]: row for row in connection.execute(select(*retention.c))}
    found: dict[Class, Setting] = {}
    for one in Class:
        row = rows.get(one.value)
        days, at_ms, person = (row[1], row[2], row[3]) if row is not None else (0, 0, "")
        found[one] = Setting(one, days, FLOOR_DAYS[one], at_ms, person)
    return found


def put(connection: Connection, name: Class, keep_days: int, actor: str, now_ms: int) -> None:
    """Fix a time, or (0) keep what is of this class. Raises BadInput below the floor."""
    if keep_days and not FLOOR_DAYS[name] <= keep_days <= MOST_DAYS:
        raise BadInput(f"Days: 0 to keep, or {FLOOR_DAYS[name]} to {MOST_DAYS}.", field="keep_days")
    if keep_days:
        row = {"class": name.value, "keep_days": keep_days, "changed_ms": now_ms, "changed_by": actor}
        put_row(connection, retention, row)
    else:
        connection.execute(delete(retention).where(retention.c["class"] == name.value))
    audit.record(connection, now_ms, actor, "retention_set", name.value, str(keep_days))

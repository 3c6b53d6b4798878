"""Who asks for an erasure and who agrees: two people. And erasing again what an older copy brings back.

Nobody agrees to what she asked for. What was agreed to is carried out by :mod:`hub.erasure_desk`. Knows no socket.
"""

import logging
import secrets
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, select, update

from edge.model.errors import NotFound, Refused
from edge.model.ids import ID_BYTES, make_id
from edge.sync.erased import name_of

from . import audit, erased, erasure, views
from .keys import Keyring
from .store.engine import Store
from .store.schema import patients, visits
from .store.schema_rights import erasures

logger = logging.getLogger("hub.erasure")
WAITING, APPROVED, REFUSED, DONE = "waiting", "approved", "refused", "done"
SHOWN: Final = 100
AT_ONCE: Final = 500
"""Patients that are read at once."""


class Asking(Struct, frozen=True):
    """One request as people see it."""

    erasure_id: str
    patient_id: str
    """Empty once it was done."""
    node_id: str
    reason: str
    state: str
    asked_by: str
    asked_ms: int
    decided_by: str
    decided_ms: int
    visits: int
    entries: int
    blobs: int
    node_ms: int
    """When the node said that it has erased it too; 0 before, and for patients at home."""
    scrubbed_ms: int
    """When the last bytes had gone from this hub's files."""


def find(connection: Connection, reference: str) -> str:
    """The patient of a patient's id, a visit's id or the number on the slip. Raises NotFound, Refused(several_people).

    Only reads. A number is looked for among all patients: not in a transaction of the writer.
    """
    wanted = reference.strip()
    if views.node_of_patient(connection, wanted):
        return wanted
    owner = connection.execute(select(visits.c.patient_id).where(visits.c.visit_id == wanted)).scalar()
    if owner:
        return str(owner)
    found: list[str] = []
    query = select(patients.c.view).execution_options(yield_per=AT_ONCE)
    for (raw,) in connection.execute(query):
        if wanted.encode() in raw and (patient := views.patient_in(raw)).local_id == wanted:
            found.append(patient.patient_id)
    if not found:
        raise NotFound("Nobody here has this number.")
    if len(found) > 1:
        raise Refused("Several people have this number. Use the id of one of their visits.", code="several_people")
    return found[0]


def plan(connection: Connection, patient_id: str, actor: str, now_ms: int) -> erasure.Plan:
    """What an erasure would do to whom :func:`find` has found. The asking is audited. Raises NotFound."""
    made = erasure.plan(connection, patient_id, now_ms)
    if made is None:
        raise NotFound("Nobody here has this number.")
    audit.record(connection, now_ms, actor, "erasure_planned", name_of(patient_id).hex())
    return made


def ask(connection: Connection, patient_id: str, reason: str, actor: str, now_ms: int) -> str:
    """Ask for it; the id of the request. Raises NotFound, Refused."""
    made = plan(connection, patient_id, actor, now_ms)
    if not made.goes:
        raise Refused("Nothing of this person may be erased now.", code="nothing_to_erase")
    waiting = erasures.c.state.in_((WAITING, APPROVED))
    same = select(erasures.c.erasure_id).where(erasures.c.patient_id == made.patient_id, waiting)
    if connection.execute(same).first():
        raise Refused("It was asked for already.", code="erasure_asked")
    erasure_id = make_id(secrets.token_bytes(ID_BYTES))
    row = _row(erasure_id, made.patient_id, made.node_id, reason, WAITING, actor, now_ms)
    connection.execute(erasures.insert().values(row))
    audit.record(connection, now_ms, actor, "erasure_asked", erasure_id, reason)
    return erasure_id


def decide(connection: Connection, erasure_id: str, actor: str, now_ms: int, *, agree: bool) -> None:
    """Agree, or refuse. Raises NotFound, Refused(own_request, decided)."""
    row = connection.execute(select(erasures).where(erasures.c.erasure_id == erasure_id)).first()
    if row is None:
        raise NotFound("There is no such request.")
    if row.state != WAITING:
        raise Refused("Somebody has decided this already.", code="decided")
    if agree and row.asked_by == actor:
        raise Refused("Somebody else has to agree: nobody erases alone.", code="own_request")
    state = APPROVED if agree else REFUSED
    mine = erasures.c.erasure_id == erasure_id
    values = {"state": state, "decided_by": actor, "decided_ms": now_ms} | ({} if agree else {"patient_id": ""})
    still = update(erasures).where(mine, erasures.c.state == WAITING).values(values).returning(erasures.c.erasure_id)
    if connection.execute(still).first() is None:  # at another process, in this moment
        raise Refused("Somebody has decided this already.", code="decided")
    audit.record(connection, now_ms, actor, "erasure_agreed" if agree else "erasure_refused", erasure_id)


def listed(connection: Connection) -> list[Asking]:
    """The latest requests, newest first."""
    columns = [erasures.c[name] for name in Asking.__struct_fields__]
    rows = connection.execute(select(*columns).order_by(erasures.c.asked_ms.desc()).limit(SHOWN))
    return [Asking(*row) for row in rows]


def _row(
    erasure_id: str, patient_id: str, node_id: str, reason: str, state: str, actor: str, now_ms: int
) -> dict[str, object]:
    zeros = dict.fromkeys(("decided_ms", "visits", "entries", "blobs", "node_ms", "scrubbed_ms"), 0)
    return {
        "erasure_id": erasure_id,
        "patient_id": patient_id,
        "node_id": node_id,
        "reason": reason,
        "state": state,
        "asked_by": actor,
        "asked_ms": now_ms,
        "decided_by": "",
        **zeros,
    }


def recall(store: Store, keys: Keyring, folder: Path, now_ms: int) -> int:
    """Erase again what an older copy of the database has brought back; how many visits and people. Blocking."""
    names = erased.read_list(folder)
    known = store.read_now(erased.listed) if names else {}
    found = 0
    if names.keys() - known.keys():
        found = store.write_now(lambda connection: again(connection, keys, names, now_ms))
    erased.write_list(folder, store.read_now(erased.listed))
    return found


def again(connection: Connection, keys: Keyring, names: dict[bytes, str], now_ms: int) -> int:
    """As :func:`hub.erasure.again`, with a line in the list so that its bytes go too."""
    found = erasure.again(connection, keys, names, now_ms)
    if found:
        row = _row(make_id(secrets.token_bytes(ID_BYTES)), "", "", "came back with an older copy", DONE, "", now_ms)
        connection.execute(erasures.insert().values(row | {"visits": found}))
        audit.record(connection, now_ms, "", "erased_again", "", str(found))
    return found

"""Requests of locked nodes to be opened by the hub: asked by a node, decided by a person, released once that was done.

A node's secret U leaves the hub only here: for a request that a person has approved in the last ten minutes, to a node
that is not revoked. Who approved it, when and why stands in the audit log. Runs inside transactions of the store.
"""

from msgspec import Struct
from sqlalchemy import Connection, select, update

from edge.model.errors import NotFound, Refused
from edge.sync import frames as fr

from . import audit
from .keys import Keyring
from .store.dialect import Row
from .store.schema import nodes, unlocks

APPROVED_FOR_MS = 10 * 60_000
"""So long after the approval the node may fetch it."""
AGAIN_MS = 10_000
"""A node that asks anew within this is not heard: nobody fills the list."""
SHOWN_MS = 24 * 3600_000
HEARD_EVERY_MS = 15_000
ASKS_FOR_MS = 60_000
"""A node that has not asked for so long has given up, or is off line."""
WAITING, APPROVED, REFUSED, RELEASED = "waiting", "approved", "refused", "released"


class Answer(Struct, frozen=True):
    """What the node is told. ``secret``: U, only when it is released."""

    state: int
    secret: bytes = b""

    def __repr__(self) -> str:
        return f"Answer({self.state})"


class Asking(Struct, frozen=True):
    """One request as people see it."""

    node_id: str
    request: str
    """Hex; a decision is for this one and no later one."""
    site_code: str
    site_name: str
    district: str
    state: str
    """waiting, approved, refused, released."""
    asked_ms: int
    heard_ms: int
    still_asks: bool
    decided_by: str
    why: str
    decided_ms: int


def asked(connection: Connection, keys: Keyring, node_id: bytes, request: bytes, now_ms: int) -> Answer:
    """A node asks, perhaps again. Idempotent."""
    name = node_id.hex()
    node = connection.execute(select(nodes).where(nodes.c.node_id == name, nodes.c.revoked_ms == 0)).first()
    if node is None:
        return Answer(fr.UNLOCK_REFUSED)
    known = connection.execute(select(unlocks).where(unlocks.c.node_id == name)).first()
    if known is None or bytes(known.request) != request:
        return _begin(connection, name, request, known.asked_ms if known is not None else None, now_ms)
    if now_ms - known.heard_ms >= HEARD_EVERY_MS:
        _set(connection, name, {"heard_ms": now_ms})
    fresh = 0 <= now_ms - known.decided_ms <= APPROVED_FOR_MS
    if known.state in (APPROVED, RELEASED) and fresh:
        if known.state == APPROVED:
            _set(connection, name, {"state": RELEASED})
            audit.record(connection, now_ms, known.decided_by, "unlock_released", name)
        return Answer(fr.UNLOCK_RELEASED, keys.reveal(bytes(node.unlock_sealed), f"unlock {name}"))
    return Answer(fr.UNLOCK_WAITS if known.state == WAITING else fr.UNLOCK_REFUSED)


def _begin(connection: Connection, name: str, request: bytes, before_ms: int | None, now_ms: int) -> Answer:
    if before_ms is None or not 0 <= now_ms - before_ms < AGAIN_MS:
        row: Row = {
            "node_id": name,
            "request": request,
            "asked_ms": now_ms,
            "heard_ms": now_ms,
            "state": WAITING,
            "decided_by": "",
            "why": "",
            "decided_ms": 0,
        }
        connection.execute(unlocks.delete().where(unlocks.c.node_id == name))
        connection.execute(unlocks.insert().values(dict(row)))
        audit.record(connection, now_ms, "", "unlock_asked", name)
    return Answer(fr.UNLOCK_WAITS)


def _set(connection: Connection, name: str, values: Row) -> None:
    connection.execute(update(unlocks).where(unlocks.c.node_id == name).values(dict(values)))


def decide(
    connection: Connection, node_id: str, request: str, who: str, why: str, now_ms: int, *, approve: bool
) -> None:
    """A person acts. Raises NotFound, Refused (``unlock_decided``, ``node_revoked``)."""
    known = connection.execute(select(unlocks).where(unlocks.c.node_id == node_id)).first()
    if known is None or bytes(known.request).hex() != request:
        raise NotFound("This node does not ask, or has asked anew. Look at the list again.")
    if known.state != WAITING:
        raise Refused("Somebody has decided this already.", code="unlock_decided")
    if connection.execute(select(nodes.c.revoked_ms).where(nodes.c.node_id == node_id)).scalar() != 0:
        raise Refused("This node is revoked. It is opened by nobody.", code="node_revoked")
    state = APPROVED if approve else REFUSED
    # Another process may have decided meanwhile, or heard a later request: this is for the one that was looked at.
    this = (unlocks.c.node_id == node_id) & (unlocks.c.request == known.request) & (unlocks.c.state == WAITING)
    values: Row = {"state": state, "decided_by": who, "why": why, "decided_ms": now_ms}
    if connection.execute(update(unlocks).where(this).values(dict(values))).rowcount == 0:
        raise Refused("Somebody has decided this already.", code="unlock_decided")
    audit.record(connection, now_ms, who, f"unlock_{state}", node_id, why)


def listed(connection: Connection, now_ms: int) -> list[Asking]:
    """Requests of the last day, those that wait first, then the latest."""
    query = (
        select(unlocks, nodes.c.site_code, nodes.c.site_name, nodes.c.district)
        .join(nodes, nodes.c.node_id == unlocks.c.node_id)
        .where(unlocks.c.asked_ms >= now_ms - SHOWN_MS, nodes.c.revoked_ms == 0)
    )
    found = [
        Asking(
            row.node_id,
            bytes(row.request).hex(),
            row.site_code,
            row.site_name,
            row.district,
            row.state,
            row.asked_ms,
            row.heard_ms,
            now_ms - row.heard_ms < ASKS_FOR_MS,
            row.decided_by,
            row.why,
            row.decided_ms,
        )
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda one: (one.state != WAITING, -one.asked_ms))

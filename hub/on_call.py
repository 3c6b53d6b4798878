"""Whom centres ring when no doctor answers: kept here by district, and told to each node in the hub's log.

A node rings the numbers of its district first, then those that are everywhere. Runs inside transactions of the store.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, func, or_, select, update

from edge.model import events as ev
from edge.model.errors import Refused

from . import audit, breach, down
from .store.dialect import lock, put_row
from .store.schema import nodes
from .store.schema_office import on_call

EVERYWHERE: Final = ""
MOST: Final = 6
"""Numbers in one list: a node shows those of its district and those that are everywhere."""
UNTOLD_MS: Final = -1
"""``told_on_call_ms`` of a node that lies elsewhere now: it is told anew, also where there is no list."""
NAMED_MS: Final = 1
"""``told_on_call_ms`` of a node that was told who the grievance officer is, and lies where there is no list."""
AT_ONCE: Final = 25
"""Nodes told in one look, every two seconds: ten thousand within a quarter of an hour, beside all else."""

Phone = Annotated[str, Meta(pattern=r"^\+?[0-9][0-9 -]{1,17}$(?!\n)")]


class Number(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to ring."""

    name: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]
    phone: Phone


class List(Struct, frozen=True):
    """The numbers of a district, in the order in which they should be rung."""

    district: str
    """Empty: everywhere."""
    items: tuple[Number, ...]
    changed_ms: int


_encode = msgspec.msgpack.Encoder().encode
_items = msgspec.msgpack.Decoder(tuple[Number, ...])


def listed(connection: Connection) -> list[List]:
    """All lists; the one for everywhere first."""
    rows = connection.execute(select(on_call).order_by(on_call.c.district))
    return [List(row.district, _items.decode(row.items), row.changed_ms) for row in rows]


def put(
    connection: Connection, district: str, items: tuple[Number, ...], seen_ms: int, now_ms: int, actor: str
) -> None:
    """Replace a list. An empty one is told too: its numbers are wrong by now.

    ``seen_ms``: ``changed_ms`` of the list that was changed, 0 for none. Raises Refused(on_call_outdated) when another
    list stands there by now.
    """
    lock(connection, "on_call")
    standing_ms = connection.execute(select(on_call.c.changed_ms).where(on_call.c.district == district)).scalar() or 0
    if standing_ms != seen_ms:
        raise Refused("Somebody changed this list meanwhile. Load it and look.", code="on_call_outdated")
    latest = connection.execute(select(func.max(on_call.c.changed_ms))).scalar() or 0
    row = {"district": district, "items": _encode(items), "changed_ms": max(now_ms, latest + 1)}
    put_row(connection, on_call, row)
    audit.record(connection, now_ms, actor, "on_call_changed", district[:60], str(len(items)))


def tell_all_anew(connection: Connection) -> None:
    """Let every node be told again, as one that lies elsewhere now."""
    connection.execute(update(nodes).values(told_on_call_ms=UNTOLD_MS))


def lacking(connection: Connection, most: int = AT_ONCE) -> list[str]:
    """Some nodes that have not been told the newest numbers that concern them."""
    named_ms = NAMED_MS if breach.load_officer(connection, breach.Role.GRIEVANCE) else 0
    query = (
        select(nodes.c.node_id)
        .outerjoin(on_call, or_(on_call.c.district == EVERYWHERE, on_call.c.district == nodes.c.district))
        .where(nodes.c.revoked_ms == 0, nodes.c.told_on_call_ms < func.coalesce(on_call.c.changed_ms, named_ms))
        .distinct()
        .limit(most)
    )
    return [row.node_id for row in connection.execute(query)]


def tell(connection: Connection, speaker: down.Speaker, node_id: str, now_ms: int) -> down.DownBlob:
    """Say to a node all numbers that it should ring, and whom patients complain to."""
    district = connection.execute(select(nodes.c.district).where(nodes.c.node_id == node_id)).scalar_one()
    mine = [one for one in listed(connection) if one.district in (EVERYWHERE, district)]
    mine.sort(key=lambda one: one.district == EVERYWHERE)
    numbers = tuple(ev.OnCallNumber(number.name, number.phone) for one in mine for number in one.items)
    officer = breach.load_officer(connection, breach.Role.GRIEVANCE)
    told_ms = max((one.changed_ms for one in mine), default=NAMED_MS if officer else 0)
    connection.execute(update(nodes).where(nodes.c.node_id == node_id).values(told_on_call_ms=told_ms))
    said: list[ev.Event] = [ev.OnCallPublished(numbers)]
    if officer is not None:
        said.append(ev.GrievanceNamed(officer.name, officer.phone, officer.email))
    return down.speak(connection, speaker, node_id, tuple(said), "", now_ms)

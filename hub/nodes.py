"""What nodes say of themselves: who works there, and how they stand. Views over their log entries.

Names of staff count only in the clinical stream, which a locked (perhaps stolen) node cannot write. Knows no socket.
"""

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select

from edge.model import events as ev
from edge.model.records import Role
from edge.sync.log import Stream

from . import stock
from .store.dialect import put_row
from .store.schema import entries, node_staff, node_stock, node_told

_KINDS = (ev.KIND_OF[ev.StaffListed], ev.KIND_OF[ev.NodeTold], *sorted(stock.KINDS))
_encode = msgspec.msgpack.Encoder().encode
_told = msgspec.msgpack.Decoder(ev.NodeTold)
_entry = msgspec.msgpack.Decoder(ev.Entry)


class Worker(Struct, frozen=True):
    """Somebody who works at a node."""

    staff_id: str
    name: str
    name_hi: str
    role: Role


class Told(Struct, frozen=True):
    """What a node said of itself last, and when by its own clock."""

    at_ms: int
    told: ev.NodeTold


def fold(connection: Connection, node_id: str, stream: int, event: ev.Event | ev.Unknown, stamp: int) -> None:
    """Take in one entry of a node, unless a later one says the same thing. Other events change nothing."""
    match event:
        case ev.StaffListed() if stream == Stream.CLINICAL:
            mine = (node_staff.c.node_id == node_id, node_staff.c.staff_id == event.staff_id)
            known = connection.execute(select(node_staff.c.stamp).where(*mine)).scalar()
            if known is None or known < stamp:
                put_row(
                    connection,
                    node_staff,
                    {
                        "node_id": node_id,
                        "staff_id": event.staff_id,
                        "name": event.name,
                        "name_hi": event.name_hi,
                        "role": event.role.value,
                        "stamp": stamp,
                    },
                )
        case ev.NodeTold() if stream == Stream.AUDIT:
            known = connection.execute(select(node_told.c.stamp).where(node_told.c.node_id == node_id)).scalar()
            if known is None or known < stamp:
                put_row(connection, node_told, {"node_id": node_id, "stamp": stamp, "told": _encode(event)})
        case ev.StockCounted() | ev.StockReceived() | ev.Dispensed() | ev.HandOutTakenBack():
            stock.fold(connection, node_id, stream, event, stamp)
        case _:
            return


def rebuild(connection: Connection) -> None:
    """Compute these views anew from the entries."""
    connection.execute(delete(node_stock))
    connection.execute(delete(node_staff))
    connection.execute(delete(node_told))
    rows = connection.execute(
        select(entries.c.node_id, entries.c.stream, entries.c.stamp, entries.c.raw).where(entries.c.kind.in_(_KINDS))
    ).all()
    for row in rows:
        try:
            event = ev.event_of(_entry.decode(bytes(row.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        fold(connection, row.node_id, row.stream, event, row.stamp)


def workers(connection: Connection, node_id: str) -> tuple[Worker, ...]:
    """Everybody who works, or has worked, at a node, by name."""
    rows = connection.execute(select(node_staff).where(node_staff.c.node_id == node_id).order_by(node_staff.c.name))
    return tuple(Worker(row.staff_id, row.name, row.name_hi, Role(row.role)) for row in rows)


def worker_name(connection: Connection, node_id: str, staff_id: str) -> str:
    """The name of a node's worker for paper; the id where the name has not arrived."""
    mine = (node_staff.c.node_id == node_id, node_staff.c.staff_id == staff_id)
    return str(connection.execute(select(node_staff.c.name).where(*mine)).scalar() or staff_id)


def all_told(connection: Connection) -> dict[str, Told]:
    """The last word of every node that has said one."""
    rows = connection.execute(select(node_told))
    return {row.node_id: Told(row.stamp >> 16, _told.decode(row.told)) for row in rows}

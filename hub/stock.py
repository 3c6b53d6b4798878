"""The book of each node's shelf, as far as its entries have come. The sums are :mod:`edge.model.stock`."""

from sqlalchemy import Connection, delete, select, update

from edge.model import events as ev
from edge.model import stock
from edge.sync.log import Stream

from .store.dialect import Row, insert_new
from .store.schema import node_stock

KINDS = frozenset(ev.KIND_OF[kind] for kind in (ev.StockCounted, ev.StockReceived, ev.Dispensed, ev.HandOutTakenBack))
LARGEST_STAMP = (1 << 63) - 1


def fold(connection: Connection, node_id: str, stream: int, event: ev.Event | ev.Unknown, stamp: int) -> None:
    """Write a node's entry into its book. What a later count has made void is dropped."""
    move = stock.move_of(event, stamp) if stream != Stream.HUB else None
    if move is None or not 0 <= move.stamp <= LARGEST_STAMP:
        return
    row: Row = {
        "node_id": node_id,
        "drug_id": move.drug_id,
        "stamp": move.stamp,
        "units": move.units,
        "counted": move.counted,
    }
    mine = (node_stock.c.node_id == node_id) & (node_stock.c.drug_id == move.drug_id)
    if not insert_new(connection, node_stock, row) and move.takes_back:
        connection.execute(update(node_stock).where(mine, node_stock.c.stamp == move.stamp).values(units=0))
    counted = connection.execute(
        select(node_stock.c.stamp).where(mine, node_stock.c.counted).order_by(node_stock.c.stamp.desc()).limit(1)
    ).scalar()
    if counted is not None:
        connection.execute(delete(node_stock).where(mine, node_stock.c.stamp < counted))


def levels(connection: Connection, node_id: str) -> list[stock.Level]:
    """What the book of a node says."""
    rows = connection.execute(select(node_stock).where(node_stock.c.node_id == node_id))
    return stock.levels(stock.Move(row.drug_id, row.stamp, row.units, bool(row.counted)) for row in rows)

"""What nodes sent and this hub could not take in, kept with the reason. Knows no socket and no view.

It is authentic, and it was acknowledged or is about to be: nothing of it is thrown away. So that one broken node does
not fill the disk, what comes when its share is used up is not taken at all: it stays with the node, and a person hears
of it.
"""

import hashlib
import logging

from sqlalchemy import Connection, func, select

from edge.model.errors import UpkendraError
from edge.web.logs import say

from . import audit
from .store.dialect import Row, insert_new
from .store.schema import quarantine

logger = logging.getLogger("hub.receive")
SHARE_BYTES = 32 << 20
"""What lies aside for one node."""
SHARE_ROWS = 20_000
OF_A_LATER_RELEASE = frozenset({"format_unknown", "dictionary_unknown"})
"""Reasons that an update of the hub may do away with; tried again at each start."""


class QuarantineFull(UpkendraError):
    """A node has sent more that this hub cannot read than it keeps aside. The rest stays with the node."""

    code = "quarantine_full"


def put_aside(connection: Connection, node_id: bytes, content: bytes, reason: str, now_ms: int) -> None:
    """Into quarantine, once. Raises QuarantineFull."""
    row: Row = {
        "node_id": node_id.hex(),
        "content_hash": hashlib.sha256(node_id + reason.encode() + content).digest(),
        "content": content,
        "reason": reason[:60],
        "received_ms": now_ms,
    }
    if not insert_new(connection, quarantine, row):
        return
    size, rows = connection.execute(
        select(func.sum(func.length(quarantine.c.content)), func.count()).where(quarantine.c.node_id == node_id.hex())
    ).one()
    if size > SHARE_BYTES or rows > SHARE_ROWS:
        raise QuarantineFull("More of this node lies aside than is kept for it. Look at what it sends.")
    audit.record(connection, now_ms, node_id.hex(), "quarantined", node_id.hex(), reason)
    say(logger, "quarantined", logging.WARNING, node_id=node_id.hex(), reason=reason, bytes=len(content))


def of_a_later_release(connection: Connection) -> list[int]:
    """Rows that were put aside because only a later release can read them."""
    waiting = quarantine.c.reason.in_(sorted(OF_A_LATER_RELEASE))
    return list(connection.execute(select(quarantine.c.id).where(waiting).order_by(quarantine.c.id)).scalars())

"""What nodes sent and this hub could not take in, kept with the reason. Knows no socket and no view.

It is authentic, and it was acknowledged or is about to be: nothing of it is thrown away. It may be of a patient as much
as what could be read, so it lies sealed: whoever reads the database, its journal or its second copy sees none of it.
So that one broken node does not fill the disk, what comes when its share is used up is not taken at all: it stays with
the node, and a person hears of it.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update
from sqlalchemy import Row as Found

from edge.model.errors import UpkendraError
from edge.sync import seal
from edge.web.logs import say

from . import audit
from .keys import Keyring
from .store.dialect import Row, insert_new
from .store.schema import quarantine

logger = logging.getLogger("hub.receive")
SHARE_BYTES = 32 << 20
"""What lies aside for one node."""
SHARE_ROWS = 20_000
LOOKED_AT_ONCE = 64
OF_A_LATER_RELEASE = frozenset({"format_unknown", "dictionary_unknown"})
"""Reasons that an update of the hub may do away with; tried again at each start."""


class QuarantineFull(UpkendraError):
    """A node has sent more that this hub cannot read than it keeps aside. The rest stays with the node."""

    code = "quarantine_full"


def put_aside(connection: Connection, keys: Keyring, node_id: bytes, content: bytes, reason: str, now_ms: int) -> None:
    """Into quarantine, once. Raises QuarantineFull."""
    name = _name_of(keys, node_id.hex(), reason, content)
    row: Row = {
        "node_id": node_id.hex(),
        "content_hash": name,
        "content": keys.protect(content, _label(node_id.hex(), name)),
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


def content_of(connection: Connection, keys: Keyring, number: int) -> tuple[str, str, bytes] | None:
    """Node, reason and content of a row; None when it is there no more. Raises KeysRefused for one that is damaged."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == number)).first()
    if row is None:
        return None
    return row.node_id, row.reason, keys.reveal(bytes(row.content), _label(row.node_id, bytes(row.content_hash)))


def find_plain(connection: Connection, after: int) -> tuple[list[int], int]:
    """Which of the next rows a release before this one put aside in plain, and the last row looked at; 0 at the end."""
    rows = connection.execute(
        select(quarantine).where(quarantine.c.id > after).order_by(quarantine.c.id).limit(LOOKED_AT_ONCE)
    ).all()
    return [row.id for row in rows if _is_plain(row)], rows[-1].id if rows else 0


def _is_plain(row: "Found[tuple[object, ...]]") -> bool:
    message = bytes.fromhex(row.node_id) + row.reason.encode() + bytes(row.content)
    return bool(hashlib.sha256(message).digest() == bytes(row.content_hash))


def seal_plain(connection: Connection, keys: Keyring, numbers: Sequence[int]) -> None:
    """Seal these rows."""
    for row in connection.execute(select(quarantine).where(quarantine.c.id.in_(numbers))).all():
        content = bytes(row.content)
        name = _name_of(keys, row.node_id, row.reason, content)
        connection.execute(
            update(quarantine)
            .where(quarantine.c.id == row.id)
            .values(content_hash=name, content=keys.protect(content, _label(row.node_id, name)))
        )


def _name_of(keys: Keyring, node_id: str, reason: str, content: bytes) -> bytes:
    """Known again when it comes again; tells nobody without the key what it is the name of."""
    message = bytes.fromhex(node_id) + reason.encode() + content
    return hmac.digest(seal.hkdf(keys.data, b"quarantine"), message, "sha256")


def _label(node_id: str, name: bytes) -> str:
    return f"quarantine {node_id} {name.hex()}"

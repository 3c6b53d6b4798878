"""What lay aside for a later release, read again by the release that can. Runs inside a transaction of the store."""

from collections.abc import Callable

from sqlalchemy import Connection, delete

from edge.sync.inbox import Piece, Rejected, judge
from edge.sync.link import BundleArrived, ChunkArrived
from edge.sync.seal import Grade, NodeRecord

from . import audit, blob_rows
from .keys import Keyring
from .quarantine import content_of
from .receive import receive_bundle
from .store.schema import quarantine

_GRADES = frozenset(grade.value.encode() for grade in Grade)


def reconsider(
    connection: Connection,
    number: int,
    record_of: Callable[[bytes], NodeRecord | None],
    keys: Keyring,
    now_ms: int,
) -> bool:
    """Take row ``number`` in, if this release can read it; otherwise it stays where it is.

    A piece of a photo waits among the others of its blob; whoever starts the blobs finds what is whole now.
    Raises QuarantineFull, LooseLimit, KeysRefused (it is damaged): it stays then too.
    """
    found = content_of(connection, keys, number)
    if found is None:
        return False
    node_id, reason, content = found
    record = record_of(bytes.fromhex(node_id))
    if record is None or content[:1] not in _GRADES:
        return False
    grade = Grade(content[:1].decode())
    verdict = judge(content[1:], grade, None)
    if isinstance(verdict, Rejected):
        return False
    connection.execute(delete(quarantine).where(quarantine.c.id == number))
    if isinstance(verdict, Piece):
        piece = ChunkArrived(record.node_id, b"", grade, verdict.chunk, content)
        blob_rows.take_chunk(connection, keys, piece, now_ms)
    else:
        arrived = BundleArrived(record.node_id, b"", grade, verdict.payload, content)
        received = receive_bundle(connection, arrived, record, keys, now_ms)
        blob_rows.note(connection, keys, node_id, received.visit_ids, now_ms)
    audit.record(connection, now_ms, "", "reconsidered", node_id, reason)
    return True

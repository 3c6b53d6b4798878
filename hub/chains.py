"""Every log that this hub holds, verified from its first entry: what is there, what was erased, and the signed heads.

Reads only. Heads are checked as they arrive (:mod:`hub.receive`); this looks at all of it again, after a restore or an
erasure.
"""

from msgspec import Struct, msgpack
from sqlalchemy import Connection, select

from edge.sync.log import Chain, SignedHead, Stream, commitment, verify_head
from edge.sync.seal import Grade

from . import receive
from .store.schema import entries, former_nodes, heads, nodes

_head = msgpack.Decoder(SignedHead).decode


class Verified(Struct, frozen=True):
    """What was found."""

    logs: int
    entries: int
    """As far as the chains reach: behind a hole they wait."""
    erased: int
    heads: int
    broken: tuple[str, ...]
    """``node:run:stream:seq`` of what does not fit, in order."""


def verify(connection: Connection) -> Verified:
    """Compute all chains anew."""
    count = empty = promises = 0
    broken: list[str] = []
    logs = connection.execute(select(entries.c.node_id, entries.c.run, entries.c.stream).distinct()).all()
    for log in sorted((str(row.node_id), bytes(row.run), int(row.stream)) for row in logs):
        node_id, run, stream = log
        if stream not in {one.value for one in Stream}:
            continue
        chain = Chain(bytes.fromhex(node_id), run, Stream(stream))
        salts: dict[str, bytes] = {}
        signed = _heads(connection, log)
        publics = _publics(connection, node_id)
        mine = (entries.c.node_id == node_id, entries.c.run == run, entries.c.stream == stream)
        query = select(entries.c.seq, entries.c.raw, entries.c.c, entries.c.h).where(*mine).order_by(entries.c.seq)
        for row in connection.execute(query):
            if row.seq != chain.seq + 1 or row.h is None:
                break
            raw, kept = bytes(row.raw), bytes(row.c or b"")
            salt = receive.salt_for(connection, node_id, raw, salts) if raw else b""
            found = kept if not raw else commitment(raw, salt, Stream(stream), row.seq) if salt is not None else b""
            place = chain.append_commitment(found)
            count, empty = count + 1, empty + (not raw)
            good = found == kept and place.head == bytes(row.h)
            if head := signed.get(row.seq):
                promises += 1
                allowed = publics[Grade.LOG if head.grade == Grade.LOG else Grade.DEVICE]
                good &= head.head == place.head
                good &= any(verify_head(head, chain.node_id, run, Stream(stream), public) for public in allowed)
            if not good:
                broken.append(f"{node_id}:{run.hex()}:{stream}:{row.seq}")
                break
    return Verified(len(logs), count, empty, promises, tuple(broken))


def _heads(connection: Connection, log: tuple[str, bytes, int]) -> dict[int, SignedHead]:
    mine = (heads.c.node_id == log[0], heads.c.run == log[1], heads.c.stream == log[2])
    rows = connection.execute(select(heads.c.seq, heads.c.signed).where(*mine, heads.c.state != "bad"))
    return {row.seq: _head(bytes(row.signed)) for row in rows}


def _publics(connection: Connection, node_id: str) -> dict[Grade, list[bytes]]:
    found: dict[Grade, list[bytes]] = {Grade.LOG: [], Grade.DEVICE: []}
    for table in (nodes, former_nodes):
        columns = select(table.c.log_public, table.c.device_public).where(table.c.node_id == node_id)
        for row in connection.execute(columns):
            found[Grade.LOG].append(bytes(row.log_public))
            found[Grade.DEVICE].append(bytes(row.device_public))
    return found

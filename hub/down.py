"""The hub's own log for each node: what it says goes into the views and, sealed to R, to the node.

Entry, view and sealed blob are committed together before anything is sent; a blob is sent again
until the node has said that it holds it. Knows no socket.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.model.errors import NotFound
from edge.sync import bundle, faults, hubkey, seal
from edge.sync.link import Cls
from edge.sync.log import NO_SALT, Chain, Position, Stream, own_salt
from edge.sync.versions import FIRST, Reads

from . import views
from .directory import load_record
from .home.sites import is_home
from .keys import Keyring
from .store.schema import down, entries, nodes

_encode = msgspec.msgpack.Encoder().encode


class DownBlob(Struct, frozen=True):
    """A sealed piece of the hub's log on its way to a node; empty for a home site, which has nobody to send it to."""

    node_id: bytes
    seq: int
    blob: bytes
    cls: int


class Speaker(Struct, frozen=True):
    """What this process needs to write hub logs."""

    keys: Keyring
    run: bytes
    """8 random bytes of this process: a restored database cannot fork a log."""
    reads: Callable[[bytes], Reads] = lambda node_id: FIRST
    """What a node said that it reads; asked when a blob is packed."""


def speak(
    connection: Connection,
    speaker: Speaker,
    node_id: str,
    events: Sequence[ev.Event],
    actor: str,
    now_ms: int,
    cls: Cls = Cls.CLINICAL,
) -> DownBlob:
    """Append events to the hub's log for a node and seal them for it. Send the result after the commit.

    Raises NotFound for a node that was never enrolled and is no home site.
    """
    record = load_record(connection, speaker.keys, node_id)
    if record is None and not is_home(connection, node_id):
        raise NotFound("There is no such node.")
    first_seq, raws = write(connection, speaker, node_id, Stream.HUB, events, actor, now_ms)
    faults.point("hub-said")
    if record is None:  # a home site: the hub itself holds it
        blob = DownBlob(bytes.fromhex(node_id), 0, b"", cls.value)
    else:
        payload = bundle.BundlePayload(cls.value, speaker.run, Stream.HUB.value, first_seq, raws)
        blob = seal_payload(connection, speaker, record, payload, now_ms)
    views.refold(connection, {ev.visit_of(event) for event in events}, (), now_ms)
    return blob


def write(
    connection: Connection,
    speaker: Speaker,
    node_id: str,
    stream: Stream,
    events: Sequence[ev.Event],
    actor: str,
    now_ms: int,
) -> tuple[int, tuple[bytes, ...]]:
    """Append events to a log that this process writes: the first sequence and the raw entries. Folds no view."""
    chain, stamp = _continue(connection, speaker, bytes.fromhex(node_id), stream)
    raws: list[bytes] = []
    first_seq = chain.seq + 1
    for visit_id in {ev.visit_of(event) for event in events} - {""}:
        owned = views.load_visit(connection, visit_id)
        stamp = max(stamp, owned.visit.changed_stamp if owned else 0)
    for event in events:
        stamp = next_stamp(stamp, now_ms)
        raw = _encode(ev.entry_of(event, stamp, actor))
        salt = own_salt(event) or visit_salt(connection, node_id, ev.visit_of(event))
        place = chain.append(raw, salt)
        connection.execute(
            entries.insert().values(
                node_id=node_id,
                run=speaker.run,
                stream=stream.value,
                seq=place.seq,
                raw=raw,
                c=place.commitment,
                h=place.head,
                kind=ev.KIND_OF[type(event)],
                stamp=stamp,
                visit_id=ev.visit_of(event),
                patient_id=views.patient_of(event),
                received_ms=now_ms,
            )
        )
        raws.append(raw)
    return first_seq, tuple(raws)


def seal_payload(
    connection: Connection, speaker: Speaker, record: seal.NodeRecord, payload: bundle.BundlePayload, now_ms: int
) -> DownBlob:
    """Pack entries and seal them for a node; the row waits until the node holds it."""
    packed = bundle.pack_for(payload, speaker.reads(record.node_id))
    return seal_packed(connection, speaker, record, payload, packed, now_ms)


def seal_packed(
    connection: Connection,
    speaker: Speaker,
    record: seal.NodeRecord,
    payload: bundle.BundlePayload,
    packed: bytes,
    now_ms: int,
) -> DownBlob:
    """As :func:`seal_payload`, of what was packed already. The number was never given before."""
    node_id = record.node_id.hex()
    last = connection.execute(select(func.max(down.c.seq)).where(down.c.node_id == node_id)).scalar()
    # Time and 16 random bits of this process: a database restored from a backup gives no number again, even when
    # its clock is wrong.
    seq = max(now_ms, ((last or 0) >> 16) + 1) << 16 | int.from_bytes(speaker.run[:2], "big")
    blob = seal.seal_down(record, seq, packed, speaker.keys.hub.sign)
    connection.execute(
        down.insert().values(
            node_id=node_id,
            seq=seq,
            cls=payload.cls,
            blob=blob,
            made_ms=now_ms,
            stored_ms=0,
            run=payload.run,
            stream=payload.stream,
            first_seq=payload.first_seq,
            last_seq=payload.first_seq + len(payload.entries) - 1,
        )
    )
    return DownBlob(record.node_id, seq, blob, payload.cls)


def lacking_key(connection: Connection, keys: Keyring) -> list[str]:
    """Nodes that have not been told the newest KEM key."""
    query = select(nodes.c.node_id).where(nodes.c.told_key_ms < keys.hub.made_ms, nodes.c.revoked_ms == 0)
    return [row.node_id for row in connection.execute(query)]


def tell_key(connection: Connection, speaker: Speaker, keys: Keyring, now_ms: int) -> list[DownBlob]:
    """Tell the newest KEM key to every node that has not been told."""
    key = hubkey.sign_key(keys.hub.sign, keys.hub.made_ms, seal.public_of(keys.hub.kem[0]))
    event = ev.HubKeyPublished(key.made_ms, key.public, key.signature)
    blobs = []
    for node_id in lacking_key(connection, keys):
        blobs.append(speak(connection, speaker, node_id, (event,), "", now_ms))
        connection.execute(update(nodes).where(nodes.c.node_id == node_id).values(told_key_ms=key.made_ms))
    return blobs


def mark_stored(connection: Connection, node_id: bytes, seq: int, now_ms: int) -> None:
    """The node holds blob ``seq``: it is not sent again."""
    connection.execute(
        update(down)
        .where(down.c.node_id == node_id.hex(), down.c.seq == seq, down.c.stored_ms == 0)
        .values(stored_ms=now_ms)
    )


def waiting(connection: Connection, node_id: bytes | None = None, seq: int | None = None) -> list[DownBlob]:
    """What nodes (or one node; or one blob of it) do not hold yet, in order."""
    query = select(down.c.node_id, down.c.seq, down.c.blob, down.c.cls).where(down.c.stored_ms == 0)
    if node_id is not None:
        query = query.where(down.c.node_id == node_id.hex())
    if seq is not None:
        query = query.where(down.c.seq == seq)
    rows = connection.execute(query.order_by(down.c.node_id, down.c.seq))
    return [DownBlob(bytes.fromhex(row.node_id), row.seq, bytes(row.blob), row.cls) for row in rows]


def lacking(connection: Connection) -> set[bytes]:
    """Nodes that do not hold all that they were told."""
    rows = connection.execute(select(down.c.node_id).where(down.c.stored_ms == 0).distinct())
    return {bytes.fromhex(row.node_id) for row in rows}


def _continue(connection: Connection, speaker: Speaker, node_id: bytes, stream: Stream) -> tuple[Chain, int]:
    last = connection.execute(
        select(entries.c.seq, entries.c.c, entries.c.h, entries.c.stamp)
        .where(entries.c.node_id == node_id.hex(), entries.c.run == speaker.run, entries.c.stream == stream.value)
        .order_by(entries.c.seq.desc())
        .limit(1)
    ).first()
    if last is None:
        return Chain(node_id, speaker.run, stream), 0
    return Chain(node_id, speaker.run, stream, Position(last.seq, last.c, last.h)), last.stamp


def visit_salt(connection: Connection, node_id: str, visit_id: str) -> bytes:
    """Salt of the visit that the node opened: the hub's entries about it are erased together with it."""
    if not visit_id:
        return NO_SALT
    raw = connection.execute(
        select(entries.c.raw).where(
            entries.c.visit_id == visit_id, entries.c.node_id == node_id, entries.c.kind == views.VISIT_OPENED
        )
    ).scalar()
    found = views.readable(bytes(raw)) if raw is not None else None
    return found[1].salt if found is not None and isinstance(found[1], ev.VisitOpened) else NO_SALT

"""The hash-chained audit log: who did what to which record, and when. Holds no clinical text.

Written in the transaction of the act itself, so that there is no act without its line.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from .store.dialect import at_commit, lock
from .store.schema import audit
from .store.schema_rights import audit_shown

_GENESIS = hashlib.sha256(b"upk1 hub audit").digest()


def _chained(previous: bytes, seq: int, at_ms: int, actor: str, action: str, subject: str, result: str) -> bytes:
    return hashlib.sha256(previous + msgspec.msgpack.encode([seq, at_ms, actor, action, subject, result])).digest()


SHOWN: Final = "_shown"
"""How actions end whose line has ids beside it."""
SHOWN_MAX: Final = 1_000
"""Ids in one line."""
AT_ONCE: Final = 500
"""Lines that are held in memory at once: years of them are gigabytes."""
_encode = msgspec.msgpack.Encoder().encode
_ids = msgspec.msgpack.Decoder(tuple[str, ...])


def record(connection: Connection, at_ms: int, actor: str, action: str, subject: str = "", result: str = "ok") -> None:
    """Append one line. ``subject`` is an id, never a name; every field is cut at 60 characters.

    In a writer's transaction it takes its place in the chain last of all: processes of the hub go on from each other.
    """
    line = (at_ms, actor[:60], action[:60], subject[:60], result[:60])

    def last_of_all(last: Connection) -> None:
        _append(last, *line)

    at_commit(connection, last_of_all)


def record_shown(connection: Connection, at_ms: int, actor: str, action: str, ids: Sequence[str]) -> None:
    """A list showed these visits: one line that holds the hash of their ids, which stand beside it."""
    raw = _encode(tuple(ids))
    line = (at_ms, actor[:60], action[:60], "", _digest(raw))
    at_commit(connection, lambda last: _append_shown(last, raw, *line))


def _append_shown(
    connection: Connection, raw: bytes, at_ms: int, actor: str, action: str, subject: str, result: str
) -> None:
    seq = _append(connection, at_ms, actor, action, subject, result)
    connection.execute(audit_shown.insert().values(seq=seq, ids=raw))


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:60]


def shown(raw: bytes) -> tuple[str, ...]:
    """The ids beside a line."""
    return _ids.decode(raw)


def _append(connection: Connection, at_ms: int, actor: str, action: str, subject: str, result: str) -> int:
    lock(connection, "audit")
    last = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, _GENESIS)
    connection.execute(
        audit.insert().values(
            seq=seq,
            at_ms=at_ms,
            actor=actor,
            action=action,
            subject=subject,
            result=result,
            hash=_chained(previous, seq, at_ms, actor, action, subject, result),
        )
    )
    return int(seq)


def said_since(connection: Connection, actor: str, subject: str, result: str, since_ms: int) -> bool:
    """Whether there is such a line of this person."""
    query = select(audit.c.seq).where(audit.c.subject == subject[:60], audit.c.at_ms >= since_ms)
    mine = (audit.c.actor == actor[:60]) & (audit.c.result == result[:60])
    return connection.execute(query.where(mine).limit(1)).first() is not None


def verify(connection: Connection) -> int:
    """Sequence of the first line that does not fit its chain, or 0 when the whole chain holds."""
    previous = _GENESIS
    expected = 1
    query = select(audit, audit_shown.c.ids).outerjoin(audit_shown, audit_shown.c.seq == audit.c.seq)
    with connection.execute(query.order_by(audit.c.seq).execution_options(yield_per=AT_ONCE)) as rows:
        for row in rows:
            previous = _chained(previous, row.seq, row.at_ms, row.actor, row.action, row.subject, row.result)
            named = row.action.endswith(SHOWN)
            if row.seq != expected or row.hash != previous or named != (row.ids is not None):
                return expected
            if row.ids is not None and _digest(bytes(row.ids)) != row.result:
                return expected
            expected += 1
    return 0

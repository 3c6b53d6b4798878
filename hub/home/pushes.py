"""Browsers that want to be told, the hub's key for it, and what was pushed and not seen yet, in the database.

A push that no page has confirmed within half a minute is told by SMS: a service takes a message also for a telephone
that is off. Everything runs inside a transaction of the store.
"""

import hashlib
import secrets
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from msgspec import Struct
from sqlalchemy import Connection, delete, select, update

from ..keys import Keyring
from ..store.dialect import Row, insert_new, put_row
from ..store.schema_home import home_push_key, home_pushed, home_pushes
from .push import Subscription

BROWSERS_MAX: Final = 8
"""Of one account; the oldest go."""
SEEN_WITHIN_MS: Final = 30_000
_decode = msgspec.msgpack.Decoder(Subscription)
_encode = msgspec.msgpack.Encoder().encode


class Due(Struct, frozen=True):
    """Something that was pushed, and nobody has seen."""

    word: str
    account_id: str
    visit_id: str
    kind: str


def own_key(connection: Connection, keys: Keyring) -> ec.EllipticCurvePrivateKey:
    """The VAPID key of the hub, made the first time. Within a writer's transaction."""
    drawn = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    insert_new(connection, home_push_key, {"number": 1, "sealed": keys.protect(drawn, "push key")})
    sealed = connection.execute(select(home_push_key.c.sealed)).scalar_one()
    key = load_der_private_key(keys.reveal(bytes(sealed), "push key"), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _name(endpoint: str) -> bytes:
    return hashlib.sha256(b"upk1 push" + endpoint.encode()).digest()


def put(connection: Connection, keys: Keyring, account_id: str, to: Subscription, now_ms: int) -> None:
    """This browser wants to be told of the account's visits, and of no other's."""
    name = _name(to.endpoint)
    sealed = keys.protect(_encode(to), f"push {name.hex()}")
    row: Row = {"name": name, "account_id": account_id, "sealed": sealed, "made_ms": now_ms}
    put_row(connection, home_pushes, row)
    mine = select(home_pushes.c.name).where(home_pushes.c.account_id == account_id)
    newest = connection.execute(mine.order_by(home_pushes.c.made_ms.desc(), home_pushes.c.name)).scalars().all()
    for old in newest[BROWSERS_MAX:]:
        connection.execute(delete(home_pushes).where(home_pushes.c.name == old))


def remove(connection: Connection, account_id: str, endpoint: str) -> None:
    """This browser wants to be told no more."""
    mine = (home_pushes.c.name == _name(endpoint)) & (home_pushes.c.account_id == account_id)
    connection.execute(delete(home_pushes).where(mine))


def of_account(connection: Connection, keys: Keyring, account_id: str) -> list[Subscription]:
    """Browsers of an account."""
    rows = connection.execute(select(home_pushes).where(home_pushes.c.account_id == account_id))
    return [_decode.decode(keys.reveal(bytes(row.sealed), f"push {bytes(row.name).hex()}")) for row in rows]


def note(connection: Connection, account_id: str, visit_id: str, kind: str, now_ms: int) -> str:
    """Something is about to be pushed; the word by which a page confirms it."""
    word = secrets.token_hex(16)
    row: Row = {
        "word": word,
        "account_id": account_id,
        "visit_id": visit_id,
        "kind": kind,
        "due_ms": now_ms + SEEN_WITHIN_MS,
    }
    connection.execute(home_pushed.insert().values(dict(row)))
    return word


def settle(connection: Connection, word: str) -> bool:
    """It was seen, or is told otherwise: whether it was still open."""
    return connection.execute(delete(home_pushed).where(home_pushed.c.word == word)).rowcount == 1


def claim(connection: Connection, word: str, due_ms: int, now_ms: int) -> bool:
    """Have it for as long as a gateway may take to answer; then it is due again. ``due_ms``: as it was found."""
    this = (home_pushed.c.word == word) & (home_pushed.c.due_ms == due_ms)
    return connection.execute(update(home_pushed).where(this).values(due_ms=now_ms + SEEN_WITHIN_MS)).rowcount == 1


def is_open(connection: Connection, word: str = "") -> bool:
    """Whether this, or anything, waits to be seen."""
    query = select(home_pushed.c.word).limit(1)
    return connection.execute(query.where(home_pushed.c.word == word) if word else query).first() is not None


def claim_due(connection: Connection, now_ms: int) -> list[Due]:
    """What nobody has seen in time; claimed for one asker only. A clock that was set back holds nothing up."""
    late = (home_pushed.c.due_ms <= now_ms) | (home_pushed.c.due_ms > now_ms + SEEN_WITHIN_MS)
    rows = connection.execute(select(home_pushed).where(late)).all()
    return [
        Due(row.word, row.account_id, row.visit_id, row.kind)
        for row in rows
        if claim(connection, row.word, row.due_ms, now_ms)
    ]

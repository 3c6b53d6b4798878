"""What was erased, and what of it comes again: it finds its place in the log and leaves nothing.

Names are hashes of ids (:mod:`edge.sync.erased`). The list stands in the database and, because a backup may be older
than an erasure, in a file beside the keys. Knows no socket.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, update

from edge.model import events as ev
from edge.sync.erased import name_of
from edge.sync.log import NO_SALT, Stream, commitment, own_salt

from .keys import Keyring
from .store.dialect import Row, insert_new, lock, share
from .store.schema_rights import erased, erasures

LIST_FILE: Final = "erased.list"
ERASING: Final = "erasing"
SALT_BYTES: Final = 16
IN_MAX: Final = 500
_AMONG = select(erased.c.name, erased.c.salt_sealed).where(erased.c.name.in_(bindparam("names", expanding=True)))


class Gone(Struct, frozen=True):
    """Ids that were erased, with the salts that are still known."""

    salts: dict[str, bytes]

    def __contains__(self, identifier: str) -> bool:
        return identifier in self.salts

    def without(self, identifiers: Iterable[str]) -> "Gone":
        """The same, of people who are here again less."""
        again = set(identifiers)
        left = {one: salt for one, salt in self.salts.items() if one not in again} if again else self.salts
        return Gone(left) if left else NONE


NONE: Final = Gone({})


def going(connection: Connection) -> None:
    """Something is erased in this transaction: no process takes anything in meanwhile (:func:`among`)."""
    lock(connection, ERASING)


def among(connection: Connection, keys: Keyring, identifiers: Iterable[str]) -> Gone:
    """Which of these ids were erased; a writer can rely on it until its transaction ends."""
    share(connection, ERASING)
    names = {name_of(one): one for one in set(identifiers) - {""}}
    wanted = sorted(names)
    salts: dict[str, bytes] = {}
    for at in range(0, len(wanted), IN_MAX):
        for row in connection.execute(_AMONG, {"names": wanted[at : at + IN_MAX]}):
            sealed = bytes(row.salt_sealed)
            name = bytes(row.name)
            salts[names[name]] = keys.reveal(sealed, _label(name)) if sealed else b""
    return Gone(salts) if salts else NONE


def tombstone(raw: bytes, event: ev.Event | ev.Unknown, gone: Gone, stream: int, seq: int) -> bytes | None:
    """The commitment of an entry of which nothing else is kept; None when the salt of its visit is erased too."""
    visit_id = ev.visit_of(event)
    salt = own_salt(event) or (gone.salts.get(visit_id, b"") if visit_id else NO_SALT)
    return commitment(raw, salt, Stream(stream), seq) if salt else None


def put(
    connection: Connection, keys: Keyring, name: bytes, salt: bytes, node_id: str, erasure_id: str, now_ms: int
) -> bool:
    """Remember that something was erased; ``salt`` empty for what has none or needs none. Whether it is new."""
    sealed = keys.protect(salt, _label(name)) if salt else b""
    row: Row = {"name": name, "node_id": node_id, "erasure_id": erasure_id, "salt_sealed": sealed, "at_ms": now_ms}
    return insert_new(connection, erased, row)


def node_has_erased(connection: Connection, node_id: str, names: Iterable[bytes], now_ms: int) -> None:
    """A node says so in its log: the salts go, and whoever asked can see it."""
    mine = (erased.c.node_id == node_id, erased.c.name.in_(sorted(names)))
    ids = set(connection.execute(select(erased.c.erasure_id).where(*mine)).scalars())
    connection.execute(update(erased).where(*mine).values(salt_sealed=b""))
    for erasure_id in sorted(ids - {""}):
        one = (erasures.c.erasure_id == erasure_id, erasures.c.node_ms == 0)
        connection.execute(update(erasures).where(*one).values(node_ms=now_ms))


def listed(connection: Connection) -> dict[bytes, str]:
    """All names, with the node of each."""
    return {bytes(row.name): row.node_id for row in connection.execute(select(erased.c.name, erased.c.node_id))}


def read_list(folder: Path) -> dict[bytes, str]:
    """What the file beside the keys names. A torn last line counts nothing. Blocking."""
    found: dict[bytes, str] = {}
    try:
        lines = (folder / LIST_FILE).read_text().split("\n")[:-1]
    except FileNotFoundError:
        return found
    for line in lines:
        name, _, node_id = line.partition(" ")
        try:
            found[bytes.fromhex(name)] = node_id
        except ValueError:
            continue
    return found


def write_list(folder: Path, names: dict[bytes, str]) -> None:
    """Add what the file does not name yet, durably. Blocking."""
    known = read_list(folder)
    fresh = {name: node_id for name, node_id in names.items() if name not in known}
    if not fresh:
        return
    known |= fresh
    draft = folder / f".{LIST_FILE}.new"
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write("".join(f"{name.hex()} {node_id}\n" for name, node_id in sorted(known.items())))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / LIST_FILE)
    folder_handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(folder_handle)
    finally:
        os.close(folder_handle)


def _label(name: bytes) -> str:
    return f"erased {name.hex()}"

"""What is no longer believed, written down for each node as a list that H signs: made anew when something changed.

Derived from what nodes, doctors and staff are in the database now; only the numbers are kept, since an older list must
never pass for the present one. Nodes of which nothing is to be said have none. Knows no socket and no stick.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, func, select

from edge.model import events as ev
from edge.model.errors import NotFound
from edge.sync import hubkey, revocation, seal

from . import audit, down
from .keys import Keyring
from .store.dialect import Row, put_row
from .store.schema import doctors, former_nodes, nodes, removed_staff, revocations
from .store.schema_office import retired_keys
from .store.schema_rights import tablets_lost

_encode = msgspec.msgpack.Encoder().encode
_contents = msgspec.msgpack.Decoder(revocation.Content)


def fingerprint(connection: Connection, keys: Keyring) -> tuple[int, ...]:
    """Changes whenever a list may have to change; cheap enough to be asked every few seconds."""
    found = [keys.hub.made_ms]
    times = (nodes.c.revoked_ms, nodes.c.enrolled_ms, former_nodes.c.replaced_ms)
    for column in (
        *times,
        doctors.c.disabled_ms,
        removed_staff.c.removed_ms,
        retired_keys.c.retired_ms,
        tablets_lost.c.lost_ms,
    ):
        row = connection.execute(select(func.count(), func.coalesce(func.sum(column), 0))).one()
        found += [int(row[0]), int(row[1])]
    return tuple(found)


def is_due(connection: Connection, keys: Keyring) -> bool:
    """Whether any list says something else now; writes nothing."""
    return bool(_changes(connection, keys))


def refresh(connection: Connection, keys: Keyring, now_ms: int) -> list[str]:
    """Make lists anew where they say something else now; the nodes that are to be told by link."""
    told: list[str] = []
    for node_id, number, before, content in _changes(connection, keys):
        _keep(connection, keys, node_id, max(now_ms, number + 1), now_ms, content)
        same = before is not None and msgspec.structs.replace(before, hub_key=content.hub_key) == content
        if not same and not content.revoked_ms and (content.closed or content.staff or content.tablets_ms or before):
            told.append(node_id)
    return told


def _changes(
    connection: Connection, keys: Keyring
) -> list[tuple[str, int, revocation.Content | None, revocation.Content]]:
    """(node, last number, what its list says, what it has to say) where the two differ."""
    closed, hub_key = _closed(connection), _hub_key(keys)
    staff: dict[str, list[str]] = {}
    for gone in connection.execute(select(removed_staff).order_by(removed_staff.c.staff_id)):
        staff.setdefault(gone.node_id, []).append(gone.staff_id)
    replaced = {row.node_id for row in connection.execute(select(former_nodes.c.node_id))}
    known = {
        row.node_id: (row.number, _contents.decode(row.content)) for row in connection.execute(select(revocations))
    }
    tablets = {row.node_id: row.lost_ms for row in connection.execute(select(tablets_lost))}
    found: list[tuple[str, int, revocation.Content | None, revocation.Content]] = []
    for node in connection.execute(select(nodes.c.node_id, nodes.c.device_public, nodes.c.revoked_ms)).all():
        mine = tuple(staff.get(node.node_id, ()))[: revocation.STAFF_MAX]
        machine = revocation.machine_of(bytes(node.device_public))
        content = revocation.Content(node.revoked_ms, machine, closed, mine, hub_key, tablets.get(node.node_id, 0))
        number, before = known.get(node.node_id, (0, None))
        silent = before is None and _says_nothing(content) and node.node_id not in replaced
        if content != before and not silent:
            found.append((node.node_id, number, before, content))
    return found


def _closed(connection: Connection) -> tuple[bytes, ...]:
    closed = connection.execute(select(doctors.c.key_public).where(doctors.c.disabled_ms != 0)).all()
    retired = connection.execute(select(retired_keys.c.key_public)).all()
    keys = {bytes(row.key_public) for row in (*closed, *retired)}
    return tuple(sorted(map(revocation.machine_of, keys)))[: revocation.CLOSED_MAX]


def _hub_key(keys: Keyring) -> hubkey.HubKey | None:
    if not keys.hub.made_ms:
        return None
    return hubkey.sign_key(keys.hub.sign, keys.hub.made_ms, seal.public_of(keys.hub.kem[0]))


def _says_nothing(content: revocation.Content) -> bool:
    return not (content.revoked_ms or content.closed or content.staff or content.hub_key or content.tablets_ms)


def _keep(
    connection: Connection, keys: Keyring, node_id: str, number: int, now_ms: int, content: revocation.Content
) -> None:
    signed = revocation.sign_list(keys.hub.sign, bytes.fromhex(node_id), number, now_ms, content)
    row: Row = {"node_id": node_id, "number": number, "content": _encode(content), "signed_list": signed}
    put_row(connection, revocations, row)


def tell(connection: Connection, speaker: down.Speaker, told: Sequence[str], now_ms: int) -> list[down.DownBlob]:
    """Say the present list in the hub's log for these nodes."""
    blobs = []
    for node_id in told:
        mine = select(revocations.c.signed_list).where(revocations.c.node_id == node_id)
        signed = bytes(connection.execute(mine).scalar_one())
        blobs.append(down.speak(connection, speaker, node_id, (ev.RevocationsPublished(signed),), "", now_ms))
    return blobs


def lists(connection: Connection) -> list[bytes]:
    """Every node's present list, those of revoked and replaced nodes first."""
    rows = connection.execute(
        select(revocations.c.signed_list, revocations.c.node_id, nodes.c.revoked_ms).join(
            nodes, nodes.c.node_id == revocations.c.node_id
        )
    )
    gone = {row.node_id for row in connection.execute(select(former_nodes.c.node_id))}
    found = [(not row.revoked_ms and row.node_id not in gone, row.node_id, bytes(row.signed_list)) for row in rows]
    return [signed for _, _, signed in sorted(found)]


def remove_staff(
    connection: Connection, node_id: str, staff_id: str, now_ms: int, *, back: bool = False, actor: str = ""
) -> None:
    """A node's staff member may not log in there any more (``back``: may again). Raises NotFound for no such node."""
    if connection.execute(select(nodes.c.node_id).where(nodes.c.node_id == node_id)).first() is None:
        raise NotFound("There is no such node.")
    mine = (removed_staff.c.node_id == node_id, removed_staff.c.staff_id == staff_id)
    if back:
        connection.execute(delete(removed_staff).where(*mine))
    else:
        put_row(connection, removed_staff, {"node_id": node_id, "staff_id": staff_id, "removed_ms": now_ms})
    audit.record(connection, now_ms, actor, "staff_back" if back else "staff_removed", node_id, staff_id[:60])


def lose_tablet(connection: Connection, node_id: str, now_ms: int, actor: str = "") -> None:
    """A tablet of a node is lost: all its tablets are logged out and wiped. Raises NotFound for no such node."""
    if connection.execute(select(nodes.c.node_id).where(nodes.c.node_id == node_id)).first() is None:
        raise NotFound("There is no such node.")
    known = connection.execute(select(tablets_lost.c.lost_ms).where(tablets_lost.c.node_id == node_id)).scalar() or 0
    put_row(connection, tablets_lost, {"node_id": node_id, "lost_ms": max(now_ms, known + 1)})
    audit.record(connection, now_ms, actor, "tablet_lost", node_id)

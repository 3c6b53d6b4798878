"""Enrolled nodes: their public keys and PSK, kept in memory for the endpoint, and how they come in.

Tokens are kept as hashes. A request that comes twice (the reply was lost) gets the same reply, so
that a bad link cannot use up a token.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct
from sqlalchemy import Connection, delete, select, update
from sqlalchemy import Row as Found

from edge.model.errors import NotFound
from edge.model.events import StaffPublished
from edge.model.records import Role
from edge.sync import enrol, faults
from edge.sync.seal import NodeRecord, node_hint

from . import audit
from .keys import Keyring
from .nodes import workers
from .permits import no_doctors
from .store.dialect import Row, put_row
from .store.schema import doctors, down, former_nodes, nodes, removed_staff, staff_told, tokens

_KEYS_OF_A_MACHINE = ("device_public", "log_public", "records_public", "psk_sealed", "revoked_ms")


class Site(Struct, frozen=True):
    """Where a node stands."""

    node_id: str
    site_code: str
    site_name: str
    district: str
    demo: bool = False
    seen_ms: int = 0
    """When the node was last heard, as the database has it: within half a minute; 0 for never."""
    home: bool = False
    """No place: patients who speak to the hub from their own telephones."""
    block: str = ""
    """The part of the district that it belongs to; empty where nobody said."""


Marks: TypeAlias = tuple[object, ...]
_MARKS = (
    *("node_id", "enrolled_ms", "revoked_ms", "device_public", "records_public"),
    *("site_code", "site_name", "district", "block", "demo", "seen_ms"),
)
"""What changes with anything of a node that is kept in memory; a machine that replaces another has new keys."""
_OF_KEYS = 5
"""So many of these stand for the keys."""
AT_ONCE = 500


class Changed(NamedTuple):
    """What of the nodes is not as it was known."""

    records: list[NodeRecord]
    sites: list[Site]
    marks: dict[str, Marks]


WORKERS_MAX = 200
"""People in one enrolment reply."""


class Ports(Struct, frozen=True):
    """Where nodes reach this hub; 0 for a bearer that is off."""

    udp: int
    tls: int


class NodeDirectory:
    """All nodes in memory (:class:`edge.sync.link.Directory`); the database stays the truth."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, NodeRecord] = {}
        self._by_hint: dict[bytes, list[NodeRecord]] = {}
        self._sites: dict[str, Site] = {}

    def put(self, record: NodeRecord, site: Site) -> None:
        """Add a node or replace what was known about it."""
        hint = node_hint(record.node_id)
        others = [known for known in self._by_hint.get(hint, []) if known.node_id != record.node_id]
        self._by_id[record.node_id] = record
        self._by_hint[hint] = [*others, record]
        self._sites[site.node_id] = site

    def put_site(self, site: Site) -> None:
        """Where a node stands now; or a home site, which has no machine, no keys and no link."""
        self._sites[site.node_id] = site

    def by_hint(self, hint: bytes) -> Sequence[NodeRecord]:
        return self._by_hint.get(hint, ())

    def by_id(self, node_id: bytes) -> NodeRecord | None:
        return self._by_id.get(node_id)

    def site(self, node_id: str) -> Site:
        """Where a node stands; an empty site for one that is unknown."""
        return self._sites.get(node_id) or Site(node_id, "", "", "")

    def node_ids(self) -> tuple[bytes, ...]:
        return tuple(self._by_id)


def load_changed(connection: Connection, keys: Keyring, known: Mapping[str, Marks]) -> Changed:
    """Keys and places of nodes that are not as they were ``known``, and how all of them are now.

    A node that was only heard again has no key opened for it.
    """
    rows = connection.execute(select(*(nodes.c[name] for name in _MARKS))).all()
    marks = {row.node_id: tuple(row) for row in rows}
    sites = [_site(row) for row in rows if known.get(row.node_id) != marks[row.node_id]]
    renewed = [name for name, mark in marks.items() if known.get(name, ())[:_OF_KEYS] != mark[:_OF_KEYS]]
    records: list[NodeRecord] = []
    for at in range(0, len(renewed), AT_ONCE):
        some = select(nodes).where(nodes.c.node_id.in_(renewed[at : at + AT_ONCE]))
        records += [_record(row, keys) for row in connection.execute(some)]
    return Changed(records, sites, marks)


def load_record(connection: Connection, keys: Keyring, node_id: str) -> NodeRecord | None:
    """What sealing needs to know about one node, or None."""
    row = connection.execute(select(nodes).where(nodes.c.node_id == node_id)).first()
    return None if row is None else _record(row, keys)


def _record(row: "Found[tuple[object, ...]]", keys: Keyring) -> NodeRecord:
    return NodeRecord(
        node_id=bytes.fromhex(row.node_id),
        psk=keys.reveal(bytes(row.psk_sealed), f"psk {row.node_id}"),
        device_public=bytes(row.device_public),
        log_public=bytes(row.log_public),
        records_public=bytes(row.records_public),
        revoked=bool(row.revoked_ms),
    )


def _site(row: "Found[tuple[object, ...]]") -> Site:
    return Site(row.node_id, row.site_code, row.site_name, row.district, bool(row.demo), row.seen_ms, block=row.block)


def add_token(
    connection: Connection,
    keys: Keyring,
    site: Site,
    now_ms: int,
    life_s: int,
    actor: str = "",
) -> str:
    """A one-time token for a site, shown once and not kept. With ``site.node_id``: for the machine that replaces it."""
    secret = secrets.token_bytes(enrol.TOKEN_SECRET_BYTES)
    connection.execute(
        tokens.insert().values(
            token_hash=_token_hash(secret),
            site_code=site.site_code,
            site_name=site.site_name,
            district=site.district,
            demo=site.demo,
            made_ms=now_ms,
            expires_ms=now_ms + life_s * 1000,
            used_ms=0,
            request_hash=None,
            reply=None,
            node_id=site.node_id,
            block=site.block,
        )
    )
    audit.record(connection, now_ms, actor, "token_made", site.site_code)
    return enrol.make_token(secret, keys.root_public)


def _token_hash(secret: bytes) -> bytes:
    return hashlib.sha256(b"upk1 token" + secret).digest()


def enrol_node(connection: Connection, keys: Keyring, body: bytes, ports: Ports, now_ms: int) -> bytes:
    """Enrol the node that sent ``body``; returns the sealed reply.

    Raises EnrolRefused: enrol_malformed, token_unknown, token_expired, token_used.
    """
    request = enrol.open_request(body, keys.hub)
    known = tokens.c.token_hash == _token_hash(request.secret)
    token = connection.execute(select(tokens).where(known)).first()
    if token is None:
        raise enrol.EnrolRefused("This token is not known here. Ask for a new one.", code="token_unknown")
    request_hash = hashlib.sha256(body).digest()
    if token.used_ms:
        if token.request_hash == request_hash and token.reply is not None:
            return bytes(token.reply)
        raise enrol.EnrolRefused("This token was used before. Ask for a new one.", code="token_used")
    if token.expires_ms <= now_ms:
        raise enrol.EnrolRefused("This token has expired. Ask for a new one.", code="token_expired")
    node_id = bytes.fromhex(token.node_id) if token.node_id else secrets.token_bytes(8)
    psk, unlock = secrets.token_bytes(32), secrets.token_bytes(32)
    name = node_id.hex()
    row: Row = {
        "node_id": name,
        "hint": node_hint(node_id),
        "site_code": token.site_code,
        "site_name": token.site_name,
        "district": token.district,
        "demo": token.demo,
        "device_public": request.device_public,
        "log_public": request.log_public,
        "records_public": request.records_public,
        "psk_sealed": keys.protect(psk, f"psk {name}"),
        "unlock_sealed": keys.protect(unlock, f"unlock {name}"),
        "enrolled_ms": now_ms,
        "seen_ms": 0,
        "revoked_ms": 0,
        "told_key_ms": keys.hub.made_ms,
        "block": token.block,
        "told_on_call_ms": 0,
    }
    if token.node_id:
        _replace(connection, name, row, now_ms)
    else:
        connection.execute(nodes.insert().values(dict(row)))
    grant = enrol.EnrolGrant(
        node_id=node_id,
        psk=psk,
        site_code=token.site_code,
        site_name=token.site_name,
        district=token.district,
        tls_fingerprint=keys.tls_fingerprint,
        udp_port=ports.udp,
        wss_port=ports.tls,
        unlock=unlock,
        staff=published_doctors(connection),
        demo=bool(token.demo),
        workers=_workers(connection, name) if token.node_id else (),
    )
    reply = enrol.make_reply(body, request, grant, keys.hub.sign)
    connection.execute(
        update(tokens).where(known).values(used_ms=now_ms, request_hash=request_hash, reply=reply, node_id=name)
    )
    audit.record(connection, now_ms, name, "enrolled", name)
    faults.point("hub-enrolled")
    return reply


def _replace(connection: Connection, name: str, row: Row, now_ms: int) -> None:
    """Another machine takes a node's place: the old one's keys open nothing any more.

    What waited was sealed to the old records key; the new machine says that it holds nothing, and is sent it anew.
    """
    former = connection.execute(select(nodes).where(nodes.c.node_id == name)).one()
    kept = {column: getattr(former, column) for column in _KEYS_OF_A_MACHINE}
    connection.execute(former_nodes.insert().values(node_id=name, replaced_ms=now_ms, **kept))
    connection.execute(update(nodes).where(nodes.c.node_id == name).values(dict(row)))
    connection.execute(update(down).where(down.c.node_id == name, down.c.stored_ms == 0).values(stored_ms=now_ms))
    audit.record(connection, now_ms, name, "replaced", name)


def _workers(connection: Connection, node_id: str) -> tuple[enrol.Worker, ...]:
    """Who works at the node that is replaced, as its own log said."""
    gone = select(removed_staff.c.staff_id).where(removed_staff.c.node_id == node_id)
    removed = {row.staff_id for row in connection.execute(gone)}
    known = [one for one in workers(connection, node_id) if one.staff_id not in removed][:WORKERS_MAX]
    return tuple(enrol.Worker(one.staff_id, one.name, one.name_hi, one.role) for one in known)


def former_machines(connection: Connection, keys: Keyring) -> list[NodeRecord]:
    """Keys of the machines that stood at nodes' places before, the latest first; those revoked then stay so."""
    query = select(former_nodes).order_by(former_nodes.c.replaced_ms.desc())
    return [
        NodeRecord(
            node_id=bytes.fromhex(row.node_id),
            psk=keys.reveal(bytes(row.psk_sealed), f"psk {row.node_id}"),
            device_public=bytes(row.device_public),
            log_public=bytes(row.log_public),
            records_public=bytes(row.records_public),
            revoked=bool(row.revoked_ms),
        )
        for row in connection.execute(query)
    ]


def published_doctors(connection: Connection) -> tuple[StaffPublished, ...]:
    """All doctors, as nodes know them."""
    rows = connection.execute(select(doctors).where(doctors.c.disabled_ms == 0).order_by(doctors.c.doctor_id))
    others = no_doctors(connection)
    return tuple(
        StaffPublished(row.doctor_id, row.name, Role.DOCTOR, row.registration, row.qualification, bytes(row.key_public))
        for row in rows
        if row.doctor_id not in others
    )


def who_treats_nobody(connection: Connection) -> frozenset[str]:
    """Ids of the accounts that are closed, or have no doctor's role (any more): nobody waits for them."""
    rows = connection.execute(select(doctors.c.doctor_id).where(doctors.c.disabled_ms != 0))
    return frozenset(row.doctor_id for row in rows) | no_doctors(connection)


def revoke_node(connection: Connection, node_id: str, now_ms: int, actor: str = "") -> None:
    """Never believe this node again. Raises NotFound."""
    done = connection.execute(update(nodes).where(nodes.c.node_id == node_id).values(revoked_ms=now_ms))
    if done.rowcount == 0:
        raise NotFound("There is no such node.")
    audit.record(connection, now_ms, actor, "revoked", node_id)


def untold_doctors(connection: Connection) -> list[StaffPublished]:
    """Doctors of whom, or of whose present key, not all nodes were told yet."""
    told = {row.person_id: bytes(row.public_key) for row in connection.execute(select(staff_told))}
    return [one for one in published_doctors(connection) if told.get(one.person_id) != one.public_key]


def tell_of(connection: Connection, staff: StaffPublished, told: set[str], now_ms: int) -> set[str]:
    """Nodes that have to be told of a doctor besides these; when there are none it is noted that all were.

    Whoever enrols later hears of her with the enrolment.
    """
    left = set(connection.execute(select(nodes.c.node_id).where(nodes.c.revoked_ms == 0)).scalars()) - told
    if not left:
        row: Row = {"person_id": staff.person_id, "public_key": staff.public_key, "told_ms": now_ms}
        put_row(connection, staff_told, row)
    return left


def forget_told(connection: Connection) -> None:
    """Doctors without an account: nodes are told of them again when they come back."""
    here = select(doctors.c.doctor_id).where(doctors.c.disabled_ms == 0)
    connection.execute(delete(staff_told).where(staff_told.c.person_id.not_in(here)))

"""Updates offered in waves: which node may have which update, since when. Knows no stick and no link.

A node's place among the hundred is drawn from its id and the update, so that it is the same at every look, and another
one for the next update: not always the same centres go first. A wave counts its share of the nodes that it names,
those of earlier waves among them.
"""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, Connection, select, update

from edge.model.errors import BadInput, NotFound, Refused
from edge.sync import release

from . import audit
from .store.dialect import Row, insert_new
from .store.schema import nodes
from .store.schema_office import updates

WAVES_MAX = 12
_encode = msgspec.msgpack.Encoder().encode
_REMOVED = _encode(())
"""The plan of an update that was taken out of the list: its row stays, since one without a row is anybody's."""


class Wave(Struct, frozen=True, forbid_unknown_fields=True):
    """Some of the nodes, from a moment on."""

    starts_ms: Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
    share: Annotated[int, Meta(ge=1, le=100)] = 100
    """So many of a hundred of the nodes that it is for."""
    districts: Annotated[tuple[Annotated[str, Meta(max_length=80)], ...], Meta(max_length=100)] = ()
    """Only nodes of these; empty: everywhere."""


Plan = Annotated[tuple[Wave, ...], Meta(min_length=1, max_length=WAVES_MAX)]
_plans = msgspec.msgpack.Decoder(tuple[Wave, ...])


class Offered(Struct, frozen=True):
    """An update, its plan, and how far that has come."""

    sha256: str
    name: str
    version: str
    target: str
    size_bytes: int
    plan: tuple[Wave, ...]
    paused: bool
    added_ms: int
    added_by: str
    reached: tuple[int, ...]
    """Nodes that each wave brings in beside those of the waves before."""
    offered: int
    """Nodes that may have it now."""
    nodes: int


def place_of(sha256: str, node_id: str) -> int:
    """Where a node stands among the hundred, 0 to 99."""
    return int.from_bytes(hashlib.sha256(f"{sha256} {node_id}".encode()).digest()[:8]) % 100


def wave_of(sha256: str, plan: tuple[Wave, ...], node_id: str, district: str) -> int | None:
    """The number of the first wave that brings a node in, by time; None for a node that no wave names."""
    place = place_of(sha256, node_id)
    order = sorted(range(len(plan)), key=lambda number: plan[number].starts_ms)
    for number in order:
        wave = plan[number]
        if place < wave.share and (not wave.districts or district in wave.districts):
            return number
    return None


def add(connection: Connection, raw: bytes, plan: tuple[Wave, ...], now_ms: int, actor: str) -> str:
    """Take in an update by its release, paused; its SHA-256. Raises ReleaseRefused, Refused(update_known)."""
    found = release.parse_release(raw)
    row: Row = {
        "sha256": found.sha256,
        "name": found.name,
        "version": found.version,
        "target": found.target,
        "size_bytes": found.size_bytes,
        "plan": _encode(plan),
        "paused": True,
        "added_ms": now_ms,
        "added_by": actor,
    }
    if not insert_new(connection, updates, row) and not _take_back(connection, row):
        raise Refused("This update is in the list already. Change its waves there.", code="update_known")
    audit.record(connection, now_ms, actor, "update_added", found.sha256[:16], f"{found.name} {found.version}")
    return found.sha256


def _take_back(connection: Connection, row: Row) -> bool:
    """Whether the update had been removed; then it is in the list again."""
    this = (updates.c.sha256 == row["sha256"]) & (updates.c.plan == _REMOVED)
    return connection.execute(update(updates).where(this).values(dict(row))).rowcount == 1


def change(
    connection: Connection, sha256: str, plan: tuple[Wave, ...], now_ms: int, actor: str, *, paused: bool
) -> None:
    """Another plan, or a pause: nobody new is offered it then. Raises NotFound."""
    values = {"plan": _encode(plan), "paused": paused}
    if connection.execute(update(updates).where(_listed(sha256)).values(values)).rowcount == 0:
        raise NotFound("There is no such update.")
    audit.record(connection, now_ms, actor, "update_paused" if paused else "update_waves", sha256[:16])


def remove(connection: Connection, sha256: str, now_ms: int, actor: str) -> None:
    """Offer it to nobody any more, until it is added again. Raises NotFound."""
    gone = {"plan": _REMOVED, "paused": True}
    if connection.execute(update(updates).where(_listed(sha256)).values(gone)).rowcount == 0:
        raise NotFound("There is no such update.")
    audit.record(connection, now_ms, actor, "update_removed", sha256[:16])


def _listed(sha256: str) -> ColumnElement[bool]:
    return (updates.c.sha256 == sha256) & (updates.c.plan != _REMOVED)


def listed(connection: Connection, now_ms: int) -> list[Offered]:
    """All updates, the newest first."""
    places = connection.execute(select(nodes.c.node_id, nodes.c.district).where(nodes.c.revoked_ms == 0)).all()
    found: list[Offered] = []
    for row in connection.execute(
        select(updates).where(updates.c.plan != _REMOVED).order_by(updates.c.added_ms.desc())
    ):
        plan = _plans.decode(row.plan)
        waves = [wave_of(row.sha256, plan, place.node_id, place.district) for place in places]
        reached = tuple(waves.count(number) for number in range(len(plan)))
        due = 0 if row.paused else sum(n for n, wave in zip(reached, plan, strict=True) if wave.starts_ms <= now_ms)
        found.append(
            Offered(
                row.sha256,
                row.name,
                row.version,
                row.target,
                row.size_bytes,
                plan,
                bool(row.paused),
                row.added_ms,
                row.added_by,
                reached,
                due,
                len(places),
            )
        )
    return found


class Due(Struct, frozen=True):
    """An update that may be offered to somebody, with what decides to whom."""

    sha256: str
    name: str
    version: str
    target: str
    size_bytes: int
    plan: tuple[Wave, ...]

    def may_have(self, node_id: str, district: str, now_ms: int) -> bool:
        """Whether this node's wave has come."""
        number = wave_of(self.sha256, self.plan, node_id, district)
        return number is not None and self.plan[number].starts_ms <= now_ms


def due(connection: Connection) -> list[Due]:
    """Updates that are neither paused nor removed, the newest first."""
    query = select(updates).where(updates.c.paused.is_(False)).order_by(updates.c.added_ms.desc())
    return [
        Due(row.sha256, row.name, row.version, row.target, row.size_bytes, _plans.decode(row.plan))
        for row in connection.execute(query)
    ]


def offered_to(connection: Connection, sha256: str, now_ms: int) -> list[str] | None:
    """The nodes that may have an update now; None for one without a plan, which is anybody's."""
    row = connection.execute(select(updates).where(updates.c.sha256 == sha256)).first()
    if row is None:
        return None
    if row.paused:
        return []
    plan = _plans.decode(row.plan)
    found: list[str] = []
    for node in connection.execute(
        select(nodes.c.node_id, nodes.c.district).where(nodes.c.revoked_ms == 0).order_by(nodes.c.node_id)
    ):
        number = wave_of(sha256, plan, node.node_id, node.district)
        if number is not None and plan[number].starts_ms <= now_ms:
            found.append(node.node_id)
    return found


def all_offers(connection: Connection, places: list[tuple[str, str]], now_ms: int) -> dict[str, str]:
    """For each of these nodes (id, district) the newest update that it may have now, as ``name version``."""
    found: dict[str, str] = {}
    for row in connection.execute(select(updates).where(updates.c.paused.is_(False)).order_by(updates.c.added_ms)):
        plan = _plans.decode(row.plan)
        for node_id, district in places:
            number = wave_of(row.sha256, plan, node_id, district)
            if number is not None and plan[number].starts_ms <= now_ms:
                found[node_id] = f"{row.name} {row.version}"
    return found


def need_districts(plan: tuple[Wave, ...], known: frozenset[str]) -> None:
    """Raise BadInput when a wave names a district in which there is no node: a slip of the pen would reach nobody."""
    for wave in plan:
        if set(wave.districts) - known:
            raise BadInput("There is no node in this district.", field="plan")

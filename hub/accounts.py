"""Accounts and sites as an administrator looks after them. Nothing here is about a patient."""

import re
from collections import defaultdict
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, select, update

from edge.model.errors import BadInput, NotFound, Refused

from . import audit, on_call
from .directory import Site
from .permits import JUST_A_DOCTOR, all_roles
from .store.schema import doctors, node_staff, nodes, removed_staff, tokens
from .store.schema_office import person_districts
from .store.schema_rights import tablets_lost

SITE_CODE: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}"
HOURS_MAX: Final = 24 * 365


class Person(Struct, frozen=True):
    """An account of the hub."""

    person_id: str
    name: str
    registration: str
    qualification: str
    contact: str
    roles: tuple[str, ...]
    districts: tuple[str, ...]
    """Whose figures a viewer sees; empty: all."""
    made_ms: int
    disabled_ms: int


class Token(Struct, frozen=True):
    """A token that waits for its machine. The token itself is not kept."""

    site_code: str
    site_name: str
    district: str
    block: str
    made_ms: int
    expires_ms: int
    replaces: str
    """Id of the node whose place the machine will take."""


class NodeLine(Struct, frozen=True):
    """A site with its machine."""

    node_id: str
    site_code: str
    site_name: str
    district: str
    block: str
    demo: bool
    enrolled_ms: int
    revoked_ms: int
    tablets_lost_ms: int = 0
    """When it was said last that a tablet there is lost."""


class StaffLine(Struct, frozen=True):
    """Somebody who works at a node."""

    staff_id: str
    name: str
    name_hi: str
    role: str
    removed_ms: int


def people(connection: Connection) -> list[Person]:
    """All accounts, by name."""
    districts: defaultdict[str, list[str]] = defaultdict(list)
    for row in connection.execute(select(person_districts).order_by(person_districts.c.district)):
        districts[row.person_id].append(row.district)
    held = all_roles(connection)
    return [
        Person(
            row.doctor_id,
            row.name,
            row.registration,
            row.qualification,
            row.contact,
            tuple(sorted(held.get(row.doctor_id, JUST_A_DOCTOR))),
            tuple(districts[row.doctor_id]),
            row.made_ms,
            row.disabled_ms,
        )
        for row in connection.execute(select(doctors).order_by(doctors.c.name, doctors.c.doctor_id)).all()
    ]


def need_other(actor: str, person_id: str) -> None:
    """Raise Refused(own_account): nobody gives herself a role, and nobody closes the door behind herself."""
    if actor == person_id:
        raise Refused("This is your own account. Another administrator does this.", code="own_account")


def put_districts(connection: Connection, person_id: str, districts: tuple[str, ...], now_ms: int, actor: str) -> None:
    """Whose figures a person may see. Raises NotFound."""
    if connection.execute(select(doctors.c.doctor_id).where(doctors.c.doctor_id == person_id)).first() is None:
        raise NotFound("There is no such account.")
    connection.execute(person_districts.delete().where(person_districts.c.person_id == person_id))
    for district in sorted(set(districts)):
        connection.execute(person_districts.insert().values(person_id=person_id, district=district))
    audit.record(connection, now_ms, actor, "districts_set", person_id, str(len(set(districts))))


def districts_of(connection: Connection, person_id: str) -> frozenset[str]:
    """Whose figures a person may see; empty: all."""
    mine = select(person_districts.c.district).where(person_districts.c.person_id == person_id)
    return frozenset(row.district for row in connection.execute(mine))


def sites(connection: Connection) -> list[NodeLine]:
    """All sites with a machine, by district and code."""
    rows = connection.execute(select(nodes).order_by(nodes.c.district, nodes.c.block, nodes.c.site_code))
    lost = {row.node_id: row.lost_ms for row in connection.execute(select(tablets_lost))}
    return [
        NodeLine(
            row.node_id,
            row.site_code,
            row.site_name,
            row.district,
            row.block,
            bool(row.demo),
            row.enrolled_ms,
            row.revoked_ms,
            lost.get(row.node_id, 0),
        )
        for row in rows
    ]


def districts(connection: Connection) -> frozenset[str]:
    """Where there are nodes that are not revoked."""
    rows = connection.execute(select(nodes.c.district).where(nodes.c.revoked_ms == 0).distinct())
    return frozenset(row.district for row in rows) - {""}


def waiting_tokens(connection: Connection, now_ms: int) -> list[Token]:
    """Tokens that still may be used, the latest first."""
    query = select(tokens).where(tokens.c.used_ms == 0, tokens.c.expires_ms > now_ms).order_by(tokens.c.made_ms.desc())
    return [
        Token(row.site_code, row.site_name, row.district, row.block, row.made_ms, row.expires_ms, row.node_id)
        for row in connection.execute(query)
    ]


def move_site(connection: Connection, node_id: str, district: str, block: str, now_ms: int, actor: str) -> None:
    """Say in which district and block a site lies; figures count it there from now on, and it rings the numbers there.

    Raises NotFound.
    """
    values = {"district": district, "block": block, "told_on_call_ms": on_call.UNTOLD_MS}
    if connection.execute(update(nodes).where(nodes.c.node_id == node_id).values(values)).rowcount == 0:
        raise NotFound("There is no such node.")
    audit.record(connection, now_ms, actor, "site_moved", node_id, f"{district} / {block}")


def staff(connection: Connection, node_id: str) -> list[StaffLine]:
    """Who works, or has worked, at a node."""
    removed = {
        row.staff_id: row.removed_ms
        for row in connection.execute(select(removed_staff).where(removed_staff.c.node_id == node_id))
    }
    rows = connection.execute(select(node_staff).where(node_staff.c.node_id == node_id).order_by(node_staff.c.name))
    return [StaffLine(row.staff_id, row.name, row.name_hi, row.role, removed.get(row.staff_id, 0)) for row in rows]


def site_of_node(connection: Connection, node_id: str) -> Site:
    """Where a node stands, for the token of the machine that replaces it. Raises NotFound."""
    row = connection.execute(select(nodes).where(nodes.c.node_id == node_id)).first()
    if row is None:
        raise NotFound("There is no such node.")
    return Site(row.node_id, row.site_code, row.site_name, row.district, bool(row.demo), block=row.block)


def new_site(code: str, name: str, district: str, block: str, *, demo: bool) -> Site:
    """A site that has no machine yet. Raises BadInput."""
    for field, text in (("name", name), ("district", district)):
        if not text.strip():
            raise BadInput("Between 1 and 80 printable characters are needed.", field=field)
    need_site_code(code)
    return Site("", code, name, district, demo, block=block)


def need_site_code(code: str) -> None:
    """Raise BadInput for a code that does not fit on a token."""
    if not re.fullmatch(SITE_CODE, code):
        raise BadInput(
            "A site code has at most 40 letters, digits, dots and dashes: it stands on tokens.", field="code"
        )


def need_hours(hours: int) -> None:
    """Raise BadInput for a life of a token that makes no sense."""
    if not 1 <= hours <= HOURS_MAX:
        raise BadInput("A token is good for between one hour and a year.", field="hours")

"""Home sites: where the visits of patients at home belong. One for each district, made when it is first needed."""

from typing import Final

from sqlalchemy import Connection, select

from ..directory import Site
from ..store.dialect import Row, insert_new
from ..store.schema_home import home_sites

CODE: Final = "H"
"""Tokens of patients at home: ``H-014`` (forms.md §7)."""
NAME: Final = "घर से – from home"


def is_home(connection: Connection, node_id: str) -> bool:
    """Whether this is a home site, and no node."""
    found = select(home_sites.c.made_ms).where(home_sites.c.node_id == node_id)
    return connection.execute(found).first() is not None


def all_sites(connection: Connection) -> list[Site]:
    """Every home site."""
    return [_site(row.node_id, row.district, bool(row.demo)) for row in connection.execute(select(home_sites))]


def site_of(connection: Connection, district: str, fresh_id: str, now_ms: int, *, demo: bool) -> Site:
    """The home site of a district; a new one under ``fresh_id`` the first time."""
    row: Row = {"node_id": fresh_id, "district": district, "demo": demo, "made_ms": now_ms}
    insert_new(connection, home_sites, row)
    known = connection.execute(select(home_sites).where(home_sites.c.district == district)).one()
    return _site(known.node_id, known.district, bool(known.demo))


def _site(node_id: str, district: str, demo: bool) -> Site:
    return Site(node_id, CODE, NAME, district, demo, home=True)

"""What a centre tells people who look for it: villages, telephone, hours, and where it lies. Nothing about anybody."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from edge.model.errors import BadInput, NotFound

from . import audit
from .store.dialect import Row, put_row
from .store.schema import nodes
from .store.schema_office import site_places

Clock = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)?$(?!\n)")]


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """Every field may be empty: what nobody has said is not shown."""

    villages: Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00-\x1f\x7f<>]*$(?!\n)")] = ""
    """Villages that the centre serves, with commas between them, in any script."""
    phone: Annotated[str, Meta(max_length=20, pattern=r"^[+0-9 ()-]*$(?!\n)")] = ""
    days: Annotated[str, Meta(pattern=r"^0?1?2?3?4?5?6?$(?!\n)")] = ""
    """Weekdays on which it is open: 0 is Monday."""
    opens: Clock = ""
    closes: Clock = ""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    """Degrees north (WGS 84)."""
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    """Degrees east."""


NOWHERE: Final = Place()


def place_of(connection: Connection, node_id: str) -> Place:
    """What is known of a centre. Raises NotFound."""
    need_node(connection, node_id)
    row = connection.execute(select(site_places).where(site_places.c.node_id == node_id)).first()
    return NOWHERE if row is None else _place(row)


def all_places(connection: Connection) -> dict[str, Place]:
    """What is known of all centres of which anything is."""
    return {row.node_id: _place(row) for row in connection.execute(select(site_places))}


def put_place(connection: Connection, node_id: str, place: Place, now_ms: int, actor: str) -> None:
    """Say what people are told of a centre. Raises BadInput, NotFound."""
    if (place.lat is None) != (place.lon is None):
        raise BadInput("A place has both coordinates, or none.", field="lat" if place.lat is None else "lon")
    said = [bool(place.days), bool(place.opens), bool(place.closes)]
    if any(said) and not all(said):
        raise BadInput("Hours have days, a beginning and an end, or none of them.", field="opens")
    if place.opens and place.opens >= place.closes:
        raise BadInput("Hours end after they begin.", field="closes")
    need_node(connection, node_id)
    row: Row = {
        "node_id": node_id,
        "villages": place.villages,
        "phone": place.phone.strip(),
        "days": place.days,
        "opens": place.opens,
        "closes": place.closes,
        "lat": place.lat,
        "lon": place.lon,
    }
    put_row(connection, site_places, row)
    audit.record(connection, now_ms, actor, "site_place_set", node_id)


def need_node(connection: Connection, node_id: str) -> None:
    """Raise NotFound unless there is such a node."""
    if connection.execute(select(nodes.c.node_id).where(nodes.c.node_id == node_id)).first() is None:
        raise NotFound("There is no such node.")


def _place(row: Any) -> Place:
    return Place(row.villages, row.phone, row.days, row.opens, row.closes, row.lat, row.lon)

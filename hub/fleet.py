"""All nodes as whoever looks after them sees them: one line each, filtered, sorted and cut into pages here.

Ten thousand lines never leave the hub at once. Knows no HTTP; the link is asked, the rest is in the database.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Row, select

from edge.model.events import ClassBacklog, NodeTold

from . import waves
from .nodes import Told, all_told
from .store.schema import nodes
from .store.schema_office import update_told

SILENT_S: Final = 24 * 3600
DISK_LOW_MB: Final = 1000
PAGE_MAX: Final = 200


class Show(StrEnum):
    """Which lines."""

    ALL = "all"
    TROUBLE = "trouble"
    """Something is not well, the disk is nearly full, or it has been silent for a day."""
    SILENT = "silent"
    BACKLOG = "backlog"
    """Something waits for the hub there."""
    REVOKED = "revoked"


class Sort(StrEnum):
    """By what; what wants a person comes first."""

    SITE = "site"
    HEARD = "heard"
    BACKLOG = "backlog"
    DISK = "disk"
    POWER = "power"
    VERSION = "version"
    BEARER = "bearer"


class Progress(Struct, frozen=True):
    """A node's last word about an update."""

    name: str
    version: str
    state: str
    """coming, here, installed, committed, refused, rolled_back."""
    done_bytes: int
    size_bytes: int
    code: str
    why: str
    told_ms: int


class Line(Struct, frozen=True):
    """One node."""

    node_id: str
    site_code: str
    site_name: str
    district: str
    block: str
    state: str
    """online, away, silent (for a day), never, revoked."""
    last_ack_age_s: float | None
    software: str
    bearer: str
    rtt_ms: int
    backlog: tuple[ClassBacklog, ...]
    backlog_items: int
    findings: tuple[str, ...]
    disk_free_mb: int
    clock_trusted: bool
    power: str
    """mains, battery, low; empty where nobody measures it."""
    battery_mv: int
    sim: str
    """up, or why not; empty without a modem."""
    update: str
    """The newest update that its wave lets it have."""
    staged: str
    """What lies at the node for its installer."""
    progress: Progress | None
    """How far it is with an update, by its own word on the link, which it says while it is locked too; null: never."""
    told_ms: int
    """When it said all this, by its own clock; 0: never."""


class Counts(Struct, frozen=True):
    """The whole fleet in a few numbers."""

    nodes: int
    online: int
    silent: int
    never: int
    revoked: int
    trouble: int
    backlog: int
    """Nodes with a backlog."""
    versions: dict[str, int]


class Page(Struct, frozen=True):
    """Some lines."""

    items: tuple[Line, ...]
    total: int
    """Lines that fit the question."""
    offset: int
    counts: Counts
    districts: tuple[str, ...]
    now_ms: int


class Question(Struct, frozen=True):
    """What is looked for."""

    q: str = ""
    district: str = ""
    show: Show = Show.ALL
    sort: Sort = Sort.SITE
    offset: int = 0
    limit: int = 50


_NOTHING = NodeTold("", "", 0, 0)


def lines(
    connection: Connection, age_of: Callable[[str], float | None], online: Callable[[str], bool], now_ms: int
) -> list[Line]:
    """Every node."""
    told = all_told(connection)
    rows = connection.execute(
        select(
            nodes.c.node_id, nodes.c.site_code, nodes.c.site_name, nodes.c.district, nodes.c.block, nodes.c.revoked_ms
        )
    ).all()
    offers = waves.all_offers(connection, [(row.node_id, row.district) for row in rows], now_ms)
    far = {row.node_id: _progress(row) for row in connection.execute(select(update_told))}
    found: list[Line] = []
    for row in rows:
        word: Told | None = told.get(row.node_id)
        said = word.told if word is not None else _NOTHING
        age_s = age_of(row.node_id)
        found.append(
            Line(
                row.node_id,
                row.site_code,
                row.site_name,
                row.district,
                row.block,
                _state(bool(row.revoked_ms), online(row.node_id), age_s),
                age_s,
                said.software.removeprefix("upkendra-node "),
                said.bearer,
                said.rtt_ms,
                said.backlog,
                sum(one.items for one in said.backlog),
                said.findings,
                said.disk_free_mb,
                said.clock_trusted,
                said.power,
                said.battery_mv,
                said.sim,
                offers.get(row.node_id, ""),
                said.update,
                far.get(row.node_id),
                word.at_ms if word is not None else 0,
            )
        )
    return found


def _progress(row: Row[Any]) -> Progress:
    return Progress(row.name, row.version, row.state, row.done_bytes, row.size_bytes, row.code, row.why, row.told_ms)


def _state(revoked: bool, online: bool, age_s: float | None) -> str:
    if revoked:
        return "revoked"
    if online:
        return "online"
    if age_s is None:
        return "never"
    return "silent" if age_s >= SILENT_S else "away"


def is_troubled(line: Line) -> bool:
    """Whether somebody should look after it."""
    if line.state in ("revoked", "never"):
        return False
    low = bool(line.told_ms) and line.disk_free_mb < DISK_LOW_MB
    return line.state == "silent" or bool(line.findings) or low or line.power == "low"


_FITS: Final[dict[Show, Callable[[Line], bool]]] = {
    Show.ALL: lambda line: line.state != "revoked",
    Show.TROUBLE: is_troubled,
    Show.SILENT: lambda line: line.state in ("silent", "never"),
    Show.BACKLOG: lambda line: line.backlog_items > 0 and line.state != "revoked",
    Show.REVOKED: lambda line: line.state == "revoked",
}
_FOREVER = float("inf")
_POWER = {"low": 0, "battery": 1, "": 3}
_ORDER: Final[dict[Sort, Callable[[Line], tuple[float | str, ...]]]] = {
    Sort.SITE: lambda line: (line.district, line.block, line.site_code),
    Sort.HEARD: lambda line: (-_FOREVER if line.last_ack_age_s is None else -line.last_ack_age_s, line.site_code),
    Sort.BACKLOG: lambda line: (-line.backlog_items, line.site_code),
    Sort.DISK: lambda line: (line.disk_free_mb if line.told_ms else _FOREVER, line.site_code),
    Sort.POWER: lambda line: (_POWER.get(line.power, 2), line.battery_mv, line.site_code),
    Sort.VERSION: lambda line: (line.software, line.site_code),
    Sort.BEARER: lambda line: (line.bearer, line.site_code),
}


def page(found: list[Line], asked: Question, now_ms: int) -> Page:
    """The lines that fit, in order, cut to a page. Pure."""
    words = asked.q.lower().split()
    fits = _FITS[asked.show]
    chosen = [
        line
        for line in found
        if fits(line)
        and (not asked.district or line.district == asked.district)
        and all(word in f"{line.site_code} {line.site_name} {line.block} {line.node_id}".lower() for word in words)
    ]
    chosen.sort(key=_ORDER[asked.sort])
    offset = min(asked.offset, max(len(chosen) - 1, 0))
    items = tuple(chosen[offset : offset + min(asked.limit, PAGE_MAX)])
    districts = tuple(sorted({line.district for line in found} - {""}))
    return Page(items, len(chosen), offset, counts(found), districts, now_ms)


def counts(found: list[Line]) -> Counts:
    """The fleet in a few numbers."""
    states = Counter(line.state for line in found)
    versions = Counter(line.software or "?" for line in found if line.state != "revoked")
    return Counts(
        len(found) - states["revoked"],
        states["online"],
        states["silent"],
        states["never"],
        states["revoked"],
        sum(map(is_troubled, found)),
        sum(line.backlog_items > 0 for line in found if line.state != "revoked"),
        dict(sorted(versions.items())),
    )

"""What Prometheus asks: counts, sizes and times, never an id or a name. Text format 0.0.4, on an address of its own.

Routes are named as the API names them, so that no visit's id becomes a label.
"""

import asyncio
import os
import resource
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final

from aiohttp import web
from sqlalchemy import Connection, Select, func, select

from edge.web.routes import ROUTE

from . import __version__
from .hub import Hub
from .store.schema import (
    down,
    entries,
    exchange_documents,
    notices,
    quarantine,
    rota_doctors,
    sessions,
    unlocks,
    visits,
)
from .store.schema_office import glass

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S: Final = (0.005, 0.025, 0.1, 0.3, 1.0, 3.0, 10.0)
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class HttpMeter:
    """Counts requests by route and status, and how long they took."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._seconds = 0.0

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answer."""
        key = method, route, status
        self._counts[key] = self._counts.get(key, 0) + 1
        self._buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds += seconds

    def lines(self) -> Iterator[str]:
        """In Prometheus' format."""
        yield from _head("upkendra_http_requests_total", "counter", "Answers, by route and status.")
        for (method, route, status), count in sorted(self._counts.items()):
            yield _line("upkendra_http_requests_total", {"method": method, "route": route, "status": status}, count)
        name = "upkendra_http_request_seconds"
        yield from _head(name, "histogram", "How long answers took.")
        sums = list(accumulate(self._buckets))
        for limit, total in zip((*BUCKETS_S, "+Inf"), sums, strict=True):
            yield _line(f"{name}_bucket", {"le": limit}, total)
        yield _line(f"{name}_sum", {}, round(self._seconds, 3))
        yield _line(f"{name}_count", {}, sums[-1])


METER: web.AppKey[HttpMeter] = web.AppKey("meter", HttpMeter)


@web.middleware
async def meter_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Count what leaves. Web sockets count when they end, without their hours."""
    started_s = time.perf_counter()
    response = await handler(request)
    route = request.get(ROUTE)
    if route is not None and not isinstance(response, web.WebSocketResponse):
        request.app[METER].note(route.method, route.path, response.status, time.perf_counter() - started_s)
    return response


def _head(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, object], value: float) -> str:
    told = ",".join(f'{label}="{_escape(str(text))}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value}" if told else f"{name} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _of_store(connection: Connection) -> dict[str, dict[str, int]]:
    """Name of a gauge → label's value → number; the empty label for one number."""

    def count(query: Select[int]) -> dict[str, int]:
        return {"": int(connection.execute(query).scalar() or 0)}

    def by(query: Select[str, int]) -> dict[str, int]:
        return {str(row[0]): int(row[1]) for row in connection.execute(query)}

    states = select(visits.c.state, func.count()).where(visits.c.open.is_(True)).group_by(visits.c.state)
    documents = select(exchange_documents.c.state, func.count()).group_by(exchange_documents.c.state)
    reasons = select(quarantine.c.reason, func.count()).group_by(quarantine.c.reason)
    codes = select(notices.c.code, func.sum(notices.c.count)).group_by(notices.c.code)
    return {
        "visits_open": by(states),
        "exchange_documents": by(documents),
        "quarantined": by(reasons),
        "notices": by(codes),
        "down_waiting": count(select(func.count()).select_from(down).where(down.c.stored_ms == 0)),
        "entries": count(select(func.max(entries.c.id))),
        "sessions": count(select(func.count()).select_from(sessions)),
        "doctors_ready": count(select(func.count()).select_from(rota_doctors).where(rota_doctors.c.ready_ms > 0)),
        "unlocks_waiting": count(select(func.count()).select_from(unlocks).where(unlocks.c.state == "waiting")),
        "glass_unreviewed": count(select(func.count()).select_from(glass).where(glass.c.reviewed_ms == 0)),
    }


_SAYS: Final[dict[str, tuple[str, str]]] = {
    "visits_open": ("state", "Visits that are not closed."),
    "exchange_documents": ("state", "FHIR documents, by how far they are."),
    "quarantined": ("reason", "Bundles that could not be taken in."),
    "notices": ("code", "What nodes reported of themselves."),
    "down_waiting": ("", "Sealed pieces that nodes do not hold yet."),
    "entries": ("", "Number of the last entry taken in."),
    "sessions": ("", "People who are logged in."),
    "doctors_ready": ("", "Doctors who are ready for patients."),
    "unlocks_waiting": ("", "Locked boxes that ask to be opened."),
    "glass_unreviewed": ("", "Emergency reads that nobody has reviewed."),
}


def _of_nodes(hub: Hub) -> dict[str, int]:
    found = {"online": 0, "away": 0, "revoked": 0}
    for node_id in hub.directory.node_ids():
        record = hub.directory.by_id(node_id)
        revoked = record is not None and record.revoked
        found["revoked" if revoked else "online" if hub.link.online(node_id.hex()) else "away"] += 1
    return found


def _of_process() -> list[str]:
    """Blocking."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE
    lines: list[str] = []
    for name, kind, says, value in (
        ("process_resident_memory_bytes", "gauge", "Memory in use.", float(resident)),
        ("process_cpu_seconds_total", "counter", "Time of the processors.", round(used.ru_utime + used.ru_stime, 2)),
        ("process_open_fds", "gauge", "Open files and sockets.", float(len(list(Path("/proc/self/fd").iterdir())))),
    ):
        lines += [*_head(name, kind, says), _line(name, {}, value)]
    return lines


async def text(hub: Hub, meter: HttpMeter) -> str:
    """Everything that there is to say now."""
    found = await hub.store.read(_of_store)
    lines = [
        *_head("upkendra_info", "gauge", "Which release runs."),
        _line("upkendra_info", {"version": __version__}, 1),
    ]
    lines += _head("upkendra_leads", "gauge", "1: this process leads the hub's processes.")
    lines.append(_line("upkendra_leads", {}, int(hub.front.leads)))
    lines += _head("upkendra_nodes", "gauge", "Enrolled nodes: online, away, revoked.")
    lines += [_line("upkendra_nodes", {"state": state}, n) for state, n in _of_nodes(hub).items()]
    for name, values in found.items():
        label, says = _SAYS[name]
        lines += _head(f"upkendra_{name}", "gauge", says)
        lines += [_line(f"upkendra_{name}", {label: value} if label else {}, n) for value, n in values.items()]
    lines += _head("upkendra_commits_total", "counter", "Transactions of the writer.")
    lines.append(_line("upkendra_commits_total", {}, hub.store.commits))
    lines += meter.lines()
    lines += await asyncio.to_thread(_of_process)
    return "\n".join(lines) + "\n"


def metrics_app(hub: Hub, meter: HttpMeter) -> web.Application:
    """What is served on the address of ``--metrics``, to whoever reaches it: keep it on this machine."""

    async def get_metrics(request: web.Request) -> web.Response:
        body = await text(hub, meter)
        return web.Response(body=body.encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", get_metrics)
    return app

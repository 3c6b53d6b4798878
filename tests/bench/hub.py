"""What a hub takes in: whole visits of many nodes over UDP, real crypto, durable before the ack; and its other benches.

The hub is a real process. The peer of the first group is the floor: the same raw entries written to SQLite with the
same durability (WAL, synchronous=FULL), one commit a visit, no crypto, no network.
"""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench import hub_calls, hub_console, hub_day, hub_fleet, hub_meet, hub_pair
from tests.bench.hub_load import LoadNode, hub_only, paced, saturated, started, stopped, told_each
from tests.bench.rows import Row, at_most
from tests.kits.clinic import Clinic
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

NODES = 20
VISITS_A_NODE = 50
VISIT_ENTRIES = 10
PACED_PER_S = 20.3
"""Visits a second of the country's peak day, 510,702 in 7 h (issue "Hub")."""
PACED_S = 20
PEAK_PER_S, PEAK_S = 40.0, 600.0
ACK_P99_MS = 1000
ENTRIES_PER_S, ENTRIES_PER_S_POSTGRES = 1000, 500
SLOW_FSYNC_MS = 5


async def _measure(clinic: Clinic, what: str, goal: float | None, floor_at: Path | None) -> list[Row]:
    """Saturation first, then the pace of the country's peak day."""
    nodes = await started(clinic, NODES)
    visits = NODES * VISITS_A_NODE
    peer = None
    if floor_at is not None:
        floor_s, entries = await asyncio.to_thread(_floor, nodes[0], floor_at, visits)
        peer = round(entries / floor_s)
    rate = visits * VISIT_ENTRIES / await saturated(nodes, VISITS_A_NODE)
    waits = await paced(nodes, PACED_PER_S, PACED_S)
    await stopped(nodes)
    return [
        Row(f"{what}: entries a second, saturated", round(rate), "1/s", peer, peer and round(rate / peer, 3), goal,
            None if goal is None else rate >= goal),
        *_acks(f"{what}: ack at {PACED_PER_S} visits a second", waits, None if goal is None else ACK_P99_MS),
    ]  # fmt: skip


def _acks(name: str, waits: list[float], goal: float | None) -> list[Row]:
    p99 = waits[int(len(waits) * 0.99)]
    last = Row(f"{name}, 99th percentile", round(p99), "ms")
    return [
        Row(f"{name}, median", round(waits[len(waits) // 2], 1), "ms"),
        last if goal is None else at_most(f"{name}, 99th percentile", p99, "ms", goal),
    ]


def _floor(node: LoadNode, path: Path, visits: int) -> tuple[float, int]:
    """Seconds that bare SQLite takes for the raw entries of as many visits, and how many entries they are."""
    batches = [node.raws()[1] for _ in range(visits)]
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
        began = time.monotonic()
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO entries (raw) VALUES (?)", [(raw,) for raw in batch])
            connection.execute("COMMIT")
        return time.monotonic() - began, sum(len(batch) for batch in batches)


def run(*, only: Sequence[str] = ()) -> list[Row]:
    """Measure the groups that were asked for: all of them by default."""
    return [row for name in only or GROUPS for row in GROUPS[name]()]


def intake() -> list[Row]:
    """One process on SQLite."""
    print(
        f"hub: one process on SQLite; {NODES} nodes over UDP on loopback, a visit = one bundle of ten entries;\n"
        "saturated: all visits at once, from the first submit to the last ack; peer: bare SQLite, one commit a visit;\n"
        "the load generator shares the machine's cores.",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as name, hub_only(Path(name)) as clinic:
        return asyncio.run(_measure(clinic, "SQLite", ENTRIES_PER_S, Path(name) / "floor.db"))


def postgres() -> list[Row]:
    """One process on PostgreSQL that flushes, and NATS."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Postgres(durable=True))
        nats = stack.enter_context(Nats())
        clinic = stack.enter_context(hub_only(folder, server.database(), nats.url))
        return asyncio.run(_measure(clinic, "PostgreSQL and NATS", ENTRIES_PER_S_POSTGRES, None))


def peak() -> list[Row]:
    """Twice the country's mean for ten minutes."""

    async def story(clinic: Clinic) -> list[Row]:
        nodes = await started(clinic, 2 * NODES)
        telling = asyncio.create_task(told_each(nodes, 60.0))
        waits = await paced(nodes, PEAK_PER_S, PEAK_S)
        telling.cancel()
        await stopped(nodes)
        return _acks(f"SQLite: ack at {PEAK_PER_S:g} visits a second for {PEAK_S / 60:g} min", waits, ACK_P99_MS)

    with tempfile.TemporaryDirectory() as name, hub_only(Path(name)) as clinic:
        return asyncio.run(story(clinic))


def slow_disk() -> list[Row]:
    """Both stores with five milliseconds more in every flush. Reported, without a goal."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the database's own user reads the library
        preload = {"LD_PRELOAD": str(_slow_fsync(folder)), "SLOW_FSYNC_MS": str(SLOW_FSYNC_MS)}
        with hub_only(folder / "sqlite", environment=preload) as clinic:
            rows = asyncio.run(_measure(clinic, f"SQLite, flush + {SLOW_FSYNC_MS} ms", None, None))
        server = stack.enter_context(Postgres(durable=True, environment=preload))
        nats = stack.enter_context(Nats())
        with hub_only(folder / "postgres", server.database(), nats.url) as clinic:
            rows += asyncio.run(_measure(clinic, f"PostgreSQL, flush + {SLOW_FSYNC_MS} ms", None, None))
        return rows


def _slow_fsync(folder: Path) -> Path:
    """A library that delays every flush of the program that it is loaded into."""
    target = folder / "slow_fsync.so"
    source = Path(__file__).with_name("slow_fsync.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl"], check=True)
    return target


GROUPS: dict[str, Callable[[], list[Row]]] = {
    "intake": intake,
    "postgres": postgres,
    "slow-disk": slow_disk,
    "peak": peak,
    "pair": hub_pair.run,
    "calls": hub_calls.run,
    "fleet": hub_fleet.run,
    "day": hub_day.run,
    "meet": hub_meet.run,
    "console": hub_console.run,
}

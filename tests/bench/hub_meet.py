"""A whole region's nodes meet the hub at once after an outage: how long what is written then waits for the comparing.

The store is filled directly (300 nodes, 2,000 entries each in 100 runs); the questions go through the hub's link, one
process, SQLite. Measured is what one small write takes from being asked for to its commit, as an acknowledgement does.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Connection

from edge.sync import holdings
from edge.sync.frontier import Ranges
from edge.sync.link import StateArrived
from edge.sync.log import Stream
from hub.store.dialect import Row as DbRow
from hub.store.schema import entries
from tests.bench.rows import Row, at_most
from tests.hub.kit import HubKit, NodeKit

NODES, RUNS, RUN_ENTRIES = 300, 100, 20
LOST_RUNS = 10
"""In the second round each node lacks its last ones: 200 entries that are packed, sealed and sent back."""
WRITE_P95_MS = 250.0


def _row(node_id: str, run: bytes, stream: Stream, seq: int) -> DbRow:
    return {
        "node_id": node_id,
        "run": run,
        "stream": stream.value,
        "seq": seq,
        "raw": secrets.token_bytes(200),
        "c": bytes(32),
        "h": bytes(32),
        "kind": 1,
        "stamp": 1 << 40,
        "visit_id": "",
        "patient_id": "",
        "received_ms": 1,
    }


async def _fill(kit: HubKit, node: NodeKit) -> dict[holdings.Log, Ranges]:
    runs = [secrets.token_bytes(8) for _ in range(RUNS)]

    def act(connection: Connection) -> None:
        rows = [
            dict(_row(node.node_id, run, Stream.CLINICAL, seq)) for run in runs for seq in range(1, RUN_ENTRIES + 1)
        ]
        connection.execute(entries.insert(), rows)

    await kit.hub.store.write(act)
    return {(run, int(Stream.CLINICAL)): Ranges((1, RUN_ENTRIES + 1)) for run in runs}


async def _round(kit: HubKit, bodies: list[tuple[bytes, bytes]]) -> tuple[float, list[float]]:
    """Seconds until all are answered, and the milliseconds of each write meanwhile."""
    waits_ms: list[float] = []
    name = secrets.token_hex(8)

    async def write() -> None:
        while True:
            begun = time.perf_counter()
            row = dict(_row(name, secrets.token_bytes(8), Stream.AUDIT, 1))
            await kit.hub.store.write(lambda connection: connection.execute(entries.insert(), [row]))  # noqa: B023
            waits_ms.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.01)

    writing = asyncio.create_task(write())
    begun = time.perf_counter()
    for node_id, body in bodies:
        await kit.hub.link.take(StateArrived(node_id, body))
    await asyncio.gather(*kit.hub.link._at_work)
    took_s = time.perf_counter() - begun
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return took_s, waits_ms


async def _measure(folder: Path) -> list[Row]:
    kit = await asyncio.to_thread(HubKit, folder / "hub")
    nodes = [await kit.enrol(f"UP{number:03d}") for number in range(NODES)]
    held = [await _fill(kit, node) for node in nodes]
    rows: list[Row] = []
    for what, lost in (("nothing lacks", 0), (f"each lacks {LOST_RUNS * RUN_ENTRIES} entries", LOST_RUNS)):
        bodies = []
        for node, logs in zip(nodes, held, strict=True):
            mine = dict(list(logs.items())[: RUNS - lost])
            told = holdings.describe(mine, tuple(mine), (), whole=True)
            bodies.append((node.keys.node_id, holdings.encode(told)))
        took_s, waits_ms = await _round(kit, bodies)
        p95 = statistics.quantiles(waits_ms, n=20, method="inclusive")[-1] if len(waits_ms) > 1 else waits_ms[0]
        rows += [
            Row(f"all {NODES} answered, {what}", round(took_s, 2), "s"),
            Row(f"a write meanwhile, median, {what}", round(statistics.median(waits_ms), 1), "ms"),
            at_most(f"a write meanwhile, 95th percentile, {what}", p95, "ms", WRITE_P95_MS),
            Row(f"a write meanwhile, longest, {what}", round(max(waits_ms), 1), "ms"),
        ]
    await kit.hub.stop()
    return rows


def run() -> list[Row]:
    """Measure in this process; prints what the figures mean."""
    print(
        f"{NODES} nodes with {RUNS * RUN_ENTRIES} entries each ask at once what is lacking; the hub's store is SQLite.",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))

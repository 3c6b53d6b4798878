"""What one hub process takes in: whole visits from many nodes over UDP, real crypto, durable before the ack.

The hub is a real process; the nodes are real endpoints in this process, each with its log, its seal and
its socket. A visit is nine entries in one bundle. The peer is the floor: the same raw entries written to
SQLite with the same durability (WAL, synchronous=FULL), one commit a visit, no crypto, no network.
"""

import asyncio
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.sync import enrol, seal
from edge.sync.bearers.runner import NodeRunner
from edge.sync.bundle import BundlePayload
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import BundleAcked, NodeEvent
from edge.sync.log import Stream, Writer
from tests.bench import hub_day, hub_fleet, hub_meet
from tests.bench.rows import Row, at_most
from tests.hub.kit import new_id, registered, visit_events
from tests.kits.client import text
from tests.kits.clinic import Clinic

NODES = 20
VISITS_A_NODE = 50
PACED_PER_S = 20.3
"""Visits a second of the country's peak day, 510,702 in 7 h (issue "Hub")."""
PACED_S = 20
ACK_P99_MS = 1000
ENTRIES_PER_S = 1000
_encode = msgspec.msgpack.Encoder().encode


class LoadNode:
    """One enrolled node without a disk."""

    def __init__(self, keys: seal.NodeKeys, drawn: enrol.EnrolSecrets, ports: tuple[int, int]) -> None:
        self._drawn = drawn
        run = secrets.token_bytes(8)
        self._log = Writer(keys.node_id, run, Stream.CLINICAL)
        self._run = run
        self._stamp = 0
        self.waiting: dict[bytes, float] = {}
        self.acked_ms: list[float] = []
        self.idle = asyncio.Event()
        """Set while everything said is acknowledged."""
        self.endpoint = NodeEndpoint(
            keys, run, secrets.token_bytes(32), seal.Grade.LOG, drawn.log, time.monotonic(), random=secrets.token_bytes
        )
        self.runner = NodeRunner(self.endpoint, "127.0.0.1", *ports, keys.tls_fingerprint, self._heard)

    def raws(self) -> tuple[int, tuple[bytes, ...]]:
        """A fresh visit of a fresh patient in the log: first sequence number, raw entries."""
        patient, visit = new_id(), new_id()
        first = self._log.seq + 1
        salt = secrets.token_bytes(16)
        made: list[bytes] = []
        for event in (registered(patient), *visit_events(visit, patient)):
            self._stamp = next_stamp(self._stamp, time.time_ns() // 1_000_000)
            raw = _encode(ev.entry_of(event, self._stamp, "anm1"))
            self._log.append(raw, salt)
            made.append(raw)
        return first, tuple(made)

    def say(self) -> None:
        """Seal and submit one visit."""
        first, raws = self.raws()
        head = self._log.sign_head(self._drawn.log, seal.Grade.LOG)
        ref = self.endpoint.seal_bundle(BundlePayload(1, self._run, Stream.CLINICAL, first, raws, head))
        now = time.monotonic()
        self.waiting[ref.bundle_id] = now
        self.idle.clear()
        self.endpoint.submit_bundle(ref, 1, now)
        self.runner.wake()

    async def _heard(self, event: NodeEvent) -> None:
        if isinstance(event, BundleAcked) and not event.quarantined:
            said_at = self.waiting.pop(event.bundle_id, None)
            if said_at is not None:
                self.acked_ms.append((time.monotonic() - said_at) * 1000)
            if not self.waiting:
                self.idle.set()


async def enrolled(hub_url: str, token_text: str) -> tuple[seal.NodeKeys, enrol.EnrolSecrets, tuple[int, int]]:
    """A node's keys and the hub's (UDP, TLS) ports, as the command line gets them."""
    drawn = enrol.EnrolSecrets(*(secrets.token_bytes(32) for _ in range(4)))
    async with aiohttp.ClientSession(base_url=hub_url) as http:
        announced = await (await http.get("/enrol/keys")).read()
        keys = enrol.check_announcement(announced, enrol.parse_token(token_text))
        body = enrol.make_request(enrol.parse_token(token_text), keys, drawn)
        reply = await (
            await http.post("/enrol", data=body, headers={"Content-Type": "application/octet-stream"})
        ).read()
    grant, node_keys = enrol.open_reply(reply, body, drawn, keys)
    return node_keys, drawn, (grant.udp_port, grant.wss_port)


async def drained(nodes: list[LoadNode], limit_s: float) -> None:
    """Wait until everything said is acknowledged. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        for node in nodes:
            await node.idle.wait()


async def measure(clinic: Clinic) -> list[Row]:
    """Saturation first, then the pace of the country's peak day."""
    tokens = [
        text(
            clinic.command(
                "hub",
                ["site-token", "--data", str(clinic.hub_data), "--code", f"B{n:03d}", "--name", f"Bench {n}",
                 "--district", "Demo", "--demo"],
            ),
            "token",
        )
        for n in range(NODES)
    ]  # fmt: skip
    nodes = [LoadNode(*await enrolled(clinic.hub.url, token)) for token in tokens]
    for node in nodes:
        await node.runner.start()
        node.say()
    await drained(nodes, 60)

    floor_s, entries = await asyncio.to_thread(floor, nodes[0], clinic.folder / "floor.db", NODES * VISITS_A_NODE)
    began = time.monotonic()
    for _ in range(VISITS_A_NODE):
        for node in nodes:
            node.say()
        await asyncio.sleep(0)
    await drained(nodes, 300)
    took_s = time.monotonic() - began
    for node in nodes:
        node.acked_ms.clear()

    began = time.monotonic()
    said = 0
    while said < PACED_PER_S * PACED_S:
        if said <= (time.monotonic() - began) * PACED_PER_S:
            nodes[said % NODES].say()
            said += 1
        else:
            await asyncio.sleep(0.002)
    await drained(nodes, 60)
    waits = sorted(wait for node in nodes for wait in node.acked_ms)
    for node in nodes:
        await node.runner.stop()
    rate, floor_rate = entries / took_s, entries / floor_s
    p99 = waits[int(len(waits) * 0.99)]
    return [
        Row("entries a second, saturated", round(rate), "1/s", round(floor_rate), round(rate / floor_rate, 3),
            ENTRIES_PER_S, rate >= ENTRIES_PER_S),
        Row("visits a second, saturated", round(NODES * VISITS_A_NODE / took_s, 1), "1/s"),
        Row("ack at 20.3 visits a second, median", round(waits[len(waits) // 2], 1), "ms"),
        at_most("ack at 20.3 visits a second, 99th percentile", p99, "ms", ACK_P99_MS),
    ]  # fmt: skip


def floor(node: LoadNode, path: Path, visits: int) -> tuple[float, int]:
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
    """Measure on real processes; prints what the figures mean."""
    print(
        f"hub: one process on SQLite; {NODES} nodes over UDP on loopback, a visit = one bundle of ten entries;\n"
        "saturated: all visits at once, from the first submit to the last ack; peer: bare SQLite, one commit a visit;\n"
        "the load generator shares the machine's cores.",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder)) as clinic:
        clinic.node.stop()
        return asyncio.run(measure(clinic))


GROUPS: dict[str, Callable[[], list[Row]]] = {
    "intake": intake,
    "day": hub_day.run,
    "meet": hub_meet.run,
    "fleet": hub_fleet.run,
}

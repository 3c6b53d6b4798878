"""Nodes that make load on a hub: real endpoints in this process, each with its log, its seal and its socket.

A visit is ten entries in one bundle. Acknowledged means durable at the hub.
"""

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from edge.media.signals import Signal
from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.sync import enrol, seal
from edge.sync.bearers.runner import NodeRunner
from edge.sync.bundle import BundlePayload
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import BundleAcked, DownArrived, NodeEvent, SignalArrived
from edge.sync.log import Stream, Writer, salt_of
from hub import directory
from hub.config import Settings
from hub.keys import load_keys
from hub.store.engine import Store
from tests.hub.kit import new_id, registered, visit_events
from tests.kits.clinic import Clinic, Here, Server, free_port

_encode = msgspec.msgpack.Encoder().encode


class LoadNode:
    """One enrolled node without a disk."""

    def __init__(self, keys: seal.NodeKeys, drawn: enrol.EnrolSecrets, ports: tuple[int, int]) -> None:
        self._drawn = drawn
        run = secrets.token_bytes(8)
        self._log = Writer(keys.node_id, run, Stream.CLINICAL)
        self.run = run
        self._stamp = 0
        self.waiting: dict[bytes, float] = {}
        self.acked_ms: list[float] = []
        self.device = drawn.device
        self.last_visit = ""
        self._said: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.promised: dict[int, bytes] = {}
        """Raw entries that the hub has acknowledged, by their number in this run."""
        self.on_signal: Callable[[Signal], None] = lambda signal: None
        self.idle = asyncio.Event()
        """Set while everything said is acknowledged."""
        self.endpoint = NodeEndpoint(
            keys, run, secrets.token_bytes(32), seal.Grade.LOG, drawn.log, time.monotonic(), random=secrets.token_bytes
        )
        self.runner = NodeRunner(self.endpoint, "127.0.0.1", *ports, keys.tls_fingerprint, self._heard)

    def raws(self) -> tuple[int, tuple[bytes, ...]]:
        """A fresh visit of a fresh patient in the log: first sequence number, raw entries."""
        patient, visit = new_id(), new_id()
        self.last_visit = visit
        first = self._log.seq + 1
        salts: dict[str, bytes] = {}
        made: list[bytes] = []
        for event in (registered(patient), *visit_events(visit, patient)):
            self._stamp = next_stamp(self._stamp, time.time_ns() // 1_000_000)
            if isinstance(event, ev.VisitOpened):
                salts[visit] = event.salt
            entry = ev.entry_of(event, self._stamp, "anm1")
            salt = salt_of(entry, salts)
            assert salt is not None, "the opening comes first"
            raw = _encode(entry)
            self._log.append(raw, salt)
            made.append(raw)
        return first, tuple(made)

    def say(self) -> None:
        """Seal and submit one visit."""
        first, raws = self.raws()
        head = self._log.sign_head(self._drawn.log, seal.Grade.LOG)
        ref = self.endpoint.seal_bundle(BundlePayload(1, self.run, Stream.CLINICAL, first, raws, head))
        now = time.monotonic()
        self.waiting[ref.bundle_id] = now
        self._said[ref.bundle_id] = first, raws
        self.idle.clear()
        self.endpoint.submit_bundle(ref, 1, now)
        self.runner.wake()

    async def _heard(self, event: NodeEvent) -> None:
        if isinstance(event, BundleAcked) and not event.quarantined:
            said_at = self.waiting.pop(event.bundle_id, None)
            if said_at is not None:
                self.acked_ms.append((time.monotonic() - said_at) * 1000)
                first, raws = self._said.pop(event.bundle_id)
                self.promised.update(enumerate(raws, first))
            if not self.waiting:
                self.idle.set()
        elif isinstance(event, DownArrived):
            self.endpoint.down_stored(event.seq)
            self.runner.wake()
        elif isinstance(event, SignalArrived):
            self.on_signal(msgspec.msgpack.decode(event.blob, type=Signal))

    def signal(self, signal: Signal) -> None:
        """Say a signal of a call."""
        self.endpoint.send_signal(_encode(signal), time.monotonic())
        self.runner.wake()


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


async def drained(nodes: Sequence[LoadNode], limit_s: float) -> None:
    """Wait until everything said is acknowledged. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        for node in nodes:
            await node.idle.wait()


@contextlib.contextmanager
def hub_only(
    folder: Path, database: str = "", nats: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Clinic]:
    """A hub that serves, without a node."""
    clinic = Clinic(folder, database=database, hub_options=["--nats", nats] if nats else [])
    clinic.folder.mkdir(parents=True, exist_ok=True)
    try:
        clinic.make_hub()
        if environment:
            clinic.hub.stop()
            clinic.hub.start(environment)
        yield clinic
    finally:
        clinic.close()


def another_process(clinic: Clinic, database: str, nats: str) -> Server:
    """A second process of the same hub, not started."""
    udp, tls = clinic.hub_ports
    command = [sys.executable, "-m", "hub", "serve", "--data", str(clinic.hub_data), "--database", database]
    command += ["--http", f"127.0.0.1:{free_port()}", "--udp", str(udp), "--tls", str(tls), "--nats", nats]
    return Server("hub2", Here(), command, clinic.folder / "hub2.log")


def _tokens(clinic: Clinic, count: int) -> list[str]:
    """What ``hub site-token`` prints, so often, in one transaction beside the running hub."""
    settings = Settings(clinic.hub_data, database=clinic.database)
    keys, store = load_keys(settings.data), Store(settings.database_url)
    now_ms = time.time_ns() // 1_000_000
    sites = [directory.Site("", f"B{number:03d}", f"Bench {number}", "Demo", True) for number in range(count)]
    try:
        return store.write_now(
            lambda connection: [directory.add_token(connection, keys, site, now_ms, 3600) for site in sites]
        )
    finally:
        store.close()


async def started(clinic: Clinic, count: int) -> list[LoadNode]:
    """So many nodes, enrolled over HTTP, that have each said a visit."""
    tokens = await asyncio.to_thread(_tokens, clinic, count)
    nodes = [LoadNode(*await enrolled(clinic.hub.url, token)) for token in tokens]
    for node in nodes:
        await node.runner.start()
        node.say()
    await drained(nodes, 60)
    for node in nodes:
        node.acked_ms.clear()
    return nodes


async def stopped(nodes: Sequence[LoadNode]) -> None:
    for node in nodes:
        await node.runner.stop()


async def saturated(nodes: Sequence[LoadNode], each: int) -> float:
    """Seconds from the first submit of ``each`` visits a node, all at once, to the last acknowledgement."""
    began = time.monotonic()
    for _ in range(each):
        for node in nodes:
            node.say()
        await asyncio.sleep(0)
    await drained(nodes, 600)
    return time.monotonic() - began


async def paced(nodes: Sequence[LoadNode], per_s: float, seconds: float) -> list[float]:
    """Visits at an even pace; milliseconds to each acknowledgement, sorted."""
    for node in nodes:
        node.acked_ms.clear()
    began, said = time.monotonic(), 0
    while said < per_s * seconds:
        if said <= (time.monotonic() - began) * per_s:
            nodes[said % len(nodes)].say()
            said += 1
        else:
            await asyncio.sleep(0.002)
    await drained(nodes, 120)
    return sorted(wait for node in nodes for wait in node.acked_ms)


async def told_each(nodes: Sequence[LoadNode], seconds: float) -> None:
    """Print, so often, what the acknowledgements since the last time took; until cancelled."""
    while True:
        marks = [len(node.acked_ms) for node in nodes]
        await asyncio.sleep(seconds)
        fresh = sorted(wait for node, mark in zip(nodes, marks, strict=True) for wait in node.acked_ms[mark:])
        if fresh:
            print(
                f"{time.strftime('%H:%M:%S')} {len(fresh)} acked, median {fresh[len(fresh) // 2]:.0f} ms,"
                f" 99th percentile {fresh[int(len(fresh) * 0.99)]:.0f}, longest {fresh[-1]:.0f};"
                f" {sum(len(node.waiting) for node in nodes)} not yet; load {os.getloadavg()[0]:.1f}",
                file=sys.stderr,
            )

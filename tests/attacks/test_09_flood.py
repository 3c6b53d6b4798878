"""Attack 9 over a real UDP socket: a real hub process, an honest node beside thousands of forged openings a second.

The flood has the node's own hint, so the hub works out a MAC for each, and comes from many addresses.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.sync import enrol, seal
from edge.sync.bearers import NodeRunner
from edge.sync.bundle import BundlePayload
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import BundleAcked, Cls, NodeEvent
from edge.sync.log import Stream
from tests.kits.client import text
from tests.kits.clinic import ROOT, Clinic

pytestmark = [pytest.mark.serial, pytest.mark.timeout(120)]

FLOOD_PER_S = 4_000
ADDRESSES = 100
SECONDS, MOMENT_S = 6.0, 2.0
BUNDLE_EVERY_S, ENTRIES = 0.05, 25
"""Some 20 bundles of 1.6 kB a second at most: what a node at 256 kbit/s would send."""


class HonestNode:
    """A node of the hub's that writes at a steady rate and counts what the hub says is durable."""

    def __init__(self, keys: seal.NodeKeys, log_key: bytes, udp_port: int) -> None:
        self.keys, self.udp_port = keys, udp_port
        self.run, self.seq, self.stamp = os.urandom(8), 1, 0
        self.acked = 0
        now = time.monotonic()
        self.endpoint = NodeEndpoint(keys, self.run, os.urandom(32), seal.Grade.LOG, log_key, now, random=os.urandom)
        self.runner = NodeRunner(self.endpoint, "127.0.0.1", udp_port, 0, b"", self._hear)

    async def _hear(self, event: NodeEvent) -> None:
        self.acked += isinstance(event, BundleAcked)

    def write(self) -> None:
        raws = []
        for _ in range(ENTRIES):
            self.stamp = next_stamp(self.stamp, time.time_ns() // 1_000_000)
            said = ev.Accessed("view", random.randbytes(30).hex())
            raws.append(msgspec.msgpack.encode(ev.entry_of(said, self.stamp, "n1")))
        ref = self.endpoint.seal_bundle(BundlePayload(Cls.CLINICAL, self.run, Stream.AUDIT, self.seq, tuple(raws)))
        self.seq += ENTRIES
        self.endpoint.submit_bundle(ref, Cls.CLINICAL, time.monotonic())
        self.runner.wake()

    async def goodput(self) -> float:
        """What share of the bundles that were written at a steady rate is durable, a moment after the last one."""
        acked, written, end = self.acked, 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.write()
            written += 1
            await asyncio.sleep(BUNDLE_EVERY_S)
        await asyncio.sleep(MOMENT_S)
        assert written >= 15, "hardly anything was written"
        return (self.acked - acked) / written


async def enrolled(clinic: Clinic) -> HonestNode:
    """A node that has just enrolled."""
    place = ["--code", "NMP01", "--name", "Namunapur", "--district", "Demo", "--demo"]
    shown = await asyncio.to_thread(clinic.command, "hub", ["site-token", *clinic.hub_store, *place])
    token, fresh = enrol.parse_token(text(shown, "token")), enrol.EnrolSecrets(*(os.urandom(32) for _ in range(4)))
    async with aiohttp.ClientSession(base_url=clinic.hub.url) as http:
        async with http.get("/enrol/keys") as reply:
            checked = enrol.check_announcement(await reply.read(), token)
        body = enrol.make_request(token, checked, fresh, "test")
        async with http.post("/enrol", data=body) as reply:
            grant, keys = enrol.open_reply(await reply.read(), body, fresh, checked)
    return HonestNode(keys, fresh.log, grant.udp_port)


FLOOD = """
import json, random, select, socket, sys, time
head, size, (port, rate, addresses) = bytes.fromhex(sys.argv[1]), int(sys.argv[2]), map(int, sys.argv[3:])
sockets = []
for number in range(addresses):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((f"127.66.{number // 250}.{number % 250 + 1}", 0))
    one.connect(("127.0.0.1", port))
    sockets.append(one)
forged = [head + random.randbytes(size - len(head)) for _ in range(2000)]
began, sent = time.monotonic(), 0
print("{}", flush=True)
while not select.select([sys.stdin], [], [], 0.005)[0]:
    while sent < rate * (time.monotonic() - began):
        sockets[sent % addresses].send(forged[sent % 2000])
        sent += 1
answers = len(select.select(sockets, [], [], 0.2)[0])
print(json.dumps({"sent": sent, "answers": answers, "seconds": time.monotonic() - began}), flush=True)
"""


@contextmanager
def flood(head: bytes, size: int, udp_port: int) -> Iterator[dict[str, float]]:
    """A process that floods until the end of the block; what it has to tell then."""
    command = [sys.executable, "-c", FLOOD, head.hex(), *map(str, (size, udp_port, FLOOD_PER_S, ADDRESSES))]
    told: dict[str, float] = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield told
        finally:
            process.stdin.write("\n")
            process.stdin.close()
            told.update(json.loads(process.stdout.readline()))


def forged_openings(node: HonestNode) -> tuple[bytes, int]:
    """How they begin, and how long each is: an opening and a packet."""
    keys = node.keys
    head = bytes((seal.TYPE_OPENING, 1)) + seal.key_id(keys.hub_kem[0]) + seal.node_hint(keys.node_id)
    return head, seal.OPENING_BYTES + 61


def test_09_an_honest_node_keeps_nine_tenths_of_its_goodput_beside_a_flood_of_forged_openings(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def beside() -> tuple[float, float, dict[str, float]]:
        node = await enrolled(clinic)
        await node.runner.start()
        try:
            calm = await node.goodput()
            with flood(*forged_openings(node), node.udp_port) as told:
                flooded = await node.goodput()
        finally:
            await node.runner.stop()
        return calm, flooded, told

    clinic = Clinic(tmp_path)
    clinic.make_hub()
    try:
        calm, flooded, told = asyncio.run(beside())
    finally:
        clinic.close()
    per_s = told["sent"] / told["seconds"]
    record_property(
        "figure", f"{flooded:.2f} of it durable beside {per_s:.0f} forged openings a second, {calm:.2f} without"
    )
    assert per_s >= FLOOD_PER_S / 2, "the flood was none"
    assert told["answers"] == 0
    assert flooded >= 0.9 * calm > 0.5

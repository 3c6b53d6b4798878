"""A state's nodes at one hub process: 10,000 enrolled, nine in ten by UDP, one by WebSocket, idle; then all come back.

The hub is a real process on SQLite; the nodes are real endpoints in this process, each with its keys, its session and
its own socket. Their enrolment goes straight into the store, in one transaction. Idle, a node speaks every 24 s
(:data:`edge.sync.link.KEEPALIVE_S`). "Back" is from the new hub process listening until the last node has heard it.
"""

import asyncio
import contextlib
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection

from edge.sync import enrol, seal
from edge.sync.bearers.wss import WssBearer
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import KEEPALIVE_S, LinkState
from hub import directory
from hub.backup import init_hub
from hub.config import Settings
from hub.hub import Hub
from tests.bench.rows import Row, at_most
from tests.kits.clinic import Here, Server, free_port
from tests.kits.process import cpu_s, memory

NODES, BY_SOCKET = 10_000, 1_000
IDLE_S = 60.0
HUB_MB, BACK_S = 1_200.0, 60.0
AT_ONCE = 100
"""Openings a tenth of a second at the first meeting, so that the figures of a calm start are not those of a flood."""


class Enrolled:
    """What a node has after its enrolment."""

    def __init__(self, keys: seal.NodeKeys, drawn: enrol.EnrolSecrets) -> None:
        self.keys, self.drawn = keys, drawn


async def _enrolled(settings: Settings, count: int, ports: directory.Ports) -> list[Enrolled]:
    """So many nodes in the store of a hub that does not run."""
    hub = Hub(settings, lambda: time.time_ns() // 1_000_000, time.monotonic)
    now_ms = time.time_ns() // 1_000_000

    def act(connection: Connection) -> list[Enrolled]:
        made = []
        for number in range(count):
            site = directory.Site("", f"S{number:05d}", f"Site {number}", f"District {number % 38}", True)
            token = enrol.parse_token(directory.add_token(connection, hub.keys, site, now_ms, 3600))
            keys = enrol.check_announcement(hub.keys.announcement, token)
            drawn = enrol.EnrolSecrets(*(secrets.token_bytes(32) for _ in range(4)))
            body = enrol.make_request(token, keys, drawn)
            reply = directory.enrol_node(connection, hub.keys, body, ports, now_ms)
            made.append(Enrolled(enrol.open_reply(reply, body, drawn, keys)[1], drawn))
        return made

    made = await hub.store.write(act)
    await hub.stop()
    return made


class FleetNode:
    """One node that has nothing to say: its endpoint on a socket, and one timer."""

    def __init__(self, enrolled: Enrolled, address: tuple[str, int], *, by_socket: bool) -> None:
        keys, drawn = enrolled.keys, enrolled.drawn
        self.endpoint = NodeEndpoint(
            keys,
            secrets.token_bytes(8),
            secrets.token_bytes(32),
            seal.Grade.LOG,
            drawn.log,
            time.monotonic(),
            random=secrets.token_bytes,
        )
        self._path = "wss" if by_socket else "udp"
        self._address = address
        self._udp: asyncio.DatagramTransport | None = None
        self._wss = WssBearer(*address, keys.tls_fingerprint, self._received) if by_socket else None
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._over = False
        self.sent = self.sent_bytes = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._wss is None:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Heard(self._received), remote_addr=self._address
            )
        self.endpoint.use_path(self._path, time.monotonic())
        self.turn()

    def state(self) -> LinkState:
        return self.endpoint.link_state(time.monotonic())

    def _received(self, data: bytes, path: str) -> None:
        self.endpoint.receive(data, path, time.monotonic())
        self.turn()

    def turn(self) -> None:
        """Send what is due and set the timer anew."""
        if self._over:
            return
        if self._wss is not None and not self._wss.up:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open(self._wss))
            return
        now = time.monotonic()
        for datagram, _ in self.endpoint.datagrams_to_send(now):
            self.sent, self.sent_bytes = self.sent + 1, self.sent_bytes + len(datagram)
            if self._wss is not None:
                self._wss.send(datagram)
            elif self._udp is not None:
                self._udp.sendto(datagram)
        while self.endpoint.next_event() is not None:
            pass
        due = self.endpoint.get_timer()
        if self._timer is not None:
            self._timer.cancel()
        wait_s = 1.0 if due is None else min(max(due - time.monotonic(), 0.001), 1.0 if self._wss else 60.0)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.turn)

    async def _open(self, wss: WssBearer) -> None:
        """As :class:`edge.sync.bearers.runner.NodeRunner`: again a second after a failure."""
        while not self._over:
            with contextlib.suppress(Exception):
                await wss.open()
                break
            await asyncio.sleep(1)
        self._opening = None
        self.turn()

    async def stop(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._udp is not None:
            self._udp.close()
        if self._wss is not None:
            await self._wss.close()


class _Heard(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, str], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._received(data, "udp")

    def error_received(self, exc: Exception) -> None:
        """The hub is not there at the moment."""


async def _all_online(nodes: list[FleetNode], since_s: float, limit_s: float) -> tuple[float, list[float]]:
    """Seconds until the last node has heard the hub after ``since_s``, and of each node."""
    took: dict[int, float] = {}
    while len(took) < len(nodes):
        now = time.monotonic()
        if now - since_s > limit_s:
            raise TimeoutError(f"{len(nodes) - len(took)} nodes were not back after {limit_s:.0f} s")
        for number, node in enumerate(nodes):
            if number not in took:
                state = node.state()
                if state.online and state.last_ack_age_s < now - since_s:
                    took[number] = now - since_s
        await asyncio.sleep(0.25)
    return time.monotonic() - since_s, sorted(took.values())


@contextlib.contextmanager
def _hub(data: Path, ports: directory.Ports, log: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "hub", "serve", "--data", str(data), "--http", f"127.0.0.1:{free_port()}"]
    command += ["--udp", str(ports.udp), "--tls", str(ports.tls), "--link-address", "127.0.0.1"]
    server = Server("hub", Here(), command, log)
    try:
        yield server
    finally:
        server.stop()


async def _measure(folder: Path, count: int, by_socket: int) -> list[Row]:
    settings = Settings(folder / "hub")
    await asyncio.to_thread(init_hub, settings)
    ports = directory.Ports(free_port(socket.SOCK_DGRAM), free_port())
    begun = time.monotonic()
    enrolled = await _enrolled(settings, count, ports)
    print(f"enrolled {count} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    with _hub(folder / "hub", ports, folder / "hub.log") as hub:
        await asyncio.to_thread(hub.start)
        alone_mb = memory(hub.pid).pss_mb
        nodes = [
            FleetNode(one, ("127.0.0.1", ports.tls if n < by_socket else ports.udp), by_socket=n < by_socket)
            for n, one in enumerate(enrolled)
        ]
        begun = time.monotonic()
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(node.start() for node in nodes[first : first + AT_ONCE]))
            await asyncio.sleep(0.1)
        met_s, _ = await _all_online(nodes, begun, 600)
        print(f"all met the hub in {met_s:.0f} s", file=sys.stderr)
        await asyncio.sleep(KEEPALIVE_S)
        sent, used = sum(node.sent for node in nodes), cpu_s(hub.pid)
        begun = time.monotonic()
        await asyncio.sleep(IDLE_S)
        idle_s = time.monotonic() - begun
        packets, used = sum(node.sent for node in nodes) - sent, cpu_s(hub.pid) - used
        away = sum(not node.state().online for node in nodes)
        idle_mb = memory(hub.pid).pss_mb
        rows = [
            Row(f"the hub alone, {count} nodes enrolled", round(alone_mb), "MB"),
            at_most(f"the hub with {count} nodes idle", idle_mb, "MB", HUB_MB),
            at_most("nodes that were not online after it", away, "nodes", 0),
            Row("a node speaks every", round(idle_s * count / packets, 1), "s"),
            Row("processor of the hub, idle nodes", round(100 * used / idle_s, 1), "% of a core"),
        ]
        hub.kill()
        await asyncio.sleep(2)
        await asyncio.to_thread(hub.start)
        back_s, each = await _all_online(nodes, time.monotonic(), 600)
        rows += [
            at_most("all back after a hub that was killed", back_s, "s", BACK_S),
            Row("… a node, median", round(statistics.median(each), 1), "s"),
            Row("the hub then", round(memory(hub.pid).pss_mb), "MB"),
        ]
        for node in nodes:
            await node.stop()
        return rows


def run() -> list[Row]:
    """Measure; prints what the figures mean."""
    print(
        f"{NODES} nodes, {BY_SOCKET} of them by WebSocket; the load generator shares the machine's cores.",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), NODES, BY_SOCKET))

"""Runners and bearers on real sockets of this machine."""

import asyncio
import base64
import contextlib
import datetime
import hashlib
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.sync import seal
from edge.sync.bearers import BearerRefused, HubRunner, NodeRunner, WssBearer, runner, switch, wss_handler
from edge.sync.bearers.outlet import Outlet
from edge.sync.bearers.udp import UdpBearer
from edge.sync.bundle import BundlePayload
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import BundleAcked, BundleArrived, DownArrived, DownStored, HubEvent, NodeEvent, SignalArrived
from edge.sync.log import Stream
from tests.sync.kit import Keyring


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, bytes]:
    """A fresh self-signed leaf: server context and fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(file)
    return context, hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()


class Ends:
    """A node and a hub in this process, on real sockets."""

    def __init__(self) -> None:
        self.keys = Keyring()
        self.heard: asyncio.Queue[NodeEvent | HubEvent] = asyncio.Queue()
        now = time.monotonic()
        self.hub = HubEndpoint(self.keys.hub, self.keys, now, unix_offset_s=time.time() - now, random=os.urandom)
        self.run = os.urandom(8)
        self.node = NodeEndpoint(
            self.keys.node, self.run, os.urandom(32), seal.Grade.LOG, self.keys.log, now, random=os.urandom
        )
        self.hub_runner = HubRunner(self.hub, ("127.0.0.1", 0), self._hub_hears)
        self.node_runner: NodeRunner | None = None

    async def _hub_hears(self, event: HubEvent) -> None:
        if isinstance(event, BundleArrived):
            self.hub.bundle_stored(event.node_id, event.bundle_id)
        self.heard.put_nowait(event)

    async def _node_hears(self, event: NodeEvent) -> None:
        if isinstance(event, DownArrived):
            self.node.down_stored(event.seq)
        self.heard.put_nowait(event)

    async def start(self, udp_port: int = 0, wss_port: int = 0, fingerprint: bytes = b"") -> None:
        await self.hub_runner.start()
        port = udp_port or self.hub_runner.udp_port
        self.node_runner = NodeRunner(self.node, "127.0.0.1", port, wss_port, fingerprint, self._node_hears)
        await self.node_runner.start()

    async def stop(self) -> None:
        if self.node_runner is not None:
            await self.node_runner.stop()
        await self.hub_runner.stop()

    def submit(self, seq: int, text: bytes) -> bytes:
        ref = self.node.seal_bundle(BundlePayload(1, self.run, Stream.CLINICAL, seq, (text,)))
        self.node.submit_bundle(ref, 1)
        assert self.node_runner is not None
        self.node_runner.wake()
        return ref.bundle_id

    async def wait(self, wanted: Callable[[NodeEvent | HubEvent], bool], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not wanted(await self.heard.get()):
                pass


@asynccontextmanager
async def wss_site(ends: Ends, context: ssl.SSLContext) -> AsyncIterator[int]:
    """The hub's /sync over TLS; yields its port."""
    app = web.Application()
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = wss_handler(ends.hub_runner)
    app.router.add_get("/sync", handler)
    serving = web.AppRunner(app, shutdown_timeout=0.2)
    await serving.setup()
    site = web.TCPSite(serving, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield serving.addresses[0][1]
    finally:
        await serving.cleanup()


async def test_bundles_prescriptions_and_signals_cross_real_udp_sockets() -> None:
    ends = Ends()
    await ends.start()
    try:
        name = ends.submit(1, b"entry")
        await ends.wait(lambda e: isinstance(e, BundleAcked) and e.bundle_id == name)
        ends.hub.send_down(ends.keys.node_id, 5, seal.seal_down(ends.keys.record, 5, b"rx", ends.keys.sign), 1)
        ends.hub.send_signal(ends.keys.node_id, b"ring")
        ends.hub_runner.wake()
        await ends.wait(lambda e: isinstance(e, SignalArrived) and e.blob == b"ring")
        await ends.wait(lambda e: isinstance(e, DownStored) and e.seq == 5)
        ends.node.send_signal(b"accept")
        assert ends.node_runner is not None
        ends.node_runner.wake()
        await ends.wait(lambda e: isinstance(e, SignalArrived) and e.blob == b"accept")
        assert ends.node.link_state(time.monotonic()).online
        assert ends.hub.presence(ends.keys.node_id, time.monotonic()).bearer == "udp"
    finally:
        await ends.stop()


async def test_a_node_behind_a_wall_that_swallows_udp_syncs_over_wss_and_returns_when_udp_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in ("SILENT_S", "CONFIRM_S", "ASK_UDP_S", "ASK_SOON_S"):
        monkeypatch.setattr(switch, setting, 0.3)
    monkeypatch.setattr(switch, "SILENT_PACKETS", 1)
    ends = Ends()
    context, fingerprint = certificate(tmp_path, "hub")
    wall = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wall.bind(("127.0.0.1", 0))
    wall.setblocking(False)
    blocked = wall.getsockname()[1]
    async with wss_site(ends, context) as port:
        await ends.start(blocked, port, fingerprint)
        try:
            name = ends.submit(1, b"through the wall")
            await ends.wait(lambda e: isinstance(e, BundleAcked) and e.bundle_id == name, 15)
            assert ends.node.link_state(time.monotonic()).bearer == "wss"

            def proved() -> bool:
                return ends.hub.presence(ends.keys.node_id, time.monotonic()).bearer == "wss"

            if not proved():
                # The challenge came with the acknowledgement: its echo is still on its way.
                await ends.wait(lambda _: proved(), 15)
            assert ends.node_runner is not None
            loop = asyncio.get_running_loop()
            relay = _Relay(wall, ends.hub_runner.udp_port)
            loop.add_reader(wall, relay.up)
            try:
                async with asyncio.timeout(10):
                    while ends.node.link_state(time.monotonic()).bearer != "udp":
                        await ends.heard.get()
                name = ends.submit(2, b"over UDP again")
                await ends.wait(lambda e: isinstance(e, BundleAcked) and e.bundle_id == name)
                assert ends.hub.presence(ends.keys.node_id, time.monotonic()).bearer == "udp"
            finally:
                loop.remove_reader(wall)
                relay.close()
        finally:
            await ends.stop()
            wall.close()


async def test_a_node_that_nobody_answers_says_so_of_both_ways_and_not_that_the_first_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for where in (switch, runner):
        monkeypatch.setattr(where, "SILENT_S", 0.3)
    monkeypatch.setattr(switch, "SILENT_PACKETS", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody, socket.socket() as closed:
        nobody.bind(("127.0.0.1", 0))
        closed.bind(("127.0.0.1", 0))
        ends = Ends()
        await ends.start(nobody.getsockname()[1], closed.getsockname()[1], bytes(32))
        assert ends.node_runner is not None
        try:
            assert [one.why for one in ends.node_runner.bearers()] == ["", "not_needed"]
            ends.submit(1, b"to nobody")
            async with asyncio.timeout(15):
                while [one.why for one in ends.node_runner.bearers()] != ["silent", "no_route"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            await ends.stop()


class _Relay:
    """The wall has opened: forwards between the node and the hub's UDP port."""

    def __init__(self, wall: socket.socket, hub_port: int) -> None:
        self._wall = wall
        self._hub = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._hub.connect(("127.0.0.1", hub_port))
        self._hub.setblocking(False)
        self._node: tuple[str, int] | None = None
        asyncio.get_running_loop().add_reader(self._hub, self._down)

    def up(self) -> None:
        data, self._node = self._wall.recvfrom(2048)
        self._hub.send(data)

    def _down(self) -> None:
        data = self._hub.recv(2048)
        if self._node is not None:
            self._wall.sendto(data, self._node)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._hub)
        self._hub.close()


async def test_a_certificate_other_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    ends = Ends()
    context, fingerprint = certificate(tmp_path, "someone-else")
    async with wss_site(ends, context) as port:
        pinned = WssBearer("127.0.0.1", port, bytes(32), lambda data, path: None)
        with pytest.raises(BearerRefused) as refused:
            await pinned.open()
        assert refused.value.refusal.code == "bearer_wrong_certificate"
        assert not pinned.up
        right = WssBearer("127.0.0.1", port, fingerprint, lambda data, path: None)
        await right.open()
        assert right.up
        await right.close()


async def test_a_hub_without_tls_is_no_way_there() -> None:
    bearer = WssBearer("127.0.0.1", 9, bytes(32), lambda data, path: None)
    with pytest.raises(BearerRefused) as refused:
        await bearer.open()
    assert refused.value.refusal.code == "bearer_no_route"


async def test_a_turn_of_the_link_that_fails_does_not_end_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_FAILED_PAUSE_S", 0.01)
    ends = Ends()
    real, failures = ends.hub.datagrams_to_send, [MemoryError(), ValueError()]

    def failing(now: float) -> list[tuple[bytes, Hashable]]:
        if failures:
            raise failures.pop()
        return real(now)

    monkeypatch.setattr(ends.hub, "datagrams_to_send", failing)
    await ends.start()
    try:
        name = ends.submit(1, b"after all")
        await ends.wait(lambda e: isinstance(e, BundleAcked) and e.bundle_id == name)
        assert not failures
    finally:
        await ends.stop()


async def test_a_websocket_on_which_no_node_speaks_is_closed_and_a_crowd_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SOCKET_PROOF_S", 0.5)
    monkeypatch.setattr(runner, "SOCKETS_MAX", 1)
    ends = Ends()
    context, fingerprint = certificate(tmp_path, "hub")
    await ends.hub_runner.start()
    try:
        async with wss_site(ends, context) as port:
            bearers = [WssBearer("127.0.0.1", port, fingerprint, lambda data, path: None) for _ in range(2)]
            await bearers[0].open()
            with pytest.raises(BearerRefused):
                await bearers[1].open()
            async with asyncio.timeout(5):
                while bearers[0].up:
                    bearers[0].send(b"\x03" + os.urandom(60))
                    await asyncio.sleep(0.05)
            await bearers[1].open()
            for bearer in bearers:
                await bearer.close()
    finally:
        await ends.stop()


async def test_a_socket_whose_addresses_have_not_changed_is_kept_twice() -> None:
    bearer = UdpBearer("127.0.0.1", 9, lambda data, path: None)

    def address(name: str) -> tuple[str, int]:
        assert bearer.up and bearer._transport is not None
        host, port = bearer._transport.get_extra_info(name)
        return str(host), int(port)

    ports = []
    for _ in range(4):
        await bearer.open()
        ports.append(address("sockname")[1])
    assert ports[0] == ports[1] == ports[2] != ports[3]
    bearer._host = "127.0.0.2"
    await bearer.open()
    assert address("peername")[0] == "127.0.0.2"
    await bearer.close()


async def test_little_waits_in_the_buffers_of_a_websocket_that_is_not_read_and_nothing_is_lost() -> None:
    """The hub's WebSocket to a line that stands still: a TCP client that shakes hands and then reads nothing."""
    made: asyncio.Queue[Outlet] = asyncio.Queue()
    room, done = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        outlet = Outlet(connection, room.set)
        writing = asyncio.create_task(outlet.run())
        made.put_nowait(outlet)
        await done.wait()
        writing.cancel()
        return connection

    app = web.Application()
    app.router.add_get("/sync", handle)
    serving = web.AppRunner(app, shutdown_timeout=0.2)
    await serving.setup()
    await web.TCPSite(serving, "127.0.0.1", 0).start()
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, serving.addresses[0])
        key = base64.b64encode(os.urandom(16)).decode()
        ask = "GET /sync HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        ask += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        await loop.sock_sendall(client, ask.encode())
        outlet = await made.get()
        sent = 0

        async def stuck() -> bool:
            room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await room.wait()
            return outlet.full

        while not outlet.full or not await stuck():
            if not outlet.full:
                outlet.send(sent.to_bytes(4, "big") * 300)
                sent += 1
        assert sent * 1_200 < 64 * 1024, "what is in buffers cannot be passed by anything urgent"
        read = b""
        while read.count(b"\x82\x7e\x04\xb0") < sent:
            read += await loop.sock_recv(client, 65_536)
        assert [number for number in range(sent) if number.to_bytes(4, "big") * 300 not in read] == []
        assert not outlet.full
        done.set()
    await serving.cleanup()

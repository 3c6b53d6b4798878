"""The programs at the two ends of the emulated link: ``python -m tests.bench.sync_peers WHAT …``.

Our ends are the real endpoints and runners with the smallest honest application: the hub writes and fsyncs a
file before it acknowledges. The peer is a plain HTTPS server (TLS 1.3) that does the same before it answers. Clients
print one JSON line. Times are of the monotonic clock, which both ends of this machine share.
"""

import asyncio
import gzip
import http.client
import json
import os
import random
import ssl
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiohttp import web

from edge.model import media
from edge.sync import seal
from edge.sync.bearers.runner import HubRunner, NodeRunner, wss_handler
from edge.sync.bundle import BundlePayload, Chunk
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import BundleAcked, BundleArrived, ChunkArrived, Cls, HubEvent, NodeEvent
from edge.sync.log import Stream
from tests.bench.consultations import as_json, load_corpus
from tests.kits.link import RIGHT_ADDRESS
from tests.sync.kit import Keyring

UDP_PORT, TLS_PORT = 7470, 7443
BULK_BUNDLES, BULK_BUNDLE_BYTES = 25, 200_000
URGENT, URGENT_EVERY_S, BULK_LEAD_S = 10, 4.0, 8.0
SETTLE_S = 3.0


def keep(folder: Path, name: str, body: bytes) -> None:
    """Durably: the file and its folder are fsynced."""
    with (folder / name).open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


async def hub(folder: Path, *, wss: bool = False) -> None:
    """Store what comes, acknowledge, and print when each bundle was durable; ``wss``: on a WebSocket alone."""
    keys, now = Keyring(), time.monotonic()
    endpoint = HubEndpoint(keys.hub, keys, now, unix_offset_s=time.time() - now, random=os.urandom)

    async def hear(event: HubEvent) -> None:
        if isinstance(event, BundleArrived | ChunkArrived):
            await asyncio.to_thread(keep, folder, event.bundle_id.hex(), event.sealed)
            endpoint.bundle_stored(event.node_id, event.bundle_id)
            print(json.dumps({"bundle": event.bundle_id.hex(), "at": time.monotonic()}), flush=True)

    runner = HubRunner(endpoint, ("127.0.0.1" if wss else "0.0.0.0", UDP_PORT), hear)
    await runner.start()
    if wss:
        await _serve_tls(folder, runner)
    print("{}", flush=True)
    await asyncio.Event().wait()


async def _serve_tls(folder: Path, runner: HubRunner) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "hub.pem")
    app = web.Application()
    app.router.add_get("/sync", wss_handler(runner))
    serving = web.AppRunner(app)
    await serving.setup()
    await web.TCPSite(serving, "0.0.0.0", TLS_PORT, ssl_context=context).start()


class Node:
    """Our node's end."""

    def __init__(self, fingerprint: bytes = b"") -> None:
        """``fingerprint``: of the hub's certificate, to fall back to a WebSocket."""
        self.keys, self.run = Keyring(), os.urandom(8)
        self.seq = 1
        self.waiting: set[bytes] = set()
        self.heard = asyncio.Event()
        self.began = time.monotonic()
        self.endpoint = NodeEndpoint(
            self.keys.node, self.run, os.urandom(32), seal.Grade.LOG, self.keys.log, self.began, random=os.urandom
        )
        tls_port = TLS_PORT if fingerprint else 0
        self.runner = NodeRunner(self.endpoint, RIGHT_ADDRESS, UDP_PORT, tls_port, fingerprint, self._hear)

    async def _hear(self, event: NodeEvent) -> None:
        if isinstance(event, BundleAcked):
            self.waiting.discard(event.bundle_id)
        self.heard.set()

    def submit(self, entries: tuple[bytes, ...], cls: int) -> str:
        ref = self.endpoint.seal_bundle(BundlePayload(cls, self.run, Stream.CLINICAL, self.seq, entries))
        self.seq += len(entries)
        self.waiting.add(ref.bundle_id)
        self.endpoint.submit_bundle(ref, cls, time.monotonic())
        self.runner.wake()
        return ref.bundle_id.hex()

    def submit_blob(self, data: bytes, cls: int) -> None:
        """A photo as a node sends it: a bundle for each of its chunks."""
        blob, count = random.randbytes(8).hex(), media.chunk_count(len(data))
        for number in range(count):
            start, length = media.chunk_span(len(data), number)
            ref = self.endpoint.seal_chunk(Chunk(blob, number, count, data[start : start + length]))
            self.waiting.add(ref.bundle_id)
            self.endpoint.submit_bundle(ref, cls, time.monotonic())
        self.runner.wake()

    async def drained(self) -> None:
        while self.waiting:
            await self.heard.wait()
            self.heard.clear()


async def beside_bulk(mine: Node, visits: list[list[bytes]] | list[tuple[bytes, ...]]) -> dict[str, float]:
    """Urgent visits while photos are under way: when each was submitted."""
    sent: dict[str, float] = {}
    for _ in range(BULK_BUNDLES):
        mine.submit((os.urandom(BULK_BUNDLE_BYTES),), Cls.ORIGINAL)
    await asyncio.sleep(BULK_LEAD_S)
    for _ in range(URGENT):
        said = time.monotonic()
        sent[mine.submit(tuple(random.choice(visits)), Cls.CLINICAL)] = said
        await asyncio.sleep(URGENT_EVERY_S)
    return sent


async def urgent_wss(fingerprint: bytes) -> dict[str, object]:
    """The same over a WebSocket: nobody answers UDP."""
    mine = Node(fingerprint)
    await mine.runner.start()
    while True:
        state = mine.endpoint.link_state(time.monotonic())
        if state.online and state.bearer == "wss":
            break
        await asyncio.sleep(0.5)
    sent = await beside_bulk(mine, [one.raw for one in load_corpus()])
    await mine.runner.stop()
    return {"sent": sent, "seconds": 0.0}


async def node(work: str) -> dict[str, object]:
    """One of: batch (50 in one bundle), each (a bundle a visit), cold, warm, warm batch, urgent."""
    visits = [one.raw for one in load_corpus()]
    mine = Node()
    together = tuple(raw for one in visits for raw in one)
    if work in ("batch", "each"):
        for entries in [together] if work == "batch" else visits:
            mine.submit(entries, Cls.CLINICAL)
    elif work == "cold":
        mine.submit(random.choice(visits), Cls.CLINICAL)
    began = mine.began
    await mine.runner.start()
    sent: dict[str, float] = {}
    if work.startswith("warm"):
        await asyncio.sleep(SETTLE_S)
        print("{}", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.monotonic()
        mine.submit(together if work == "warm batch" else random.choice(visits), Cls.CLINICAL)
    if work == "urgent":
        sent = await beside_bulk(mine, visits)
    else:
        await mine.drained()
    took_s = time.monotonic() - began
    await mine.runner.stop()
    return {"seconds": took_s, "sent": sent}


def https_server(folder: Path) -> None:
    """POST: the body is durable before the answer. GET: the file ``download``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            keep(folder, os.urandom(8).hex(), self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response_only(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            body = (folder / "download").read_bytes()
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the link is what is measured."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "hub.pem")
    server = ThreadingHTTPServer(("0.0.0.0", TLS_PORT), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("{}", flush=True)
    server.serve_forever()


def https(work: str) -> dict[str, object]:
    """batch: all gzipped in one request; each: a gzipped request a visit, kept alive; urgent, download: see below."""
    if work == "urgent":
        return {"seconds": 0.0, "sent": https_urgent()}
    if work == "download":
        return {"seconds": https_download()}
    corpus = load_corpus()
    bodies = [as_json(corpus)] if work == "batch" else [as_json([one]) for one in corpus]
    packed = [gzip.compress(body, 9) for body in bodies]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = time.monotonic()
    connection = http.client.HTTPSConnection(RIGHT_ADDRESS, TLS_PORT, context=context, timeout=300)
    for body in packed:
        connection.request("POST", "/", body, {"Content-Encoding": "gzip"})
        connection.getresponse().read()
    took_s = time.monotonic() - began
    connection.close()
    return {"seconds": took_s}


def https_download() -> float:
    """Seconds until one file is here and durable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = time.monotonic()
    connection = http.client.HTTPSConnection(RIGHT_ADDRESS, TLS_PORT, context=context, timeout=300)
    connection.request("GET", "/download")
    body = connection.getresponse().read()
    with tempfile.TemporaryDirectory() as folder:
        keep(Path(folder), "download", body)
    return time.monotonic() - began


def https_urgent() -> dict[str, float]:
    """How long visits take, each on a second connection, while 5 MB go up on a first one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    visits = [gzip.compress(as_json([one]), 9) for one in load_corpus()]

    def post(body: bytes) -> None:
        connection = http.client.HTTPSConnection(RIGHT_ADDRESS, TLS_PORT, context=context, timeout=300)
        connection.request("POST", "/", body)
        connection.getresponse().read()
        connection.close()

    threading.Thread(target=post, args=(os.urandom(BULK_BUNDLES * BULK_BUNDLE_BYTES),), daemon=True).start()
    time.sleep(BULK_LEAD_S)
    took: dict[str, float] = {}
    for number in range(URGENT):
        began = time.monotonic()
        post(random.choice(visits))
        took[str(number)] = time.monotonic() - began
        time.sleep(max(URGENT_EVERY_S - took[str(number)], 0.0))
    return took


def main() -> None:
    """``hub|wss-hub|https-server FOLDER``, ``node-wss FINGERPRINT``, ``node|https WORK``."""
    what, argument = sys.argv[1:3]
    if what in ("hub", "wss-hub"):
        asyncio.run(hub(Path(argument), wss=what == "wss-hub"))
    elif what == "node-wss":
        print(json.dumps(asyncio.run(urgent_wss(bytes.fromhex(argument)))), flush=True)
    elif what == "https-server":
        https_server(Path(argument))
    else:
        print(json.dumps(asyncio.run(node(argument)) if what == "node" else https(argument)), flush=True)
    os._exit(0)  # an upload may still be under way in a thread


if __name__ == "__main__":
    main()

"""Programs of the long rows: ``python -m tests.bench.sync_long_ends WHAT …``; ours and the peers'.

Clients print ``{}`` when they are ready, wait for a line, and print one JSON line when they are done; servers print
``{}`` when they listen. Times are of the monotonic clock, which both ends share. What comes to no end gives up after
``LIMIT_S``.
"""

import asyncio
import contextlib
import http.client
import json
import os
import random
import resource
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from edge.sync import frames as fr
from edge.sync.link import Cls
from tests.bench.consultations import as_json, load_corpus
from tests.bench.sync_peers import TLS_PORT, Node
from tests.kits.link import RIGHT_ADDRESS
from tests.kits.process import memory

PHOTO_BYTES = 300_000
MIXED_BYTES, PART_BYTES = 13_000_000, 100_000
PREVIEWS, PREVIEW_BYTES = 60, 8_000
BULK_PARTS = 30
LIMIT_S = 400.0
TCP_PORT = 7480
PATIENCE_S = 5.0
"""How long the ranged upload waits in silence before it connects anew."""


class CountingNode(Node):
    """Our node's end; counts the bytes of bulk messages that left, repeated ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.left_bytes = 0
        seal = self.endpoint._seal

        def counted(frames: list[fr.Frame]) -> tuple[int, bytes]:
            self.left_bytes += sum(len(f.data) for f in frames if isinstance(f, fr.Frag) and f.cls >= Cls.ORIGINAL)
            return seal(frames)

        self.endpoint._seal = counted  # type: ignore[method-assign]


async def photo() -> dict[str, object]:
    """One photo in chunks, sealed before the start as a node has them in its outbox."""
    mine = CountingNode()
    mine.submit_blob(random.randbytes(PHOTO_BYTES), Cls.ORIGINAL)
    sealed = sum(len(ref.sealed) for ref, _ in mine.endpoint._refs.values())
    wait_for_start()
    await mine.runner.start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            await mine.drained()
    await mine.runner.stop()
    return {"done": not mine.waiting, "at": time.monotonic(), "twice": mine.left_bytes / sealed - 1}


def mixed_files(folder: Path) -> None:
    """13 MB as files (decimal): 50 visits as JSON, 60 previews, the rest in photos of 300 kB."""
    left = MIXED_BYTES
    for number, one in enumerate(load_corpus()):
        left -= (folder / f"visit-{number:03d}.json").write_bytes(as_json([one]))
    for number in range(PREVIEWS):
        left -= (folder / f"preview-{number:03d}").write_bytes(os.urandom(PREVIEW_BYTES))
    for number in range(left // PHOTO_BYTES + 1):
        left -= (folder / f"photo-{number:03d}").write_bytes(os.urandom(min(PHOTO_BYTES, left)))


async def mixed() -> dict[str, object]:
    """The same content as :func:`mixed_files`, sealed; what this process cost beside."""
    mine = Node()
    left = MIXED_BYTES
    for one in load_corpus():
        mine.submit(tuple(one.raw), Cls.CLINICAL)
        left -= len(as_json([one]))
    for _ in range(PREVIEWS):
        mine.submit((os.urandom(PREVIEW_BYTES),), Cls.PREVIEW)
        left -= PREVIEW_BYTES
    while left > 0:
        mine.submit((os.urandom(min(PART_BYTES, left)),), Cls.ORIGINAL)
        left -= PART_BYTES
    began, cpu_s = time.monotonic(), time.process_time()
    await mine.runner.start()
    await mine.drained()
    took_s = time.monotonic() - began
    await mine.runner.stop()
    return {"seconds": took_s, "cpu_s": time.process_time() - cpu_s}


async def bulk(seconds: float, limit_bps: float | None = None) -> dict[str, object]:
    """Photos for so long, whatever comes of it; CPU, memory. ``limit_bps``: what a call leaves."""
    mine = Node()
    mine.endpoint.limit_bulk(limit_bps)
    for _ in range(BULK_PARTS):
        mine.submit_blob(os.urandom(PART_BYTES), Cls.ORIGINAL)
    wait_for_start()  # sealed before: a busy machine takes long for it
    began, cpu_s = time.monotonic(), time.process_time()
    await mine.runner.start()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(0.5)
        while len(mine.waiting) < BULK_PARTS:
            mine.submit_blob(os.urandom(PART_BYTES), Cls.ORIGINAL)
    share = (time.process_time() - cpu_s) / (time.monotonic() - began)
    await mine.runner.stop()
    return {
        "cpu": share,
        "pss_mb": memory(os.getpid()).pss_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def ranged_server(folder: Path) -> None:
    """HTTPS PUT with ranges, as tus does it: HEAD says how much is there, PUT appends; every piece is fsynced."""
    target = folder / "upload"
    target.touch()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 2 * PATIENCE_S

        def do_HEAD(self) -> None:
            self._answer(target.stat().st_size)

        def do_PUT(self) -> None:
            left = int(self.headers["Content-Length"])
            with target.open("ab") as file:
                while left and (piece := self.rfile.read1(min(left, 4_096))):
                    left -= len(piece)
                    file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            self._answer(target.stat().st_size)

        def _answer(self, held: int) -> None:
            self.send_response_only(200)
            self.send_header("Upload-Offset", str(held))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the link is what is measured."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "hub.pem")
    server = ThreadingHTTPServer(("0.0.0.0", TLS_PORT), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("{}", flush=True)
    server.serve_forever()


def ranged() -> dict[str, object]:
    """The photo by HTTPS PUT with ranges; connects anew after each silence, until it is there or the time is over."""
    body = os.urandom(PHOTO_BYTES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    end_s = time.monotonic() + LIMIT_S
    held = 0
    while held < len(body) and time.monotonic() < end_s:
        connection = http.client.HTTPSConnection(RIGHT_ADDRESS, TLS_PORT, context=context, timeout=PATIENCE_S)
        try:
            connection.request("HEAD", "/photo")
            held = int(connection.getresponse().headers["Upload-Offset"])
            if held < len(body):
                connection.sock.settimeout(2 * PATIENCE_S)
                connection.request("PUT", "/photo", body[held:])
                held = int(connection.getresponse().headers["Upload-Offset"])
        except (OSError, http.client.HTTPException, TypeError):
            time.sleep(0.5)
        finally:
            connection.close()
    return {"done": held >= len(body), "at": time.monotonic()}


def tcp_sink() -> None:
    """Counts what comes; one line each second."""
    listener = socket.create_server(("0.0.0.0", TCP_PORT))
    print("{}", flush=True)
    connection, _ = listener.accept()
    connection.settimeout(1.0)
    held, next_s = 0, time.monotonic()
    while True:
        with contextlib.suppress(TimeoutError):
            piece = connection.recv(65_536)
            if not piece:
                return
            held += len(piece)
        if time.monotonic() >= next_s:
            next_s += 1.0
            print(json.dumps({"at": time.monotonic(), "bytes": held}), flush=True)


def tcp_source(seconds: float) -> None:
    """One bulk flow under CUBIC."""
    connection = socket.socket()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    connection.connect((RIGHT_ADDRESS, TCP_PORT))
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"cubic"
    connection.settimeout(1.0)
    noise, end_s = random.randbytes(65_536), time.monotonic() + seconds
    while time.monotonic() < end_s:
        with contextlib.suppress(TimeoutError):
            connection.send(noise)
    os._exit(0)


def wait_for_start() -> None:
    """Say that this end is ready, and wait for the word."""
    print("{}", flush=True)
    sys.stdin.readline()


def main() -> None:
    """See the functions."""
    what, *arguments = sys.argv[1:]
    said: dict[str, object] | None = None
    if what not in ("photo", "bulk", "ranged-server", "tcp-sink"):
        wait_for_start()
    match what:
        case "photo":
            said = asyncio.run(photo())
        case "mixed":
            said = asyncio.run(mixed())
        case "bulk":
            said = asyncio.run(bulk(*map(float, arguments)))
        case "ranged":
            said = ranged()
        case "ranged-server":
            ranged_server(Path(arguments[0]))
        case "tcp-sink":
            tcp_sink()
        case "tcp-source":
            tcp_source(float(arguments[0]))
    if said is not None:
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

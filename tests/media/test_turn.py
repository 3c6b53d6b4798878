"""Calls through a real TURN server (coturn), with nothing but relayed candidates on both sides."""

import asyncio
import base64
import hashlib
import hmac
import socket
import time
from collections.abc import AsyncIterator

import pytest

from edge.media.signals import IceServer
from tests.media.room import browsing, calling, until

pytestmark = pytest.mark.browser
_SECRET = "throw-away"
_RELAY_ONLY = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(options) { super({...options, iceTransportPolicy: "relay"}); }
};
"""


def _own_address() -> str:
    """An address of this machine that is not loopback: neither end offers loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.fixture
async def turn() -> AsyncIterator[tuple[str, int]]:
    address = _own_address()
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = int(probe.getsockname()[1])
    server = await asyncio.create_subprocess_exec(
        "turnserver",
        *("-n", "--no-cli", "--no-tls", "--no-dtls", "--realm", "upkendra", "--log-file", "stdout"),
        *("--listening-ip", address, "--relay-ip", address, "--listening-port", str(port)),
        *("--use-auth-secret", "--static-auth-secret", _SECRET, "--min-port", "42000", "--max-port", "42200"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            break
    try:
        yield address, port
    finally:
        server.terminate()
        await server.wait()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_goes_through_the_relay(turn: tuple[str, int], transport: str) -> None:
    address, port = turn
    username = f"{int(time.time()) + 600}:node"
    credential = base64.b64encode(hmac.digest(_SECRET.encode(), username.encode(), hashlib.sha1)).decode()
    server = IceServer((f"turn:{address}:{port}?transport={transport}",), username, credential)
    async with browsing() as browser, calling("test", ice_servers=(server,)) as room:
        room.relay_only = True
        page = await browser.new_page()
        await page.add_init_script(_RELAY_ONLY)
        await page.goto(f"{room.url}/doctor")
        await until(page, "window.call && window.call.stats().frames > 20 && window.call.stats().audioS > 1")
        assert room.stats[-1].state == "connected"

"""Calls through a real TURN server (coturn), with nothing but relayed candidates on both sides."""

import asyncio
import ssl
from pathlib import Path

import pytest

from edge.media.signals import IceServer
from edge.media.turns import TlsForwarders, tls_context
from tests.kits.link import Link, LinkSpec
from tests.media.relay import RELAY_ONLY, Relay, own_address, relaying
from tests.media.room import browsing, calling, until

pytestmark = [pytest.mark.browser, pytest.mark.serial]


async def _call_through(relay: Relay, transport: str, wrapper: tuple[str, ...] = ()) -> None:
    """A call with picture and sound over relayed candidates only, each end over ``transport``."""
    async with browsing() as browser, calling("test", ice_servers=relay.servers(transport), wrapper=wrapper) as room:
        room.relay_only = True
        page = await browser.new_page()
        await page.add_init_script(RELAY_ONLY)
        await page.goto(f"{room.url}/doctor")
        await until(page, "window.call && window.call.stats().frames > 20 && window.call.stats().audioS > 1")
        await room.wait_for(lambda: room.stats[-1].state == "connected" and room.stats[-1].relayed)
        await until(page, "window.asides.some((one) => one.type === 'link_state' && one.relayed)")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_goes_through_the_relay(tmp_path: Path, transport: str) -> None:
    async with relaying(tmp_path, own_address()) as relay:
        await _call_through(relay, transport)


@pytest.mark.root
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_node_whose_network_blocks_udp_calls_through_the_relay(tmp_path: Path, transport: str) -> None:
    with Link(LinkSpec.both(rtt_ms=60)) as link:
        blocked = link.left.run(["ip", "rule", "add", "priority", "1", "ipproto", "udp", "prohibit"])
        assert blocked.returncode == 0, blocked.stderr
        ping = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.77.0.2', 9))"
        assert b"PermissionError" in link.left.run(["python3", "-c", ping]).stderr, "UDP is not blocked"

        async def story() -> None:
            async with relaying(tmp_path, link.right.address) as relay:
                await _call_through(relay, transport, tuple(link.left.argv([])))

        link.right.call(lambda: asyncio.run(story()))


async def test_a_credential_that_has_run_out_opens_no_relay(tmp_path: Path) -> None:
    async with relaying(tmp_path, own_address()) as relay:
        stale = relay.servers("tcp", life_s=-60)
        async with browsing() as browser, calling("test", ice_servers=stale) as room:
            room.relay_only = True
            page = await browser.new_page()
            await page.add_init_script(RELAY_ONLY)
            await page.goto(f"{room.url}/doctor")
            await until(page, "window.call?.pc?.iceGatheringState === 'complete'")
            sdp = await page.evaluate("window.call.pc.localDescription.sdp")
            assert " typ relay " not in sdp


async def test_the_forwarder_passes_bytes_both_ways_and_ends_with_the_call(tmp_path: Path) -> None:
    async with relaying(tmp_path, own_address()) as relay:
        forwarders = TlsForwarders()
        (server,) = await forwarders.through(
            (IceServer((f"turns:{relay.address}:{relay.tls_port}", "stun:192.0.2.1:3478")),)
        )
        assert server.urls[0].startswith("turn:127.0.0.1:") and server.urls[1] == "stun:192.0.2.1:3478"
        port = int(server.urls[0].split(":")[2].split("?")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        binding = bytes.fromhex("000100002112a442") + bytes(range(12))  # RFC 8489 §5: a Binding request
        writer.write(binding)
        answer = await asyncio.wait_for(reader.readexactly(20), 5)
        assert answer[:2] == b"\x01\x01" and answer[4:20] == binding[4:20]
        await forwarders.close()
        await asyncio.wait_for(reader.read(), 5)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.close()


def test_the_forwarder_speaks_no_old_tls() -> None:
    assert tls_context().minimum_version >= ssl.TLSVersion.TLSv1_2

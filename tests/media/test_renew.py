"""A call whose way is gone is renewed in place: the same process, camera and tablets, a new offer."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from playwright.async_api import Page

from edge.media.call import Kind, Phase
from tests.kits.link import Link, LinkSpec
from tests.media.room import Room, browsing, calling, open_page, until

pytestmark = [pytest.mark.browser, pytest.mark.root]
NODE, NODE_MOVED, HUB = "10.99.0.1", "10.99.0.7", "10.99.0.2"


@pytest.fixture
def link() -> Iterator[Link]:
    with Link(LinkSpec.both(rtt_ms=60)) as made:
        yield made


def _cable(link: Link) -> None:
    """A second way between both sides, whose addresses can be changed: the emulator knows two only."""
    anchor = link.right.popen(["sleep", "600"])
    for side, command in (
        (link.left, f"ip link add cable type veth peer name cable netns {anchor.pid}"),
        (link.left, f"ip addr add {NODE}/24 dev cable"),
        (link.left, "ip link set cable up"),
        (link.right, f"ip addr add {HUB}/24 dev cable"),
        (link.right, "ip link set cable up"),
        (link.left, f"ip route replace default via {HUB} dev cable src {NODE}"),
        (link.right, f"ip route replace default via {NODE} dev cable src {HUB}"),
    ):
        done = side.run(command.split())
        assert done.returncode == 0, (command, done.stderr)


async def _moves(page: Page, more: int = 10) -> int:
    """Wait until ``more`` pictures have come; how many there are."""
    before = int(await page.evaluate("window.call.stats().frames"))
    await until(page, f"window.call.state === 'connected' && window.call.stats().frames >= {before + more}")
    return before


def _pid(room: Room) -> int:
    assert room.process is not None
    return room.process.pid


def test_a_node_that_gets_another_address_renews_its_call_in_the_same_process(link: Link) -> None:
    _cable(link)

    async def story() -> None:
        async with browsing() as browser, calling("test", wrapper=link.left.argv([])) as room:
            page = await open_page(browser, f"{room.url}/doctor")
            await until(page, "window.call")
            await _moves(page)
            pid = _pid(room)
            moved_s = time.monotonic()
            for command in (
                f"ip addr del {NODE}/24 dev cable",
                f"ip addr add {NODE_MOVED}/24 dev cable",
                f"ip route replace default via {HUB} dev cable src {NODE_MOVED}",
            ):
                done = await asyncio.to_thread(link.left.run, command.split())
                assert done.returncode == 0, (command, done.stderr)
            await until(page, "window.call.attempt === 1")
            await _moves(page, 3)
            print("moving pictures from the other address after", round(time.monotonic() - moved_s, 2), "s")
            assert time.monotonic() - moved_s < 8
            assert _pid(room) == pid and room.state.attempt == 1
            assert NODE_MOVED in await page.evaluate("window.call.pc.remoteDescription.sdp")

    link.right.call(lambda: asyncio.run(story()))


@pytest.mark.long
def test_an_outage_that_ends_the_browsers_path_is_followed_by_a_renewal_within_five_seconds(link: Link) -> None:
    async def story() -> None:
        async with browsing() as browser, calling("test", wrapper=link.left.argv([])) as room:
            page = await open_page(browser, f"{room.url}/doctor")
            await until(page, "window.call")
            await _moves(page)
            pid = _pid(room)
            link.down()
            await room.happen(Kind.LINK_DOWN)
            await room.wait_for(
                lambda: (
                    room.state.phase is Phase.INTERRUPTED
                    and time.monotonic() > room.state.media_s + room.limits.survive_s
                ),
                60,
            )
            link.up()
            await room.happen(Kind.LINK_UP)
            back_s = time.monotonic()
            await _moves(page, 3)
            print("moving pictures after the outage in", round(time.monotonic() - back_s, 2), "s")
            assert time.monotonic() - back_s < 5
            assert _pid(room) == pid and room.state.attempt == 1

    link.right.call(lambda: asyncio.run(story()))

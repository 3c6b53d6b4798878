"""Calls of a hub of two processes whose words to each other are lost: no ring outlives its call."""

import asyncio

from aiohttp import ClientWebSocketResponse
from sqlalchemy import select

from edge.media.call import Phase
from edge.media.signals import Accept, Bye, Ring
from hub.store.schema import calls
from tests.kits.nats import Nats

from .kit import HubKit, NodeKit, new_id
from .test_live import connect, heard, say
from .test_rota_desk import OpenPage
from .test_thirds import specialist
from .test_thirds_together import asking, begun
from .test_together import PATIENCE_S, Pair, nats, pair

__all__ = ["nats", "pair"]


async def ringing(pair: Pair) -> tuple[NodeKit, ClientWebSocketResponse, str, str]:
    """A call of the second process's page that rings at a node of the first: node, page, call, visit."""
    node, page, visit_id = await pair.ready()
    socket, call_id = await connect(pair.second, page), new_id()
    await socket.send_str(say(Ring(call_id, visit_id)))
    await pair.until(lambda: bool(heard(node)), node)
    return node, socket, call_id, visit_id


async def has_ended(kit: HubKit, call_id: str) -> str:
    """Why a call is over by the database, once it is."""
    query = select(calls.c.phase, calls.c.ended_because).where(calls.c.call_id == call_id)
    while True:
        row = await kit.hub.store.read(lambda connection: connection.execute(query).one())
        if row.phase == Phase.ENDED:
            return str(row.ended_because)
        await asyncio.sleep(0.02)


async def test_the_page_hears_within_seconds_that_its_ring_is_over_when_the_words_about_it_are_lost(
    pair: Pair, nats: Nats
) -> None:
    node, socket, call_id, _ = await ringing(pair)
    nats.kill()
    try:
        node.signal(Bye(call_id, "declined"))
        ended = asyncio.create_task(has_ended(pair.first, call_id))
        await pair.until(ended.done, node)
        told: dict[str, object] = {}
        while told.get("type") != "bye":
            told = await socket.receive_json(timeout=PATIENCE_S)
        assert told["reason"] == "declined"
        assert pair.second.hub.live.running() == []
    finally:
        nats.start()
    await socket.close()


async def test_a_page_that_rings_again_undoes_no_accept_that_another_process_heard(pair: Pair, nats: Nats) -> None:
    node, socket, call_id, visit_id = await ringing(pair)
    phase = select(calls.c.phase).where(calls.c.call_id == call_id)

    async def is_taken() -> None:
        while True:
            if await pair.first.hub.store.read(lambda c: c.execute(phase).scalar()) == Phase.CONNECTING:
                return
            await asyncio.sleep(0.02)

    nats.kill()  # the second process does not hear of it
    try:
        node.signal(Accept(call_id, "Meena"))
        taken = asyncio.create_task(is_taken())
        await pair.until(taken.done, node)
        await socket.send_str(say(Ring(call_id, visit_id)))
        await pair.until(lambda: pair.second.hub.live._calls[call_id].phase is Phase.CONNECTING)
        assert await pair.first.hub.store.read(lambda c: c.execute(phase).scalar()) == Phase.CONNECTING
    finally:
        nats.start()
    await socket.close()


async def test_a_node_that_asks_hears_that_its_ring_is_over_when_the_doctors_word_was_lost(
    pair: Pair, nats: Nats
) -> None:
    node, socket, call_id, visit_id = await ringing(pair)
    node.signal(Ring(call_id, visit_id))
    for _ in range(50):
        await node.step()
    assert len(heard(node)) == 1, "it rings still: nothing is said"
    nats.kill()
    try:
        await socket.send_str(say(Bye(call_id, "hangup")))
        assert await has_ended(pair.second, call_id) == "hangup"
        node.signal(Ring(call_id, visit_id))
        await pair.until(lambda: len(heard(node)) == 2, node)
        assert heard(node)[1] == Bye(call_id, "hangup")
        unknown = new_id()
        node.signal(Ring(unknown, visit_id))
        await pair.until(lambda: len(heard(node)) == 3, node)
        assert heard(node)[2] == Bye(unknown, "failed")
    finally:
        nats.start()
    await socket.close()


async def test_a_specialists_page_hears_that_she_is_asked_no_more_when_the_word_about_it_is_lost(
    pair: Pair, nats: Nats
) -> None:
    first, second = pair.first.hub, pair.second.hub
    for name in ("asha", "bela"):
        await pair.first.add_doctor(name, f"Dr {name.title()}")
    await first.store.write(specialist("bela", pair.first.clock.ms))
    page = await OpenPage(pair.second, "bela").open()
    await pair.until(lambda: first.live.has_page("bela"))
    call_id, visit_id = await begun(pair.first, "asha")
    asked = await first.thirds.ask(asking(call_id, visit_id, "asha"))
    told = '{"type":"third"}'
    await pair.until(lambda: told in page.heard)
    await second.together.again.look()  # it is known here too by now
    page.heard.clear()
    nats.kill()
    try:
        await first.thirds.end(asked.third_id, "asha")
        await pair.until(lambda: told in page.heard)
    finally:
        nats.start()

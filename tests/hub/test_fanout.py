"""What hub processes say to each other: believed from each other only, once, and while it is fresh."""

import asyncio
import secrets
from time import time_ns

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.fanout import FRESH_MS, SENDERS_MAX, CallChanged, NatsFanout, Sealer, ToNode
from hub.peers import GONE_S, Here, Peers, doctor, family, node
from tests.kits.nats import Nats

SECRET = secrets.token_bytes(32)
SAID = ToNode(bytes(8), b"signal")


class Time:
    def __init__(self) -> None:
        self.ms = 1_790_000_000_000

    def wall_ms(self) -> int:
        return self.ms


@pytest.fixture
def time() -> Time:
    return Time()


def process(time: Time, secret: bytes = SECRET) -> Sealer:
    return Sealer(secret, secrets.token_bytes(8), time.wall_ms)


def test_another_process_of_the_hub_is_heard_and_one_hears_not_oneself(time: Time) -> None:
    here, there = process(time), process(time)
    sealed = here.seal(SAID)
    assert there.open(sealed) == (here.own, SAID)
    assert here.open(sealed) is None
    assert b"signal" not in sealed


def test_what_was_heard_is_not_heard_again_and_an_old_recording_never(time: Time) -> None:
    here, there = process(time), process(time)
    first, second = here.seal(SAID), here.seal(SAID)
    assert there.open(second) is not None
    assert there.open(second) is None
    assert there.open(first) is None
    recorded = here.seal(SAID)
    time.ms += FRESH_MS + 1
    assert process(time).open(recorded) is None


def test_another_hub_is_nobody(time: Time) -> None:
    assert process(time).open(process(time, secrets.token_bytes(32)).seal(SAID)) is None


@given(st.binary(max_size=200), st.data())
def test_nonsense_and_bent_messages_are_nothing(noise: bytes, data: st.DataObject) -> None:
    time = Time()
    here, there = process(time), process(time)
    assert there.open(noise) is None
    sealed = bytearray(here.seal(SAID))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert there.open(bytes(sealed)) is None
    assert there.open(here.seal(SAID)) is not None


def test_as_many_processes_as_ever_lived_take_little_memory(time: Time) -> None:
    here = process(time)
    for _ in range(3 * SENDERS_MAX):
        assert here.open(process(time).seal(SAID)) is not None
    assert len(here._others) == SENDERS_MAX


def test_who_falls_silent_is_gone() -> None:
    now_s = [100.0]
    peers, here = Peers(lambda: now_s[0]), Here()
    first, second = bytes(range(8)), bytes(8)
    assert peers.said(b"a", here.next([node(first), node(second), doctor("anil"), family("sita")]))
    assert peers.online(first.hex())
    assert peers.has_page("anil")
    assert not peers.has_page("sunita")
    assert peers.has_family("sita")
    assert not peers.has_family("anil")
    assert peers.said(b"a", here.next([node(second)]))
    assert not peers.online(first.hex())
    assert not peers.has_page("anil")
    assert peers.said(b"a", here.next([node(first), doctor("anil")]))
    assert (peers.online(second.hex()), peers.lives(b"a"), peers.lives(b"b")) == (False, True, False)
    now_s[0] += GONE_S + 0.1
    assert not peers.online(first.hex())
    assert not peers.has_page("anil")
    assert not peers.lives(b"a")


def test_ten_thousand_nodes_that_are_still_there_cost_a_few_bytes_and_whoever_missed_a_word_asks(time: Time) -> None:
    peers, here = Peers(lambda: 0.0), Here()
    nodes = [node(number.to_bytes(8, "big")) for number in range(10_000)]
    whole = here.next(nodes)
    assert peers.said(b"a", whole)
    same = here.next(nodes)
    assert peers.said(b"a", same)
    assert len(process(time).seal(same)) < 100 < 100_000 < len(process(time).seal(whole))
    here.next(nodes[1:])  # was lost
    assert not peers.said(b"a", here.next(nodes[2:]))
    assert not Peers(lambda: 0.0).said(b"a", here.next(nodes)), "one that came later"
    here.forget()
    assert peers.said(b"a", here.next(nodes[3:]))
    assert not peers.online((2).to_bytes(8, "big").hex())
    assert peers.online((3).to_bytes(8, "big").hex())


async def test_a_process_whose_client_gave_up_hears_the_others_again() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(_sender: bytes, message: object) -> None:
        assert isinstance(message, CallChanged)
        await heard.put(message.call_id)

    async def until_heard(call_id: str) -> None:
        while True:
            one.say(CallChanged(call_id))
            try:
                if await asyncio.wait_for(heard.get(), 0.2) == call_id:
                    return
            except TimeoutError:
                other.say(CallChanged("mine"))  # processes say every few seconds that they are there

    def fanout() -> NatsFanout:
        return NatsFanout(server.url, SECRET, bytes(32), secrets.token_bytes(8), lambda: time_ns() // 1_000_000)

    async def nothing(_sender: bytes, _message: object) -> None:
        return

    server = Nats()
    await asyncio.to_thread(server.start)
    one, other = fanout(), fanout()
    await one.start(nothing)
    await other.start(hear)
    try:
        async with asyncio.timeout(60):
            await until_heard("first")
            assert other._client is not None
            await other._client.close()  # as it does when the server says -ERR
            await until_heard("second")
    finally:
        await one.stop()
        await other.stop()
        server.kill()

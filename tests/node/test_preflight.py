"""When the way to the hub is measured, and how long a measurement counts."""

import asyncio

from edge.media.preflight import LinkSeen
from edge.node import preflight
from edge.node.preflight import Preflight
from edge.sync.link import LinkState
from edge.sync.meter import Wait
from edge.sync.trains import Plan, Seen, TrainTold


async def test_what_was_measured_long_ago_grows_no_younger_by_being_asked_for_in_a_call() -> None:
    state, now_s = [LinkState(True, 0.0, 100, 0, "udp")], [1000.0]

    async def train(plan: Plan, most_s: float) -> TrainTold:
        seen = Seen(plan.size_bytes, tuple(number * 0.08 for number in range(plan.count)))  # 24 kbit/s
        return TrainTold(1, "udp", seen, seen)

    measures = await asyncio.to_thread(Preflight, lambda: state[0], train, "tablet", lambda: now_s[0])
    assert (await measures.begin()).start_bps == measures.start_bps() > 0
    state[0] = LinkState(True, 0.0, 100, 0, "udp", waits=Wait.CALL)
    now_s[0] += preflight.HOLDS_S + 1
    assert measures.start_bps() == 0
    found = await measures.begin()
    assert (found.seen, found.up) == (LinkSeen.MEASURED, None), "nobody knows, and nobody says that it is off line"
    assert measures.start_bps() == 0
    await measures.close()

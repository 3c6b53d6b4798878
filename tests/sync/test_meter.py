"""Caps, hours and a live call: what waits, what does not, and what people are told."""

import pytest

from edge.model.clock import IST_OFFSET_S, Instant
from edge.model.errors import BadInput
from edge.sync.link import Cls
from edge.sync.meter import Hours, Meter, Used, Wait, parse_hours

from .kit import Medium, World
from .line import Line

DAY_MS = 86_400_000
NOON = 20_000 * DAY_MS + 12 * 3_600_000 - IST_OFFSET_S * 1000


def at(hour: float, day: int = 0, *, trusted: bool = True) -> Instant:
    return Instant(int(NOON + day * DAY_MS + (hour - 12) * 3_600_000), trusted)


def test_hours_may_cross_midnight_and_an_unset_clock_knows_none() -> None:
    meter = Meter(hours=parse_hours("22:00-06:30"))
    seen = {}
    for hour in (5.0, 6.4, 6.6, 12.0, 21.9, 22.0):
        meter.set_time(at(hour))
        seen[hour] = meter.waits("udp")
    assert seen == {5.0: "", 6.4: "", 6.6: "hours", 12.0: "hours", 21.9: "hours", 22.0: ""}
    meter.set_time(at(12, trusted=False))
    assert meter.waits("udp") is Wait.NO


def test_a_cap_counts_both_ways_for_each_bearer_and_ends_at_midnight() -> None:
    meter = Meter({"udp": 2_000})
    meter.set_time(at(23))
    meter.count("udp", 972, up=True)
    assert meter.waits("udp") is Wait.NO
    meter.count("udp", 972, up=False)
    assert (meter.today_bytes("udp"), meter.waits("udp"), meter.waits("wss")) == (2_000, "cap", "")
    again = Meter({"udp": 2_000}, used=meter.used())
    again.set_time(at(23.5))
    assert again.waits("udp") is Wait.CAP
    again.set_time(at(0.1, 1))
    assert (again.waits("udp"), again.today_bytes("udp")) == (Wait.NO, 0)


def test_what_was_counted_before_the_clock_was_set_stays_counted() -> None:
    meter = Meter({"udp": 100})
    meter.count("udp", 500, up=True)
    meter.set_time(at(3, trusted=False))
    meter.set_time(at(12))
    assert meter.waits("udp") is Wait.CAP
    meter.set_time(at(23.9, -1))
    assert meter.waits("udp") is Wait.CAP, "a clock that was corrected over midnight gives no new day"
    assert isinstance(meter.used(), Used)


@pytest.mark.parametrize(
    "text", ["22:00", "22-06", "22:60-06:00", "25:00-01:00", "06:00-06:00", "a:b-c:d", "1:2:3-4:5"]
)
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_hours(text)
    assert parse_hours("") is None
    assert parse_hours("00:00-24:00") == Hours(0, 1440)


def test_with_the_cap_used_up_photos_wait_and_records_and_previews_do_not() -> None:
    world = World(Medium(1))
    world.go(3)
    world.node.meter = Meter({"udp": 1}, used=Used(0, {"udp": 1}, {}))
    photo = world.submit((world.draw.randbytes(20_000),), Cls.ORIGINAL)
    small = [world.submit((world.draw.randbytes(3_000),), cls) for cls in (0, 1, 2)]
    assert world.go(20, lambda: set(small) <= set(world.acked))
    world.go(600)
    assert photo not in world.acked
    state = world.node.link_state(world.now)
    assert state.online
    assert (state.waits, state.waiting_items, state.cap_bytes) == (Wait.CAP, 1, 1)
    assert state.waiting_bytes > 20_000
    world.node.meter = Meter()
    assert world.go(60, lambda: photo in world.acked)


def test_the_hub_holds_its_bulk_back_too_until_the_node_says_otherwise() -> None:
    world = World(Medium(1))
    world.go(3)
    world.node.meter = Meter({"udp": 1}, used=Used(0, {"udp": 1}, {}))
    world.go(3)
    world.prescribe(1, bytes(40), cls=Cls.TELEMETRY)
    world.prescribe(2, b"rx")
    assert world.go(10, lambda: 2 in world.downs_held)
    world.go(300)
    assert 1 not in world.downs_held
    world.start_hub()
    for seq, blob in world.downs_wanted.items():
        world.hub.send_down(world.keys.node_id, seq, blob, Cls.TELEMETRY, world.now)
    world.go(300)
    assert 1 not in world.downs_held, "a new hub process was told as well"
    world.node.meter = Meter()
    assert world.go(60, lambda: 1 in world.downs_held)


@pytest.mark.parametrize("limit_bps", [4_000.0, 24_000.0])
def test_beside_a_call_bulk_keeps_to_its_rate_and_records_go_at_full_speed(limit_bps: float) -> None:
    line = Line(1, rate_bps=128_000, rtt_s=0.3)
    world = World(line, 1)
    photos = [world.submit((world.draw.randbytes(100_000),), Cls.ORIGINAL) for _ in range(6)]
    world.go(10)
    world.node.limit_bulk(limit_bps)
    world.go(10)
    before = line.bytes["up"]
    world.go(60)
    rate_bps = (line.bytes["up"] - before) * 8 / 60
    assert 0.8 * limit_bps < rate_bps < 1.1 * limit_bps + 500
    began = world.now
    visit = world.submit((world.draw.randbytes(8_000),), Cls.CLINICAL)
    assert world.go(10, lambda: visit in world.acked)
    assert world.now - began < 1.6, "0.5 s on the line, a round trip, and one piece of a photo"
    assert world.node.link_state(world.now).waits is Wait.CALL
    world.node.rotate(world.now)
    before = line.bytes["up"]
    world.go(30)
    assert (line.bytes["up"] - before) * 8 / 30 < 1.5 * limit_bps + 2_000, "a new epoch keeps the limit"
    world.node.limit_bulk(None)
    assert world.go(90, lambda: set(photos) <= set(world.acked))

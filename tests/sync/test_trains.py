"""A train of packets shows what the way carries: over a line with a queue, simulated, through the real seals."""

import pytest

from edge.media.preflight import FIRST_COUNT, FIRST_SIZE_BYTES, carried
from edge.sync import frames as fr
from edge.sync import trains
from edge.sync.link import Cls
from edge.sync.trains import TrainTold

from .kit import World
from .line import Line
from .test_photo_link import PhotoWorld

FIRST = trains.Plan(FIRST_COUNT, FIRST_SIZE_BYTES)
MOST_S = 2.2


def met(line: Line, kind: type[World] = World) -> World:
    world = kind(line, 7)
    world.submit((b"hello",))
    assert world.go(30, lambda: not world.outbox)
    return world


def ask(world: World, plan: trains.Plan = FIRST) -> tuple[TrainTold, float]:
    """What was told, and after how many seconds."""
    begin_s = world.now
    number = world.node.train.begin(plan, world.now, MOST_S)
    told: list[TrainTold] = []

    def came() -> bool:
        told[:] = [event for event in world.node_events if isinstance(event, TrainTold) and event.number == number]
        return bool(told)

    assert world.go(MOST_S + 0.1, came)
    return told[0], world.now - begin_s


@pytest.mark.parametrize(
    ("rate_bps", "rtt_s", "loss"), [(24_000, 0.8, 0.03), (32_000, 0.6, 0.02), (64_000, 0.4, 0.02), (41_500, 0.1, 0.0)]
)
def test_a_short_train_tells_the_rate_of_a_thin_link_both_ways(rate_bps: int, rtt_s: float, loss: float) -> None:
    right = 0
    for seed in range(20):
        line = Line(seed, rate_bps=rate_bps, rtt_s=rtt_s, loss=loss)
        world = met(line)
        before = line.bytes.copy()
        told, took_s = ask(world)
        assert took_s <= MOST_S + 0.11
        assert line.bytes["up"] - before["up"] <= FIRST.total_bytes + 300
        assert line.bytes["down"] - before["down"] <= FIRST.total_bytes + 500
        ways = [carried(seen.size_bytes, seen.arrived_s) for seen in (told.up, told.down) if seen is not None]
        rates = [way.rate_bps for way in ways if way is not None]
        assert all(0.8 * rate_bps <= rate <= 1.15 * rate_bps for rate in rates), rates
        right += len(rates) == 2
    assert right >= 19


def test_packets_of_a_train_have_the_size_that_was_said() -> None:
    for size_bytes in (100, 155, 156, 157, 158, 159, 160, 240, 600, 1_000):
        world = met(Line(1, rate_bps=1e6, rtt_s=0.02))
        sent: list[int] = []
        real = world.medium.send

        def send(way: str, data: bytes, path: object, now: float, sent: list[int] = sent, real: object = real) -> None:
            sent.append(len(data) + 28)
            real(way, data, path, now)  # type: ignore[operator]

        world.medium.send = send  # type: ignore[method-assign]
        ask(world, trains.Plan(4, size_bytes))
        assert sum(abs(size - size_bytes) <= 1 for size in sent) >= 8


def test_what_is_lost_is_said_to_be_lost_and_bytes_of_photos_beside_it_do_not_blur_it() -> None:
    line = Line(3, rate_bps=64_000, rtt_s=0.3)
    world = met(line, PhotoWorld)
    assert isinstance(world, PhotoWorld)
    world.send_photo()
    world.go(3.0)
    told, _ = ask(world)
    assert told.up is not None
    way = carried(told.up.size_bytes, told.up.arrived_s)
    assert way is not None and way.lost == 0 and 55_000 <= way.rate_bps <= 70_000


def test_a_hub_of_an_earlier_release_says_nothing_and_the_node_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = met(Line(1, rate_bps=64_000, rtt_s=0.3))
    monkeypatch.setattr("edge.sync.session.Session.take_train", lambda *ignored: None)
    told, took_s = ask(world)
    assert told.up is None and told.down is None and MOST_S - 0.01 <= took_s <= MOST_S + 0.11
    world.submit((b"later",), Cls.CLINICAL)
    assert world.go(10, lambda: not world.outbox)


def test_a_train_over_a_way_that_was_cut_ends_in_time() -> None:
    world = met(Line(1, rate_bps=64_000, rtt_s=0.3))
    world.medium.cut = True
    told, _ = ask(world)
    assert told.up is None and told.down is None


def test_a_train_that_comes_in_part_shows_what_came() -> None:
    world = met(Line(1, rate_bps=64_000, rtt_s=0.3))
    number = world.node.train.begin(FIRST, world.now, MOST_S)
    assert world.go(0.25)
    world.medium.cut = True  # after the serialiser has taken some
    world.go(0.02)
    world.medium.cut = False
    assert world.go(MOST_S, lambda: any(isinstance(e, TrainTold) and e.number == number for e in world.node_events))


def test_a_node_that_asks_without_end_gets_no_more_than_its_credit() -> None:
    world = met(Line(1, rate_bps=1e8, rtt_s=0.001))
    before = world.medium.bytes["down"]
    begin_s = world.now
    for _ in range(200):
        ask_until = world.now + 0.01
        world.node.train.begin(trains.Plan(16, 1_000), world.now, 0.5)
        world.go(ask_until - world.now)
    spent = world.medium.bytes["down"] - before
    assert spent <= trains.CREDIT_BYTES + (world.now - begin_s) * trains.CREDIT_BPS / 8 + 200 * 2 * 120


def test_frames_of_a_train_survive_the_codec_and_odd_ones_are_passed_over() -> None:
    frames: list[fr.Frame] = [fr.Train(9, 3, 8, 200), fr.TrainSeen(9, (1, 0, 801, 70_000))]
    assert fr.decode(b"".join(map(fr.encode, frames))) == frames
    assert not any(map(fr.eliciting, frames))
    answering = trains.TrainAnswering(0.0)
    for odd in (fr.Train(1, 9, 8, 10), fr.Train(1, 0, 1, 10), fr.Train(1, 0, 200, 10)):
        answering.take(odd, 240, 0.0)
    assert answering.leaving(0.0) == [] and answering.due_s is None
    with pytest.raises(fr.FrameRefused):
        fr.decode(bytes((0x61, 4, 0, 9, 5, 1)))
    asking = trains.TrainAsking()
    asking.begin(FIRST, 0.0, 1.0)
    asking.take(fr.TrainSeen(1, (1, 2)), 0.1)  # of another train than ours
    asking.take(fr.Train(1, 250, 255, 1), 0.1)
    told = asking.told("udp", 1.0)
    assert told is not None and told.up is None and told.down is None

"""How long one urgent thing takes on a link that loses packets; simulated time, many seeds."""

from collections.abc import Hashable

import pytest

from edge.sync.link import Cls

from .kit import Medium, World

SEEDS = 200
FIELD_LINKS = [(128_000.0, 0.150, 0.02), (128_000.0, 0.150, 0.05), (64_000.0, 0.200, 0.02), (64_000.0, 0.200, 0.05)]
"""Rate (bit/s), one-way delay (s), loss."""


def settled(seed: int, rate_bps: float, delay_s: float, loss: float) -> World:
    """A link that has been idle since its first exchange."""
    world = World(Medium(seed, loss=loss, delay_s=delay_s), seed=seed)
    world.medium.rate_bps = rate_bps
    assert world.go(60.0, lambda: world.node.link_state(world.now).online)
    world.go(9.0 + seed % 7)
    return world


def prescription_s(seed: int, rate_bps: float, delay_s: float, loss: float) -> float:
    """Seconds until a prescription of 900 B lies at the node."""
    world = settled(seed, rate_bps, delay_s, loss)
    began = world.now
    world.prescribe(1, bytes(range(256)) * 3)
    assert world.go(60.0, lambda: 1 in world.downs_held)
    return world.now - began


def visit_s(seed: int, rate_bps: float, delay_s: float, loss: float) -> float:
    """Seconds until a bundle of 600 B is durable at the hub."""
    world = settled(seed, rate_bps, delay_s, loss)
    began = world.now
    bundle_id = world.submit((world.draw.randbytes(500),), Cls.CLINICAL)
    assert world.go(60.0, lambda: bundle_id in world.hub_offers)
    return world.now - began


def signal_s(seed: int, rate_bps: float, delay_s: float, loss: float) -> float:
    """Seconds until a signal of 700 B is at the node."""
    world = settled(seed, rate_bps, delay_s, loss)
    began = world.now
    while not world.hub.send_signal(world.keys.node_id, world.draw.randbytes(700), world.now):
        world.go(0.05)
    assert world.go(60.0, lambda: bool(world.node_signals))
    return world.now - began


def answer_s(seed: int, rate_bps: float, delay_s: float, loss: float) -> float:
    """Seconds until a signal of the node, which needs a nonce first, is at the hub."""
    world = settled(seed, rate_bps, delay_s, loss)
    began = world.now
    world.node.send_signal(world.draw.randbytes(700), world.now)
    assert world.go(60.0, lambda: bool(world.hub_signals))
    return world.now - began


@pytest.mark.parametrize(("rate_bps", "delay_s", "loss"), FIELD_LINKS)
def test_one_lost_packet_costs_an_urgent_message_about_two_round_trips(
    rate_bps: float, delay_s: float, loss: float
) -> None:
    for measure in (prescription_s, visit_s, signal_s, answer_s):
        took = sorted(measure(seed, rate_bps, delay_s, loss) for seed in range(SEEDS))
        # As many as lose their only packet take longer, and with 200 draws some more.
        assert took[int(SEEDS * (0.98 - loss))] < 2 * delay_s + 0.2, measure.__name__
        assert took[int(SEEDS * 0.99) - 1] < 8 * delay_s, measure.__name__


def test_before_a_round_trip_is_known_nothing_is_repeated_for_three_seconds() -> None:
    world = World(Medium(1, delay_s=0.2))
    world.medium.cut = True
    world.submit((b"entry",))
    world.go(0.1)
    sent = world.medium.bytes["up"]
    world.go(2.8)
    assert world.medium.bytes["up"] == sent
    world.go(0.3)
    assert world.medium.bytes["up"] > sent


def test_an_idle_urgent_message_without_loss_leaves_once() -> None:
    world = World(Medium(2, delay_s=0.3))
    world.go(10)
    before = world.medium.bytes["up"]
    body = world.draw.randbytes(800)
    bundle_id = world.submit((body,))
    assert world.go(5, lambda: bundle_id in world.acked)
    assert world.medium.bytes["up"] - before < len(body) + 250


def test_the_second_copy_of_a_signal_keeps_its_distance() -> None:
    world = World(Medium(3, delay_s=0.2))
    world.go(10)
    left: list[float] = []
    send = world.medium.send

    def watch(way: str, data: bytes, path: Hashable, now: float) -> None:
        if way == "up" and len(data) > 400:
            left.append(now)
        send(way, data, path, now)

    world.medium.send = watch  # type: ignore[method-assign]
    world.node.send_signal(world.draw.randbytes(500), world.now)
    assert world.go(5, lambda: bool(world.hub_signals))
    world.go(3)
    assert len(left) == 2
    assert 0.04 <= left[1] - left[0] < 0.1


def test_a_lost_path_challenge_is_repeated_and_does_not_keep_a_prescription_back() -> None:
    world = World(Medium(4, delay_s=0.2))
    send = world.medium.send
    lost: list[int] = []

    def lose_the_first_answer(way: str, data: bytes, path: Hashable, now: float) -> None:
        if way == "down" and not lost:
            # The challenge rides with the ACK.
            lost.append(len(data))
            return
        send(way, data, path, now)

    world.medium.send = lose_the_first_answer  # type: ignore[method-assign]
    world.prescribe(1, b"rx")
    assert world.go(2.5, lambda: 1 in world.downs_held)
    assert lost


@pytest.mark.parametrize(("cls", "least", "most"), [(Cls.ORIGINAL, 5, 7), (Cls.CLINICAL, 40, 66)])
def test_what_the_hub_has_no_room_for_is_offered_ever_more_rarely_unless_it_is_urgent(
    cls: int, least: int, most: int
) -> None:
    """An hour in which the hub takes nothing: photos do not eat the day's data by being sent each minute."""
    world = settled(1, 256_000.0, 0.1, 0.0)
    world.store_delay_s = 1e6
    size = 20_000
    world.submit((world.draw.randbytes(size),), cls)
    before = world.medium.bytes["up"]
    world.go(3600.0)
    times = (world.medium.bytes["up"] - before) / size
    assert least <= times <= most, times

"""What consultations cost on a line in simulated time: the figures that ``./run bench sync`` measures for real."""

import statistics

import pytest

from tests.bench.consultations import load_corpus
from tests.sync.kit import World
from tests.sync.line import Line


def sent(line: Line, entries: tuple[bytes, ...], idle_s: float) -> tuple[int, float]:
    """IP bytes both ways until a second after the acknowledgement, and seconds until it."""
    world = World(line)
    if idle_s:
        world.go(idle_s)
    before, began_s = sum(line.bytes.values()), world.now
    name = world.submit(entries)
    assert world.go(60, lambda: name in world.acked)
    took_s = world.now - began_s
    world.go(1.0)
    return sum(line.bytes.values()) - before, took_s


@pytest.mark.parametrize(("idle_s", "goal_bytes"), [(3.0, 400), (0.0, 650)], ids=["warm", "cold"])
def test_one_consultation_keeps_within_its_bytes_and_is_durable_within_a_round_trip(
    idle_s: float, goal_bytes: int
) -> None:
    costs = [
        sent(Line(seed, rate_bps=64_000, rtt_s=0.6), one.raw, idle_s) for seed, one in enumerate(load_corpus()[:25], 1)
    ]
    assert statistics.mean(size for size, _ in costs) <= goal_bytes
    assert max(took_s for _, took_s in costs) <= 1.2


def test_fifty_consultations_keep_within_their_bytes_and_seconds_on_a_very_bad_line() -> None:
    entries = tuple(raw for one in load_corpus() for raw in one.raw)
    costs = [sent(Line(seed, rate_bps=32_000, rtt_s=1.0, loss=0.03), entries, 0.0) for seed in range(1, 11)]
    assert statistics.median(size for size, _ in costs) <= 8_500
    assert statistics.median(took_s for _, took_s in costs) <= 3.3
    assert max(took_s for _, took_s in costs) <= 6.0

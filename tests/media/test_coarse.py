"""The estimator of pages, with a second's figures of simulated calls: uses the link, leaves sound room, comes back."""

import math
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.media.coarse import COARSE_CEILING_BPS, COARSE_FLOOR_BPS, Coarse, Second
from edge.media.estimate import PacketFeedback
from tests.media.families import families, held_out
from tests.media.simulated import Score, play


class ASecondAtATime:
    """Makes of packets' fates what a page sees of them."""

    def __init__(self) -> None:
        self.coarse = Coarse()
        self.rate_bps = self.coarse.rate_bps
        self._second_s = self._told_s = 0.0
        self._sizes = self._lost = self._count = 0
        self._rtt_s = 0.0

    @property
    def line_loss(self) -> float:
        return self.coarse.line_loss

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None:
        self._sizes += sum(packet.size_bytes + packet.beside_bytes for packet in packets)
        self._lost += sum(packet.arrived_s is None for packet in packets)
        self._count += len(packets)
        self._told_s, self._rtt_s = now_s, rtt_s

    def tick(self, now_s: float, rtt_s: float) -> None:
        elapsed_s = now_s - self._second_s
        if elapsed_s < 1:
            return
        heard = self._told_s > self._second_s
        lost = self._lost / self._count if self._count else None
        seen = Second(self._sizes * 8 / elapsed_s, self._rtt_s if heard else None, lost, None, heard)
        self.rate_bps = self.coarse.take(seen, elapsed_s)
        self._second_s = now_s
        self._sizes = self._lost = self._count = 0


def scores(name: str) -> list[Score]:
    made = []
    for seed in (1, 2, 3):
        (scene,) = [scene for scene in families(seed) + held_out(seed) if scene.name == name]
        made.append(play(scene, seed, ASecondAtATime))
    return made


@pytest.mark.parametrize(
    ("name", "used", "late"),
    [("32/600/2", 0.65, 0.06), ("64/400/2", 0.65, 0.06), ("128/300/2", 0.75, 0.03), ("256/200/5", 0.7, 0.03)],
)
def test_a_steady_link_is_used_and_sound_mostly_in_time(name: str, used: float, late: float) -> None:
    calls = scores(name)
    assert statistics.median(call.used for call in calls) >= used
    assert statistics.median(call.sound_late for call in calls) <= late


def test_after_an_outage_the_rate_is_back_within_five_seconds() -> None:
    assert statistics.median(call.back_s for call in scores("outage 12 s, 128")) <= 5


def test_a_fall_of_the_rate_is_followed() -> None:
    for call in scores("step down 256-64"):
        assert statistics.median(rate for at_s, rate in call.rates if at_s > 40) < 80_000


ODD = st.one_of(st.floats(0, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e300]))
SECONDS = st.builds(Second, ODD, st.none() | ODD, st.none() | ODD, st.none() | ODD, st.booleans())


@given(ODD, st.lists(st.tuples(SECONDS, ODD), max_size=40))
@settings(deadline=None)
def test_no_figures_however_odd_break_it_and_it_recovers_from_any(
    start_bps: float, steps: list[tuple[Second, float]]
) -> None:
    coarse = Coarse(start_bps)
    for seen, elapsed_s in steps:
        assert COARSE_FLOOR_BPS <= coarse.take(seen, elapsed_s) <= COARSE_CEILING_BPS
        assert 0 <= coarse.line_loss <= 0.15
    coarse.take(Second(20_000, 0.2, 0.0), 1.0)
    for _ in range(300):
        over_bps = max(coarse.rate_bps - 200_000, 0.0)
        coarse.take(Second(min(coarse.rate_bps, 200_000), 0.2 + over_bps / 100_000, 0.0), 1.0)
    assert 100_000 < coarse.rate_bps < 300_000

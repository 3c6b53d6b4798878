"""The estimator in simulated calls: it finds the rate, keeps sound ahead of our own queue, and comes back."""

import math
import statistics
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.media.estimate import CEILING_BPS, FLOOR_BPS, Estimator, PacketFeedback, Phase
from tests.media.families import families, held_out
from tests.media.simulated import Score, play

SEEDS = (1, 2, 3)


def scores(name: str, seeds: Iterable[int] = SEEDS) -> list[Score]:
    """One call a seed over the links of that name, of either set."""
    made = []
    for seed in seeds:
        (scene,) = [scene for scene in families(seed) + held_out(seed) if scene.name == name]
        made.append(play(scene, seed))
    return made


def median(name: str, figure: str) -> float:
    return statistics.median(float(getattr(score, figure)) for score in scores(name))


@pytest.mark.parametrize(
    ("name", "used", "late", "lost"),
    [
        ("24/800/3", 0.70, 0.03, 0.05),
        ("32/600/2", 0.75, 0.02, 0.02),
        ("64/400/2", 0.75, 0.02, 0.01),
        ("128/300/2", 0.75, 0.01, 0.01),
        ("256/200/5", 0.70, 0.01, 0.01),
        ("500/100/1", 0.75, 0.005, 0.005),
        ("jitter 60 ms, 128", 0.75, 0.01, 0.01),
        ("bufferbloat 4 s, 128", 0.75, 0.01, 0.01),
    ],
)
def test_a_steady_link_is_used_and_sound_does_not_wait_behind_us(
    name: str, used: float, late: float, lost: float
) -> None:
    calls = scores(name)
    assert statistics.median(call.used for call in calls) >= used
    assert max(call.sound_late for call in calls) <= late
    assert statistics.median(call.sound_lost for call in calls) <= lost
    assert max(call.queue_p95_s for call in calls) < 0.4
    assert max(call.feedback_lost for call in calls) < 0.02


def test_at_32_kbit_pictures_come_four_times_a_second_and_at_24_every_second() -> None:
    for name, fps, gap_s in (
        ("32/600/2", 4, 4),
        ("32/600/2 pauses", 4, 4),
        ("24/800/3", 1, 8),
        ("24/800/3 pauses", 1, 8),
        ("held: 28/500/3 pauses", 2, 6),
    ):
        calls = scores(name)
        assert statistics.median(call.fps for call in calls) >= fps, name
        assert max(call.gap_s for call in calls) <= gap_s, name


def test_a_full_queue_that_is_too_short_to_be_felt_is_heard_in_the_losses() -> None:
    calls = scores("shallow 60 ms, 256") + scores("shallow 100 ms, 128")
    assert max(call.own_loss for call in calls) < 0.07
    assert min(call.used for call in calls) > 0.75


def test_delays_that_tremble_are_not_taken_for_a_queue() -> None:
    calls = scores("held: jitter 150 ms, 200")
    assert statistics.median(call.used for call in calls) >= 0.6
    assert max(call.sound_late for call in calls) <= 0.01


def test_bursts_of_loss_are_not_taken_for_a_full_queue() -> None:
    assert min(call.used for call in scores("bursts 128") + scores("bursts 256")) > 0.75


def test_after_an_outage_of_twelve_seconds_the_rate_is_back_within_five() -> None:
    for name in ("outage 12 s, 128", "outage 12 s, 256", "outage 12 s kept, 128"):
        assert max(call.back_s for call in scores(name)) <= 5.0, name


def test_in_an_outage_less_is_sent_within_two_seconds() -> None:
    call = scores("outage 12 s, 128")[0]
    start_s = 24.0
    assert next(rate for at_s, rate in call.rates if at_s > start_s + 4) < 40_000
    assert min(rate for at_s, rate in call.rates if start_s < at_s < start_s + 12) == FLOOR_BPS


def test_a_fall_of_the_rate_is_followed_and_the_queue_drained() -> None:
    for call in scores("step down 256-64"):
        assert max(rate for at_s, rate in call.rates if 28 < at_s < 60) < 90_000
        assert statistics.median(queue for at_s, queue in call.queues if at_s > 35) < 0.3


def test_a_rise_of_the_rate_is_found() -> None:
    for call in scores("step up 48-200"):
        assert next(at_s for at_s, rate in call.rates if rate > 140_000) < 45


def test_beside_a_greedy_flow_the_call_keeps_a_picture_and_gets_its_rate_back_afterwards() -> None:
    """One call in twenty takes longer than this to find its rate again, under any rules."""
    back = 0
    for call in scores("cubic, 1 s queue, 256", range(1, 25)):
        beside = [rate for at_s, rate in call.rates if 30 < at_s < 45]
        assert statistics.median(beside) > 25_000
        back += max(rate for at_s, rate in call.rates if at_s > 54) > 150_000
    assert back >= 22


def test_on_a_steady_link_the_rung_changes_seldom_once_it_is_found() -> None:
    for name in ("64/400/2", "256/200/5", "500/100/1"):
        for call in scores(name):
            assert sum(at_s > 12 for at_s, _ in call.rungs) <= 2, name


# feedback that no network would send


def clean(rate_bps: float, seconds: float, estimator: Estimator, start_s: float) -> None:
    """A link that carries what we send up to a rate, without loss, with a long queue; it reports every 200 ms."""
    free_s = next_s = start_s
    for report in range(round(seconds * 5)):
        batch, now_s = [], start_s + report * 0.2
        while next_s < now_s:
            free_s = max(free_s, next_s) + 400 * 8 / rate_bps
            batch.append(PacketFeedback(next_s, free_s + 0.1, 400))
            next_s += 400 * 8 / estimator.rate_bps
        estimator.feed(batch, now_s + 0.2, 0.2)
        estimator.tick(now_s + 0.2, 0.2)


ODD_FLOATS = st.one_of(st.floats(0, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, -1e300, 1e300, -5.0]))
ODD = st.lists(
    st.lists(
        st.tuples(ODD_FLOATS, st.none() | ODD_FLOATS, st.integers(-(2**40), 2**40)),
        max_size=20,
    ),
    max_size=20,
)


RECOVERS_S = 45.0
"""Many absurd packets are the least delay until a queue has stood too still for one; then the rate has to grow."""


@given(ODD, ODD_FLOATS)
@example([[(1.0, 0.0, 1)]], 0.0)
@example([[(0.0, 51_830.0, 678), (0.0, 883_781.0, 3265), (0.0, 0.0, 3081)]], 0.0)
@settings(max_examples=100, deadline=None)
def test_no_feedback_however_odd_breaks_it_and_it_recovers_from_any(
    reports: list[list[tuple[float, float | None, int]]], rtt_s: float
) -> None:
    estimator = Estimator(0.0)
    for tenth, report in enumerate(reports):
        estimator.feed([PacketFeedback(*entry) for entry in report], tenth / 10, rtt_s)
        estimator.tick(tenth / 10, rtt_s)
        assert FLOOR_BPS <= estimator.rate_bps <= CEILING_BPS
        assert estimator.rate_bps <= estimator.sustained_bps <= CEILING_BPS
        assert 0 <= estimator.loss <= 1 and 0 <= estimator.line_loss <= 1
    clean(200_000, RECOVERS_S, estimator, 10.0)
    assert 100_000 < estimator.rate_bps < 260_000


def test_a_clock_that_runs_backwards_and_a_time_that_is_no_number_are_ignored() -> None:
    estimator = Estimator(100.0)
    clean(100_000, 20, estimator, 100.0)
    before_bps = estimator.rate_bps
    estimator.feed([PacketFeedback(1, 2, 100)], math.nan, 0.2)
    estimator.tick(math.nan, 0.2)
    estimator.tick(5.0, 0.2)
    assert estimator.rate_bps == before_bps


def test_a_receiver_whose_clock_is_set_is_no_queue() -> None:
    estimator = Estimator(0.0)
    clean(100_000, 20, estimator, 0.0)
    before_bps = estimator.rate_bps
    for place in range(20):
        at_s = 20.5 + place * 0.05
        estimator.feed([PacketFeedback(at_s, at_s + 3_600, 400)], at_s + 0.2, 0.2)
    assert estimator.rate_bps >= 0.9 * before_bps and estimator.phase is not Phase.DRAIN


def test_half_of_all_packets_lost_lowers_the_rate() -> None:
    estimator = Estimator(0.0, 150_000)
    for place in range(800):
        at_s = place * 0.025
        arrived_s = None if place % 2 else at_s + 0.1
        estimator.feed([PacketFeedback(at_s, arrived_s, 500)], at_s + 0.2, 0.2)
    assert estimator.rate_bps < 75_000


def test_without_any_feedback_the_rate_falls_to_the_floor() -> None:
    estimator = Estimator(0.0, 300_000)
    for tenth in range(200):
        estimator.tick(tenth / 10, 0.2)
    assert estimator.rate_bps == FLOOR_BPS
    assert estimator.silent


def test_where_nothing_is_sent_that_could_be_reported_no_report_is_missing() -> None:
    estimator = Estimator(0.0, 50_000)
    clean(100_000, 10, estimator, 0.0)
    before_bps = estimator.rate_bps
    for tenth in range(100, 200):
        estimator.tick(tenth / 10, 0.2, idle=True)
    assert estimator.rate_bps == before_bps and not estimator.silent


def test_a_remembered_rate_is_where_a_call_begins() -> None:
    assert Estimator(0.0, 200_000).rate_bps == 200_000
    assert Estimator(0.0, 1).rate_bps == FLOOR_BPS
    assert Estimator(0.0, 10**9).rate_bps == CEILING_BPS
    assert Estimator(0.0, math.nan).rate_bps == Estimator(0.0).rate_bps

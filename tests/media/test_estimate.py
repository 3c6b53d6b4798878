"""The estimator on simulated bottlenecks: it finds the rate, keeps the queue short, and comes back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.media.estimate import CEILING_BPS, FLOOR_BPS, Estimator, PacketFeedback
from tests.media.bottleneck import quantile, simulate, used


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("kbps", "rtt_s", "loss"), [(48, 0.6, 0.02), (64, 0.4, 0.02), (128, 0.3, 0.02), (256, 0.2, 0.05), (500, 0.1, 0.01)]
)
def test_a_steady_link_is_used_well_and_its_queue_stays_short(kbps: int, rtt_s: float, loss: float, seed: int) -> None:
    def rate(_: float) -> float:
        return kbps * 1000.0

    moments = simulate(rate, 60, rtt_s=rtt_s, loss=loss, seed=seed)
    assert used(moments, rate, 10) > 0.7
    late = [moment.queue_s for moment in moments if moment.at_s > 10]
    assert quantile(late, 0.95) < 0.7


def test_a_fall_of_the_rate_is_followed_within_two_seconds() -> None:
    def rate(at_s: float) -> float:
        return 256_000.0 if at_s < 20 else 64_000.0

    moments = simulate(rate, 40)
    assert max(m.rate_bps for m in moments if m.at_s > 23) < 90_000
    assert quantile([m.queue_s for m in moments if m.at_s > 25], 0.9) < 0.6


def test_a_rise_of_the_rate_is_found() -> None:
    def rate(at_s: float) -> float:
        return 64_000.0 if at_s < 20 else 256_000.0

    moments = simulate(rate, 60)
    assert next(m.at_s for m in moments if m.rate_bps > 180_000) < 45


def test_after_an_outage_of_twelve_seconds_the_rate_is_back_within_five() -> None:
    def rate(at_s: float) -> float:
        return 0.0 if 20 <= at_s < 32 else 128_000.0

    moments = simulate(rate, 50)
    assert min(m.rate_bps for m in moments if 24 < m.at_s < 32) <= FLOOR_BPS * 1.01
    before = max(m.rate_bps for m in moments if 15 < m.at_s < 20)
    assert max(m.rate_bps for m in moments if 32 < m.at_s < 37) > 0.7 * min(before, 128_000)


def test_random_loss_alone_does_not_lower_the_rate() -> None:
    def rate(_: float) -> float:
        return 200_000.0

    moments = simulate(rate, 60, loss=0.05)
    assert quantile([m.rate_bps for m in moments if m.at_s > 15], 0.1) > 110_000


def test_half_of_all_packets_lost_lowers_the_rate() -> None:
    moments = simulate(lambda _: 200_000.0, 30, loss=0.5, start_bps=150_000)
    assert moments[-1].rate_bps < 80_000


def test_without_any_feedback_the_rate_falls_to_the_floor() -> None:
    estimator = Estimator(0.0, 300_000)
    for tenth in range(200):
        estimator.tick(tenth / 10, 0.2)
    assert estimator.rate_bps == FLOOR_BPS
    assert estimator.silent


def test_a_remembered_rate_is_where_a_call_begins() -> None:
    assert Estimator(0.0, 200_000).rate_bps == 200_000
    assert Estimator(0.0, 1).rate_bps == FLOOR_BPS
    assert Estimator(0.0, 10**9).rate_bps == CEILING_BPS


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.floats(0, 1e6, allow_nan=False),
                st.none() | st.floats(0, 1e6, allow_nan=False),
                st.integers(0, 1500),
            ),
            max_size=20,
        ),
        max_size=20,
    )
)
@settings(max_examples=100)
def test_no_feedback_however_odd_moves_the_rate_out_of_bounds(
    reports: list[list[tuple[float, float | None, int]]],
) -> None:
    estimator = Estimator(0.0)
    for tenth, report in enumerate(reports):
        estimator.feed([PacketFeedback(*entry) for entry in report], tenth / 10, 0.2)
        estimator.tick(tenth / 10, 0.2)
        assert FLOOR_BPS <= estimator.rate_bps <= CEILING_BPS

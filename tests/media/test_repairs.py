"""Repairs of the picture: once a round trip, and only a share of the rate."""

from hypothesis import given
from hypothesis import strategies as st

from edge.media.repairs import SHARE, Repairs


def test_what_is_asked_for_several_times_in_a_round_trip_is_sent_once() -> None:
    repairs = Repairs()
    answers = [repairs.allow(7, 500, tenth / 10, 0.8, 200_000) for tenth in range(20)]
    assert [tenth for tenth, allowed in enumerate(answers) if allowed] == [0, 9, 18]
    assert repairs.allow(8, 500, 0.1, 0.8, 200_000)


@given(st.floats(4_000, 500_000), st.integers(100, 1_200), st.floats(0.05, 1.0))
def test_repairs_take_no_more_than_their_share(rate_bps: float, size_bytes: int, rtt_s: float) -> None:
    repairs, bits = Repairs(), 0
    for step in range(2_000):
        bits += 8 * size_bytes * repairs.allow(step, size_bytes, step / 100, rtt_s, rate_bps)
    assert size_bytes * 8 <= bits <= SHARE * rate_bps * 22 + size_bytes * 8 * 11


def test_one_lost_packet_is_repaired_however_thin_the_picture() -> None:
    assert Repairs().allow(1, 1_200, 0.0, 0.8, 3_000)

"""The ladder: sound first, down at once, up slowly."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.media.ladder import BULK_FLOOR_BPS, Ladder, audio_wire_bps, bulk_bps, load_rules, video_payload_bps

RULES = load_rules()


def test_the_rungs_rise_in_rate_size_and_sound() -> None:
    for lower, higher in pairwise(RULES.rungs):
        assert lower.at_bps < higher.at_bps
        assert lower.width <= higher.width
        assert lower.fps <= higher.fps
        assert lower.video_min_bps <= lower.video_max_bps


def test_every_rung_fits_into_the_rate_at_which_it_begins() -> None:
    for rung in RULES.rungs[1:]:
        wire_bps = audio_wire_bps(RULES, rung) + RULES.reserve_bps
        if rung.video_max_bps:
            wire_bps += rung.video_min_bps
        assert wire_bps <= rung.at_bps * 1.15, rung.name


def test_a_call_begins_on_the_rung_that_its_rate_carries() -> None:
    assert Ladder(RULES).allocate(56_000, 0).rung == "video-120p"
    assert Ladder(RULES).allocate(13_000, 0).rung == "audio-low"
    assert Ladder(RULES).allocate(2_000_000, 0).rung == "video-480p"


def test_it_goes_down_at_once_by_any_number_of_rungs() -> None:
    ladder = Ladder(RULES)
    assert ladder.allocate(500_000, 0).rung == "video-480p"
    assert ladder.allocate(19_000, 0.1).rung == "audio"


def test_it_climbs_one_rung_at_a_time_and_only_after_a_while() -> None:
    ladder = Ladder(RULES)
    ladder.allocate(19_000, 0)
    assert ladder.allocate(29_000, 0.1).rung == "audio"
    assert ladder.allocate(29_000, RULES.up_hold_s - 0.5).rung == "audio"
    assert ladder.allocate(29_000, RULES.up_hold_s + 0.2).rung == "video-tiny"


def test_after_a_climb_that_did_not_hold_it_waits_longer() -> None:
    ladder = Ladder(RULES)
    ladder.allocate(19_000, 0)
    now_s, waits = 0.0, []
    for _ in range(3):
        began_s = now_s
        while ladder.allocate(29_000, now_s).rung == "audio":
            now_s += 0.1
        waits.append(now_s - began_s)
        now_s += 1
        assert ladder.allocate(19_000, now_s).rung == "audio"
    assert waits[0] < waits[1] < waits[2] <= RULES.up_hold_max_s + 0.5


@given(estimate_bps=st.floats(0, 5e6), call_bps=st.floats(0, 5e6))
def test_bulk_beside_a_call_takes_at_most_half_of_what_is_left_and_seldom_changes(
    estimate_bps: float, call_bps: float
) -> None:
    share_bps = bulk_bps(estimate_bps, call_bps)
    assert share_bps == BULK_FLOOR_BPS or share_bps <= (estimate_bps - call_bps) / 2 < share_bps * 1.51
    assert bulk_bps(128_000, 60_000) == 30_375


@given(st.lists(st.tuples(st.floats(0, 3e6), st.floats(0, 5)), min_size=1, max_size=60))
def test_picture_and_sound_never_ask_for_more_than_the_rate_allows(steps: list[tuple[float, float]]) -> None:
    ladder, now_s = Ladder(RULES), 0.0
    for rate_bps, wait_s in steps:
        now_s += wait_s
        allocation = ladder.allocate(rate_bps, now_s)
        rung = next(rung for rung in RULES.rungs if rung.name == allocation.rung)
        assert rung.at_bps <= rate_bps or rung is RULES.rungs[0]
        assert allocation.audio_bps >= 6_000
        assert allocation.video_bps == video_payload_bps(RULES, rung, rate_bps)
        if allocation.video_bps > rung.video_min_bps:
            assert allocation.video_bps + audio_wire_bps(RULES, rung) <= rate_bps

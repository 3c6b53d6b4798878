"""The ladder: sound first, down at once, up slowly; never more than the estimate."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.media.ladder import (
    BULK_FLOOR_BPS,
    Allocation,
    Ladder,
    Rung,
    audio_wire_bps,
    bulk_bps,
    load_rules,
    sync_bps,
    video_payload_bps,
)

RULES = load_rules()
PICTURES = [rung for rung in RULES.rungs if rung.video_max_bps]
LOWEST_FULL = 18_500
"""From here on the least that is sent fits into the rate with everything that is kept free."""


def rung_of(allocation: Allocation) -> Rung:
    return next(rung for rung in RULES.rungs if rung.name == allocation.rung)


def wire_bps(allocation: Allocation) -> float:
    """Everything that an allocation lets onto the line, sync and feedback included."""
    rung = rung_of(allocation)
    overhead = RULES.packet_overhead_bytes
    video_packets = max(allocation.fps, allocation.video_bps / 8 / allocation.mtu_bytes)
    video = allocation.video_bps + video_packets * overhead * 8 if allocation.video_bps else 0.0
    stills = allocation.still_bytes * 8 / allocation.still_every_s if allocation.still_every_s else 0.0
    return audio_wire_bps(RULES, rung, red=allocation.red) + video + stills + rung.feedback_bps + allocation.sync_bps


def test_the_rungs_rise_in_rate_size_and_sound() -> None:
    for lower, higher in pairwise(RULES.rungs):
        assert lower.at_bps < higher.at_bps
        assert lower.width <= higher.width
        assert lower.fps_min <= higher.fps_min and lower.fps_max <= higher.fps_max
        assert lower.audio_bps <= higher.audio_bps
        assert lower.video_min_bps <= lower.video_max_bps


def test_every_rung_fits_into_the_rate_at_which_it_begins_even_with_repeated_sound() -> None:
    for rung in PICTURES:
        assert video_payload_bps(RULES, rung, rung.at_bps) >= rung.video_min_bps * 0.9, rung.name
    for lower, higher in pairwise(PICTURES):
        can_show_bps = lower.video_max_bps + audio_wire_bps(RULES, lower) + lower.feedback_bps
        assert can_show_bps > higher.at_bps, f"{lower.name} leaves a hole below {higher.name}"


def test_a_call_begins_on_the_rung_that_its_rate_carries() -> None:
    assert Ladder(RULES).allocate(56_000, 0).rung == "video-120p"
    assert Ladder(RULES).allocate(32_000, 0).rung == "video-tiny"
    assert Ladder(RULES).allocate(21_000, 0).rung == "video-slow"
    assert Ladder(RULES).allocate(15_000, 0).rung == "stills"
    assert Ladder(RULES).allocate(13_000, 0).rung == "audio-low"
    assert Ladder(RULES).allocate(2_000_000, 0).rung == "video-480p"


def test_at_24_kbit_there_is_sound_and_a_picture_every_second_and_below_that_stills() -> None:
    for total_bps in (16_000, 19_000, 21_000, 24_000):
        allocation = Ladder(RULES).allocate(total_bps, 0, loss=0.03)
        assert allocation.fps >= 1 and allocation.video_bps >= 3_000 and allocation.audio_packet_ms == 120
    for total_bps in (14_000, 15_000, 15_900):
        allocation = Ladder(RULES).allocate(total_bps, 0, loss=0.03)
        assert 2 <= allocation.still_every_s <= 6 and allocation.still_bytes >= 900
        assert allocation.video_bps == 0 and allocation.why == "call-why-stills"


def test_at_32_kbit_there_are_four_pictures_a_second_beside_repeated_sound() -> None:
    allocation = Ladder(RULES).allocate(29_000, 0, loss=0.02)
    assert allocation.fps >= 4 and allocation.video_bps >= 4_000 and allocation.red


def test_it_goes_down_at_once_by_any_number_of_rungs() -> None:
    ladder = Ladder(RULES)
    assert ladder.allocate(500_000, 0).rung == "video-480p"
    assert ladder.allocate(15_000, 0.1).rung == "stills"


def test_it_climbs_one_rung_at_a_time_and_only_after_a_while() -> None:
    ladder = Ladder(RULES)
    ladder.allocate(15_000, 0)
    assert ladder.allocate(24_000, 0.1).rung == "stills"
    assert ladder.allocate(24_000, RULES.up_hold_s - 0.5).rung == "stills"
    assert ladder.allocate(24_000, RULES.up_hold_s + 0.2).rung == "video-slow"


def test_stills_come_soon_after_the_rate_carries_them() -> None:
    ladder = Ladder(RULES)
    ladder.allocate(13_000, 0)
    assert ladder.allocate(17_000, 0.1).rung == "audio-low"
    assert ladder.allocate(17_000, 1.0).rung == "stills"


def test_after_a_climb_that_did_not_hold_it_waits_longer() -> None:
    ladder = Ladder(RULES)
    ladder.allocate(15_000, 0)
    now_s, waits = 0.0, []
    for _ in range(3):
        began_s = now_s
        while ladder.allocate(24_000, now_s).rung == "stills":
            now_s += 0.1
        waits.append(now_s - began_s)
        now_s += 1
        assert ladder.allocate(15_000, now_s).rung == "stills"
    assert waits[0] < waits[1] < waits[2] <= RULES.up_hold_max_s + 0.5


def test_one_fall_over_many_rungs_counts_as_one_climb_that_did_not_hold() -> None:
    ladder, now_s = Ladder(RULES), 0.0
    ladder.allocate(100_000, now_s)
    while ladder.allocate(150_000, now_s).rung != "video-240p":
        now_s += 0.1
    for rate_bps in (80_000, 50_000, 30_000, 15_000):
        now_s += 0.1
        ladder.allocate(rate_bps, now_s)
    began_s = now_s
    while ladder.allocate(24_000, now_s).rung == "stills":
        now_s += 0.1
    assert now_s - began_s < 2.5 * RULES.up_hold_s


def test_while_a_queue_is_drained_the_picture_gets_poorer_but_keeps_its_size() -> None:
    ladder = Ladder(RULES)
    before = ladder.allocate(150_000, 0)
    during = ladder.allocate(66_000, 0.1, sustained_bps=140_000)
    assert during.rung == before.rung == "video-240p"
    assert 0 < during.video_bps < before.video_bps and wire_bps(during) <= 66_000 * 1.01
    assert ladder.allocate(66_000, 0.2, sustained_bps=66_000).rung == "video-180p"


def test_sound_is_repeated_only_where_the_line_loses_and_does_not_flutter() -> None:
    ladder = Ladder(RULES)
    assert ladder.allocate(150_000, 0).red, "nothing is known: rather repeat"
    assert not ladder.allocate(150_000, 1, loss=0.0).red
    assert not ladder.allocate(150_000, 2, loss=(RULES.red_on_loss + RULES.red_off_loss) / 2).red
    assert ladder.allocate(150_000, 3, loss=0.02).red
    assert ladder.allocate(150_000, 4, loss=(RULES.red_on_loss + RULES.red_off_loss) / 2).red
    assert ladder.allocate(150_000, 5, loss=math.nan).red


def test_a_link_that_carries_no_sound_for_a_while_offers_a_voice_note() -> None:
    ladder = Ladder(RULES)
    assert not ladder.allocate(9_000, 0).notes
    assert not ladder.allocate(9_000, RULES.notes_after_s - 0.1).notes
    low = ladder.allocate(9_000, RULES.notes_after_s)
    assert low.notes and low.audio_bps > 0, "the call goes on as long as somebody wants it"
    assert not ladder.allocate(20_000, RULES.notes_after_s + 0.1).notes


@given(estimate_bps=st.floats(0, 5e6), call_bps=st.floats(0, 5e6))
def test_bulk_beside_a_call_takes_at_most_half_of_what_is_left_and_seldom_changes(
    estimate_bps: float, call_bps: float
) -> None:
    share_bps = bulk_bps(estimate_bps, call_bps)
    assert share_bps == BULK_FLOOR_BPS or share_bps <= (estimate_bps - call_bps) / 2 < share_bps * 1.51
    assert bulk_bps(128_000, 60_000) > 25_000
    assert bulk_bps(24_000, 22_000) <= 1_000, "on a thin link not a sixth of it"


RATES = st.one_of(st.floats(0, 3e6), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0]))
LOSSES = st.one_of(st.none(), st.floats(0, 1), st.sampled_from([math.nan, -1.0]))


@given(st.lists(st.tuples(RATES, st.floats(0, 5), LOSSES, RATES), min_size=1, max_size=60))
def test_nothing_asks_for_more_than_the_rate_and_sound_never_ends(
    steps: list[tuple[float, float, float | None, float]],
) -> None:
    ladder, now_s = Ladder(RULES), 0.0
    for rate_bps, wait_s, loss, sustained_bps in steps:
        now_s += wait_s
        allocation = ladder.allocate(rate_bps, now_s, loss, sustained_bps)
        sane_bps = rate_bps if math.isfinite(rate_bps) and rate_bps > 0 else 0.0
        sustained_bps = max(sustained_bps if math.isfinite(sustained_bps) else 0.0, sane_bps)
        assert rung_of(allocation).at_bps <= sustained_bps
        assert allocation.audio_bps >= 6_000 and allocation.audio_packet_ms in (60, 120)
        assert allocation.sync_bps == sync_bps(RULES, sane_bps) >= RULES.sync_min_bps
        assert allocation.pace_bps > 0
        if allocation.video_bps:
            assert allocation.fps >= 1
            assert wire_bps(allocation) <= sane_bps * 1.001
        elif sane_bps >= LOWEST_FULL and not allocation.still_every_s and sane_bps == sustained_bps:
            assert wire_bps(allocation) <= sane_bps


@given(st.floats(8_000, 2e6), st.floats(1, 1.5), st.sampled_from([None, 0.0, 0.03]))
def test_more_rate_never_means_less(rate_bps: float, more: float, loss: float | None) -> None:
    low, high = (Ladder(RULES).allocate(bps, 0, loss) for bps in (rate_bps, rate_bps * more))
    order = [rung.name for rung in RULES.rungs]
    assert order.index(low.rung) <= order.index(high.rung)
    assert low.audio_bps <= high.audio_bps and low.width <= high.width
    if low.rung == high.rung:
        assert low.video_bps <= high.video_bps + 1_000, "one more picture a second costs its headers"
        assert low.fps <= high.fps and low.still_bytes <= high.still_bytes + 1


@given(st.floats(12_000, 1.5e6), st.lists(st.floats(-0.04, 0.04), min_size=100, max_size=100))
@settings(deadline=None)
def test_a_rate_that_trembles_does_not_make_the_rung_flutter(rate_bps: float, noise: list[float]) -> None:
    ladder, changes, last = Ladder(RULES), 0, ""
    for tick in range(600):
        rung = ladder.allocate(rate_bps * (1 + noise[tick % 100]), tick / 10).rung
        changes += last not in ("", rung)
        last = rung
    assert changes <= 2

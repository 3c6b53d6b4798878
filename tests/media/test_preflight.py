"""What a train shows, and what is said of it: a bottleneck that is computed here, and every state of the devices."""

import asyncio
import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.media import preflight as pf
from edge.media.ladder import RULES_FILE, load_rules
from edge.media.preflight import Devices, DeviceState, Expect, LinkSeen
from tests.kits.link import LinkSpec
from tests.media.preflight_ends import check

RULES = load_rules()
UI = RULES_FILE.parents[1]
FINE = Devices(DeviceState.OK, DeviceState.OK, DeviceState.OK)


def through(
    rate_bps: float, count: int, size_bytes: int, *, draw: random.Random, loss: float = 0.0, trembling_s: float = 0.0
) -> list[float | None]:
    """Arrivals of a train behind a bottleneck, seconds after the first one."""
    at = [
        None if draw.random() < loss else place * size_bytes * 8 / rate_bps + draw.random() * trembling_s
        for place in range(count)
    ]
    first = min((one for one in at if one is not None), default=0.0)
    return [None if one is None else one - first for one in at]


@given(st.floats(8_000, 66_000), st.integers(0, 10_000))
def test_a_thin_link_is_told_whatever_its_rate(rate_bps: float, seed: int) -> None:
    way = pf.carried(
        pf.FIRST_SIZE_BYTES, through(rate_bps, 8, pf.FIRST_SIZE_BYTES, draw=random.Random(seed), loss=0.05)
    )
    if way is not None:
        assert way.rate_bps == pytest.approx(rate_bps, rel=0.01)
        assert not way.full


@given(st.floats(80_000, 5_000_000))
def test_a_short_train_shows_no_more_than_it_can(rate_bps: float) -> None:
    way = pf.carried(pf.FIRST_SIZE_BYTES, through(rate_bps, 8, pf.FIRST_SIZE_BYTES, draw=random.Random(1)))
    assert way is not None and way.full and way.rate_bps <= pf.FIRST_COUNT * pf.FIRST_SIZE_BYTES * 8 / 0.2


@pytest.mark.parametrize("rate_bps", [96_000, 128_000, 256_000, 400_000])
def test_a_longer_train_tells_a_wider_link(rate_bps: int) -> None:
    draw = random.Random(2)
    first = pf.carried(pf.FIRST_SIZE_BYTES, through(rate_bps, 8, pf.FIRST_SIZE_BYTES, draw=draw))
    size = pf.further_bytes(1_920, first, 1.8, 0.2)
    assert size * pf.FURTHER_COUNT <= 16_000
    way = pf.carried(size, through(rate_bps, pf.FURTHER_COUNT, size, draw=draw, trembling_s=0.003))
    assert way is not None and way.sure
    proved_bps = size * (pf.FURTHER_COUNT - 1) * 8 / 0.2
    assert way.rate_bps == pytest.approx(min(rate_bps, proved_bps), rel=0.15)


def test_no_further_train_where_it_is_not_needed_or_there_is_no_time() -> None:
    thin = pf.carried(240, through(24_000, 8, 240, draw=random.Random(3)))
    wide = pf.carried(240, through(500_000, 8, 240, draw=random.Random(3)))
    assert pf.further_bytes(1_920, thin, 2.0, 0.1) == pf.further_bytes(1_920, None, 2.0, 0.1) == 0
    assert pf.further_bytes(1_920, wide, 2.0, 0.1) > 0 == pf.further_bytes(1_920, wide, 0.4, 0.3)
    assert pf.further_bytes(16_000, wide, 2.0, 0.1) == 0


def test_a_pause_in_the_train_or_packets_out_of_order_are_not_trusted() -> None:
    even = [place * 0.03 for place in range(8)]
    assert pf.carried(240, even).sure  # type: ignore[union-attr]
    paused = [at + (0.5 if place >= 4 else 0.0) for place, at in enumerate(even)]
    slower = [at if place < 4 else at + (place - 3) * 0.09 for place, at in enumerate(even)]
    swapped = [*even[:3], even[4], even[3], *even[5:]]
    few = [*even[:4], None, None, None, None]
    for odd in (paused, slower, swapped, few):
        way = pf.carried(240, odd)
        assert way is not None and not way.sure, odd
    assert pf.carried(240, [0.0, None, 0.1, None, 0.2, None]) is None
    assert pf.carried(240, []) is None


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=20), st.integers(1, 1_000))
def test_arrivals_that_make_no_sense_never_break_it(arrived: list[float | None], size: int) -> None:
    way = pf.carried(size, arrived)
    if way is not None:
        assert math.isfinite(way.rate_bps) and way.rate_bps >= 0 and 0 <= way.lost <= 1


def way(rate_bps: float, lost: float = 0.0) -> pf.Carried:
    return pf.Carried(rate_bps, False, True, lost)


@pytest.mark.parametrize(
    ("up_bps", "down_bps", "expect", "rung"),
    [
        (500_000, 500_000, Expect.VIDEO, "video-480p"),
        (128_000, 128_000, Expect.VIDEO, "video-180p"),
        (24_000, 24_000, Expect.VIDEO, "video-slow"),
        (18_000, 64_000, Expect.STILLS, "stills"),
        (14_000, 64_000, Expect.SOUND, "audio-low"),
        (9_000, 64_000, Expect.CASE, ""),
        (500_000, 9_000, Expect.CASE, ""),
    ],
)
def test_what_to_expect_of_a_link(up_bps: int, down_bps: int, expect: Expect, rung: str) -> None:
    verdict = pf.judge(RULES, LinkSeen.MEASURED, way(up_bps), way(down_bps), FINE)
    assert (verdict.expect, verdict.rung, verdict.devices) == (expect, rung, ())


@given(st.floats(0, 3e6), st.floats(0, 3e6), st.floats(1.0, 3.0))
def test_more_is_never_expected_of_less(up_bps: float, down_bps: float, more: float) -> None:
    order = [Expect.CASE, Expect.SOUND, Expect.STILLS, Expect.VIDEO]
    less = pf.judge(RULES, LinkSeen.MEASURED, way(up_bps), way(down_bps), FINE)
    wider = pf.judge(RULES, LinkSeen.MEASURED, way(up_bps * more), way(down_bps * more), FINE)
    assert order.index(wider.expect) >= order.index(less.expect)


def test_losses_devices_and_silence_are_said() -> None:
    link = (RULES, LinkSeen.MEASURED, way(200_000), way(200_000))
    assert pf.judge(RULES, LinkSeen.MEASURED, way(200_000, 0.375), way(2e5), FINE).expect is Expect.SOUND
    assert pf.judge(RULES, LinkSeen.MEASURED, way(200_000), way(2e5, 0.6), FINE).expect is Expect.CASE
    no_camera = pf.judge(*link, Devices(DeviceState.MISSING, DeviceState.OK, DeviceState.OK))
    assert (no_camera.expect, no_camera.line) == (Expect.SOUND, "preflight-sound")
    assert no_camera.devices == ("preflight-camera-missing",)
    no_voice = pf.judge(*link, Devices(DeviceState.OK, DeviceState.DENIED, DeviceState.OFF))
    assert (no_voice.expect, no_voice.line) == (Expect.CASE, "preflight-case")
    assert no_voice.devices == ("preflight-microphone-denied", "preflight-sound-off")
    assert pf.judge(RULES, LinkSeen.MEASURED, None, None, FINE).line == "preflight-unknown"
    assert pf.judge(RULES, LinkSeen.MEASURED, way(2e5), None, FINE).expect is Expect.VIDEO
    assert pf.judge(RULES, LinkSeen.SAVING, None, None, FINE).line == "preflight-saving"
    assert pf.judge(RULES, LinkSeen.OFFLINE, None, None, FINE).line == "preflight-offline"


def test_every_state_gives_a_line_that_both_languages_know() -> None:
    words = {
        language: (UI / "fluent" / f"{language}.ftl").read_text() + (UI / "fluent" / f"{language}-call.ftl").read_text()
        for language in ("en", "hi")
    }
    for seen, camera, microphone, sound, up in itertools.product(
        LinkSeen, DeviceState, DeviceState, DeviceState, (None, way(5_000), way(15_000), way(2e6), way(2e5, 0.3))
    ):
        verdict = pf.judge(RULES, seen, up, up, Devices(camera, microphone, sound))
        for message in (verdict.line, *verdict.devices):
            assert all(f"\n{message} = " in text for text in words.values()), message


@pytest.mark.root
@pytest.mark.parametrize(
    ("rate_kbps", "rtt_ms", "loss_pct"),
    [(24, 800, 3), pytest.param(128, 300, 2, marks=pytest.mark.long), (500, 100, 1)],
)
async def test_on_an_emulated_link_the_check_tells_the_rate_in_time_and_for_few_bytes(
    rate_kbps: int, rtt_ms: int, loss_pct: int
) -> None:
    spec = LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=loss_pct)
    checks = await asyncio.to_thread(check, spec, 3)
    rates_bps = [found.up.rate_bps for _, found, _, _ in checks if found.up is not None]
    assert 0.7 * rate_kbps <= statistics.median(rates_bps) / 1_000 <= 1.2 * rate_kbps, checks
    for verdict, found, both_bytes, late_s in checks:
        assert verdict.line == "preflight-expected" and verdict.expect is Expect.VIDEO
        assert found.took_s <= pf.MOST_S + 0.2 + late_s
        assert both_bytes <= 2 * found.sent_bytes + 1_000 and found.sent_bytes <= (1_920 if rate_kbps < 60 else 25_000)

"""Calls over emulated thin links: what issue 2 promises, measured at the doctor's browser."""

import asyncio

import pytest

from tests.media import thin

pytestmark = [pytest.mark.browser, pytest.mark.root]


async def test_at_128_kbit_the_doctor_sees_five_frames_a_second_and_sound_flows_both_ways() -> None:
    seen = await asyncio.to_thread(thin.run, 128, 300, 2, 25)
    assert seen.fps >= 5
    assert seen.first_frame_ms < 4_000
    assert seen.concealed_pct < 5
    assert seen.audio_s > 18 and seen.node_audio_s > 15
    assert seen.node_level_db > -60
    assert 0 < seen.glass_to_glass_ms < 1_500
    assert seen.attempts == 1


async def test_at_64_kbit_the_call_has_sound_both_ways_and_a_picture() -> None:
    seen = await asyncio.to_thread(thin.run, 64, 400, 2, 25)
    assert seen.frames > 40
    assert seen.concealed_pct < 6
    assert seen.audio_s > 15 and seen.node_audio_s > 13
    assert seen.attempts == 1


@pytest.mark.long
async def test_at_32_kbit_the_call_stays_up_with_sound() -> None:
    seen = await asyncio.to_thread(thin.run, 32, 600, 2, 25)
    assert seen.attempts == 1 and seen.ended == []
    assert seen.audio_s > 13 and seen.node_audio_s > 13
    assert seen.concealed_pct < 12


@pytest.mark.long
async def test_an_outage_of_twenty_seconds_does_not_end_the_call() -> None:
    seen = await asyncio.to_thread(thin.run, 128, 300, 2, 55, "test", ((12.0, 20.0),))
    assert seen.last_state == "connected"
    assert seen.last_fps > 0
    assert seen.frames > 100

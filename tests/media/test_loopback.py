"""A real call between the call process, the doctor's Chromium and a tablet's Chromium on this machine."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from playwright.async_api import Browser

from edge.media.testcard import speech_pcm
from tests.media.room import browsing, calling, glass_to_glass_ms, open_page, until

pytestmark = [pytest.mark.browser, pytest.mark.serial]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as one:
        yield one


def _make_film(path: Path, width: int, height: int, rate: int) -> None:
    """A few seconds of another film with another sound: red, then green; 44.1 kHz stereo."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("mpeg4", rate=rate)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("aac", rate=44_100)
        for number in range(3 * rate):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(
                frame.planes, (90, 90, 240) if number % (2 * rate) < rate else (90, 50, 60), strict=True
            ):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts = number
            out.mux(picture.encode(frame))
        resampler = av.AudioResampler(sound.format, sound.layout, 44_100, 1024)
        spoken = av.AudioFrame("s16", "mono", 48_000 * 3)
        spoken.planes[0].update(speech_pcm()[: spoken.planes[0].buffer_size].ljust(spoken.planes[0].buffer_size, b"\0"))
        spoken.rate, spoken.pts = 48_000, 0
        for piece in resampler.resample(spoken):
            out.mux(sound.encode(piece))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))


async def test_picture_and_sound_flow_both_ways_and_the_burnt_in_clock_tells_the_delay(browser: Browser) -> None:
    async with calling("test") as room:
        doctor = await open_page(browser, f"{room.url}/doctor")
        await until(doctor, "window.call && window.call.stats().frames > 60")
        figures = await doctor.evaluate("window.call.stats()")
        assert figures["firstFrameMs"] < 3_000
        assert figures["concealedPct"] < 5
        assert figures["audioS"] > 2
        await until(doctor, "window.call.stats().audioLevel > 0.01")
        delays = [await glass_to_glass_ms(doctor) for _ in range(10)]
        known = [delay for delay in delays if delay is not None]
        assert known and min(known) < 1_000
        node = room.stats[-1]
        assert node.state == "connected"
        assert node.audio_s > 1 and node.audio_level_db > -50, "the fake microphone beeps"
        assert node.why.startswith("call-why-")
        await until(doctor, "window.call.stats().ownVideo && window.call.stats().framesSent > 5")
        await room.wait_for(lambda: room.stats[-1].video_frames_received >= 5 and bool(room.reports))
        assert room.reports[-1].frames > 20 and room.reports[-1].audio_s > 1
        await doctor.evaluate("window.call.close()")
        await room.wait_for(lambda: bool(room.ended))
        assert room.ended[-1].reason == "hangup"
        assert room.errors == []


async def test_a_doctor_without_microphone_and_camera_still_sees_and_hears(browser: Browser) -> None:
    async with calling("test") as room:
        doctor = await open_page(browser, f"{room.url}/doctor?silent")
        await until(doctor, "window.call && window.call.stats().frames > 20 && window.call.stats().audioLevel > 0.01")
        assert room.stats[-1].state == "connected"


async def test_after_kill_9_of_the_process_the_next_attempt_shows_pictures_within_five_seconds(
    browser: Browser,
) -> None:
    async with calling("test") as room:
        doctor = await open_page(browser, f"{room.url}/doctor")
        tablet = await open_page(browser, f"{room.url}/tablet")
        await until(doctor, "window.call && window.call.stats().frames > 20")
        await until(tablet, "window.call.state === 'connected'")
        frames = (await doctor.evaluate("window.call.stats()"))["frames"]
        assert room.process is not None
        killed_s = time.monotonic()
        room.process.kill()
        await until(doctor, f"window.call.attempt === 1 && window.call.stats().frames > {frames} + 5", 8)
        assert time.monotonic() - killed_s < 5 + 1.5, "the figures are a second old at most"
        assert room.offers[-1][0] - killed_s < 5
        assert room.ended[0].reason == "crashed"
        await tablet.evaluate("window.call.restart()")
        await until(tablet, "window.call.state === 'connected'", 15)


async def test_the_tablet_shows_and_plays_the_doctor(browser: Browser) -> None:
    async with calling("test") as room:
        doctor = await open_page(browser, f"{room.url}/doctor")
        tablet = await open_page(browser, f"{room.url}/tablet")
        await until(doctor, "window.call && window.call.stats().framesSent > 10")
        await tablet.wait_for_function(
            "window.call.stats().then((seen) => seen.frames > 10 && seen.audioS > 2 && seen.audioLevel > 0.01)",
            timeout=20_000,
        )
        assert room.stats[-1].lan_state == "connected"


async def test_the_tablets_camera_and_microphone_reach_the_doctor(browser: Browser) -> None:
    async with calling("tablet") as room:
        doctor = await open_page(browser, f"{room.url}/doctor")
        await until(doctor, "window.call && window.call.state === 'connected'")
        await open_page(browser, f"{room.url}/tablet?camera")
        await until(doctor, "window.call.stats().frames > 30 && window.call.stats().audioLevel > 0.01")


@pytest.mark.parametrize(("width", "height", "rate"), [(176, 144, 12), (720, 1280, 30)])
async def test_any_film_can_be_the_camera_and_keeps_its_shape(
    browser: Browser, tmp_path: Path, width: int, height: int, rate: int
) -> None:
    film = tmp_path / "another film.mp4"
    await asyncio.to_thread(_make_film, film, width, height, rate)
    async with calling(f"file:{film}") as room:
        doctor = await open_page(browser, f"{room.url}/doctor")
        await until(doctor, "window.call && window.call.stats().frames > 40 && window.call.stats().audioS > 4")
        figures = await doctor.evaluate("window.call.stats()")
        assert abs(figures["width"] / figures["height"] - width / height) < 0.05
        assert figures["width"] <= width
        await until(doctor, "window.call.stats().audioLevel > 0.01")
        assert room.errors == []

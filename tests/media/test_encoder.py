"""H.264 behind the same interface as VP8: by a software encoder, for want of the chip, to a real browser."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Browser, Page

from edge.media import rtp
from edge.media.encoder import OPEN_H264, V4L2_H264, VP8, Chain, Kind, chosen, codes
from edge.media.pipeline import bytes_of, load_gst
from tests.media import thin
from tests.media.room import KEEP_CONNECTIONS, browsing, calling, open_page, until

WAIT_S = 20
EXTENSION_BYTES = 8
"""Of the transport-wide number, which packetizers do not count."""
KNOWS_NO_H264 = """
const take = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (offer) {
  const sdp = offer.sdp.replace(/ 102 103/, "").replace(/a=[a-z-]+:10[23] .*\\r\\n/g, "");
  return take.call(this, {type: offer.type, sdp});
};"""
CODECS = """async () => {
  const found = {};
  for (const one of window.connections) {
    const report = await one.getStats();
    for (const entry of report.values()) {
      if (entry.kind !== "video" || !entry.codecId || !(entry.framesDecoded || entry.framesEncoded)) continue;
      found[entry.type] = report.get(entry.codecId).mimeType;
    }
  }
  return found;
}"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as one:
        yield one


class Line:
    """Packets of a chain, and pictures that go in one by one."""

    def __init__(self, kind: Kind) -> None:
        gst = load_gst()
        self._gst = gst
        self.pipeline = gst.Gst.Pipeline.new(None)
        self.chain = Chain(gst, self.pipeline, kind, self._on_packet)
        self.packets: list[bytes] = []
        self._more = threading.Condition()
        self._random = np.random.default_rng(1)

    def __enter__(self) -> "Line":
        self.pipeline.set_state(self._gst.Gst.State.PLAYING)
        return self

    def __exit__(self, *_: object) -> None:
        self.pipeline.set_state(self._gst.Gst.State.NULL)

    def _on_packet(self, buffer: Any, _caps: Any) -> None:
        with self._more:
            self.packets.append(bytes_of(buffer))
            self._more.notify_all()

    def picture(self, width: int = 640, height: int = 480) -> list[bytes]:
        """The packets of a picture of grey patches that is like no other."""
        patches = self._random.integers(0, 255, (height // 16, width // 16), dtype=np.uint8)
        luma = np.kron(patches, np.ones((16, 16), dtype=np.uint8))
        with self._more:
            before = len(self.packets)
            self.chain.push(luma.tobytes() + b"\x80" * (width * height // 2), width, height)
            assert self._more.wait_for(lambda: self.packets[before:] and self.packets[-1][1] & 0x80, WAIT_S)
            return self.packets[before:]


def _is_key(packets: list[bytes]) -> bool:
    """Whether an IDR picture is in them (RFC 6184: its NAL units are of type 5, whole or in pieces of type 28)."""
    for packet in packets:
        parsed = rtp.parse(packet)
        assert parsed is not None and parsed.payload_type == rtp.H264_PT
        kind = parsed.payload[0] & 0x1F
        if 5 in (kind, parsed.payload[1] & 0x1F if kind == 28 else 0):
            return True
    return False


def test_an_encoder_is_taken_only_where_it_codes() -> None:
    assert codes(OPEN_H264) and chosen("openh264") is OPEN_H264
    assert chosen("vp8") is VP8 and chosen("no such encoder") is VP8
    assert chosen("v4l2h264") is (V4L2_H264 if codes(V4L2_H264) else VP8)


def test_what_cannot_be_opened_or_coded_is_no_encoder() -> None:
    fails = Kind("identity", rtp.H264_PT, "identity name=encoder error-after=1 ! rtpvrawpay name=pay", OPEN_H264.rate)
    assert not codes(fails)
    assert not codes(Kind("no_such_element", rtp.H264_PT, "", OPEN_H264.rate))
    unlinked = "vp8enc name=encoder ! rtph264pay name=pay"
    assert not codes(Kind("vp8enc", rtp.H264_PT, unlinked, OPEN_H264.rate)), "what cannot be linked is an answer too"


def test_rate_size_and_key_frames_are_changed_by_the_same_calls_as_for_vp8() -> None:
    with Line(OPEN_H264) as line:
        line.chain.apply(500_000, 15, 900, (640, 480))
        assert _is_key(line.picture())
        rich = line.picture()
        assert not _is_key(rich) and max(map(len, rich)) <= 900 + EXTENSION_BYTES
        line.chain.apply(60_000, 15, 400, (640, 480))
        for _ in range(10):
            poor = line.picture()
        assert sum(map(len, poor)) < sum(map(len, rich)) / 2
        assert max(map(len, poor)) <= 400 + EXTENSION_BYTES and not _is_key(poor)
        line.chain.key_frame()
        assert _is_key(line.picture())
        line.chain.apply(60_000, 15, 400, (320, 240))
        assert _is_key(line.picture()), "a new size is a new stream"


def test_one_encoder_goes_on_where_the_other_ended() -> None:
    with Line(VP8) as line:
        line.chain.apply(100_000, 15, 700, (320, 240))
        last = rtp.parse(line.picture()[-1])
        before = line.packets[-1]
        other = Chain(line._gst, line.pipeline, OPEN_H264, line._on_packet)
        old = line.chain
        other.follow(old)
        other.apply(100_000, 15, 700, (320, 240))
        line.chain = other
        first = line.picture()[0]
        parsed = rtp.parse(first)
        assert last is not None and parsed is not None
        assert parsed.sequence == (last.sequence + 1) & 0xFFFF
        assert first[8:12] == before[8:12], "the SSRC"
        offsets = [chain.pay.get_property("stats").get_value("timestamp-offset") for chain in (old, other)]
        assert offsets[0] == offsets[1], "times go on"
        assert 0 < (parsed.timestamp - last.timestamp) & 0xFFFFFFFF < 90_000 * WAIT_S


async def _codecs(page: Page) -> dict[str, str]:
    found: dict[str, str] = await page.evaluate(CODECS)
    return found


@pytest.mark.browser
async def test_a_doctor_sees_h264_grow_with_the_link_and_is_seen_in_vp8(browser: Browser) -> None:
    async with calling("test", encoder="openh264", start_bps=40_000) as room:
        doctor = await open_page(browser, f"{room.url}/doctor", KEEP_CONNECTIONS)
        await until(doctor, "window.call && window.call.stats().frames > 5")
        small = (await doctor.evaluate("window.call.stats()"))["width"]
        assert 0 < small <= 320
        await until(doctor, "window.call.stats().width >= 640 && window.call.stats().framesSent > 5", 60)
        await room.wait_for(lambda: room.stats[-1].video_frames_received >= 5)
        assert await _codecs(doctor) == {"inbound-rtp": "video/H264", "outbound-rtp": "video/VP8"}
        assert room.errors == []


@pytest.mark.browser
async def test_a_browser_that_knows_no_h264_gets_vp8(browser: Browser) -> None:
    async with calling("test", encoder="openh264") as room:
        doctor = await open_page(browser, f"{room.url}/doctor", KEEP_CONNECTIONS + KNOWS_NO_H264)
        await until(doctor, "window.call && window.call.stats().frames > 10")
        assert (await _codecs(doctor))["inbound-rtp"] == "video/VP8"
        assert room.errors == []


@pytest.mark.browser
@pytest.mark.root
@pytest.mark.long
async def test_lost_packets_of_h264_are_sent_again_on_a_thin_link() -> None:
    seen = await asyncio.to_thread(thin.run, 128, 300, 2, 30, encoder="openh264")
    assert seen.repeated > 5
    assert seen.fps >= 5 and seen.concealed_pct < 5
    assert seen.attempts == 1

"""Key frames: the first one is small, and one is made when the doctor's browser cannot decode without."""

import time
from typing import Any

import numpy as np

from edge.media import rtp, wan
from edge.media.capture import Thinning
from edge.media.ladder import Allocation
from edge.media.pipeline import bytes_of

RINGING_S = 2.0
FIRST = Allocation("video", 160, 120, 8, 33_000, 8_000, False, 600, "call-why-link-rate", pace_bps=50_000)


class Ears:
    """Hears what a leg tells, and keeps nothing of it."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_: None


class Scale:
    """Stands where the pacer does, and weighs what comes."""

    rate_bps = 1e9

    def __init__(self) -> None:
        self.pictures: list[int] = []
        """Bytes of each whole picture."""
        self.key = False
        """Whether the last picture was a key frame."""
        self._bytes = 0

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def put(self, packet: Any, size_bytes: int) -> None:
        if self._bytes == 0:
            read = rtp.parse(bytes_of(packet))
            assert read is not None
            self.key = (
                not read.payload[4] & 1
            )  # four bytes of descriptor with a picture id of 15 bits, then RFC 6386 §9.1
        self._bytes += size_bytes
        if bytes_of(packet)[1] & 0x80:  # the marker of a picture's last packet, RFC 7741 §4.1
            self.pictures.append(self._bytes)
            self._bytes = 0

    def backlog_s(self) -> float:
        return 0.0


def face() -> bytes:
    """Something with soft edges and a little grain, as a camera sees it."""
    y, x = np.mgrid[0:480, 0:640]
    light = 110 + 70 * np.exp(-((x - 300) ** 2 + (y - 240) ** 2) / 15_000) + 30 * np.sin(x / 23) * np.sin(y / 31)
    grain = np.kron(np.random.default_rng(1).normal(0, 12, (120, 160)), np.ones((4, 4)))
    luma: bytes = np.clip(light + grain, 16, 235).astype(np.uint8).tobytes()
    return luma + b"\x80" * (640 * 480 // 2)


def test_the_first_real_picture_is_a_small_key_frame() -> None:
    """After a grey picture of its own size and some seconds of ringing it had eleven times the bytes."""
    leg, scale = _leg()
    try:
        _wait_for(lambda: len(scale.pictures) == 1)
        begun_s = time.monotonic()
        _wait_for(lambda: time.monotonic() - begun_s > RINGING_S)  # the encoder saves up bits by its clock
        leg._open = True  # as it is once the connection stands
        leg._key_frame()
        leg.picture(face(), 640, 480)
        _wait_for(lambda: len(scale.pictures) == 2)
    finally:
        leg.close()
    assert scale.pictures[1] < 1_200


def test_a_browser_that_cannot_decode_gets_one_key_frame_however_often_it_asks() -> None:
    """Its request comes as an event from the sending session; a second one a moment later is the same one."""
    leg, scale = _leg()
    pad = leg._vout.get_static_pad("src")
    try:
        _wait_for(lambda: len(scale.pictures) == 1)
        leg._open = True
        keys = []
        for number in range(6):
            if number in (2, 3):
                event = leg._gst.GstVideo.video_event_new_upstream_force_key_unit(leg._gst.Gst.CLOCK_TIME_NONE, True, 0)
                pad.send_event(event)
            before = len(scale.pictures)
            leg._thinning = Thinning()  # no picture is too early here
            leg.picture(face(), 640, 480)
            _wait_for(lambda before=before: len(scale.pictures) > before)
            keys.append(scale.key)
    finally:
        leg.close()
    assert keys == [True, False, True, False, False, False]


def test_what_only_makes_the_formats_known_never_leaves() -> None:
    """A browser times the first real picture by how much later its stamp is than that of the one before."""
    leg = wan.WanLeg(Ears(), (), FIRST)
    passed: list[object] = []

    def look(_pad: object, info: object) -> object:
        passed.append(info)
        return leg._gst.Gst.PadProbeReturn.OK

    for source in (leg._aout, leg._vout):  # behind the leg's own probe, which was there first
        source.get_static_pad("src").add_probe(leg._gst.Gst.PadProbeType.BUFFER, look)
    leg.start()
    try:
        _wait_for(leg.try_offer)
        assert leg._primed and not passed
        leg._open = True
        leg.picture(face(), 640, 480)
        _wait_for(lambda: bool(passed))
    finally:
        leg.close()


def _leg() -> tuple[wan.WanLeg, Scale]:
    leg = wan.WanLeg(Ears(), (), FIRST)
    scale = Scale()
    leg._pacer = scale  # type: ignore[assignment]
    leg.start()
    return leg, scale


def _wait_for(condition: Any, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "the encoder made nothing"
        time.sleep(0.01)

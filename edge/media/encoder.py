"""What codes the picture for the doctor: VP8 in software, or H.264 by a chip, behind one interface.

Part of the WAN leg's knowledge of GStreamer. VP8 is the default everywhere: any browser takes it, and its key frames
are the smallest at the rates of thin links. H.264 goes out only where a person chose it for this machine, the element
really coded pictures here, and the doctor's browser takes it too; a call is offered with VP8 first, and stays with it
otherwise. What the doctor sends is VP8 in any case: tablets get it as it came.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from edge.media import rtp
from edge.media.pipeline import load_gst
from edge.media.signals import ENCODERS

_LOG = logging.getLogger(__name__)
_TRIAL_PICTURES = 5
_TRIAL_S = 3
_COUNTED_FPS = 15
_H264 = (
    " ! video/x-h264,profile=(string)constrained-baseline ! h264parse"
    f" ! rtph264pay name=pay pt={rtp.H264_PT} config-interval=-1 aggregate-mode=zero-latency mtu=700"
)
_V4L2_CONTROLS = "controls,repeat_sequence_header=1,video_bitrate_mode=1,h264_i_frame_period=600,video_bitrate={bps}"


class Kind(Struct, frozen=True):
    """An encoder and its packetizer."""

    element: str
    payload_type: int
    launch: str
    """From raw pictures to RTP; the encoder is named ``encoder``, the packetizer ``pay``."""
    rate: Callable[[Any, int, Any], None]
    """Give the encoder a rate, bits per second, while it runs."""
    least_bps: int = 0
    """Less is no rate for it."""
    counted_fps: int = 0
    """It divides its rate among so many pictures a second, whenever they come; 0: it goes by their times."""


def _set_target(encoder: Any, bps: int, _gst: Any) -> None:
    encoder.set_property("target-bitrate", bps)


def _set_bitrate(encoder: Any, bps: int, _gst: Any) -> None:
    encoder.set_property("bitrate", bps)


def _set_control(encoder: Any, bps: int, gst: Any) -> None:
    encoder.set_property("extra-controls", gst.Gst.Structure.new_from_string(f"controls,video_bitrate={bps}"))


VP8 = Kind(
    "vp8enc",
    rtp.VP8_PT,
    "vp8enc name=encoder deadline=1 cpu-used=-6 end-usage=cbr threads=1"
    " lag-in-frames=0 keyframe-max-dist=600 max-intra-bitrate=400 undershoot=95 overshoot=15 buffer-size=600"
    " buffer-initial-size=300 buffer-optimal-size=400 min-quantizer=4 max-quantizer=58 static-threshold=100"
    " target-bitrate=30000"
    f" ! rtpvp8pay name=pay pt={rtp.VP8_PT} picture-id-mode=15-bit mtu=700",
    _set_target,
)
V4L2_H264 = Kind(
    "v4l2h264enc",
    rtp.H264_PT,
    f'videoconvert ! v4l2h264enc name=encoder extra-controls="{_V4L2_CONTROLS.format(bps=30000)}"'
    " ! video/x-h264,level=(string)3.1" + _H264,
    _set_control,
    least_bps=25_000,
    counted_fps=_COUNTED_FPS,
)
"""The chip of a Raspberry Pi 3 or 4 (bcm2835-codec); a Pi 5 has none. Never run on one by us."""
OPEN_H264 = Kind(
    "openh264enc",
    rtp.H264_PT,
    "openh264enc name=encoder rate-control=bitrate gop-size=600 complexity=low multi-thread=1 usage-type=camera"
    " bitrate=30000" + _H264,
    _set_bitrate,
    counted_fps=_COUNTED_FPS,
)
"""In software: the same path on a machine without the chip."""
KINDS = dict(zip(ENCODERS, (VP8, V4L2_H264, OPEN_H264), strict=True))


@cache
def chosen(name: str) -> Kind:
    """The encoder of that name if it codes here, else VP8. Blocks for a trial, once; VP8 needs none."""
    kind = KINDS.get(name, VP8)
    if kind is VP8 or codes(kind):
        return kind
    _LOG.warning("the encoder codes nothing on this machine: VP8 instead")
    return VP8


def codes(kind: Kind) -> bool:
    """Whether pictures that go in come out as packets."""
    gst = load_gst()
    Gst = gst.Gst
    if Gst.ElementFactory.find(kind.element) is None:
        return False
    trial = (
        f"videotestsrc num-buffers={_TRIAL_PICTURES} ! video/x-raw,format=I420,width=320,height=240,framerate=10/1"
        f" ! {kind.launch} ! fakesink sync=false"
    )
    try:
        pipeline = Gst.parse_launch(trial)
    except gst.GLib.Error:  # a driver that takes none of the formats, a plugin that is not there
        return False
    try:
        pipeline.set_state(Gst.State.PLAYING)
        kinds = Gst.MessageType
        ended = pipeline.get_bus().timed_pop_filtered(_TRIAL_S * Gst.SECOND, kinds.EOS | kinds.ERROR)
        packets = pipeline.get_by_name("pay").get_static_pad("src").get_current_caps()
        return ended is not None and ended.type == kinds.EOS and packets is not None
    finally:
        pipeline.set_state(Gst.State.NULL)


class Chain:
    """From raw pictures to RTP packets, in one pipeline. ``on_packet`` gets buffer and caps, on a foreign thread."""

    def __init__(self, gst: Any, pipeline: Any, kind: Kind, on_packet: Callable[[Any, Any], None]) -> None:
        self._gst, self._pipeline = gst, pipeline
        self.kind = kind
        self._on_packet = on_packet
        self._bin = gst.Gst.parse_bin_from_description(
            "appsrc name=cam is-live=true format=time do-timestamp=true max-buffers=2 leaky-type=downstream"
            f" ! videoscale method=bilinear ! capsfilter name=size ! {kind.launch}"
            " ! appsink name=packets emit-signals=true sync=false max-buffers=400",
            False,
        )
        self._cam, self._size = self._bin.get_by_name("cam"), self._bin.get_by_name("size")
        self._encoder, self.pay = self._bin.get_by_name("encoder"), self._bin.get_by_name("pay")
        extension = gst.Gst.ElementFactory.make("rtphdrexttwcc")
        extension.set_id(rtp.TWCC_ID)
        self.pay.emit("add-extension", extension)
        self._bin.get_by_name("packets").connect("new-sample", self._on_sample)
        self._shape = self._box = (0, 0)
        pipeline.add(self._bin)

    def follow(self, other: "Chain") -> None:
        """Go on where another has ended: the doctor's browser sees one stream whose format changes."""
        for name in ("ssrc", "timestamp-offset"):
            self.pay.set_property(name, other.pay.get_property("stats").get_value(name))
        self.pay.set_property("seqnum-offset", (other.pay.get_property("seqnum") + 1) & 0xFFFF)
        self._bin.sync_state_with_parent()

    def drop(self) -> None:
        """Stop, and leave the pipeline."""
        self._bin.set_state(self._gst.Gst.State.NULL)
        self._pipeline.remove(self._bin)

    def push(self, i420: bytes, width: int, height: int) -> None:
        """Code a picture."""
        Gst = self._gst.Gst
        if self._shape != (width, height):
            self._shape = (width, height)
            self._cam.set_property(
                "caps",
                Gst.Caps.from_string(
                    f"video/x-raw,format=I420,width={width},height={height},framerate={self.kind.counted_fps}/1,"
                    "pixel-aspect-ratio=1/1"
                ),
            )
            self._fit()
        self._cam.emit("push-buffer", Gst.Buffer.new_wrapped(i420))

    def apply(self, video_bps: int, fps: float, mtu_bytes: int, box: tuple[int, int]) -> None:
        """Change the rate, the largest packet, and the largest size now. A new size costs a key frame."""
        told_bps = round(video_bps * self.kind.counted_fps / fps) if self.kind.counted_fps else video_bps
        self.kind.rate(self._encoder, max(told_bps, self.kind.least_bps), self._gst)
        self.pay.set_property("mtu", mtu_bytes)
        if self._box != box:
            self._box = box
            self._fit()

    def key_frame(self) -> None:
        """The next picture stands for itself."""
        never = self._gst.Gst.CLOCK_TIME_NONE
        self._cam.send_event(self._gst.GstVideo.video_event_new_downstream_force_key_unit(never, never, never, True, 0))

    def _fit(self) -> None:
        """Scale the source into the rung's box: aspect kept, never enlarged."""
        width, height = self._shape
        box_width, box_height = self._box
        if not width or not box_width:
            return
        if height > width:
            box_width, box_height = box_height, box_width
        scale = min(1.0, box_width / width, box_height / height)
        fitted = (max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2))
        self._size.set_property(
            "caps",
            self._gst.Gst.Caps.from_string(f"video/x-raw,width={fitted[0]},height={fitted[1]},pixel-aspect-ratio=1/1"),
        )

    def _on_sample(self, sink: Any) -> Any:
        sample = sink.emit("pull-sample")
        if sample is not None:
            self._on_packet(sample.get_buffer(), sample.get_caps())
        return self._gst.Gst.FlowReturn.OK

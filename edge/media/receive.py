"""What the WAN leg receives of the doctor: counts it, and hands on the encoded frames.

Audio is counted by RTP sequence number and timestamp; frames go on undecoded. A small decoder
beside it tells how loud the doctor is. Part of the WAN leg's knowledge of GStreamer.
"""

import time
from collections.abc import Callable
from typing import Any

from edge.media import rtp
from edge.media.pipeline import bytes_of

_FRAME_S = 0.06


class DoctorAudio:
    """The doctor's Opus."""

    def __init__(self, on_frame: Callable[[bytes, int], None]) -> None:
        self._on_frame = on_frame
        self._expected: int | None = None
        self.level_db = -100.0
        """Loudness (RMS, dBFS) of the last second."""
        self.heard_s = 0.0
        """Seconds of sound received; pauses of discontinuous transmission count."""
        self.lost_s = 0.0
        """Seconds of sound lost on the way."""
        self.bytes_received = 0
        self.last_s = 0.0
        """When a packet last came, monotonic seconds."""
        self._last_position: int | None = None

    def build(self, gst: Any) -> Any:
        """The GStreamer bin that takes the doctor's RTP."""
        branch = gst.Gst.parse_bin_from_description(
            "tee name=t ! queue max-size-buffers=50 leaky=downstream ! rtpopusdepay ! opusdec plc=true"
            " ! level interval=1000000000 ! fakesink sync=false async=false"
            " t. ! queue ! appsink name=out emit-signals=true sync=false async=false max-buffers=50 drop=true",
            False,
        )
        pad = gst.Gst.GhostPad.new("sink", branch.get_by_name("t").get_static_pad("sink"))
        branch.add_pad(pad)
        branch.get_by_name("out").connect("new-sample", self._on_sample, gst.Gst.FlowReturn.OK)
        return branch

    def note_level(self, structure: Any) -> None:
        """A bus message of the level element; others are ignored."""
        if structure is not None and structure.get_name() == "level":
            self.level_db = max((float(value) for value in structure.get_value("rms")), default=-100.0)

    def _on_sample(self, sink: Any, ok: Any) -> Any:
        sample = sink.emit("pull-sample")
        packet = rtp.parse(bytes_of(sample.get_buffer())) if sample is not None else None
        if packet is not None and packet.payload_type == rtp.OPUS_PT and packet.payload:
            self._count(packet)
            self._on_frame(packet.payload, packet.timestamp)
        return ok

    def _count(self, packet: rtp.Packet) -> None:
        self.last_s = time.monotonic()
        self.bytes_received += len(packet.payload) + 58
        if self._expected is not None:
            missing = (packet.sequence - self._expected) & 0xFFFF
            if missing < 1000:
                self.lost_s += missing * _FRAME_S
        self._expected = (packet.sequence + 1) & 0xFFFF
        if self._last_position is not None:
            step = (packet.timestamp - self._last_position) & 0xFFFFFFFF
            if step < 10 * rtp.OPUS_CLOCK_HZ:
                self.heard_s += step / rtp.OPUS_CLOCK_HZ
        self._last_position = packet.timestamp


class DoctorVideo:
    """The doctor's VP8."""

    def __init__(self, on_frame: Callable[[bytes, int, bool], None]) -> None:
        self._on_frame = on_frame
        self._out: Any = None
        self._gst: Any = None
        self.frames = 0
        self.video_s = 0.0
        """Seconds in which pictures came at least every second."""
        self.bytes_received = 0
        self.last_s = 0.0

    def build(self, gst: Any) -> Any:
        """The GStreamer bin that takes the doctor's RTP."""
        self._gst = gst
        branch = gst.Gst.parse_bin_from_description(
            "rtpvp8depay request-keyframe=true wait-for-keyframe=true"
            " ! appsink name=out emit-signals=true sync=false async=false max-buffers=30 drop=true",
            True,
        )
        self._out = branch.get_by_name("out")
        self._out.connect("new-sample", self._on_sample, gst.Gst.FlowReturn.OK)
        return branch

    def request_key_frame(self) -> None:
        """Ask the doctor's browser for a key frame."""
        if self._out is not None:
            event = self._gst.GstVideo.video_event_new_upstream_force_key_unit(self._gst.Gst.CLOCK_TIME_NONE, True, 0)
            self._out.get_static_pad("sink").push_event(event)

    def _on_sample(self, sink: Any, ok: Any) -> Any:
        sample = sink.emit("pull-sample")
        if sample is not None:
            buffer = sample.get_buffer()
            data = bytes_of(buffer)
            now_s = time.monotonic()
            self.video_s += min(now_s - self.last_s, 1.0) if self.frames else 0.0
            self.last_s = now_s
            self.frames += 1
            self.bytes_received += len(data) + 58
            key = bool(data) and not data[0] & 1  # RFC 6386 §9.1
            self._on_frame(data, buffer.pts, key)
        return ok


class RepeatedSound:
    """Stands behind one RTP session: redundant audio goes on as plain Opus, which is all that webrtcbin was told of.

    Behind the session, since its reports so tell the true loss to the doctor's browser.
    """

    def __init__(self, gst: Any) -> None:
        self._gst = gst
        self._reader = rtp.RedReader()
        self._repairing = self._reading = False

    def watch(self, session: Any) -> None:
        """``session``: rtpbin's element. Its pad comes with the answer."""
        session.connect("pad-added", lambda _session, added: self._probe(added))
        there = session.get_static_pad("recv_rtp_src")
        if there is not None:
            self._probe(there)

    def _probe(self, pad: Any) -> None:
        if pad.get_name() == "recv_rtp_src" and not self._reading:
            self._reading = True
            kinds = self._gst.Gst.PadProbeType
            pad.add_probe(kinds.BUFFER | kinds.BUFFER_LIST, self._on_received)

    def _on_received(self, pad: Any, info: Any) -> Any:
        kinds = self._gst.Gst.PadProbeReturn
        if info.type & self._gst.Gst.PadProbeType.BUFFER_LIST:
            several = info.get_buffer_list()
            for place in range(several.length()):
                pad.push(several.get(place))  # each comes by here again
            return kinds.DROP
        buffer = info.get_buffer()
        head = bytes(buffer.extract_dup(0, 2))
        if len(head) < 2 or head[1] & 0x7F not in (rtp.OPUS_PT, rtp.RED_PT) or self._repairing:
            return kinds.OK
        instead = self._reader.packets(bytes_of(buffer))
        if instead is None:
            return kinds.OK
        self._repairing = True
        try:
            for packet in instead:
                made = self._gst.Gst.Buffer.new_wrapped(packet)
                made.pts, made.dts = buffer.pts, buffer.dts
                pad.push(made)
        finally:
            self._repairing = False
        return kinds.DROP

"""The WAN leg of a call: GStreamer's webrtcbin between the node and the doctor's browser.

Everything fragile about GStreamer lives here. Takes raw pictures and sound, sends them coded, sound by Opus, at
the rates it is told, reports what the network did to each packet, and hands out the doctor's
encoded frames. Knows no ladder, no tablet and no signalling. Callbacks come from GStreamer's
threads; whoever makes a leg bridges them.
"""

import logging
import secrets
import time
from typing import Any, Protocol

from edge.media import aside, rtp
from edge.media.capture import SOUND_RATE_HZ, Thinning
from edge.media.encoder import VP8, Chain, Kind
from edge.media.estimate import PacketFeedback
from edge.media.handshake import with_fingerprint
from edge.media.ice import add_servers
from edge.media.ladder import Allocation
from edge.media.pacer import Pacer
from edge.media.pipeline import bytes_of, load_gst, structure_of
from edge.media.receive import DoctorAudio, DoctorVideo, RepeatedSound
from edge.media.signals import IceServer
from edge.media.wire import WIRE_OVERHEAD_BYTES, Wire

_PRIMING_SIDE = 16
_KEY_FRAME_SPACING_S = 0.4
"""Beside the round trip: what a key frame takes to be made and to be let out."""
_LOG = logging.getLogger(__name__)
_AUDIO_CAPS = (
    f"application/x-rtp,media=audio,encoding-name=OPUS,payload={rtp.OPUS_PT},clock-rate=48000,"
    f"encoding-params=(string)2,extmap-{rtp.TWCC_ID}=(string){rtp.TWCC_URI},rtcp-fb-transport-cc=(boolean)true"
)
_PIPELINE = f"""
webrtcbin name=web bundle-policy=max-bundle latency=300
appsrc name=mic is-live=true format=time do-timestamp=true max-buffers=20 leaky-type=downstream
 caps=audio/x-raw,format=S16LE,rate={SOUND_RATE_HZ},channels=1,layout=interleaved
 ! opusenc name=opus bandwidth=wideband frame-size=60 audio-type=voice bitrate=8000 dtx=true
 ! appsink name=apkt emit-signals=true sync=false max-buffers=50
appsrc name=vout is-live=true format=time max-buffers=400
appsrc name=aout is-live=true format=time max-buffers=50
"""


class WanEvents(Protocol):
    """What a WAN leg tells. Every method is called from a foreign thread and must return at once."""

    def on_offer(self, sdp: str) -> None: ...
    def on_candidate(self, mline: int, candidate: str) -> None: ...
    def on_connection(self, state: str) -> None: ...
    def on_feedback(self, packets: list[PacketFeedback]) -> None: ...
    def on_doctor_audio(self, frame: bytes, position: int) -> None: ...
    def on_doctor_video(self, frame: bytes, pts_ns: int, key: bool) -> None: ...
    def on_aside(self, text: str) -> None: ...
    def on_failure(self, what: str) -> None: ...


class WanLeg:
    """One webrtcbin, from offer to close. A :class:`edge.media.capture.Sink`."""

    def __init__(
        self, events: WanEvents, ice_servers: tuple[IceServer, ...], first: Allocation, better: Kind = VP8
    ) -> None:
        """``better``: what codes the picture if the doctor's browser takes it."""
        self._gst = load_gst()
        Gst = self._gst.Gst
        self._events = events
        self._pipeline = Gst.parse_launch(_PIPELINE)
        self._web = self._part("web")
        self._mic = self._part("mic")
        self._vout, self._aout = self._part("vout"), self._part("aout")
        self._closed = False
        self._offered = False
        self._open = False
        """Connected: before that only one packet of each kind goes in, or a queue of old media comes out first."""
        self._held: tuple[bytes, int, int] | None = None
        """The latest picture of the time before."""
        self._primed = False
        self._reads_red = False
        """The doctor's browser, by its answer."""
        self._kept: list[object] = []  # promises and replies; GStreamer frees what Python forgets
        self._video = Chain(self._gst, self._pipeline, VP8, self._on_video_packet)
        self._better = better
        self._allocation = first
        self._thinning = Thinning(0.6)
        """Sources keep to the rate by themselves, and not evenly: only what is far too early is too much."""
        self._probe_set = False
        self._key_frame_s = 0.0
        """When the encoder was last told to make a key frame."""
        self.frames_sent = 0
        self.rtt_s = 0.0
        self.relayed = False
        """Whether the way to the doctor leads through a TURN server."""
        self.audio = DoctorAudio(events.on_doctor_audio)
        self.video = DoctorVideo(events.on_doctor_video)
        self._aside: Any = None
        self._pacer = Pacer(self._emit_video)
        self._repeated = RepeatedSound(self._gst)
        self._wire = Wire(self._gst, self._web)
        self._packetizer = rtp.OpusPacketizer(secrets.randbits(32) or 1, secrets.randbits(15), secrets.randbits(31))
        self._wire_sending()
        add_servers(self._web, ice_servers)
        self._web.connect("on-ice-candidate", self._on_candidate)
        self._web.connect("pad-added", self._on_pad)
        for name in ("connection-state", "ice-connection-state"):
            self._web.connect(f"notify::{name}", self._on_state)
        self.apply(first)

    def start(self) -> None:
        """Begin to gather and to offer; the offer arrives by ``on_offer``."""
        self._pacer.start()
        self._pipeline.set_state(self._gst.Gst.State.READY)  # before that webrtcbin makes no data channel
        self._open_aside()
        self._pipeline.set_state(self._gst.Gst.State.PLAYING)
        # A grey picture and a frame of silence make the caps known before any camera has answered. The picture is of
        # a size that no camera has, so that the encoder begins anew with the first real one: as a key frame after an
        # easy picture of its own size that one would have ten times the bytes.
        self._push_picture(b"\x80" * (_PRIMING_SIDE**2 * 3 // 2), _PRIMING_SIDE, _PRIMING_SIDE)
        for _ in range(4):
            self.sound(bytes(2 * SOUND_RATE_HZ // 50))

    def close(self) -> None:
        """Stop everything; blocks for a moment."""
        self._closed = True
        self._pacer.stop()
        self._wire.close()
        self._pipeline.set_state(self._gst.Gst.State.NULL)

    # what is sent

    def picture(self, i420: bytes, width: int, height: int) -> None:
        """A picture of the source; dropped when the allocation, the pacer or the frame rate have no room for it."""
        allocation = self._allocation
        if not self._open:
            self._held = (i420, width, height)
        if self._closed or not self._open or allocation.video_bps <= 0:
            return
        if self._pacer.backlog_s() > max(0.25, 1.5 / allocation.fps):
            return
        if self._thinning.takes(time.monotonic(), allocation.fps):
            self._push_picture(i420, width, height)

    def sound(self, pcm: bytes) -> None:
        """20 ms of sound."""
        if not self._closed:
            self._mic.emit("push-buffer", self._gst.Gst.Buffer.new_wrapped(pcm))

    def apply(self, allocation: Allocation) -> None:
        """Change rates, size and frame rate now. A new size costs a key frame."""
        thinner, self._allocation = allocation.feedback_ms != self._allocation.feedback_ms, allocation
        if thinner and self._probe_set:
            self._steer_rtcp()
        self._part("opus").set_property("bitrate", max(allocation.audio_bps, 6000))
        self._pacer.rate_bps = allocation.pace_bps
        if allocation.video_bps > 0:
            self._shape_video()
        elif not allocation.width or allocation.still_every_s:
            self._pacer.clear()  # a pause within a rung keeps what is queued: half a picture costs a key frame

    @property
    def bytes_sent(self) -> int:
        """IP bytes of everything but connectivity checks."""
        return self._wire.bytes_sent

    @property
    def heard_bps(self) -> float:
        """What the way from the doctor was seen to carry during the handshake, IP bits per second; 0 when unknown."""
        return self._wire.arriving.rate_bps

    @property
    def idle(self) -> bool:
        """Whether there is nothing left of which the doctor's browser could report."""
        return self._wire.idle

    def repairs_bps(self, now_s: float) -> float:
        """IP bits per second that were sent again lately: the picture has to do without."""
        return self._wire.repairs_bps(now_s)

    @property
    def aside_is_open(self) -> bool:
        """Whether something can be sent beside sound and picture."""
        states = self._gst.GstWebRTC.WebRTCDataChannelState
        return not self._closed and self._aside is not None and self._aside.get_property("ready-state") == states.OPEN

    @property
    def aside_waits(self) -> int:
        """Bytes given to the data channel that have not left."""
        return int(self._aside.get_property("buffered-amount")) if self._aside is not None else 0

    def send_aside(self, message: str | bytes) -> None:
        """Send a message of :mod:`edge.media.aside` to the doctor's page; dropped while the channel is not open."""
        if not self.aside_is_open:
            return
        if isinstance(message, str):
            self._aside.emit("send-string", message)
        else:
            self._aside.emit("send-data", self._gst.GLib.Bytes.new(message))

    def ask_doctor_for_key_frame(self) -> None:
        """The tablet's decoder needs a key frame of the doctor's picture."""
        self.video.request_key_frame()

    # signalling

    def try_offer(self) -> bool:
        """Make the offer when the pipeline knows its formats; True once it was asked for."""
        if self._offered or self._closed:
            return True
        pads = [pad for pad in self._web.sinkpads if pad.get_current_caps() is not None]
        if len(pads) < 2:
            return False
        self._offered = True
        self._steer_rtcp()
        promise = self._gst.Gst.Promise.new_with_change_func(self._on_offer_made, None)
        self._kept.append(promise)
        self._web.emit("create-offer", None, promise)
        return True

    def set_answer(self, sdp: str) -> None:
        """Take the doctor's answer. Raises ValueError when it is no SDP."""
        _, message = self._gst.GstSdp.SDPMessage.new_from_text(rtp.without_extras(sdp))
        if message is None or message.medias_len() < 2:
            raise ValueError("the answer is no session description for this call")
        answer = self._gst.GstWebRTC.WebRTCSessionDescription.new(self._gst.GstWebRTC.WebRTCSDPType.ANSWER, message)
        promise = self._gst.Gst.Promise.new()
        self._kept += [promise, answer, message]
        self._reads_red = rtp.takes(sdp, "audio", rtp.RED_PT)
        if self._video.kind is not self._better and rtp.takes(sdp, "video", rtp.H264_PT):
            self._take(self._better)
        self._web.emit("set-remote-description", answer, promise)

    def add_candidate(self, mline: int, candidate: str) -> None:
        """A candidate of the doctor's browser."""
        if rtp.usable_candidate(candidate):
            self._web.emit("add-ice-candidate", mline, candidate)

    # housekeeping, called by the owner's timer

    def poll(self) -> None:
        """Look at the bus and at what GStreamer has built meanwhile."""
        Gst = self._gst.Gst
        bus = self._pipeline.get_bus()
        while (message := bus.pop()) is not None:
            if message.type == Gst.MessageType.ERROR:
                self._note_error(message)
            elif message.type == Gst.MessageType.ELEMENT:
                with structure_of(message) as structure:
                    self.audio.note_level(structure)
        if self._offered and not self._probe_set:
            self._probe_feedback()

    def ask_stats(self) -> None:
        """Ask webrtcbin for its figures; ``rtt_s`` follows."""
        promise = self._gst.Gst.Promise.new_with_change_func(self._on_stats, None)
        self._kept = [*self._kept[-8:], promise]
        self._web.emit("get-stats", None, promise)

    # inside

    def _part(self, name: str) -> Any:
        return self._pipeline.get_by_name(name)

    def _wire_sending(self) -> None:
        Gst, GstWebRTC = self._gst.Gst, self._gst.GstWebRTC
        ssrc = self._packetizer.ssrc
        self._aout.set_property("caps", Gst.Caps.from_string(f"{_AUDIO_CAPS},ssrc=(uint){ssrc}"))
        requests = Gst.PadProbeType.EVENT_UPSTREAM
        self._vout.get_static_pad("src").add_probe(requests, self._on_key_frame_wanted)
        self._part("apkt").connect("new-sample", self._on_audio_frame)
        for source in (self._aout, self._vout):
            source.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self._on_way)
        template = self._web.get_pad_template("sink_%u")
        for source, retransmit in ((self._aout, False), (self._vout, True)):
            pad = self._web.request_pad(template, None, None)
            source.get_static_pad("src").link(pad)
            transceiver = pad.get_property("transceiver")
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDRECV)
            transceiver.set_property("do-nack", retransmit)

    def _note_error(self, message: Any) -> None:
        """An element failed. SCTP does when the doctor's page goes; sound and picture are not touched by that."""
        name, (error, _) = message.src.get_name(), message.parse_error()
        if name.startswith("sctp"):
            _LOG.info("the data channel is gone: %s", error.message)
            self._aside = None
        else:
            self._events.on_failure(f"{name}: {error.message}")

    def _open_aside(self) -> None:
        self._aside = self._web.emit("create-data-channel", aside.LABEL, None)
        if self._aside is not None:
            self._aside.connect("on-message-string", lambda _channel, text: self._events.on_aside(text or ""))
        else:
            _LOG.warning("webrtcbin makes no data channel: no stills, no marks")

    def _push_picture(self, i420: bytes, width: int, height: int) -> None:
        self.frames_sent += 1
        self._video.push(i420, width, height)

    def _shape_video(self) -> None:
        plan = self._allocation
        self._video.apply(plan.video_bps, plan.fps, plan.mtu_bytes, (plan.width, plan.height))

    def _take(self, kind: Kind) -> None:
        """Code by another encoder from now on. Before the first picture has left."""
        before, self._video = self._video, Chain(self._gst, self._pipeline, kind, self._on_video_packet)
        self._video.follow(before)
        before.drop()
        if self._allocation.video_bps > 0:
            self._shape_video()

    def _key_frame(self) -> None:
        self._key_frame_s = time.monotonic()
        self._video.key_frame()

    def _on_key_frame_wanted(self, _pad: object, info: Any) -> Any:
        """The doctor's browser cannot decode (RFC 4585 §6.3.1). It asks several times a round trip: one is enough.

        The encoder stands in another part of the pipeline, which the event does not reach by itself.
        """
        wait_s = self.rtt_s + _KEY_FRAME_SPACING_S
        if self._gst.GstVideo.video_event_is_force_key_unit(info.get_event()) and self._open:
            if time.monotonic() - self._key_frame_s > wait_s:
                self._key_frame()
            return self._gst.Gst.PadProbeReturn.DROP
        return self._gst.Gst.PadProbeReturn.OK

    def _on_way(self, _pad: object, _info: object) -> Any:
        """What only made the formats known stays here.

        A browser times pictures by their stamps: the one after a picture of the time before it would show when the
        difference has passed.
        """
        kinds = self._gst.Gst.PadProbeReturn
        return kinds.REMOVE if self._open else kinds.DROP

    def _on_video_packet(self, packet: Any, caps: Any) -> None:
        if self._vout.get_property("caps") is None:
            self._vout.set_property("caps", caps)
        self._pacer.put(packet, packet.get_size() + WIRE_OVERHEAD_BYTES)

    def _emit_video(self, packet: Any) -> None:
        if not self._closed:
            self._vout.emit("push-buffer", packet)

    def _on_audio_frame(self, sink: Any) -> Any:
        Gst = self._gst.Gst
        sample = sink.emit("pull-sample")
        if sample is None or self._closed or (self._primed and not self._open):
            return Gst.FlowReturn.OK
        self._primed = True
        buffer = sample.get_buffer()
        position = round(buffer.pts * rtp.OPUS_CLOCK_HZ / Gst.SECOND)
        plan, frame = self._allocation, bytes_of(buffer)
        frames = plan.audio_packet_ms // 60
        for packet in self._packetizer.packets(frame, position, red=plan.red and self._reads_red, frames=frames):
            out = Gst.Buffer.new_wrapped(packet)
            out.pts = buffer.pts
            self._aout.emit("push-buffer", out)
        return Gst.FlowReturn.OK

    def _on_offer_made(self, promise: Any, *_: object) -> None:
        reply = promise.get_reply()
        self._kept.append(reply)
        offer = reply.get_value("offer") if reply is not None else None
        if offer is None:
            self._events.on_failure("webrtcbin made no offer")
            return
        self._kept.append(offer)
        done = self._gst.Gst.Promise.new()
        self._kept.append(done)
        text = with_fingerprint(offer.sdp.as_text(), self._wire.identity.fingerprint)
        self._web.emit("set-local-description", offer, done)
        h264 = self._better is not VP8
        self._events.on_offer(rtp.steer_offer(text, audio_bps=16_000, video_as_kbps=400, h264=h264))

    def _on_candidate(self, _web: object, mline: int, candidate: str) -> None:
        if rtp.usable_candidate(candidate):
            self._events.on_candidate(mline, candidate)

    def _on_state(self, *_: object) -> None:
        states = self._gst.GstWebRTC
        ice = self._web.get_property("ice-connection-state")
        whole = self._web.get_property("connection-state")
        if ice == states.WebRTCICEConnectionState.FAILED or whole == states.WebRTCPeerConnectionState.FAILED:
            self._events.on_connection("failed")
        elif whole == states.WebRTCPeerConnectionState.CONNECTED:
            if not self._open:
                self._open = True
                self._wire.opened()
                self._repeat_h264()
                self.rtt_s = self.rtt_s or self._wire.handshake_s
                self._key_frame()
                held, self._held = self._held, None
                if held is not None:  # of this moment: sources go on while nothing is connected
                    self.picture(*held)
            self._events.on_connection("connected")

    def _on_pad(self, _web: object, pad: Any) -> None:
        Gst = self._gst.Gst
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps() or pad.query_caps(None)
        with structure_of(caps, 0) as structure:
            name = structure.get_string("encoding-name")
        receiver = self.audio if name == "OPUS" else self.video if name == "VP8" else None
        if receiver is None:
            _LOG.warning("the doctor's browser sends a format that was not offered")
            return
        branch = receiver.build(self._gst)
        self._pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def _repeat_h264(self) -> None:
        """webrtcbin negotiated VP8: tell what repeats lost packets that those of H.264 may be asked for, too."""
        if self._video.kind is VP8:
            return
        found = self._web.iterate_all_by_element_factory_name("rtprtxsend")
        while (step := found.next())[0] == self._gst.Gst.IteratorResult.OK:
            step[1].connect("notify::payload-type-map", self._on_formats)  # webrtcbin sets it again
            self._on_formats(step[1])

    def _on_formats(self, repeater: Any, *_: object) -> None:
        known = repeater.get_property("payload-type-map").to_string().rstrip(";")
        if f" {rtp.H264_PT}=" not in known:
            more = f"{known}, {rtp.H264_PT}=(uint){rtp.H264_RTX_PT};"
            repeater.set_property("payload-type-map", self._gst.Gst.Structure.new_from_string(more))

    def _steer_rtcp(self) -> None:
        session = self._web.get_by_name("rtpbin").emit("get-internal-session", 0)
        if session is not None:
            session.set_property("rtcp-min-interval", 1_500_000_000)
            session.set_property("twcc-feedback-interval", self._allocation.feedback_ms * 1_000_000)

    def _probe_feedback(self) -> None:
        element = self._web.get_by_name("rtpbin").emit("get-session", 0)
        pad = element.get_static_pad("send_rtp_sink") if element is not None else None
        if pad is not None:
            self._probe_set = True
            pad.add_probe(self._gst.Gst.PadProbeType.EVENT_UPSTREAM, self._on_upstream_event)
            self._repeated.watch(element)
            self._steer_rtcp()

    def _on_upstream_event(self, _pad: object, info: Any) -> Any:
        results = self._gst.Gst.PadProbeReturn
        with structure_of(info.get_event()) as structure:
            name = structure.get_name() if structure is not None else ""
            if name == "GstRTPRetransmissionRequest":
                plan = self._allocation
                allowed = self._wire.may_repair(
                    structure.get_value("seqnum"), plan.mtu_bytes, self.rtt_s, plan.video_bps
                )
                return results.OK if allowed else results.DROP
            if name == "RTPTWCCPackets":
                self._events.on_feedback(self._wire.fates(structure))
        return results.OK

    def _on_stats(self, promise: Any, *_: object) -> None:
        reply = promise.get_reply()
        if reply is None:
            return
        relayed = False
        for index in range(reply.n_fields()):
            entry = reply.get_value(reply.nth_field_name(index))
            if not hasattr(entry, "get_name"):
                continue
            rtt_s = entry.get_value("round-trip-time") if entry.has_field("round-trip-time") else None
            if rtt_s:
                self.rtt_s = float(rtt_s)
            # Of candidates only those of the pair in use are listed.
            if entry.has_field("candidate-type") and entry.get_string("candidate-type") == "relay":
                relayed = True
        self.relayed = relayed

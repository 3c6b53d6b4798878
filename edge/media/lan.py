"""The LAN leg of a call: aiortc between the node and the tablets beside the patient.

The doctor's frames are passed on as they came, without transcoding; a tablet's camera and
microphone are decoded for the WAN leg when the call's camera is ``tablet``. Runs in the event
loop of the call process; knows no GStreamer and no signalling.
"""

import asyncio
import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from edge.media.capture import SOUND_FRAME_BYTES, SOUND_FRAME_SAMPLES, SOUND_RATE_HZ, TabletSource, fitted_i420

_LOG = logging.getLogger(__name__)
_AUDIO_BASE = Fraction(1, 48_000)
_VIDEO_BASE = Fraction(1, 1_000_000_000)
_QUEUED_FRAMES = 30
MOST_TABLETS = 4


def preload() -> None:
    """Import the libraries of a leg: half a second that nobody should wait for. Blocking."""
    import aiortc
    import av

    _LOG.debug("aiortc %s, PyAV %s", aiortc.__version__, av.__version__)


class LanLegs:
    """All tablets of a call; each has one leg, which a new offer of the same tablet replaces."""

    def __init__(self, ask_key_frame: Callable[[], None]) -> None:
        self.camera: TabletSource | None = None
        """Takes the tablets' pictures and sound; None while they are not wanted."""
        self._ask_key_frame = ask_key_frame
        self._legs: dict[str, _Leg] = {}

    async def answer(self, tablet: str, sdp: str) -> str:
        """Answer a tablet's offer (all candidates inside both). Raises ValueError when it cannot be used."""
        _mend_ice()
        old = self._legs.pop(tablet, None)
        if old is not None:
            await old.close()
        while len(self._legs) >= MOST_TABLETS:
            await self._legs.pop(next(iter(self._legs))).close()
        leg = _Leg(self.camera, self._ask_key_frame)
        self._legs[tablet] = leg
        try:
            return await leg.answer(sdp)
        except Exception as error:
            self._legs.pop(tablet, None)
            await leg.close()
            raise ValueError(f"the tablet's offer cannot be used: {type(error).__name__}") from error

    def doctor_audio(self, frame: bytes, position: int) -> None:
        """An Opus frame of the doctor; ``position`` is its RTP timestamp."""
        for leg in self._legs.values():
            leg.audio.put(frame, position, _AUDIO_BASE)

    def doctor_video(self, frame: bytes, pts_ns: int, key: bool) -> None:
        """A VP8 frame of the doctor."""
        for leg in self._legs.values():
            leg.video.put_video(frame, pts_ns, key)

    def state(self) -> str:
        """The best state of all legs; empty when no tablet has called."""
        states = [leg.state for leg in self._legs.values()]
        return next(
            (state for state in ("connected", "connecting", "new") if state in states), states[0] if states else ""
        )

    async def close(self) -> None:
        """Close all legs."""
        legs, self._legs = list(self._legs.values()), {}
        for leg in legs:
            await leg.close()


def _mend_ice() -> None:
    """aioice gives up a consent check after 0.5 s and does not repeat it; a busy tablet may take longer."""
    import aioice.stun

    aioice.stun.RETRY_RTO = 2.0


def _passing_track(kind_of_track: str) -> Any:
    """A track of encoded frames. Made inside, so that aiortc is imported only by a process with a call."""
    import av
    from aiortc import MediaStreamTrack

    class PassingTrack(MediaStreamTrack):  # type: ignore[misc]
        kind = kind_of_track

        def __init__(self) -> None:
            super().__init__()
            self._frames: asyncio.Queue[Any] = asyncio.Queue(_QUEUED_FRAMES)
            self.needs_key = True
            self.on_gap: Callable[[], None] = lambda: None
            """Called when pictures had to be thrown away: the next one that can be shown is a key frame."""

        def forget(self) -> None:
            """Throw away what waits."""
            while not self._frames.empty():
                self._frames.get_nowait()
            self.needs_key = True

        def put(self, frame: bytes, pts: int, base: Fraction) -> None:
            packet = av.Packet(frame)
            packet.pts, packet.time_base = pts, base
            if self._frames.full():
                self._frames.get_nowait()
            self._frames.put_nowait(packet)

        def put_video(self, frame: bytes, pts_ns: int, key: bool) -> None:
            if self._frames.full():
                self.forget()
                self.on_gap()
            if key:
                self.needs_key = False
            if not self.needs_key:
                self.put(frame, pts_ns, _VIDEO_BASE)

        async def recv(self) -> Any:
            return await self._frames.get()

    return PassingTrack()


class _Leg:
    """One tablet's peer connection."""

    def __init__(self, camera: TabletSource | None, ask_key_frame: Callable[[], None]) -> None:
        from aiortc import RTCConfiguration, RTCPeerConnection

        # Without a list of its own, aiortc asks a public STUN server: its name is looked up outside, for seconds.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._camera = camera
        self._ask_key_frame = ask_key_frame
        self._pulling: list[asyncio.Task[None]] = []
        self.audio = _passing_track("audio")
        self.video = _passing_track("video")
        self.video.on_gap = self._want_key_frame_when_connected
        self._pc.on("track", self._on_track)
        self._pc.on("connectionstatechange", self._on_state)

    @property
    def state(self) -> str:
        return str(self._pc.connectionState)

    async def answer(self, sdp: str) -> str:
        from aiortc import RTCRtpSender, RTCSessionDescription

        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        for transceiver in self._pc.getTransceivers():
            # What the doctor's browser sends is what we pass on: no other format may be agreed on.
            wanted = "audio/opus" if transceiver.kind == "audio" else "video/VP8"
            codecs = RTCRtpSender.getCapabilities(transceiver.kind).codecs
            transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in (wanted, "video/rtx")])
        sender = self._pc.addTrack(self.audio)
        sender = self._pc.addTrack(self.video)
        self._hook_key_frames(sender)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        self._want_key_frame()
        return str(self._pc.localDescription.sdp)

    async def close(self) -> None:
        for task in self._pulling:
            task.cancel()
        await self._pc.close()

    def _hook_key_frames(self, sender: Any) -> None:
        """A tablet's picture-loss indication goes to the doctor's browser: there is no encoder here to ask."""
        sender._send_keyframe = self._want_key_frame

    def _want_key_frame(self) -> None:
        self._ask_key_frame()

    def _want_key_frame_when_connected(self) -> None:
        if self.state == "connected":
            self._want_key_frame()

    def _on_state(self) -> None:
        """What came while the tablet was still connecting is stale, and its key frame may be gone: begin afresh."""
        if self.state == "connected":
            self.audio.forget()
            self.video.forget()
            self._want_key_frame()

    def _on_track(self, track: Any) -> None:
        if self._camera is None:
            return
        pull = self._pull_sound if track.kind == "audio" else self._pull_picture
        self._pulling.append(asyncio.ensure_future(pull(track, self._camera)))

    async def _pull_picture(self, track: Any, camera: TabletSource) -> None:
        from aiortc.mediastreams import MediaStreamError

        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if camera.wants_picture():
                camera.picture(*await loop.run_in_executor(None, fitted_i420, frame))

    async def _pull_sound(self, track: Any, camera: TabletSource) -> None:
        import av
        from aiortc.mediastreams import MediaStreamError

        resampler = av.AudioResampler("s16", "mono", SOUND_RATE_HZ, SOUND_FRAME_SAMPLES)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            for piece in resampler.resample(frame):
                camera.sound(bytes(piece.planes[0])[:SOUND_FRAME_BYTES])

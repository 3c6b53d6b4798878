"""What keeps a call process steady while its leg to the doctor is exchanged.

A leg's callbacks come from foreign threads and may arrive after it was replaced; the source runs on
and hands its pictures to whatever leg there is. Knows no signalling and no rates.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from edge.media.estimate import PacketFeedback
from edge.media.wan import WanLeg


class Owner(Protocol):
    """Hears of its present leg, on its own event loop."""

    def say_offer(self, sdp: str) -> None: ...
    def say_candidate(self, mline: int, candidate: str) -> None: ...
    def note_connection(self, state: str) -> None: ...
    def note_feedback(self, packets: list[PacketFeedback]) -> None: ...
    def pass_audio(self, frame: bytes, position: int) -> None: ...
    def pass_video(self, frame: bytes, pts_ns: int, key: bool) -> None: ...
    def hear_aside(self, text: str) -> None: ...
    def note_failure(self, what: str) -> None: ...


class LegEvents:
    """The :class:`edge.media.wan.WanEvents` of one leg. What an exchanged leg still says is dropped."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, present: Callable[[], WanLeg | None]) -> None:
        self._owner = owner
        self._loop = loop
        self._present = present
        self.leg: WanLeg | None = None
        """Whose events these are."""

    def on_offer(self, sdp: str) -> None:
        self._bridge(self._owner.say_offer, sdp)

    def on_candidate(self, mline: int, candidate: str) -> None:
        self._bridge(self._owner.say_candidate, mline, candidate)

    def on_connection(self, state: str) -> None:
        self._bridge(self._owner.note_connection, state)

    def on_feedback(self, packets: list[PacketFeedback]) -> None:
        self._bridge(self._owner.note_feedback, packets)

    def on_doctor_audio(self, frame: bytes, position: int) -> None:
        self._bridge(self._owner.pass_audio, frame, position)

    def on_doctor_video(self, frame: bytes, pts_ns: int, key: bool) -> None:
        self._bridge(self._owner.pass_video, frame, pts_ns, key)

    def on_aside(self, text: str) -> None:
        self._bridge(self._owner.hear_aside, text)

    def on_failure(self, what: str) -> None:
        self._bridge(self._owner.note_failure, what)

    def _bridge(self, call: Callable[..., None], *arguments: object) -> None:
        def deliver() -> None:
            if self.leg is not None and self.leg is self._present():
                call(*arguments)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(deliver)


class Outlet:
    """Where the source's pictures and sound go: a :class:`edge.media.capture.Sink` whose leg can be exchanged."""

    def __init__(self) -> None:
        self.leg: WanLeg | None = None
        self.last: tuple[bytes, int, int, float] | None = None
        """The latest picture, its width and height, and when it came (monotonic)."""

    def picture(self, i420: bytes, width: int, height: int) -> None:
        """A picture of the source."""
        self.last = (i420, width, height, time.monotonic())
        leg = self.leg
        if leg is not None:
            leg.picture(i420, width, height)

    def sound(self, pcm: bytes) -> None:
        """20 ms of sound."""
        leg = self.leg
        if leg is not None:
            leg.sound(pcm)


class Carried(Struct, frozen=True):
    """What legs to the doctor have carried, summed up."""

    frames_sent: int = 0
    frames: int = 0
    audio_s: float = 0.0
    video_s: float = 0.0
    concealed_s: float = 0.0

    def plus(self, leg: WanLeg) -> "Carried":
        """With what this leg has carried so far."""
        return Carried(
            self.frames_sent + leg.frames_sent,
            self.frames + leg.video.frames,
            self.audio_s + leg.audio.heard_s,
            self.video_s + leg.video.video_s,
            self.concealed_s + leg.audio.lost_s,
        )


def own_address() -> str:
    """From which address this machine would reach the world now; empty when it could not. Sends nothing."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
    return ""

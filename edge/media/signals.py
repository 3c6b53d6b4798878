"""What the two ends of a call say to each other while they set it up, and to their call process.

Signals travel doctor's page ↔ hub (JSON on a WebSocket) ↔ node (msgpack in class 0 of the sync
link). The node's call process speaks JSON lines on stdin and stdout. This module is data,
and what the node signs of an offer.
"""

import re
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from edge.media.aside import Drew
from edge.model.errors import Refusal
from edge.model.ids import Id
from edge.model.media import Purpose
from edge.model.records import Mode, ShortText

Sdp = Annotated[str, Meta(max_length=20_000)]
_CAMERA = re.compile(r"test|tablet|file:.+|v4l2:/dev/video\d{1,3}")


def is_camera(source: str) -> bool:
    """Whether this is written as a source of picture and sound; not, whether it is there."""
    return _CAMERA.fullmatch(source) is not None


ENCODERS = ("vp8", "v4l2h264", "openh264")
"""Of the picture, by name (:mod:`edge.media.encoder`)."""
Attempt = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Counts restarts of the media within one call."""
Mline = Annotated[int, Meta(ge=0, le=63)]
"""Index of a media section in the session description."""
Seconds = Annotated[float, Meta(ge=0, le=1e6)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]

# Between the doctor's page, the hub and the node.


class Ring(Struct, frozen=True, tag="ring"):
    """Doctor → node: I am calling for this visit. Sent again (same call) after a reload.

    Node → hub: does this call go on? Asked every few seconds while it carries no media; answered by a Bye when it is
    over, and by nothing while it is not.
    """

    call_id: Id
    visit_id: Id
    doctor_id: ShortText = ""
    doctor_name: ShortText = ""
    ice_servers: tuple["IceServer", ...] = ()
    """Filled in by the hub."""


class IceServer(Struct, frozen=True):
    """As in RTCConfiguration (W3C WebRTC §4.2.4), credentials short-lived."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class Accept(Struct, frozen=True, tag="accept"):
    """Node → doctor: somebody at the node took the call."""

    call_id: Id
    by: ShortText = ""


class Offer(Struct, frozen=True, tag="offer"):
    """Node → doctor. The node always offers, so that its SDP steers the doctor's browser.

    ``attempt`` counts restarts of the media within one call; an answer names the attempt.
    """

    call_id: Id
    sdp: Sdp
    attempt: Attempt = 0
    fingerprint_signature: bytes = b""
    """Ed25519 by the node's device key over "upk1 dtls" ‖ call_id ‖ fingerprint line; checked by the hub."""


def fingerprint_tbs(call_id: str, sdp: str) -> bytes | None:
    """What the node's device key signs of an offer: "upk1 dtls" ‖ call id ‖ the ``a=fingerprint`` line (RFC 8122 §5).

    None when the description has no such line, or lines that differ.
    """
    lines = {line.strip() for line in sdp.splitlines() if line.startswith("a=fingerprint:")}
    return b"upk1 dtls" + call_id.encode() + lines.pop().encode() if len(lines) == 1 else None


class Answer(Struct, frozen=True, tag="answer"):
    call_id: Id
    sdp: Sdp
    attempt: Attempt = 0


class Candidate(Struct, frozen=True, tag="candidate"):
    """Trickled ICE candidate, either way. An empty candidate ends the gathering."""

    call_id: Id
    candidate: Annotated[str, Meta(max_length=600)]
    mline: Mline = 0
    attempt: Attempt = 0


class Bye(Struct, frozen=True, tag="bye"):
    """Either way: the call is over, or was not taken."""

    call_id: Id
    reason: ShortText
    """hangup, declined, busy, no_answer, failed, no_camera."""


class Report(Struct, frozen=True, tag="report"):
    """Doctor → hub: what the doctor's browser received so far (cumulative, every 5 s and at the end)."""

    call_id: Id
    video_s: Seconds
    audio_s: Seconds
    concealed_s: Seconds
    frames: Count
    freezes: Count = 0
    freeze_s: Seconds = 0.0
    mode: Mode = Mode.AUDIO


Signal: TypeAlias = Ring | Accept | Offer | Answer | Candidate | Bye | Report

# Between the node and its call process (one process a call), JSON lines.


class StartCall(Struct, frozen=True, tag="start_call"):
    """First line to the process."""

    call_id: Id
    camera: str
    """``test``, ``file:PATH``, ``v4l2:/dev/videoN`` or ``tablet``."""
    ice_servers: tuple[IceServer, ...] = ()
    attempt: Attempt = 0
    start_bps: int = 0
    """Where the estimate begins: what an earlier attempt of this call came to, with some caution; 0 when unknown."""
    held: bool = False
    """Make the offer, but open camera and microphone only when :class:`GoOn` says that the call was taken."""
    link_down: bool = False
    """With ``held``: make the offer, too, only then; what it would gather now, no relay would answer."""
    encoder: str = "vp8"
    """Of :data:`ENCODERS`: what codes the picture, if it codes here and the doctor's browser takes it."""


class GoOn(Struct, frozen=True, tag="go_on"):
    """Node → process: somebody took the call that was held, or its link is back."""

    start_bps: int = 0
    """Where the estimate begins, if that is known better now than when the process was started; else 0."""


class RenewCall(Struct, frozen=True, tag="renew_call"):
    """Node → process: make a new offer, from where this machine and the relay are now; camera and tablets stay."""

    attempt: Attempt
    ice_servers: tuple[IceServer, ...] = ()
    start_bps: int = 0


class LanOffer(Struct, frozen=True, tag="lan_offer"):
    """The tablet's offer for the LAN leg. Answered by :class:`LanAnswer`. May come again after a reload."""

    sdp: Sdp
    tablet: ShortText = ""
    number: int = 0
    """Counts the offers of all tablets; the answer names it."""


class LanAnswer(Struct, frozen=True, tag="lan_answer"):
    sdp: Sdp
    tablet: ShortText = ""
    number: int = 0


class EndCall(Struct, frozen=True, tag="end_call"):
    """Node → process: finish, send :class:`CallEnded`, exit within 2 s."""

    reason: ShortText = "hangup"


class CallStats(Struct, frozen=True, tag="call_stats"):
    """Process → node, once a second, cumulative over the process."""

    state: ShortText
    """connecting, connected, disconnected (it may come back), failed (only a new offer helps)."""
    rung: ShortText
    """Name of the ladder's rung: video-480p … audio, none."""
    why: ShortText
    """One honest clause: what the link carries and why (a Fluent message id)."""
    send_bps: int
    recv_bps: int
    estimate_bps: int
    rtt_ms: int
    loss_pct: float
    video_frames_sent: int
    video_frames_received: int
    audio_s: float
    """Seconds of the doctor's sound received."""
    video_s: float
    concealed_s: float
    lan_state: ShortText = ""
    audio_level_db: float = -100.0
    """How loud the doctor is heard: RMS in dBFS of the last second."""
    attempt: Attempt = 0
    """Of which attempt ``state`` speaks."""
    notes: bool = False
    """The link carries no sound worth the name: a voice note in the case serves better."""
    relayed: bool = False
    """The way leads through a TURN server."""


class SharpAsked(Struct, frozen=True, tag="sharp_asked"):
    """Process → node: the doctor wants a sharp picture, of a tablet's camera."""

    still_id: Id


class SharpTaken(Struct, frozen=True, tag="sharp_taken"):
    """Process → node: a piece of a sharp picture, or of its preview, that the node's own camera took."""

    still_id: Id
    purpose: Purpose
    size_bytes: int
    offset: int
    data: bytes
    """At most 128 KiB."""


class CallEnded(Struct, frozen=True, tag="call_ended"):
    """Process → node, last line."""

    reason: ShortText
    stats: CallStats | None = None


class CallError(Struct, frozen=True, tag="call_error"):
    """Process → node: a line could not be understood, or a part failed. The call goes on."""

    refusal: Refusal


ToCall: TypeAlias = StartCall | GoOn | RenewCall | LanOffer | Answer | Candidate | Drew | EndCall
FromCall: TypeAlias = Offer | Candidate | LanAnswer | CallStats | SharpAsked | SharpTaken | Drew | CallError | CallEnded

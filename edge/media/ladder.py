"""Which picture and which sound a rate carries: pure, from the rules file that JavaScript shares.

Audio first; down at once; up slowly, and more slowly after each climb that did not hold. May not
know a clock, a codec or a network: rates come from the estimator, time is an argument.
"""

from importlib.resources import files

import msgspec
from msgspec import Struct


class Rung(Struct, frozen=True):
    """One step of the ladder; a row of ``data/ladder.json``."""

    name: str
    at_bps: int
    """Total IP rate from which this rung can be held."""
    width: int
    height: int
    """Box the picture is fitted into; 0 for no picture."""
    fps: float
    audio_bps: int
    """Opus bit rate."""
    red: bool
    """Whether each sound packet repeats the one before (RFC 2198)."""
    video_min_bps: int
    video_max_bps: int
    mtu_bytes: int


class Rules(Struct, frozen=True):
    """The whole rules file."""

    version: int
    reserve_bps: int
    """Kept free for RTCP and signalling."""
    packet_overhead_bytes: int
    """IP, UDP, RTP with extension and SRTP tag of one packet."""
    audio_packet_ms: int
    up_hold_s: float
    """The estimate must carry the higher rung for this long before we climb."""
    up_hold_max_s: float
    up_margin: float
    rungs: tuple[Rung, ...]
    """From the lowest to the highest."""


class Allocation(Struct, frozen=True):
    """What the encoder is to do now."""

    rung: str
    width: int
    height: int
    fps: float
    video_bps: int
    """Target of the video encoder, payload bits; 0 for no picture."""
    audio_bps: int
    red: bool
    mtu_bytes: int
    why: str
    """Fluent message id: what the link carries and why."""


def load_rules() -> Rules:
    """The rules shipped with the release."""
    return msgspec.json.decode(files("edge.media").joinpath("data/ladder.json").read_bytes(), type=Rules)


def audio_wire_bps(rules: Rules, rung: Rung) -> int:
    """IP bits per second of the sound of a rung, packet overhead and repetition counted."""
    packets = 1000 / rules.audio_packet_ms
    payload_bps = rung.audio_bps * (2 if rung.red else 1)
    return int(payload_bps + packets * 8 * (rules.packet_overhead_bytes + (5 if rung.red else 0)))


def video_payload_bps(rules: Rules, rung: Rung, total_bps: float) -> int:
    """What is left for the video encoder of ``total_bps``, within the rung's limits; 0 for a rung without picture."""
    if rung.video_max_bps == 0:
        return 0
    wire_bps = total_bps - rules.reserve_bps - audio_wire_bps(rules, rung)
    full_packets_bps = wire_bps * (1 - rules.packet_overhead_bytes / (rung.mtu_bytes + rules.packet_overhead_bytes))
    small_packets_bps = wire_bps - rung.fps * rules.packet_overhead_bytes * 8
    return int(min(max(min(full_packets_bps, small_packets_bps), rung.video_min_bps), rung.video_max_bps))


BULK_FLOOR_BPS = 4_000


def bulk_bps(estimate_bps: float, call_bps: float) -> int:
    """What photos and other bulk of the sync link may take beside a call, IP bits per second.

    At most half of what the estimate leaves above what the call sends, so that the call can still climb; in coarse
    steps, since each change costs a message; never nothing, for the doctor may have asked for a picture.
    """
    spare_bps, step_bps = (estimate_bps - call_bps) / 2, BULK_FLOOR_BPS
    while step_bps * 1.5 <= spare_bps:
        step_bps = int(step_bps * 1.5)
    return step_bps


class Ladder:
    """Remembers the rung and decides when to leave it. One per direction of a call."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._place = 0
        self._begun = False
        self._good_since_s: float | None = None
        self._climbed_s = float("-inf")
        self._hold_s = rules.up_hold_s

    def allocate(self, total_bps: float, now_s: float) -> Allocation:
        """The allocation for an estimated total rate; called a few times a second."""
        rules = self._rules
        fitting = max((i for i, rung in enumerate(rules.rungs) if rung.at_bps <= total_bps), default=0)
        if not self._begun:
            self._begun, self._place = True, fitting
        elif fitting < self._place:
            if now_s - self._climbed_s < 2 * self._hold_s:
                self._hold_s = min(self._hold_s * 2, rules.up_hold_max_s)
            self._place, self._good_since_s = fitting, None
        else:
            self._climb(total_bps, now_s)
        rung = rules.rungs[self._place]
        return Allocation(
            rung=rung.name,
            width=rung.width,
            height=rung.height,
            fps=rung.fps,
            video_bps=video_payload_bps(rules, rung, total_bps),
            audio_bps=rung.audio_bps,
            red=rung.red,
            mtu_bytes=rung.mtu_bytes,
            why=self._why(rung),
        )

    def _climb(self, total_bps: float, now_s: float) -> None:
        rungs = self._rules.rungs
        if self._place + 1 >= len(rungs) or total_bps < rungs[self._place + 1].at_bps * self._rules.up_margin:
            self._good_since_s = None
            if now_s - self._climbed_s > 60:
                self._hold_s = self._rules.up_hold_s
            return
        if self._good_since_s is None:
            self._good_since_s = now_s
        # Far more room than the next rung needs: no reason to wait for all of the hold.
        ample = total_bps > rungs[self._place + 1].at_bps * 1.6
        if now_s - self._good_since_s >= (self._hold_s / 4 if ample else self._hold_s):
            self._place += 1
            self._climbed_s = now_s
            self._good_since_s = None

    def _why(self, rung: Rung) -> str:
        if rung is self._rules.rungs[-1]:
            return "call-why-full"
        if rung.video_max_bps == 0:
            return "call-why-audio-only"
        return "call-why-link-rate"

"""Which picture and which sound a rate carries: pure, from the rules file that JavaScript shares.

Audio first; down at once; up slowly, and more slowly after each climb that did not hold. May not
know a clock, a codec or a network: rates come from the estimator, time is an argument. Its twin
is ``edge/ui/call/ladder.js``; both obey ``tests/vectors/ladder.json``.
"""

import math
from pathlib import Path

import msgspec
from msgspec import Struct

RULES_FILE = Path(__file__).parents[1] / "ui" / "call" / "ladder.json"
"""Among the pages, where browsers can fetch it too."""
_SLOWEST_PACE_BPS = 4_000
_PACE_ROOM = 1.3
"""Pictures differ in size: packets may leave this much faster than the mean."""
_LEAST_VIDEO_BPS = 2_000
"""Less than this makes no picture."""


class Rung(Struct, frozen=True):
    """One step of the ladder; a row of the rules file."""

    name: str
    at_bps: int
    """Total IP rate from which this rung can be held."""
    width: int
    height: int
    """Box the picture is fitted into; 0 for no picture."""
    fps_min: int
    fps_max: int
    audio_bps: int
    """Opus bit rate."""
    packet_ms: int
    """Sound in one packet without repetition: 60, or 120 where the packets' headers weigh too much."""
    red_packet_ms: int
    """The same where each packet repeats the one before (RFC 2198); 0: never repeated on this rung."""
    stills: bool
    """A still now and then instead of a moving picture."""
    video_min_bps: int
    video_max_bps: int
    """Payload."""
    mtu_bytes: int
    feedback_bps: int
    """Kept free for RTCP about what the other side sends: without it that side goes blind."""
    feedback_ms: int
    """How often that feedback may be sent within its budget."""


class Rules(Struct, frozen=True):
    """The whole rules file."""

    version: int
    packet_overhead_bytes: int
    """IP, UDP, RTP with extension and SRTP tag of one packet."""
    red_overhead_bytes: int
    up_hold_s: float
    """The estimate must carry the higher rung for this long before we climb."""
    up_hold_max_s: float
    up_margin: float
    red_on_loss: float
    """Share of packets lost for good from which sound is repeated."""
    red_off_loss: float
    sync_share: float
    """Of the total, left for photos and the like whatever the call wants."""
    sync_min_bps: int
    sync_max_bps: int
    still_min_bytes: int
    still_max_bytes: int
    still_every_s: float
    still_every_max_s: float
    notes_below_bps: int
    """Below this for :attr:`notes_after_s` a voice note in the visit's case serves better than the call."""
    notes_after_s: float
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
    audio_packet_ms: int = 60
    still_every_s: float = 0.0
    """Send a still this often; 0 for none."""
    still_bytes: int = 0
    """Size of one still at most."""
    pace_bps: int = 0
    """Video packets leave at this IP rate at most."""
    feedback_ms: int = 200
    sync_bps: int = 0
    """Left for sync beside the call, IP bits per second; urgent entries (class 0 and 1) are not held to it."""
    notes: bool = False
    """The link has not carried sound for a while: offer a voice note."""


def load_rules() -> Rules:
    """The rules shipped with the release."""
    return msgspec.json.decode(RULES_FILE.read_bytes(), type=Rules)


def audio_wire_bps(rules: Rules, rung: Rung, *, red: bool | None = None) -> int:
    """IP bits per second of the sound of a rung, packet overhead and repetition counted; ``red`` None: as the rung may.

    Speech without a pause: with discontinuous transmission it is less.
    """
    red = rung.red_packet_ms > 0 if red is None else red
    packets = 1000 / (rung.red_packet_ms if red else rung.packet_ms)
    payload_bps = rung.audio_bps * (2 if red else 1)
    return int(payload_bps + packets * 8 * (rules.packet_overhead_bytes + (rules.red_overhead_bytes if red else 0)))


def sync_bps(rules: Rules, total_bps: float) -> int:
    """What the call leaves for sync of every total."""
    return int(min(max(total_bps * rules.sync_share, rules.sync_min_bps), rules.sync_max_bps))


def video_payload_bps(rules: Rules, rung: Rung, total_bps: float, *, red: bool | None = None) -> int:
    """What is left for the video encoder of ``total_bps``, within the rung's limit; 0 for no picture now."""
    if rung.video_max_bps == 0:
        return 0
    wire_bps = _left_bps(rules, rung, total_bps, red)
    full_packets_bps = wire_bps * (1 - rules.packet_overhead_bytes / (rung.mtu_bytes + rules.packet_overhead_bytes))
    small_packets_bps = wire_bps - rung.fps_min * rules.packet_overhead_bytes * 8
    payload_bps = min(full_packets_bps, small_packets_bps)
    fps = _fps(rung, payload_bps)
    payload_bps = min(full_packets_bps, wire_bps - fps * rules.packet_overhead_bytes * 8, rung.video_max_bps)
    return int(payload_bps) if payload_bps >= _LEAST_VIDEO_BPS else 0


def _left_bps(rules: Rules, rung: Rung, total_bps: float, red: bool | None) -> float:
    return total_bps - rung.feedback_bps - sync_bps(rules, total_bps) - audio_wire_bps(rules, rung, red=red)


def _fps(rung: Rung, payload_bps: float) -> int:
    """More frames the more there is to spend, all of them at half of the rung's range."""
    if payload_bps < rung.video_min_bps:
        return max(math.floor(rung.fps_min * payload_bps / rung.video_min_bps), 1)
    span_bps = max((rung.video_max_bps - rung.video_min_bps) / 2, 1)
    share = min(max((payload_bps - rung.video_min_bps) / span_bps, 0.0), 1.0)
    return rung.fps_min + math.floor((rung.fps_max - rung.fps_min) * share + 0.5)


BULK_FLOOR_BPS = 500


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
        self._red = True
        self._good_since_s: float | None = None
        self._thin_since_s: float | None = None
        self._climbed_s = float("-inf")
        self._hold_s = rules.up_hold_s

    def allocate(
        self, total_bps: float, now_s: float, loss: float | None = None, sustained_bps: float = 0.0
    ) -> Allocation:
        """The allocation for an estimated total rate; called a few times a second.

        ``loss`` is the share of packets that the line itself loses; None: not known, sound is repeated where the rung
        may. ``sustained_bps`` is what the link carries apart from a queue that is being drained: for so short a time
        the picture gets poorer, not another size. A rate that is no number counts as none.
        """
        rules = self._rules
        total_bps = _sane(total_bps)
        sustained_bps = max(_sane(sustained_bps), total_bps)
        fitting = max((i for i, rung in enumerate(rules.rungs) if rung.at_bps <= sustained_bps), default=0)
        if not self._begun:
            self._begun, self._place = True, fitting
        elif fitting < self._place:
            if now_s - self._climbed_s < 2 * self._hold_s:
                self._hold_s = min(self._hold_s * 2, rules.up_hold_max_s)
                self._climbed_s = float("-inf")  # one fall is blamed on it, not each step of the fall
            self._place, self._good_since_s = fitting, None
        else:
            self._climb(total_bps, now_s)
        if loss is not None and math.isfinite(loss):
            self._red = loss >= (rules.red_off_loss if self._red else rules.red_on_loss)
        if total_bps >= rules.notes_below_bps:
            self._thin_since_s = None
        elif self._thin_since_s is None:
            self._thin_since_s = now_s
        return self._allocation(rules.rungs[self._place], total_bps, now_s)

    def _allocation(self, rung: Rung, total_bps: float, now_s: float) -> Allocation:
        rules, red = self._rules, self._red and rung.red_packet_ms > 0
        left_bps = _left_bps(rules, rung, total_bps, red)
        video_bps = video_payload_bps(rules, rung, total_bps, red=red)
        every_s, still_bytes = self._still(rung, total_bps, red=red)
        thin = self._thin_since_s is not None and now_s - self._thin_since_s >= rules.notes_after_s
        return Allocation(
            rung=rung.name,
            width=rung.width,
            height=rung.height,
            fps=_fps(rung, video_bps) if video_bps else 0,
            video_bps=video_bps,
            audio_bps=rung.audio_bps,
            red=red,
            mtu_bytes=rung.mtu_bytes,
            why=self._why(rung),
            audio_packet_ms=rung.red_packet_ms if red else rung.packet_ms,
            still_every_s=every_s,
            still_bytes=still_bytes,
            pace_bps=int(max(left_bps * (1.0 if rung.stills else _PACE_ROOM), _SLOWEST_PACE_BPS)),
            feedback_ms=rung.feedback_ms,
            sync_bps=sync_bps(rules, total_bps),
            notes=thin,
        )

    def _still(self, rung: Rung, total_bps: float, *, red: bool) -> tuple[float, int]:
        """How often, and how large: rather a poor still in time than a good one late."""
        rules = self._rules
        if not rung.stills:
            return 0.0, 0
        # The data channel costs a fifth of what it carries: DTLS (RFC 6347), SCTP (RFC 9260), acknowledgements.
        left_bps = max(_left_bps(rules, rung, total_bps, red), 1.0) * 0.8
        every_s = min(max(rules.still_min_bytes * 8 / left_bps, rules.still_every_s), rules.still_every_max_s)
        return math.floor(every_s * 10 + 0.5) / 10, int(
            min(max(left_bps * every_s / 8, rules.still_min_bytes), rules.still_max_bytes)
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
        # Far more room than the next rung needs, or no picture that moves: no reason to wait for all of the hold.
        above = rungs[self._place + 1]
        ample = total_bps > above.at_bps * 1.6 or above.video_max_bps == 0
        if now_s - self._good_since_s >= (self._hold_s / 4 if ample else self._hold_s):
            self._place += 1
            self._climbed_s = now_s
            self._good_since_s = None

    def _why(self, rung: Rung) -> str:
        if rung is self._rules.rungs[-1]:
            return "call-why-full"
        if rung.video_max_bps == 0:
            return "call-why-stills" if rung.stills else "call-why-audio-only"
        return "call-why-link-rate"


def _sane(rate_bps: float) -> float:
    return rate_bps if math.isfinite(rate_bps) and rate_bps > 0 else 0.0

"""A simulated call over one :class:`tests.media.families.Scene`, and its score. Pure; no clock, no network.

The sender makes sound, pictures or stills as the ladder says, paces them, and learns what became of
its packets from feedback that travels back beside the other side's sound. The real estimator, ladder
and pace do the work; a peer may take the estimator's place.
"""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

from msgspec import Struct

from edge.media.estimate import Estimator, PacketFeedback
from edge.media.ladder import Ladder, Rules, load_rules
from edge.media.pacer import Pace
from edge.media.repairs import Repairs
from tests.media.bottleneck import STEP_S, Packet, Way
from tests.media.cubic import CubicFlow
from tests.media.families import Scene

CLOCK_OFFSET_S = 5_000.0
"""The receiver's clock has nothing to do with the sender's."""
LATE_S = 0.4
"""Sound that waits longer than this behind the queue came too late: a jitter buffer's usual room."""
RTCP_BYTES = 130
"""Of each interval of feedback, sender reports and answers to connectivity checks shared out; as real calls have it."""
RESEND_S = 1.0
"""SCTP's shortest timer (RFC 9260 section 16)."""
GOOD = {
    "video-slow": 21e3,
    "video-tiny": 29e3,
    "video-120p": 40e3,
    "video-180p": 75e3,
    "video-240p": 130e3,
    "video-480p": 330e3,
}
"""From which capacity a rung is the good one."""


class Controller(Protocol):
    """An estimator or a peer of it."""

    rate_bps: float

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None: ...
    def tick(self, now_s: float, rtt_s: float) -> None: ...


class Score(Struct):
    """What a call came to."""

    used: float
    """Share of what the link could carry that arrived as media, after 10 s and without outages."""
    queue_p50_s: float
    queue_p95_s: float
    """Wait that sound finds in front of it, after the first 5 s."""
    own_loss: float
    """Share of media packets that found the queue full."""
    sound_lost: float
    """Share of sound that is lost after repair by repetition; outages and the second behind them not counted."""
    sound_late: float
    """Share of sound that came more than :data:`LATE_S` late."""
    good_s: float
    """Until the first rung that this link can carry; -1: never."""
    back_s: float
    """Until 80 % of the rate before the last outage is allowed again; -1: no outage, 99: never."""
    changes_per_min: float
    swings_per_min: float
    """Turns of the rate by more than 25 %."""
    fps: float
    """Pictures that arrived whole, a second."""
    stills: int
    gap_s: float
    """The longest time without a whole picture or still, from 10 s on and outages apart."""
    feedback_lost: float
    """Share of the other side's feedback that found our queue full or waited a second."""
    rates: list[tuple[float, float]]
    """(second, estimate)."""
    rungs: list[tuple[float, str]]
    queues: list[tuple[float, float]]


class _Sound:
    """Opus in packets, with repetition; counts what the listener gets."""

    def __init__(self, chance: random.Random, speech: float) -> None:
        self._chance, self._speech = chance, speech
        self._talks, self._turn_s = True, 0.0
        self.next_s = 0.0
        self.number = 0
        self.sent: list[tuple[float, bool]] = []
        """(when, whether it repeats the one before), by number."""
        self.got: dict[int, float] = {}

    def talks(self, now_s: float) -> bool:
        if self._speech < 1 and now_s >= self._turn_s:
            self._talks = not self._talks
            self._turn_s = now_s + self._chance.expovariate(
                1 / (4 * (self._speech if self._talks else 1 - self._speech))
            )
        return self._talks


class SimulatedCall:
    """One call. :meth:`run` plays it and gives the score."""

    def __init__(self, scene: Scene, seed: int, make: Callable[[], Controller] | None = None) -> None:
        self.scene = scene
        self._chance = random.Random(seed * 31 + 5)
        self._up, self._down = Way(scene.up, seed * 2 + 1), Way(scene.down, seed * 2 + 2)
        self.controller: Controller = make() if make is not None else Estimator(0.0)
        self.rules: Rules = load_rules()
        self._ladder = Ladder(self.rules)
        self._allocation = self._ladder.allocate(self.controller.rate_bps, 0.0)
        self._pace = Pace(30_000.0)
        self._video: list[Packet] = []
        self._backlog_bytes = 0
        self._sound = _Sound(self._chance, scene.speech)
        self._next_picture_s = self._next_still_s = self._next_rtcp_s = self._next_control_s = 0.0
        self._number = 0
        self._frame = 0
        self._frame_parts: dict[int, int] = {}
        self._shape = 0
        self._noise = 0.0
        self._fates: dict[int, tuple[float, int, int, Packet]] = {}
        """Sent packets by number, not reported yet: sent, size, what left before it unreported, the packet."""
        self._beside_bytes = 0
        self._repairs = Repairs()
        self._seen: list[tuple[int, float]] = []
        """At the receiver, since its last feedback: (number, arrival)."""
        self._next_feedback_s = 0.0
        self._reported = 0
        self._rtt_s = scene.up.delay_s + scene.down.delay_s
        self._cubic = CubicFlow(scene.cubic_from_s, scene.cubic_until_s) if scene.cubic_from_s >= 0 else None
        self._arrived_bits = self._capacity_bits = 0.0
        self._pictures = self._stills = 0
        self._piece = 0
        self._unheard: dict[int, tuple[float, int, object]] = {}
        """Pieces of stills that have not arrived: when they are sent again, size, still."""
        self._shown_s = [0.0]
        """When a whole picture or still came."""
        self._media_packets = self._full = self._rtcp_sent = self._rtcp_bad = 0
        self._rates: list[tuple[float, float]] = []
        self._rungs: list[tuple[float, str]] = []
        self._queues: list[tuple[float, float]] = []

    def run(self) -> Score:
        for step in range(round(self.scene.length_s / STEP_S)):
            now_s = step * STEP_S
            self._send_sound(now_s)
            self._send_video(now_s)
            self._send_rest(now_s)
            self._receive(now_s)
            self._give_feedback(now_s)
            for at_s, packet in self._down.step(now_s):
                self._take_back(packet, at_s)
            if now_s >= self._next_control_s:
                self._control(now_s)
        return self._score()

    def _control(self, now_s: float) -> None:
        self._next_control_s = now_s + 0.1
        if isinstance(self.controller, Estimator):
            self.controller.tick(now_s, self._rtt_s, idle=self._reported >= self._number)
        else:
            self.controller.tick(now_s, self._rtt_s)
        line_loss = getattr(self.controller, "line_loss", None)
        sustained_bps = getattr(self.controller, "sustained_bps", 0.0)
        rate_bps = self.controller.rate_bps - self._repairs.bps(now_s)
        allocation = self._ladder.allocate(rate_bps, now_s, line_loss, sustained_bps)
        if allocation.rung != self._allocation.rung or not self._rungs:
            self._rungs.append((now_s, allocation.rung))
        self._allocation = allocation
        self._pace.rate_bps = allocation.pace_bps
        if allocation.video_bps == 0 and not allocation.still_every_s:
            self._video.clear()
            self._backlog_bytes = 0
        self._rates.append((now_s, self.controller.rate_bps))
        self._queues.append((now_s, self._up.delay_now_s(now_s)))

    # sending

    def _put(self, kind: str, size_bytes: int, now_s: float, content: object) -> None:
        self._number += 1
        if not self._in_outage(now_s):
            self._media_packets += 1
            self._full += self._up.is_full(size_bytes, now_s)
        packet = Packet(kind, size_bytes, now_s, self._number, content)
        self._fates[self._number] = (now_s, size_bytes, self._beside_bytes, packet)
        self._beside_bytes = 0
        self._up.put(packet, now_s)

    def _put_beside(self, kind: str, size_bytes: int, now_s: float, content: object = None) -> None:
        """What no feedback reports: the data channel, what is sent again, our own feedback."""
        self._beside_bytes += size_bytes
        number = 0
        if kind == "still":  # reliable: its pieces have numbers of their own
            self._piece -= 1
            number = self._piece
            self._unheard[number] = (now_s + RESEND_S + self._rtt_s, size_bytes, content)
        self._up.put(Packet(kind, size_bytes, now_s, number, content), now_s)

    def _send_sound(self, now_s: float) -> None:
        sound, plan = self._sound, self._allocation
        if now_s < sound.next_s:
            return
        packet_s = plan.audio_packet_ms / 1000
        sound.next_s = (sound.next_s if sound.next_s > now_s - 0.1 else now_s) + packet_s
        if not sound.talks(now_s):
            return
        payload = plan.audio_bps * packet_s / 8 * (2 if plan.red else 1)
        overhead = self.rules.packet_overhead_bytes + (self.rules.red_overhead_bytes if plan.red else 0)
        sound.sent.append((now_s, plan.red))
        self._put("sound", round(payload + overhead), now_s, len(sound.sent) - 1)

    def _send_video(self, now_s: float) -> None:
        plan = self._allocation
        if plan.video_bps and now_s >= self._next_picture_s:
            self._next_picture_s = max(self._next_picture_s + 1 / plan.fps, now_s)
            backlog_s = self._backlog_bytes * 8 / self._pace.rate_bps
            if backlog_s <= max(0.25, 1.5 / plan.fps):
                self._make_picture(now_s)
        elif plan.still_every_s and now_s >= self._next_still_s:
            self._next_still_s = now_s + plan.still_every_s
            self._queue_picture("still", plan.still_bytes, now_s)
        while self._video and self._pace.wait_s(now_s) <= 0:
            packet = self._video.pop(0)
            self._backlog_bytes -= packet.size_bytes
            self._pace.note(packet.size_bytes, now_s)
            put = self._put_beside if packet.kind == "still" else self._put
            put(packet.kind, packet.size_bytes, now_s, packet.content)

    def _make_picture(self, now_s: float) -> None:
        plan = self._allocation
        self._noise = 0.8 * self._noise + self._chance.gauss(0, 0.18)
        size = plan.video_bps / plan.fps / 8 * 0.97 * math.exp(self._noise)
        if plan.width != self._shape:  # a key frame, as far as the encoder's limit lets it be one
            self._shape = plan.width
            size *= 3.5
        self._queue_picture("video", round(size), now_s)

    def _queue_picture(self, kind: str, size: int, now_s: float) -> None:
        parts = max(math.ceil(size / self._allocation.mtu_bytes), 1)
        self._frame += 1
        self._frame_parts[self._frame] = parts
        for _ in range(parts):
            packet = Packet(kind, size // parts + self.rules.packet_overhead_bytes, now_s, 0, self._frame)
            self._video.append(packet)
            self._backlog_bytes += packet.size_bytes

    def _send_rest(self, now_s: float) -> None:
        for number, (due_s, size_bytes, content) in list(self._unheard.items()):
            if now_s >= due_s:
                del self._unheard[number]
                self._put_beside("still", size_bytes, now_s, content)
        if now_s >= self._next_rtcp_s:
            self._next_rtcp_s = now_s + self._allocation.feedback_ms / 1000
            if not self._in_outage(now_s):
                self._rtcp_sent += 1
                self._rtcp_bad += self._up.is_full(RTCP_BYTES, now_s) or self._up.delay_now_s(now_s) > 1.0
            self._put_beside("rtcp", RTCP_BYTES, now_s)
        if self._cubic is not None:
            for size in self._cubic.to_send(now_s):
                self._up.put(Packet("cubic", size, now_s, 0, self._cubic.sent_number), now_s)

    # receiving

    def _receive(self, now_s: float) -> None:
        for at_s, packet in self._up.step(now_s):
            if packet.kind == "cubic" and self._cubic is not None:
                assert isinstance(packet.content, int)
                self._cubic.acked(packet.content, at_s + self.scene.down.delay_s, packet.sent_s)
            elif packet.kind != "rtcp":
                if packet.number > 0:
                    self._seen.append((packet.number, at_s))
                if now_s > 10:
                    self._arrived_bits += packet.size_bytes * 8
                self._take_in(packet, at_s)
        if now_s > 10:
            self._capacity_bits += self.scene.up.rate_at(now_s) * STEP_S

    def _take_in(self, packet: Packet, at_s: float) -> None:
        assert isinstance(packet.content, int)
        self._unheard.pop(packet.number, None)
        if packet.kind == "sound":
            self._sound.got[packet.content] = at_s
            return
        self._frame_parts[packet.content] -= 1
        if self._frame_parts[packet.content] == 0:
            self._shown_s.append(at_s)
            if packet.kind == "video":
                self._pictures += 1
            else:
                self._stills += 1

    def _give_feedback(self, now_s: float) -> None:
        if now_s < self._next_feedback_s or not self._seen:
            return
        # A browser spends a twentieth of its rate on it, between 50 and 250 ms apart.
        rate_bps = max(self.controller.rate_bps, 1.0)
        interval_s = min(max(90 * 8 / (0.05 * rate_bps), 0.05), 0.25)
        self._next_feedback_s = now_s + interval_s
        self._down.put(Packet("feedback", 60 + 2 * len(self._seen), now_s, 0, tuple(self._seen)), now_s)
        self._down.put(Packet("sound", 180, now_s), now_s)
        self._seen.clear()

    def _take_back(self, packet: Packet, at_s: float) -> None:
        if not isinstance(packet.content, tuple):
            return
        seen: dict[int, float] = dict(packet.content)
        newest = max(seen)
        fates = []
        for number in range(min(seen), newest + 1):
            known = self._fates.pop(number, None)
            if known is None:
                continue
            arrived_s = seen.get(number)
            arrived_s = None if arrived_s is None else arrived_s + CLOCK_OFFSET_S
            fates.append(PacketFeedback(known[0], arrived_s, known[1], known[2]))
            if arrived_s is None:
                self._repair(known[3], at_s)
        gaps = [number for number in self._fates if self._reported < number < min(seen)]
        # What lies between two reports is told as lost by the next one; what a lost report told is not known.
        fates = [self._lost(number, at_s) for number in gaps] + fates
        self._reported = max(self._reported, newest)
        queued_s = self._up.delay_now_s(at_s) if self.scene.up.rate_at(at_s) > 0 else 0.0
        self._rtt_s += (self.scene.up.delay_s + self.scene.down.delay_s + queued_s - self._rtt_s) * 0.1
        if fates:
            self.controller.feed(fates, at_s, self._rtt_s)

    def _lost(self, number: int, at_s: float) -> PacketFeedback:
        sent_s, size, beside, packet = self._fates.pop(number)
        self._repair(packet, at_s)
        return PacketFeedback(sent_s, None, size, beside)

    def _repair(self, packet: Packet, at_s: float) -> None:
        plan, sizes = self._allocation, packet.size_bytes
        if packet.kind != "video" or not plan.video_bps:
            return
        if self._repairs.allow(packet.number, sizes, at_s, self._rtt_s, plan.video_bps):
            self._put_beside("video", packet.size_bytes, at_s, packet.content)

    # scoring

    def _score(self) -> Score:
        sound = self._sound
        lost = late = counted = 0
        for number, (sent_s, _) in enumerate(sound.sent):
            if sent_s < 3 or sent_s > self.scene.length_s - 3 or self._in_outage(sent_s):
                continue
            counted += 1
            came_s = sound.got.get(number)
            repeated = number + 1 < len(sound.sent) and sound.sent[number + 1][1]
            if came_s is None and repeated:
                came_s = sound.got.get(number + 1)
                came_s = None if came_s is None else came_s - 0.12
            if came_s is None:
                lost += 1
            elif came_s - sent_s > self.scene.up.delay_s + self.scene.up.jitter_s + LATE_S:
                late += 1
        queues = sorted(queue for at_s, queue in self._queues if at_s > 5 and not self._in_outage(at_s)) or [0.0]
        minutes = self.scene.length_s / 60
        return Score(
            used=self._arrived_bits / max(self._capacity_bits, 1),
            queue_p50_s=queues[len(queues) // 2],
            queue_p95_s=queues[int(0.95 * (len(queues) - 1))],
            own_loss=self._full / max(self._media_packets, 1),
            sound_lost=lost / max(counted, 1),
            sound_late=late / max(counted, 1),
            good_s=self._good_s(),
            back_s=self._back_s(),
            changes_per_min=(len(self._rungs) - 1) / minutes,
            swings_per_min=_swings([rate for at_s, rate in self._rates if at_s > 8 and not self._in_outage(at_s)])
            / minutes,
            fps=self._pictures / self.scene.length_s,
            stills=self._stills,
            gap_s=self._gap_s(),
            feedback_lost=self._rtcp_bad / max(self._rtcp_sent, 1),
            rates=self._rates,
            rungs=self._rungs,
            queues=self._queues,
        )

    def _gap_s(self) -> float:
        shown = [at_s for at_s in (*self._shown_s, self.scene.length_s) if at_s > 10 and not self._in_outage(at_s)]
        return max((after - before for before, after in pairwise([10.0, *shown])), default=0.0)

    def _in_outage(self, at_s: float) -> bool:
        return any(start_s - 0.5 <= at_s < start_s + length_s + 1.5 for start_s, length_s in self.scene.outages)

    def _good_s(self) -> float:
        rate_bps = self.scene.up.rate_at(5.0)
        good = [name for name, at_bps in GOOD.items() if at_bps <= rate_bps]
        wanted = good[-1] if good else "stills"
        names = [rung.name for rung in self.rules.rungs]
        for at_s, name in self._rungs:
            if names.index(name) >= names.index(wanted):
                return at_s
        return -1.0

    def _back_s(self) -> float:
        if not self.scene.outages:
            return -1.0
        start_s, length_s = self.scene.outages[-1]
        end_s = start_s + length_s
        before = sorted(rate for at_s, rate in self._rates if start_s - 8 < at_s < start_s - 0.2)
        goal_bps = 0.8 * min(before[len(before) // 2], self.scene.up.rate_at(start_s - 1))
        return next((at_s - end_s for at_s, rate in self._rates if at_s > end_s and rate >= goal_bps), 99.0)


def _swings(rates: list[float]) -> int:
    """Turning points that lie at least 25 % apart."""
    turns, extreme, rising = 0, rates[0] if rates else 0.0, None
    low = high = extreme
    for rate in rates:
        low, high = min(low, rate), max(high, rate)
        if rising is not True and rate > low * 1.25:
            turns, rising, high = turns + (rising is False), True, rate
        elif rising is not False and rate < high / 1.25:
            turns, rising, low = turns + (rising is True), False, rate
    return turns


def play(scene: Scene, seed: int = 1, make: Callable[[], Controller] | None = None) -> Score:
    """Play one call."""
    return SimulatedCall(scene, seed, make).run()

"""How much the link carries, from transport-wide feedback: pure.

Reads what the receiver reported of each packet (draft-holmer-rmcat-transport-wide-cc-extensions-01):
when it left, when it arrived, or that it was lost. Two signs are congestion: a queue that does not
drain (as in CoDel, RFC 8289: the least delay of a moment, so that a burst is no alarm), and losses
beyond what the line loses anyway or that come when delay is at its highest (a short queue that is
full). Either lowers the estimate at once to below what arrived, until the queue is gone; then it
goes on just below the rate that was found. Random loss is no congestion. A queue that stays although
we gave way belongs to somebody else. Knows no clock and no socket; times are seconds of any two clocks.
"""

import math
from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from edge.media.base import Base
from edge.media.losses import Losses

FLOOR_BPS = 8_000.0
CEILING_BPS = 2_500_000.0
DEFAULT_START_BPS = 28_000.0
_RATE_WINDOW_S = 1.0
_QUEUE_WINDOW_S = 0.35
_LONGEST_PACKET_BYTES = 65_535
_LONGEST_BESIDE_BYTES = 1_000_000
_LONGEST_DELAY_CHANGE_S = 60.0
"""A delay that is so far from the others is a clock that was set."""
_DRAIN_S = 0.6
"""A queue of this length should be gone in about this time."""
_DRAIN_SHARE = 0.45
"""Of what the link carries: we never send less than this to drain a queue, for it may not be ours."""
_LOOK_S = 15.0
_START_CAUTION, _START_GROWTH = 0.5, 0.6
"""While the rate grows quickly, a shorter queue is an alarm."""
_MARGIN, _MARGIN_PER_RTT = 0.06, 2.5
_LEARN_PER_RTT = 0.5
"""A second of a thin link has few packets: what it carries is learned from more than the last of them."""
_LEAST_GROWTH_BPS = 400
"""In a second: on a thin way a share is next to nothing."""
_PROBE_S = 1.2
"""In this time, on a quick way, the step doubles by which more is tried than is known."""
_TREMBLE_STEP, _TREMBLE_SHARE, _MOST_TREMBLE_S = 0.02, 8.0, 0.12
_BUSY_S = 0.12
_BUSY_PACKETS = 3
_SHOWN_FADES_S = 6.0
_TRAIN_S, _TRAIN_SHARE = 3.0, 1.4
"""What a receiver takes in late and together looks like a wide link: it is believed so far above what arrives."""
_LONGEST_RTT_S, _UNKNOWN_RTT_S = 2.0, 0.3
_FOREIGN_QUEUE_S = 0.25
"""A shorter queue does not make us suspect somebody else."""


class Phase(StrEnum):
    """What the estimator is doing."""

    START = "start"
    """Nothing is known: grow quickly."""
    STEADY = "steady"
    DRAIN = "drain"
    """The queue that we made has to go first."""
    SHARED = "shared"
    """Somebody else keeps a queue: delay says nothing, losses do."""


class PacketFeedback(Struct, frozen=True):
    """What became of one packet."""

    sent_s: float
    """Sender's clock."""
    arrived_s: float | None
    """Receiver's clock, None for lost."""
    size_bytes: int
    """IP bytes."""
    beside_bytes: int = 0
    """IP bytes of ours that left between the packet before and this one and that nobody reports: the data channel,
    our own feedback. They have passed the link before this one."""


def _held_share(rtt_s: float) -> float:
    """Of the rate that was found: what overshoots is seen a round trip later."""
    return 1 - _MARGIN * (1 + _MARGIN_PER_RTT * min(rtt_s, 1.0))


def _is_sound(packet: PacketFeedback) -> bool:
    arrived = packet.arrived_s is None or math.isfinite(packet.arrived_s)
    sizes = 0 < packet.size_bytes <= _LONGEST_PACKET_BYTES and 0 <= packet.beside_bytes <= _LONGEST_BESIDE_BYTES
    return arrived and math.isfinite(packet.sent_s) and sizes


class Estimator:
    """Estimates the total rate in IP bits per second. One per direction and attempt."""

    def __init__(self, now_s: float, start_bps: float = 0.0) -> None:
        wanted_bps = start_bps if math.isfinite(start_bps) and start_bps > 0 else DEFAULT_START_BPS
        self.rate_bps = min(max(wanted_bps, FLOOR_BPS), CEILING_BPS)
        """The estimate."""
        self.queue_s = 0.0
        """Queueing delay that stands now."""
        self.received_bps = 0.0
        """What arrived lately."""
        self.phase = Phase.START
        self._losses = Losses()
        self._known_bps = 0.0
        """Where the link last was full; 0 while it never was."""
        self._base = Base()
        self._arrivals: deque[tuple[float, float, int, int]] = deque()
        """(arrived, delay, size with what nobody reports, size)."""
        self._tremble_s = 0.0
        """By how much the delay changes from one packet to the next."""
        self._beside_bytes = 0
        """Of what left since the last packet that arrived."""
        self._shown_bps = 0.0
        """What arrived lately without harm: a pause in the talk takes nothing of it back at once."""
        self._rtt_s = 0.0
        self._cut_s = now_s - 10
        self._highest_queue_s = 0.0
        """Of this drain."""
        self._carried_bps = 0.0
        """What the link carried while it had no pause; 0 when not known."""
        self._train_bps, self._train_s = 0.0, now_s
        """The same over some seconds, from packets that left close together, and when it was last seen."""
        self._before_bps = 0.0
        """Where the link was full when the drain began."""
        self._owed_s = 0.0
        """By how much the queue should have shrunk since it was highest."""
        self._looked_s = now_s
        self._now_s = self._feedback_s = self._updated_s = now_s
        self._remembered_bps = 0.0
        self._stale_until_s = -math.inf
        """Packets sent before this waited for an outage to end: their delay is not the queue's."""
        self._beyond_s = 0.0
        """For how long the rate has been above what was known, unharmed."""

    @property
    def sustained_bps(self) -> float:
        """What the link carries when the queue that is being drained will be gone: no reason to leave a rung."""
        return (
            max(self.rate_bps, _held_share(self._rtt_s) * self._known_bps)
            if self.phase is Phase.DRAIN
            else self.rate_bps
        )

    @property
    def loss(self) -> float:
        """Share of packets lost in the last seconds."""
        return self._losses.recent

    @property
    def line_loss(self) -> float:
        """Share of packets that the line loses whatever we send."""
        return self._losses.line

    @property
    def silent(self) -> bool:
        """Whether feedback is missing for so long that the rate was cut."""
        return self._remembered_bps > 0

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None:
        """Take in one feedback message. What cannot be true is ignored."""
        packets = [packet for packet in packets if _is_sound(packet)]
        if not packets or not math.isfinite(now_s):
            return
        now_s = self._now_s = max(now_s, self._now_s)
        rtt_s = self._least_rtt_s(rtt_s)
        newest_s = max((packet.sent_s for packet in packets if packet.arrived_s is not None), default=math.inf)
        rtt_s = self._least_rtt_s(now_s - newest_s)  # browsers tell theirs only after many seconds
        if self._remembered_bps:
            self._recover(packets, now_s)
        self._feedback_s = now_s
        self._take(packets, now_s)
        self._adapt(now_s, rtt_s)

    def tick(self, now_s: float, rtt_s: float, *, idle: bool = False) -> None:
        """Called a few times a second: without feedback the link may be gone, so send less.

        ``idle``: all that is reported has been; in a pause of the talk beside stills there is nothing to report.
        """
        if not math.isfinite(now_s):
            return
        now_s = self._now_s = max(now_s, self._now_s)
        if idle and not self._remembered_bps:
            self._feedback_s = now_s
        patience_s = max(1.2, 1.5 * self._least_rtt_s(rtt_s) + 0.8)
        if now_s - self._feedback_s > patience_s and (not self._remembered_bps or now_s - self._cut_s > 0.7):
            self._remembered_bps = self._remembered_bps or self.rate_bps
            self.rate_bps = max(self.rate_bps * 0.5, FLOOR_BPS)
            self._cut_s = now_s

    def _least_rtt_s(self, rtt_s: float) -> float:
        """The round trip without a queue: with one it grows just when we have to be quick."""
        if math.isfinite(rtt_s) and rtt_s > 0:
            self._rtt_s = min(rtt_s, self._rtt_s or _LONGEST_RTT_S)
        return self._rtt_s or _UNKNOWN_RTT_S

    def _recover(self, packets: Sequence[PacketFeedback], now_s: float) -> None:
        """Feedback is back after an outage: the line is mostly the one that it was."""
        silent_s = now_s - self._feedback_s
        share = 0.9 if silent_s < 30 else 0.6
        self.rate_bps = max(self.rate_bps, self._remembered_bps * share)
        self._remembered_bps = 0.0
        self._stale_until_s = max(packet.sent_s for packet in packets)
        self._arrivals.clear()
        self._losses.forget_moment()
        self.queue_s = 0.0
        self.phase = Phase.STEADY if self._known_bps else Phase.START
        self._cut_s = now_s

    def _take(self, packets: Sequence[PacketFeedback], now_s: float) -> None:
        delays: list[float] = []
        for packet in packets:
            self._beside_bytes += packet.beside_bytes
            if packet.sent_s <= self._stale_until_s:
                continue
            if packet.arrived_s is None:
                self._losses.note_lost(now_s)
                continue
            delay_s = packet.arrived_s - packet.sent_s
            known_s = self._arrivals[-1][1] if self._arrivals else self._base.delay_s(delay_s)
            if abs(delay_s - known_s) > _LONGEST_DELAY_CHANGE_S:
                self._base.forget()
                self._arrivals.clear()
                delays.clear()
            whole_bytes = packet.size_bytes + self._beside_bytes
            if self._arrivals:
                self._tremble_s += (abs(delay_s - self._arrivals[-1][1]) - self._tremble_s) * _TREMBLE_STEP
            self._arrivals.append((packet.arrived_s, delay_s, whole_bytes, packet.size_bytes))
            self._beside_bytes = 0
            self._losses.note_arrived(now_s, delay_s)
            delays.append(delay_s)
        if delays:
            self._base.note(min(delays), now_s)
        self._trim()
        self._measure(now_s)

    def _trim(self) -> None:
        newest_s = self._arrivals[-1][0] if self._arrivals else 0.0
        while self._arrivals and self._arrivals[0][0] < newest_s - _RATE_WINDOW_S:
            self._arrivals.popleft()

    def _measure(self, now_s: float) -> None:
        if len(self._arrivals) < 3:
            return
        newest_s, base_s = self._arrivals[-1][0], self._base.delay_s()
        span_s = max(newest_s - self._arrivals[0][0], 0.15)
        size_bytes = sum(size for _, _, size, _ in self._arrivals) - self._arrivals[0][2]
        self.received_bps = size_bytes * 8 / span_s
        lately = [delay for at_s, delay, _, _ in self._arrivals if at_s > newest_s - _QUEUE_WINDOW_S]
        if len(lately) < 3:
            lately = [delay for _, delay, _, _ in self._arrivals][-3:]
        self.queue_s = max(min(lately) - base_s, 0.0)
        last = min(delay for _, delay, _, _ in list(self._arrivals)[-3:]) - base_s
        if last > 3 * self._limit_s():
            self.queue_s = max(self.queue_s, last)  # it rises so steeply that the moment need not be over
        self._carried_bps = self._busy_bps(base_s)
        if self._carried_bps:
            self._train_bps += (self._carried_bps - self._train_bps) * (0.15 if self._train_bps else 1.0)
            self._train_s = now_s
        elif now_s - self._train_s > _TRAIN_S:
            self._train_bps = 0.0
        if self._base.stands(self.queue_s, now_s):
            self._base.forget()
            self._base.note(base_s + self.queue_s, now_s)
            self.queue_s = 0.0
            self.phase = Phase.STEADY if self._known_bps else Phase.START

    def _busy_bps(self, base_s: float) -> float:
        """What arrived while the link had no pause: a packet was sent before the one in front had been served.

        0 when there was too little of that to tell.
        """
        busy_s, busy_bytes, busy_packets, before_s = 0.0, 0, 0, math.inf
        sure_s = base_s + 2 * self._excess_tremble_s()
        for at_s, delay_s, size, _ in self._arrivals:
            if 0 <= at_s - before_s <= delay_s - sure_s:
                busy_s += at_s - before_s
                busy_bytes += size
                busy_packets += 1
            before_s = at_s
        return busy_bytes * 8 / busy_s if busy_s > _BUSY_S and busy_packets >= _BUSY_PACKETS else 0.0

    def _limit_s(self) -> float:
        """A standing queue that is no alarm: a packet and a half, at least 60 ms; more where delays tremble."""
        if not self._arrivals:
            return 0.06
        return max(0.06, 1.5 * self._packet_s()) + min(_TREMBLE_SHARE * self._excess_tremble_s(), _MOST_TREMBLE_S)

    def _packet_s(self) -> float:
        """How long the link takes for a packet."""
        return sum(size for _, _, _, size in self._arrivals) / len(self._arrivals) * 8 / self.rate_bps

    def _excess_tremble_s(self) -> float:
        """By how much delays change beyond what packets in front of each other explain: a radio, a busy receiver."""
        return max(self._tremble_s - self._packet_s(), 0.0)

    def _adapt(self, now_s: float, rtt_s: float) -> None:
        elapsed_s = min(now_s - self._updated_s, 0.5)
        self._updated_s = now_s
        self._shown_bps = max(self.received_bps, self._shown_bps * (1 - elapsed_s / _SHOWN_FADES_S))
        limit_s = self._limit_s() * (_START_CAUTION if self.phase is Phase.START else 1.0)
        queued = self.queue_s > limit_s
        settled = now_s - self._cut_s > rtt_s + 0.3
        self._losses.learn(elapsed_s, settled=not queued and now_s - self._cut_s > rtt_s + 3.0)
        if self.phase is Phase.DRAIN:
            self._drain(now_s, elapsed_s, rtt_s, gone=self.queue_s < 0.5 * limit_s)
        elif self.phase is Phase.SHARED:
            self._share(now_s, elapsed_s, rtt_s, settled=settled, queued=queued)
        elif queued and settled:
            self._begin_drain(now_s, rtt_s)
        elif settled and self._losses.congested():
            self._cut_for_loss(now_s)
        elif settled and self.queue_s < 0.6 * limit_s:
            self._grow(elapsed_s, rtt_s)

    def _begin_drain(self, now_s: float, rtt_s: float) -> None:
        """A queue stands: what arrives is what the link carries. Send less until it is gone."""
        self.phase = Phase.DRAIN
        self._cut_s, self._beyond_s = now_s, 0.0
        self._highest_queue_s, self._owed_s = self.queue_s, 0.0
        reached_bps = self._carried_bps or max(self.received_bps, self._shown_bps)  # a pause shows nothing
        self._shown_bps = 0.0
        self._before_bps = self._known_bps = min(max(reached_bps, 0.6 * self.rate_bps), self.rate_bps)
        self._drain_to(rtt_s)

    def _drain_to(self, rtt_s: float) -> None:
        share = 1 - self.queue_s / (_DRAIN_S + rtt_s / 2)
        least = _DRAIN_SHARE if self.queue_s < 1.0 else _DRAIN_SHARE / 2
        self.rate_bps = max(self._known_bps * min(max(share, least), 0.85), FLOOR_BPS)

    def _drain(self, now_s: float, elapsed_s: float, rtt_s: float, *, gone: bool) -> None:
        """While the queue stands, what arrives is still what the link carries; it may be less every moment."""
        if gone:
            self.phase = Phase.STEADY
            self.rate_bps = max(_held_share(rtt_s) * self._known_bps, FLOOR_BPS)
            self._cut_s = now_s
            return
        if now_s - self._cut_s > 0.3 and self._carried_bps:
            carried_bps = max(min(self._carried_bps, 1.1 * self._before_bps), FLOOR_BPS)
            self._known_bps += (carried_bps - self._known_bps) * min(elapsed_s / (0.1 + _LEARN_PER_RTT * rtt_s), 1.0)
            self._drain_to(rtt_s)
        if self.queue_s > 1.1 * self._highest_queue_s + 0.05:
            self._highest_queue_s, self._owed_s = self.queue_s, 0.0
        self._owed_s += elapsed_s * (1 - self.rate_bps / self._known_bps)
        kept = self.queue_s > max(0.6 * self._highest_queue_s, _FOREIGN_QUEUE_S)
        if kept and self._owed_s > self._highest_queue_s + rtt_s + 0.5:
            self.phase, self._cut_s = Phase.SHARED, now_s
            self._looked_s = now_s
            self.rate_bps = max(0.5 * self._before_bps, self._known_bps, FLOOR_BPS)  # giving way was in vain

    def _cut_for_loss(self, now_s: float) -> None:
        arrived_bps = max(min(self.received_bps, self.rate_bps), 0.75 * self.rate_bps)
        self._known_bps = arrived_bps
        self.rate_bps = max(arrived_bps * 0.93, FLOOR_BPS)
        self._losses.forget_moment()
        self._cut_s, self._beyond_s = now_s, 0.0
        if self.phase is Phase.START:
            self.phase = Phase.STEADY

    def _share(self, now_s: float, elapsed_s: float, rtt_s: float, *, settled: bool, queued: bool) -> None:
        """Take a part in a queue that somebody else keeps full; look now and then whether it is ours after all."""
        if not queued:
            self.phase = Phase.START
        elif self.queue_s > 1.4 * self._highest_queue_s + 0.2:
            self._begin_drain(now_s, rtt_s)  # what grows so is not what we found here
        elif now_s - self._looked_s > _LOOK_S:
            self.phase = Phase.STEADY
            self._known_bps = self.rate_bps
        elif settled and self._losses.congested():
            self._cut_for_loss(now_s)
        elif settled:
            self._raise(0.08, elapsed_s)

    def _grow(self, elapsed_s: float, rtt_s: float) -> None:
        quick = 1.0 / (1.0 + 1.5 * rtt_s + 1.5 * rtt_s * rtt_s)
        if self.phase is Phase.START:
            per_second = _START_GROWTH * quick
        elif self.rate_bps < 0.85 * max(self._known_bps, min(self._train_bps, _TRAIN_SHARE * self._shown_bps)):
            per_second = 0.5 * quick
        else:
            if self.rate_bps > 1.02 * self._known_bps and not self._train_bps:
                self._beyond_s += elapsed_s
            per_second = min(0.03 * quick * 2 ** (self._beyond_s * quick / _PROBE_S), 0.6 * quick)
            per_second = max(per_second, _LEAST_GROWTH_BPS / self.rate_bps)
        self._raise(per_second, elapsed_s)

    def _raise(self, per_second: float, elapsed_s: float) -> None:
        # What was never sent says nothing: do not run ahead of what arrives, or slowly.
        carried_bps = self._shown_bps / max(1 - self.loss, 0.5)
        if self.phase is Phase.START:
            proven_bps = far_bps = carried_bps * 1.5 + 6_000
        else:
            proven_bps, far_bps = carried_bps * 1.15 + 3_000, carried_bps * 1.5 + 6_000
        if self.rate_bps > proven_bps:
            per_second = min(per_second, 0.03)
        grown_bps = self.rate_bps * (1 + per_second * elapsed_s)
        if grown_bps <= far_bps:
            self.rate_bps = min(grown_bps, CEILING_BPS)

"""How much the link carries, from transport-wide feedback: pure.

Reads what the receiver reported of each packet (draft-holmer-rmcat-transport-wide-cc-extensions-01):
when it left, when it arrived, or that it was lost. Queueing delay is the one-way delay above its
recent minimum; a standing queue or heavy loss lowers the estimate at once to below what arrived,
an empty queue raises it, faster while far from where it last broke. Random loss of a few per cent
is no congestion. Knows no clock and no socket; all times are seconds of any two clocks.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

FLOOR_BPS = 12_000.0
CEILING_BPS = 2_500_000.0
DEFAULT_START_BPS = 56_000.0
_BASE_WINDOW_S = 40.0
_RATE_WINDOW_S = 1.2
_LOSS_WINDOW_S = 3.0
_HEAVY_LOSS = 0.12
_BACKOFF = 0.85
_PACKET_BYTES = 1_000


class PacketFeedback(Struct, frozen=True):
    """What became of one packet."""

    sent_s: float
    """Sender's clock."""
    arrived_s: float | None
    """Receiver's clock, None for lost."""
    size_bytes: int
    """IP bytes."""


class Estimator:
    """Estimates the total rate in IP bits per second. One per direction and attempt."""

    def __init__(self, now_s: float, start_bps: float = 0.0) -> None:
        self.rate_bps = min(max(start_bps or DEFAULT_START_BPS, FLOOR_BPS), CEILING_BPS)
        """The estimate."""
        self.loss = 0.0
        """Share of packets lost in the last seconds."""
        self.queue_s = 0.0
        """Queueing delay now."""
        self.received_bps = 0.0
        """What arrived lately."""
        self._broke_bps = CEILING_BPS
        self._starting = True
        self._bases: deque[tuple[float, float]] = deque()
        self._arrivals: deque[tuple[float, int]] = deque()
        self._fates: deque[tuple[float, bool]] = deque()
        self._last_cut_s = now_s - 10
        self._last_feedback_s = now_s
        self._last_update_s = now_s
        self._remembered_bps = 0.0
        self._high_since_s: float | None = None

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None:
        """Take in one feedback message."""
        if not packets:
            return
        silent_s = now_s - self._last_feedback_s
        self._last_feedback_s = now_s
        if self._remembered_bps:
            self._recover(now_s, silent_s)
        delays = []
        for packet in packets:
            self._fates.append((now_s, packet.arrived_s is None))
            if packet.arrived_s is not None:
                delays.append(packet.arrived_s - packet.sent_s)
                self._arrivals.append((packet.arrived_s, packet.size_bytes))
        self._trim(now_s)
        if delays:
            self._note_base(min(delays), now_s)
            recent = sum(delays[-4:]) / len(delays[-4:])
            self.queue_s += (max(recent - self._base_s(), 0.0) - self.queue_s) * 0.5
        self._measure()
        self._adapt(now_s, rtt_s)

    def tick(self, now_s: float, rtt_s: float) -> None:
        """Called a few times a second: without feedback the link may be gone, so send less."""
        patience_s = max(1.5, 2 * rtt_s + 0.8)
        if now_s - self._last_feedback_s > patience_s and now_s - self._last_cut_s > 1.0:
            self._remembered_bps = self._remembered_bps or self.rate_bps
            self.rate_bps = max(self.rate_bps * 0.5, FLOOR_BPS)
            self._last_cut_s = now_s

    @property
    def silent(self) -> bool:
        """Whether feedback is missing for so long that the rate was cut."""
        return self._remembered_bps > 0

    def _recover(self, now_s: float, silent_s: float) -> None:
        """Feedback is back after an outage: go on near where we were, and find the rest quickly."""
        self.rate_bps = max(self.rate_bps, self._remembered_bps * (0.7 if silent_s < 30 else 0.5))
        self._remembered_bps = 0.0
        self._starting = True
        self._bases.clear()
        self._arrivals.clear()
        self._fates.clear()
        self.queue_s = 0.0
        self._high_since_s = None
        self._last_cut_s = now_s

    def _trim(self, now_s: float) -> None:
        while self._fates and self._fates[0][0] < now_s - _LOSS_WINDOW_S:
            self._fates.popleft()
        newest_s = self._arrivals[-1][0] if self._arrivals else 0.0
        while self._arrivals and self._arrivals[0][0] < newest_s - _RATE_WINDOW_S:
            self._arrivals.popleft()
        while self._bases and self._bases[0][0] < now_s - _BASE_WINDOW_S:
            self._bases.popleft()

    def _note_base(self, delay_s: float, now_s: float) -> None:
        while self._bases and self._bases[-1][1] >= delay_s:
            self._bases.pop()
        self._bases.append((now_s, delay_s))

    def _base_s(self) -> float:
        return self._bases[0][1]

    def _measure(self) -> None:
        lost = sum(1 for _, gone in self._fates if gone)
        self.loss = lost / len(self._fates) if len(self._fates) >= 15 else 0.0
        if len(self._arrivals) >= 3:
            span_s = max(self._arrivals[-1][0] - self._arrivals[0][0], 0.15)
            size_bytes = sum(size for _, size in self._arrivals) - self._arrivals[0][1]
            self.received_bps = size_bytes * 8 / span_s

    def _threshold_s(self) -> float:
        """Queue that is no alarm: two packets' worth of serialisation, at least 90 ms."""
        return max(0.09, 2.2 * _PACKET_BYTES * 8 / max(self.rate_bps, 20_000.0))

    def _adapt(self, now_s: float, rtt_s: float) -> None:
        elapsed_s = min(now_s - self._last_update_s, 0.5)
        self._last_update_s = now_s
        limit_s = self._threshold_s()
        if self.queue_s > limit_s:
            self._high_since_s = self._high_since_s if self._high_since_s is not None else now_s
        else:
            self._high_since_s = None
        standing = self._high_since_s is not None and now_s - self._high_since_s > 0.15
        heavy = self.loss > _HEAVY_LOSS and (self.queue_s > limit_s / 2 or self.loss > 0.25)
        settled = now_s - self._last_cut_s > max(rtt_s + 0.3, 0.5)
        if (standing or heavy) and settled:
            self._cut(now_s, severe=self.queue_s > 3 * limit_s)
        elif self.queue_s < limit_s * 0.6 and self.loss < _HEAVY_LOSS and settled:
            self._grow(elapsed_s)

    def _cut(self, now_s: float, *, severe: bool) -> None:
        reached_bps = min(self.received_bps or self.rate_bps, self.rate_bps)
        self._broke_bps = max(reached_bps, FLOOR_BPS)
        self._starting = False
        self.rate_bps = max(reached_bps * (0.7 if severe else _BACKOFF), FLOOR_BPS)
        self._last_cut_s = now_s

    def _grow(self, elapsed_s: float) -> None:
        if self._starting:
            per_second = 0.6
        elif self.rate_bps < 0.8 * self._broke_bps:
            per_second = 0.15
        elif self.rate_bps < 1.1 * self._broke_bps:
            per_second = 0.03
        else:
            per_second = 0.10
        # What was never sent says nothing: do not run ahead of what arrives.
        proven_bps = max(self.received_bps * 1.5 + 12_000, FLOOR_BPS)
        grown_bps = self.rate_bps * (1 + per_second * elapsed_s)
        if grown_bps <= proven_bps:
            self.rate_bps = min(grown_bps, CEILING_BPS)

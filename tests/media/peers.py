"""Other ways to estimate a rate, to be measured beside ours on the same simulated links. Pure.

:class:`GccLike` follows draft-ietf-rmcat-gcc-02 (delay gradient with an adaptive threshold, AIMD, and
the loss-based rule). :class:`Earlier` is the estimator of the first
release of this project: queue above a minimum, heavy loss, fixed growth.
"""

import math
from collections import deque
from collections.abc import Sequence

from edge.media.estimate import PacketFeedback

_FLOOR_BPS, _CEILING_BPS = 12_000.0, 2_500_000.0


class _Received:
    """Rate of arrivals over a moment."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._arrivals: deque[tuple[float, int]] = deque()
        self.bps = 0.0

    def add(self, at_s: float, size_bytes: int) -> None:
        self._arrivals.append((at_s, size_bytes))
        while self._arrivals[0][0] < at_s - self._window_s:
            self._arrivals.popleft()
        if len(self._arrivals) >= 3:
            span_s = max(at_s - self._arrivals[0][0], 0.15)
            self.bps = (sum(size for _, size in self._arrivals) - self._arrivals[0][1]) * 8 / span_s


class GccLike:
    """Sections 5 (delay) and 6 (loss) of the draft; the trend is a line through the last arrivals' delays."""

    _GAIN, _UP, _DOWN = 4.0, 0.0087, 0.039

    def __init__(self, start_bps: float = 36_000.0) -> None:
        self.rate_bps = start_bps
        self._delay_bps = self._loss_bps = start_bps
        self._received = _Received(0.5)
        self._groups: deque[tuple[float, float]] = deque(maxlen=20)
        """(arrival in ms, smoothed accumulated delay in ms)."""
        self._smooth_ms = self._sum_ms = 0.0
        self._last: tuple[float, float] | None = None
        self._threshold_ms, self._over_s, self._trend = 12.5, 0.0, 0.0
        self._state = "increase"
        self._updated_s = 0.0
        self._average_max_bps, self._deviation = 0.0, 0.4
        self._fates: deque[tuple[float, bool]] = deque()
        self._loss_checked_s = 0.0

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None:
        elapsed_s = min(now_s - self._updated_s, 1.0)
        self._updated_s = now_s
        signal = "normal"
        for packet in packets:
            self._fates.append((now_s, packet.arrived_s is None))
            if packet.arrived_s is not None:
                self._received.add(packet.arrived_s, packet.size_bytes)
                signal = self._over_use(packet.sent_s, packet.arrived_s)
        self._control(signal, elapsed_s, rtt_s)
        self._loss_based(now_s)
        self.rate_bps = min(max(min(self._delay_bps, self._loss_bps), _FLOOR_BPS), _CEILING_BPS)

    def tick(self, now_s: float, rtt_s: float) -> None:
        if now_s - self._updated_s > max(1.5, 3 * rtt_s):  # as libwebrtc: no feedback, half the rate
            self._delay_bps = self.rate_bps = max(self.rate_bps / 2, _FLOOR_BPS)
            self._updated_s = now_s

    def _over_use(self, sent_s: float, arrived_s: float) -> str:
        last, self._last = self._last, (sent_s, arrived_s)
        if last is None:
            return "normal"
        gradient_ms = ((arrived_s - last[1]) - (sent_s - last[0])) * 1000
        self._sum_ms += gradient_ms
        self._smooth_ms = 0.9 * self._smooth_ms + 0.1 * self._sum_ms
        self._groups.append((arrived_s * 1000, self._smooth_ms))
        if len(self._groups) < 20:
            return "normal"
        mean_x = sum(x for x, _ in self._groups) / 20
        mean_y = sum(y for _, y in self._groups) / 20
        below = sum((x - mean_x) ** 2 for x, _ in self._groups) or 1.0
        before, self._trend = self._trend, sum((x - mean_x) * (y - mean_y) for x, y in self._groups) / below
        modified_ms = self._trend * 60 * self._GAIN
        gap_s = min(arrived_s - last[1], 0.1)
        signal = "normal"
        if modified_ms > self._threshold_ms:
            self._over_s += gap_s
            if self._over_s > 0.01 and self._trend >= before:
                signal = "over"
        else:
            self._over_s = 0.0
            if modified_ms < -self._threshold_ms:
                signal = "under"
        if abs(modified_ms) - self._threshold_ms <= 15:
            gain = self._DOWN if abs(modified_ms) < self._threshold_ms else self._UP
            self._threshold_ms += gain * (abs(modified_ms) - self._threshold_ms) * gap_s * 1000
            self._threshold_ms = min(max(self._threshold_ms, 6.0), 600.0)
        return signal

    def _control(self, signal: str, elapsed_s: float, rtt_s: float) -> None:
        if signal == "over":
            self._state = "decrease"
        elif signal == "under":
            self._state = "hold"
        elif self._state != "increase":
            self._state = "hold" if self._state == "decrease" else "increase"
        received_bps = self._received.bps
        if self._state == "decrease" and received_bps:
            near = self._average_max_bps or received_bps
            self._deviation = 0.95 * self._deviation + 0.05 * (near - received_bps) ** 2 / max(near, 1.0)
            self._average_max_bps = 0.95 * near + 0.05 * received_bps
            self._delay_bps = min(self._delay_bps, 0.85 * received_bps)
        elif self._state == "increase":
            spread = 3 * math.sqrt(self._deviation * max(self._average_max_bps, 1.0))
            if self._average_max_bps and received_bps > self._average_max_bps + spread:
                self._average_max_bps = 0.0
            if self._average_max_bps:
                packets = max(self._delay_bps / 30 / 9_600, 1.0)
                alpha = 0.5 * min(elapsed_s / (0.1 + rtt_s), 1.0)
                self._delay_bps += max(1_000 * elapsed_s, alpha * self._delay_bps / 30 / packets)
            else:
                self._delay_bps *= 1.08 ** min(elapsed_s, 1.0)
            self._delay_bps = min(self._delay_bps, max(1.5 * received_bps + 10_000, _FLOOR_BPS))
        self._delay_bps = min(max(self._delay_bps, _FLOOR_BPS), _CEILING_BPS)

    def _loss_based(self, now_s: float) -> None:
        while self._fates and self._fates[0][0] < now_s - 3.0:
            self._fates.popleft()
        if now_s - self._loss_checked_s < 1.0 or len(self._fates) < 30:
            return
        self._loss_checked_s = now_s
        lost = sum(gone for _, gone in self._fates) / len(self._fates)
        if lost > 0.1:
            self._loss_bps *= 1 - 0.5 * lost
        elif lost < 0.02:
            self._loss_bps = min(self._loss_bps * 1.05, max(self._delay_bps * 1.5, self._loss_bps))
        self._loss_bps = min(max(self._loss_bps, _FLOOR_BPS), _CEILING_BPS)


class Earlier:
    """Cuts to 0.85 of what arrives when a queue stands or loss is heavy; grows by fixed shares otherwise."""

    def __init__(self, start_bps: float = 56_000.0) -> None:
        self.rate_bps = start_bps
        self._received = _Received(1.2)
        self._queue_s = 0.0
        self._bases: deque[tuple[float, float]] = deque()
        self._fates: deque[tuple[float, bool]] = deque()
        self._broke_bps, self._starting = _CEILING_BPS, True
        self._cut_s, self._fed_s = -10.0, 0.0
        self._high_s: float | None = None
        self._remembered_bps = 0.0

    def feed(self, packets: Sequence[PacketFeedback], now_s: float, rtt_s: float) -> None:
        silent_s, elapsed_s, self._fed_s = now_s - self._fed_s, min(now_s - self._fed_s, 0.5), now_s
        if self._remembered_bps:
            self.rate_bps = max(self.rate_bps, self._remembered_bps * (0.7 if silent_s < 30 else 0.5))
            self._remembered_bps, self._starting, self._queue_s, self._high_s = 0.0, True, 0.0, None
            self._bases.clear()
            self._fates.clear()
            self._received = _Received(1.2)
            self._cut_s = now_s
        delays = []
        for packet in packets:
            self._fates.append((now_s, packet.arrived_s is None))
            if packet.arrived_s is not None:
                delays.append(packet.arrived_s - packet.sent_s)
                self._received.add(packet.arrived_s, packet.size_bytes)
        while self._fates and self._fates[0][0] < now_s - 3:
            self._fates.popleft()
        while self._bases and self._bases[0][0] < now_s - 40:
            self._bases.popleft()
        if delays:
            while self._bases and self._bases[-1][1] >= min(delays):
                self._bases.pop()
            self._bases.append((now_s, min(delays)))
            recent = sum(delays[-4:]) / len(delays[-4:])
            self._queue_s += (max(recent - self._bases[0][1], 0.0) - self._queue_s) * 0.5
        self._adapt(now_s, elapsed_s, rtt_s)

    def tick(self, now_s: float, rtt_s: float) -> None:
        if now_s - self._fed_s > max(1.5, 2 * rtt_s + 0.8) and now_s - self._cut_s > 1.0:
            self._remembered_bps = self._remembered_bps or self.rate_bps
            self.rate_bps, self._cut_s = max(self.rate_bps * 0.5, _FLOOR_BPS), now_s

    def _adapt(self, now_s: float, elapsed_s: float, rtt_s: float) -> None:
        limit_s = max(0.09, 2.2 * 8_000 / max(self.rate_bps, 20_000.0))
        lost = sum(gone for _, gone in self._fates)
        loss = lost / len(self._fates) if len(self._fates) >= 15 else 0.0
        if self._queue_s <= limit_s:
            self._high_s = None
        elif self._high_s is None:
            self._high_s = now_s
        standing = self._high_s is not None and now_s - self._high_s > 0.15
        heavy = loss > 0.12 and (self._queue_s > limit_s / 2 or loss > 0.25)
        settled = now_s - self._cut_s > max(rtt_s + 0.3, 0.5)
        if (standing or heavy) and settled:
            reached_bps = min(self._received.bps or self.rate_bps, self.rate_bps)
            self._broke_bps, self._starting, self._cut_s = max(reached_bps, _FLOOR_BPS), False, now_s
            self.rate_bps = max(reached_bps * (0.7 if self._queue_s > 3 * limit_s else 0.85), _FLOOR_BPS)
        elif self._queue_s < 0.6 * limit_s and loss < 0.12 and settled:
            near = self.rate_bps / self._broke_bps
            share = 0.6 if self._starting else 0.15 if near < 0.8 else 0.03 if near < 1.1 else 0.1
            grown_bps = self.rate_bps * (1 + share * elapsed_s)
            if grown_bps <= max(self._received.bps * 1.5 + 12_000, _FLOOR_BPS):
                self.rate_bps = min(grown_bps, _CEILING_BPS)

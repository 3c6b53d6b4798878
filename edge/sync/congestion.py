"""DelayAimd: the congestion controller of the datagram bearer. Pure; time is an argument.

A window in bytes (AIMD, Chiu and Jain 1989) that is steered by the queue's delay (the idea of TCP Vegas), since
losses of a radio link are mostly no congestion. It doubles each round trip until three samples in a row show a queue,
then takes what was delivered in the last round trip as the line's rate. Afterwards one packet more a round trip while
the queue is short, and back to the delivered rate when it passes ``QUEUE_HIGH_S``.

A queue that stays although we gave way, or losses while it is long, are somebody else's: from then on the window
follows CUBIC (RFC 9438), so that such a flow beside ours does not starve it; every ``TEST_EVERY_S`` it makes room for
some round trips and looks whether the queue was its own after all. Window and round trip time survive outages.
"""

from collections import deque
from collections.abc import Iterable

from .packet_size import PacketSize

PACKET_BYTES = 1_228
"""A full packet with IP and UDP headers."""
FLOOR_BYTES = 2 * PACKET_BYTES
COMPETING_FLOOR_BYTES = 3 * PACKET_BYTES
"""Beside somebody else: of two packets one is often lost at a full queue, and then nothing is learned for seconds."""
CEILING_BYTES = 4 << 20
INITIAL_BYTES = 6 * PACKET_BYTES
QUEUE_START_S = 0.15
"""So much queue ends the doubling."""
QUEUE_LOW_S = 0.1
QUEUE_HIGH_S = 0.25
LOSS_HIGH = 0.1
PATIENCE_ROUNDS = 3.0
"""So many rounds of giving way in vain are somebody else; a good round takes back ``RELIEF``."""
RELIEF = 0.15
TEST_EVERY_S, TEST_AT_MOST_EVERY_S = 30.0, 120.0
"""Twice as long after each test that found somebody else."""
TEST_ROUNDS = 3
CUBIC_C = 0.4
CUBIC_BETA = 0.7
SINGLE_LOSS_BETA = 0.75
"""On a single loss: at a full queue a paced packet finds no room more often than one that an ACK lets go."""
FIRST_TIMEOUT_S = 3.0
"""Before a round trip was measured (GPRS and VSAT answer late; facts/sync-baseline.md)."""
TIMEOUT_FLOOR_S = 1.0
TIMEOUT_CEILING_S = 6.0
ACK_DELAY_MAX_S = 0.25
PROBE_MARGIN_S = 0.05
"""What an ACK of something urgent may wait at the other side (``incoming.RIDE_S``), and some jitter."""
UNMEASURED_PACE_BPS = 64_000.0


class DelayAimd:
    """Window, pace and round trip time of one link."""

    def __init__(self) -> None:
        self.packets = PacketSize()
        """Kept here, since it belongs to the path and survives outages too."""
        self.window_bytes = float(INITIAL_BYTES)
        self.srtt_s = 0.0
        self.rttvar_s = 0.0
        self.min_rtt_s = 0.0
        self._slow_start = True
        self._competing = False
        self._suspicion = 0.0
        self._grew = False
        self._cubic_max = self._cubic_begin = self._cubic_k_s = self._cubic_s = 0.0
        self._test_s = 0.0
        self._test_every_s = TEST_EVERY_S
        self._test_rounds = 0
        self._test_window = 0.0
        self._waiting = False
        """A round has to pass before the window may grow again."""
        self._recent: deque[float] = deque(maxlen=3)
        self._acks: deque[tuple[float, int]] = deque()
        self._top_s = 0.0
        """Longest queue seen lately."""
        self._round_end_s = 0.0
        self._round_min_s = 0.0
        self._round_max_s = 0.0
        self._round_sent = 0
        self._round_lost = 0
        self._cut_s = float("-inf")
        self._window_limited = False

    @property
    def pace_bytes_per_s(self) -> float:
        """Pace of departures: somewhat above window / RTT, so that the window decides."""
        if not self.srtt_s:
            return UNMEASURED_PACE_BPS / 8
        return (2.0 if self._slow_start else 1.25) * self.window_bytes / max(self.srtt_s, 0.01)

    @property
    def burst_packets(self) -> int:
        """So many may leave at once. One beside a flow that keeps the queue full: of two the second finds no room."""
        return 1 if self._competing else 2

    @property
    def rate_bps(self) -> int:
        """What the controller allows at present, IP bits per second; 0 while nothing is measured."""
        return int(8 * self.window_bytes / self.srtt_s) if self.srtt_s else 0

    @property
    def timeout_s(self) -> float:
        """How long to wait for an acknowledgement. Never backs off exponentially."""
        if not self.srtt_s:
            return FIRST_TIMEOUT_S
        wait_s = self.srtt_s + 4 * self.rttvar_s + ACK_DELAY_MAX_S
        return min(max(wait_s, TIMEOUT_FLOOR_S), max(TIMEOUT_CEILING_S, 2 * self.srtt_s))

    @property
    def probe_s(self) -> float | None:
        """After this long something urgent is sent again unasked (the idea of RFC 8985 §7); None: no RTT is known."""
        if not self.srtt_s:
            return None
        return min(max(1.5 * self.srtt_s, self.srtt_s + 2 * self.rttvar_s) + PROBE_MARGIN_S, self.timeout_s)

    def on_sent(self, in_flight_bytes: int) -> None:
        self._round_sent += 1
        # Of a window of two to three packets two are less than three quarters, and all that may leave.
        if in_flight_bytes > min(self.window_bytes * 0.75, self.window_bytes - PACKET_BYTES):
            self._window_limited = True

    def on_rtt(self, sample_s: float) -> None:
        """A round trip time, the other side's delay already taken off (RFC 6298 smoothing)."""
        sample_s = max(sample_s, 0.000_1)
        if not self.srtt_s:
            self.srtt_s, self.rttvar_s, self.min_rtt_s = sample_s, sample_s / 2, sample_s
        else:
            self.rttvar_s += (abs(sample_s - self.srtt_s) - self.rttvar_s) / 4
            self.srtt_s += (sample_s - self.srtt_s) / 8
            self.min_rtt_s = min(self.min_rtt_s * 1.000_5, sample_s)
        self._round_min_s = min(self._round_min_s or sample_s, sample_s)
        self._round_max_s = max(self._round_max_s, sample_s)
        self._recent.append(sample_s)

    def on_acked(self, acked_bytes: int, now: float) -> None:
        self._acks.append((now, acked_bytes))
        while len(self._acks) > 2 and self._acks[1][0] < now - max(self.srtt_s, 0.2):
            self._acks.popleft()
        if self._slow_start and self._window_limited:
            queued = len(self._recent) == 3 and min(self._recent) - self.min_rtt_s > QUEUE_START_S
            if queued:
                self._slow_start = False
                self._give_way(0.5)
            else:
                self._grow(acked_bytes)
        if now >= self._round_end_s:
            self._end_round(now)

    def on_lost(self, sent_s: Iterable[float]) -> None:
        """Packets that were lost, by when they left; what left before the last cut tells nothing new."""
        self._round_lost += sum(1 for at_s in sent_s if at_s >= self._cut_s)

    def on_outage(self) -> None:
        """Nothing came back for a whole timeout. The window is kept but for a fifth."""
        if not self.srtt_s:
            return
        self._shrink(self.window_bytes * 0.8)
        self._slow_start = False
        self._round_sent = self._round_lost = 0

    def _grow(self, by_bytes: float) -> None:
        self.window_bytes = min(self.window_bytes + by_bytes, float(CEILING_BYTES))

    @property
    def line_bytes(self) -> float:
        """What the line holds at the rate that was delivered lately: one bandwidth-delay product; 0 while unknown."""
        return self._delivered_bytes_per_s * self.min_rtt_s

    @property
    def _delivered_bytes_per_s(self) -> float:
        """What arrived in about the last round trip; 0 while unknown."""
        span_s = self._acks[-1][0] - self._acks[0][0] if self._acks else 0.0
        return sum(size for _, size in list(self._acks)[1:]) / span_s if span_s > 0 else 0.0

    def _give_way(self, least: float) -> None:
        """Back to the delivered rate and a short queue, at least ``least`` of the window."""
        target = self._delivered_bytes_per_s * (self.min_rtt_s + QUEUE_LOW_S)
        self._shrink(max(target, self.window_bytes * least))

    def _shrink(self, to_bytes: float) -> None:
        floor_bytes = COMPETING_FLOOR_BYTES if self._competing else FLOOR_BYTES
        self.window_bytes = max(min(self.window_bytes, to_bytes), float(floor_bytes))

    def _end_round(self, now: float) -> None:
        queue_s = self._round_min_s - self.min_rtt_s if self._round_min_s else 0.0
        peak_s = self._round_max_s - self.min_rtt_s if self._round_max_s else 0.0
        self._top_s = max(self._top_s * 0.98, peak_s)
        before_bytes = self.window_bytes
        full = self._round_lost > 0 and peak_s > max(0.7 * self._top_s, 0.05)
        heavy = self._round_lost >= 2 and self._round_lost > LOSS_HIGH * max(self._round_sent, 1)
        if self._competing:
            self._compete(queue_s, full or heavy, now)
        else:
            self._yield(queue_s, full, heavy, now)
        if self.window_bytes < before_bytes:
            self._cut_s = now
        self._round_end_s = now + max(self.srtt_s, 0.05)
        self._round_min_s = self._round_max_s = 0.0
        self._round_sent = self._round_lost = 0
        self._window_limited = False

    def _yield(self, queue_s: float, full: bool, heavy: bool, now: float) -> None:
        """Alone, as far as we know: hold the queue short."""
        high, grew = queue_s > QUEUE_HIGH_S and self._window_limited, False
        if heavy:
            self._slow_start = False
            self._shrink(self.window_bytes * 0.7)
        elif high:
            self._slow_start = False
            self._give_way(0.7)
        elif full and not self._slow_start:
            self._shrink(self.window_bytes * 0.85)
        elif not self._slow_start and self._window_limited and queue_s < QUEUE_LOW_S and not self._grew:
            # What a packet more does shows a round trip later.
            self._grow(PACKET_BYTES)
            grew = True
        self._grew = grew
        self._suspicion = max(self._suspicion + (1.0 if high or full else -RELIEF), 0.0)
        if self._suspicion >= PATIENCE_ROUNDS:
            self._competing, self._suspicion = True, 0.0
            self._test_every_s, self._test_s, self._test_rounds = TEST_EVERY_S, now + TEST_EVERY_S, 0
            self._begin_cubic(now, self.window_bytes)

    def _compete(self, queue_s: float, congested: bool, now: float) -> None:
        """Beside a flow that fills the queue: as that one, by losses."""
        if self._test_rounds:
            self._test_rounds -= 1
            if self._test_rounds:
                return
            self._competing = queue_s > QUEUE_LOW_S
            self._test_every_s = min(2 * self._test_every_s, TEST_AT_MOST_EVERY_S)
            self._test_s = now + self._test_every_s
            if self._competing:
                self.window_bytes = self._test_window
                self._begin_cubic(now, self._test_window)
                self._waiting = True
        elif now >= self._test_s:
            self._test_rounds, self._test_window = TEST_ROUNDS, self.window_bytes
            self._shrink(0.75 * self._delivered_bytes_per_s * self.min_rtt_s)
        elif congested:
            top = self.window_bytes
            self._shrink(top * (CUBIC_BETA if self._round_lost > 1 else SINGLE_LOSS_BETA))
            self._begin_cubic(now, top * (1 + CUBIC_BETA) / 2 if top < self._cubic_max else top)
            self._waiting = True
        elif self._waiting:
            # What the smaller window does shows a round trip later; the growth counts from then on.
            self._waiting = False
            self._cubic_s = now
        elif self._window_limited:
            self._grow(min(max(self._cubic(now + self.srtt_s) - self.window_bytes, 0.0), self.window_bytes / 2))

    def _begin_cubic(self, now: float, top_bytes: float) -> None:
        self._cubic_s, self._cubic_max, self._cubic_begin = now, top_bytes, self.window_bytes
        self._cubic_k_s = (max(top_bytes - self.window_bytes, 0.0) / PACKET_BYTES / CUBIC_C) ** (1 / 3)

    def _cubic(self, at_s: float) -> float:
        """RFC 9438 §4.2 and §4.3, in bytes."""
        since_s = at_s - self._cubic_s
        cubic = CUBIC_C * (since_s - self._cubic_k_s) ** 3 * PACKET_BYTES + self._cubic_max
        reno = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) * since_s / max(self.srtt_s, 0.05) * PACKET_BYTES
        return max(cubic, self._cubic_begin + reno)

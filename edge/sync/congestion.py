"""DelayAimd: the congestion controller of the datagram bearer. Pure; time is an argument.

A window in bytes. It doubles each round trip until the queue grows, then adds one packet a round
trip (AIMD, Chiu and Jain 1989) and backs off by 0.85 when the queue's delay passes ``QUEUE_HIGH_S`` for a
round trip (the idea of TCP Vegas), by 0.7 when more than one packet in ten of a round is lost: single
random losses of a radio link are no congestion. The window has a floor of two packets; it and
the round trip time survive outages.
"""

PACKET_BYTES = 1_228
"""A full packet with IP and UDP headers."""
FLOOR_BYTES = 2 * PACKET_BYTES
CEILING_BYTES = 4 << 20
INITIAL_BYTES = 6 * PACKET_BYTES
QUEUE_HIGH_S = 0.25
LOSS_HIGH = 0.1
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
        self.window_bytes = float(INITIAL_BYTES)
        self.srtt_s = 0.0
        self.rttvar_s = 0.0
        self.min_rtt_s = 0.0
        self._slow_start = True
        self._round_end_s = 0.0
        self._round_min_s = 0.0
        self._round_sent = 0
        self._round_lost = 0
        self._window_limited = False

    @property
    def pace_bytes_per_s(self) -> float:
        """Pace of departures: somewhat above window / RTT, so that the window decides."""
        if not self.srtt_s:
            return UNMEASURED_PACE_BPS / 8
        return (2.0 if self._slow_start else 1.25) * self.window_bytes / max(self.srtt_s, 0.01)

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
        if in_flight_bytes > self.window_bytes * 0.75:
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

    def on_acked(self, acked_bytes: int, now: float) -> None:
        if self._slow_start and self._window_limited:
            self._grow(acked_bytes)
        if now >= self._round_end_s:
            self._end_round(now)

    def on_lost(self, packets: int) -> None:
        self._round_lost += packets

    def on_outage(self) -> None:
        """Nothing came back for a whole timeout. The window is kept but for a fifth."""
        self.window_bytes = max(self.window_bytes * 0.8, float(FLOOR_BYTES))
        self._slow_start = False
        self._round_sent = self._round_lost = 0

    def _grow(self, by_bytes: float) -> None:
        self.window_bytes = min(self.window_bytes + by_bytes, float(CEILING_BYTES))

    def _end_round(self, now: float) -> None:
        queue_s = self._round_min_s - self.min_rtt_s if self._round_min_s else 0.0
        heavy = self._round_lost >= 2 and self._round_lost > LOSS_HIGH * max(self._round_sent, 1)
        if heavy or queue_s > QUEUE_HIGH_S:
            self._slow_start = False
            self.window_bytes = max(self.window_bytes * (0.7 if heavy else 0.85), float(FLOOR_BYTES))
        elif not self._slow_start and self._window_limited:
            self._grow(PACKET_BYTES)
        self._round_end_s = now + max(self.srtt_s, 0.05)
        self._round_min_s = 0.0
        self._round_sent = self._round_lost = 0
        self._window_limited = False

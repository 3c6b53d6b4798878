"""When the next packet may leave, and of which classes: window, pace, and what a call leaves to bulk. Without I/O.

The window and the pace are the congestion controller's (:mod:`edge.sync.congestion`), of whatever path is in use.
"""

from .congestion import PACKET_BYTES, DelayAimd
from .outbox import CLASSES

BULK_CLS_MIN = 3
"""Originals, clips and telemetry: what may wait."""
HELD_IN_A_CALL_CLS_MIN = 5
"""Telemetry and updates: nothing of them leaves while a call is up, whatever it leaves to bulk."""
LIMITED_CLS_MIN = 2
"""Classes that share the rate that a call leaves."""
LIMITED_PIECE_S, LIMITED_PIECE_BYTES = 0.2, 200
"""Their pieces are short then (seconds of that rate, and at least so much): sound waits behind each."""
FIRST_BULK_PACKETS = 1
"""Of those so many leave before anything was ever heard: the process may have begun in an outage."""
_EPSILON_S = 1e-6


class Pace:
    """What has left one session at one end and is under way."""

    def __init__(self, now: float) -> None:
        self.held = False
        """Classes 3 to 5 wait (a cap, or the hours)."""
        self.bulk_bps: float | None = None
        """At most so much of classes 2 to 5 leaves, IP bits per second; None: no limit."""
        self.in_flight_bytes = 0
        self._pace_s = now
        self._bulk_s = now

    def begin(self, now: float) -> None:
        """The line is there again, or is another one: nothing that left earlier holds up what leaves now."""
        self._pace_s = now

    def left(self, size: int, congestion: DelayAimd, now: float, *, limited: bool) -> None:
        """A packet of so many IP bytes left; ``limited``: it carried something of classes 2 to 5."""
        self.in_flight_bytes += size
        self._pace_s = max(self._pace_s, now) + size / congestion.pace_bytes_per_s
        if self.bulk_bps and limited:
            self._bulk_s = max(self._bulk_s, now) + 8 * size / self.bulk_bps

    def window_open(self, congestion: DelayAimd) -> bool:
        """Whether another packet fits into the window."""
        return self.in_flight_bytes == 0 or self.in_flight_bytes + PACKET_BYTES <= congestion.window_bytes

    def due_s(self, congestion: DelayAimd) -> float:
        """When the pace allows the next packet."""
        return self._pace_s - congestion.burst_packets * PACKET_BYTES / congestion.pace_bytes_per_s

    def limit_s(self, now: float) -> float | None:
        """When the rate that a call leaves allows the next packet of classes 2 to 5, if that is later than now."""
        return self._bulk_s if self.bulk_bps and self._bulk_s > now else None

    def piece_bytes(self, cls: int) -> int:
        """How much of a message of that class one packet carries at most; for no limit more than a packet holds."""
        if not self.bulk_bps or cls < LIMITED_CLS_MIN:
            return 1 << 16
        return max(int(self.bulk_bps * LIMITED_PIECE_S / 8), LIMITED_PIECE_BYTES)

    def cls_end(self, now: float, *, met: bool) -> int:
        """Classes from here on may not leave now; ``met``: a round trip is known."""
        if self.bulk_bps is not None and (self.bulk_bps <= 0 or self._bulk_s > now + _EPSILON_S):
            return LIMITED_CLS_MIN
        unmet = not met and self.in_flight_bytes >= FIRST_BULK_PACKETS * PACKET_BYTES
        if unmet or self.held:
            return BULK_CLS_MIN
        return CLASSES if self.bulk_bps is None else HELD_IN_A_CALL_CLS_MIN

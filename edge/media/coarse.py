"""How much a browser's way out carries, from the few figures that it tells once a second: pure.

A page sees no packet. It knows what it sent, the round trip, the other side's receiver report (share lost) and the
browser's own estimate. A round trip well above its least is a queue; loss is congestion only far beyond what the line
loses anyway. Its twin is ``Coarse`` in ``edge/ui/call/ladder.js``; both obey ``tests/vectors/ladder.json``. Here it is
simulated and tuned; the node itself has :mod:`edge.media.estimate`.
"""

import math

from msgspec import Struct

COARSE_FLOOR_BPS = 12_000.0
COARSE_CEILING_BPS = 2_500_000.0
COARSE_START_BPS = 38_000.0
_QUEUE_S = 0.14
"""A round trip so much above the least is a queue; below, one packet of the other side may be in front."""
_PATIENCE_S = 3.0
_HEAVY_LOSS = 0.06
_LONGEST_STEP_S = 2.0


class Second(Struct, frozen=True):
    """What was seen in about a second. Figures that a browser does not tell are None."""

    sent_bps: float
    """IP bits per second that left."""
    rtt_s: float | None = None
    lost: float | None = None
    """Share of our packets that the other side missed, from its newest report."""
    own_bps: float | None = None
    """The browser's own estimate (availableOutgoingBitrate)."""
    heard: bool = True
    """Whether anything came from the other side."""


class Coarse:
    """Estimates the total rate in IP bits per second."""

    def __init__(self, start_bps: float = 0.0) -> None:
        wanted_bps = start_bps if math.isfinite(start_bps) and start_bps > 0 else COARSE_START_BPS
        self.rate_bps = min(max(wanted_bps, COARSE_FLOOR_BPS), COARSE_CEILING_BPS)
        """The estimate."""
        self.line_loss = 0.02
        """Share of packets that the line loses whatever we send."""
        self.queue_s = 0.0
        self._lost = self.line_loss
        self._known_bps = 0.0
        """Where the link last was full; 0 while it never was."""
        self._least_rtt_s = 0.0
        self._draining = False
        self._wait_s = 0.0
        """Until what was done can be seen."""
        self._unseen_s = 0.0
        """Since a round trip was told: without one nothing says that there is no queue."""
        self._silent_s = 0.0
        self._remembered_bps = 0.0

    def take(self, seen: Second, elapsed_s: float) -> float:
        """Take in what was seen since the last call, about a second; the estimate. What cannot be true is ignored."""
        if not math.isfinite(elapsed_s) or elapsed_s <= 0 or not _sane(seen.sent_bps):
            return self.rate_bps
        elapsed_s = min(elapsed_s, 5.0)
        if self._is_silent(seen, elapsed_s):
            return self.rate_bps
        self._note_rtt(seen, elapsed_s)
        lost = seen.lost if seen.lost is not None and 0 <= seen.lost <= 1 else None
        if lost is not None:  # a second has few packets: one figure of many says little
            self._lost += (lost - self._lost) * 0.3
        self._wait_s -= elapsed_s
        if self._wait_s <= 0:
            if self.queue_s > _QUEUE_S:
                self._cut(seen, min(max(1 - 1.5 * self.queue_s, 0.4), 0.8))
            elif self._lost > 3 * self.line_loss + _HEAVY_LOSS:
                self._cut(seen, 0.85)
                self._lost = self.line_loss
            elif self._draining and self.queue_s <= _QUEUE_S / 2:
                self._draining = False
                self.rate_bps = max(self.rate_bps, 0.9 * self._known_bps)
            elif seen.rtt_s is not None:
                self._grow(seen, min(self._unseen_s + elapsed_s, _LONGEST_STEP_S))
        self._unseen_s = 0.0 if seen.rtt_s is not None else self._unseen_s + elapsed_s
        if lost is not None and self.queue_s <= _QUEUE_S / 2:
            self.line_loss += (min(lost, 0.15) - self.line_loss) * min(elapsed_s / 10, 1.0)
        return self.rate_bps

    def _is_silent(self, seen: Second, elapsed_s: float) -> bool:
        """Without a word from the other side the link may be gone: send less, and remember."""
        if seen.heard:
            if self._remembered_bps:
                self.rate_bps = max(self.rate_bps, 0.9 * self._remembered_bps)
                self._remembered_bps, self._wait_s, self.queue_s = 0.0, 2.0, 0.0
            self._silent_s = 0.0
            return False
        self._silent_s += elapsed_s
        if self._silent_s >= _PATIENCE_S:
            self._remembered_bps = self._remembered_bps or self.rate_bps
            self.rate_bps = max(self.rate_bps / 2, COARSE_FLOOR_BPS)
        return True

    def _note_rtt(self, seen: Second, elapsed_s: float) -> None:
        if seen.rtt_s is None or not 0 < seen.rtt_s < 30:
            return
        # The least may rise again, slowly: another way through the network.
        self._least_rtt_s = min(seen.rtt_s, self._least_rtt_s + 0.002 * elapsed_s) if self._least_rtt_s else seen.rtt_s
        self.queue_s = max(seen.rtt_s - self._least_rtt_s, 0.0)

    def _cut(self, seen: Second, share: float) -> None:
        reached_bps = min(max(seen.sent_bps, 0.6 * self.rate_bps), self.rate_bps)
        self._known_bps = max(reached_bps, COARSE_FLOOR_BPS)
        self.rate_bps = max(self._known_bps * share, COARSE_FLOOR_BPS)
        self._draining, self._wait_s = True, 1.0 + self._least_rtt_s

    def _grow(self, seen: Second, elapsed_s: float) -> None:
        if not self._known_bps:
            per_second = 0.2
        elif self.rate_bps < 0.85 * self._known_bps:
            per_second = 0.15
        else:
            per_second = 0.025
        grown_bps = self.rate_bps * (1 + per_second * elapsed_s)
        # What was never sent says nothing: do not run ahead of it.
        if grown_bps <= seen.sent_bps * 1.4 + 10_000:
            self.rate_bps = min(grown_bps, COARSE_CEILING_BPS)
        if seen.own_bps is not None and _sane(seen.own_bps) and seen.own_bps > 0:
            self.rate_bps = max(min(self.rate_bps, 1.25 * seen.own_bps + 20_000), COARSE_FLOOR_BPS)


def _sane(rate_bps: float) -> bool:
    return math.isfinite(rate_bps) and rate_bps >= 0

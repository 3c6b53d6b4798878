"""Tells losses of the line from losses of a full queue: pure.

The line's own loss is learned while nothing else is wrong. Congestion is what lies well beyond it, a
burst counted as little more than one loss; or losses that come when the delay is at its highest, for
a tail-drop queue drops when it is full and a radio drops when it likes.
"""

import math
from bisect import bisect_left, insort
from collections import deque

_WINDOW_S = 2.5
_RANK_WINDOW_S = 5.0
_BURST_WEIGHT = 2
"""Losses in a row count as this many at most."""
_WORST_LINE = 0.15
"""A line that loses more would carry more if less were sent."""
_FULL_RANK = 0.80
_FULL_LOSSES = 6
_DOUBTFUL_RANK, _TOLD_LOSSES = 0.62, 3


class Losses:
    """Of one direction."""

    def __init__(self) -> None:
        self.line = 0.02
        """Share of packets lost by the line itself."""
        self.recent = 0.0
        """Share of packets lost in the last seconds, each counted."""
        self._fates: deque[tuple[float, float]] = deque()
        """(when, weight of the loss; 0 for arrived)."""
        self._delays: deque[float] = deque()
        self._sorted: list[float] = []
        self._ranks: deque[tuple[float, float]] = deque()
        """(when, share of delays below the one before the loss)."""
        self._run = 0
        self._count = self._lost = 0
        self._weight = 0.0
        self._last_delay_s = 0.0

    def note_arrived(self, now_s: float, delay_s: float) -> None:
        """A packet that arrived."""
        self._run = 0
        self._last_delay_s = delay_s
        self._delays.append(delay_s)
        insort(self._sorted, delay_s)
        if len(self._delays) > 150:
            old = self._delays.popleft()
            del self._sorted[bisect_left(self._sorted, old)]
        self._add(now_s, 0.0, lost=False)

    def note_lost(self, now_s: float) -> None:
        """A packet that did not."""
        self._run += 1
        if self._run == 1 and len(self._sorted) >= 20:
            below = bisect_left(self._sorted, self._last_delay_s)
            self._ranks.append((now_s, below / len(self._sorted)))
        self._add(now_s, 1.0 if self._run <= _BURST_WEIGHT else 0.0, lost=True)

    def _add(self, now_s: float, weight: float, *, lost: bool) -> None:
        self._fates.append((now_s, weight if not lost else weight + 10))
        self._count += 1
        self._lost += lost
        self._weight += weight
        while self._fates and self._fates[0][0] < now_s - _WINDOW_S:
            _, old = self._fates.popleft()
            self._count -= 1
            if old >= 10:
                self._lost -= 1
                self._weight -= old - 10
        while self._ranks and self._ranks[0][0] < now_s - _RANK_WINDOW_S:
            self._ranks.popleft()
        self.recent = self._lost / self._count if self._count >= 15 else 0.0

    def learn(self, elapsed_s: float, *, settled: bool) -> None:
        """Time passed; ``settled``: no queue stands and nothing was cut lately, so what is lost the line loses."""
        if settled and self._count >= 15:
            seen = self._weight / self._count
            if seen > self.line and len(self._ranks) >= _TOLD_LOSSES and self._mean_rank() > _DOUBTFUL_RANK:
                return  # they come where a short queue is full: perhaps not the line's
            self.line += (seen - self.line) * min(elapsed_s / (6.0 if seen > self.line else 10.0), 1.0)
            self.line = min(self.line, _WORST_LINE)

    def congested(self) -> bool:
        """Whether what is lost now is more than the line's."""
        if self._count < 15:
            return False
        expected = self._count * self.line
        if self._weight > expected + 3.0 * math.sqrt(expected) + 3:
            return True
        if len(self._ranks) < _FULL_LOSSES:
            return False
        return self._mean_rank() > _FULL_RANK

    def _mean_rank(self) -> float:
        return sum(rank for _, rank in self._ranks) / len(self._ranks)

    def forget_moment(self) -> None:
        """What was lost lately was acted on."""
        self._fates.clear()
        self._ranks.clear()
        self._count = self._lost = 0
        self._weight = 0.0
        self.recent = 0.0

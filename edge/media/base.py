"""The delay of a way without a queue: pure.

The least of the last 40 s, but not the very least: one report that cannot be true would be believed for all of that
time. And a queue that stays exactly as it is for many seconds while we give way is none: then the way has changed.
"""

from bisect import bisect_left, insort
from collections import deque

_WINDOW_S = 40.0
_ABOVE = 2
"""So many reports may lie below, once there are enough."""
_STANDS_S = 8.0
_TREMBLES_S = 0.04
_LONG_S = 0.25
"""A shorter queue may stay for other reasons."""


class Base:
    """Of one direction."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()
        """(when, least delay of one report)."""
        self._sorted: list[float] = []
        self._anchor_s = 0.0
        self._since_s = float("-inf")

    def note(self, delay_s: float, now_s: float) -> None:
        """The least delay that a report tells."""
        self._reports.append((now_s, delay_s))
        insort(self._sorted, delay_s)
        while len(self._reports) > 1 and self._reports[0][0] < now_s - _WINDOW_S:
            _, old_s = self._reports.popleft()
            del self._sorted[bisect_left(self._sorted, old_s)]

    def delay_s(self, otherwise_s: float = 0.0) -> float:
        """The delay without a queue."""
        if not self._sorted:
            return otherwise_s
        return self._sorted[min(_ABOVE, len(self._sorted) // 4)]

    def stands(self, queue_s: float, now_s: float) -> bool:
        """Whether a queue has stayed so exactly and so long that it is none."""
        if queue_s < _LONG_S or abs(queue_s - self._anchor_s) > _TREMBLES_S:
            self._anchor_s, self._since_s = queue_s, now_s
        return now_s - self._since_s > _STANDS_S and queue_s >= _LONG_S

    def forget(self) -> None:
        """Another way, or another clock."""
        self._reports.clear()
        self._sorted.clear()
        self._since_s = float("inf")

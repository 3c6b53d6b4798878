"""Which lost packets of the picture are sent again: once a round trip, never more than a share of the rate. Pure.

A browser that does not know the round trip yet asks for the same packet several times in it. On a thin link each
answer took the room of the next pictures, and a third of the link went into copies.
"""

from collections import deque

SHARE = 0.25
"""Of the rate, for repairs."""
_WINDOW_S = 2.0
_SPARE_S = 0.1
_KEPT = 400


class Repairs:
    """Decides over the requests of one leg."""

    def __init__(self) -> None:
        self._answered: dict[int, float] = {}
        """When a packet was last sent again, by sequence number."""
        self._spent: deque[tuple[float, int]] = deque()

    def allow(self, number: int, size_bytes: int, now_s: float, rtt_s: float, rate_bps: float) -> bool:
        """Whether packet ``number``, about so large, is sent again now."""
        if now_s - self._answered.get(number, float("-inf")) < rtt_s + _SPARE_S:
            return False
        spent_bps = self.bps(now_s) + size_bytes * 8 / _WINDOW_S
        if self._spent and spent_bps > SHARE * rate_bps:
            return False
        self._spent.append((now_s, size_bytes))
        if len(self._answered) >= _KEPT:
            del self._answered[next(iter(self._answered))]
        self._answered.pop(number, None)
        self._answered[number] = now_s
        return True

    def bps(self, now_s: float) -> float:
        """What repairs took lately: the picture has to do without."""
        while self._spent and self._spent[0][0] < now_s - _WINDOW_S:
            self._spent.popleft()
        return sum(size for _, size in self._spent) * 8 / _WINDOW_S

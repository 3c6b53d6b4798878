"""A greedy TCP flow under CUBIC (RFC 9438) for the simulated bottleneck: window, losses, no payload. Pure."""

_C, _BETA = 0.4, 0.7
_SEGMENT_BYTES = 1_500


class CubicFlow:
    """One flow between two times. Segments go in order; a gap in what is acknowledged is a loss."""

    def __init__(self, from_s: float, until_s: float) -> None:
        self.from_s, self.until_s = from_s, until_s
        self.sent_number = 0
        self._window = 10.0
        self._threshold = 1e9
        self._flying: dict[int, float] = {}
        self._acks: list[tuple[float, int, float]] = []
        self._largest = 0.0
        self._epoch_s = 0.0
        self._recovered_s = 0.0
        self._rtt_s = 0.3
        self._heard_s = 0.0

    def acked(self, number: int, at_s: float, sent_s: float) -> None:
        """A segment arrived; its acknowledgement will be here ``at_s``."""
        self._acks.append((at_s, number, sent_s))

    def to_send(self, now_s: float) -> list[int]:
        """Sizes of the segments to send now; :attr:`sent_number` counts them."""
        if not self.from_s <= now_s < self.until_s:
            return []
        while self._acks and self._acks[0][0] <= now_s:
            self._take(*self._acks.pop(0))
        if self._flying and now_s - self._heard_s > max(1.0, 3 * self._rtt_s):
            self._flying.clear()
            self._threshold, self._window, self._heard_s = max(self._window / 2, 2.0), 2.0, now_s
        if len(self._flying) < int(self._window):
            self.sent_number += 1
            self._flying[self.sent_number] = now_s
            return [_SEGMENT_BYTES]
        return []

    def _take(self, at_s: float, number: int, sent_s: float) -> None:
        self._heard_s = at_s
        if self._flying.pop(number, None) is None:
            return
        self._rtt_s += ((at_s - sent_s) - self._rtt_s) / 8
        lost = [other for other in self._flying if other < number - 2]
        for other in lost:
            del self._flying[other]
        if lost and at_s > self._recovered_s:
            self._largest, self._window = self._window, max(self._window * _BETA, 2.0)
            self._threshold, self._epoch_s, self._recovered_s = self._window, at_s, at_s + self._rtt_s
        elif self._window < self._threshold:
            self._window += 1
        else:
            since_s = at_s - self._epoch_s
            turn_s = (self._largest * (1 - _BETA) / _C) ** (1 / 3)
            goal = _C * (since_s + self._rtt_s - turn_s) ** 3 + self._largest
            friendly = self._largest * _BETA + 3 * (1 - _BETA) / (1 + _BETA) * since_s / max(self._rtt_s, 0.01)
            self._window += max(min(max(goal, friendly) - self._window, self._window / 2), 0.0) / self._window

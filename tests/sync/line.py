"""A line with a queue, planned outages and, if wanted, a TCP flow beside ours, on simulated time.

The model is that of ``tests/kits/link.c``: tail-drop queue → serialiser → loss → delay; what meets a cut, or waits in
the queue when one begins, is lost. The TCP flow is CUBIC (RFC 9438) with an unlimited source, its ACKs never lost.
"""

import heapq
from collections.abc import Hashable

from tests.sync.kit import Medium

IP_UDP_BYTES = 28


class Line(Medium):
    """Both directions alike; ``queue_s`` is the queue's length in seconds of the rate."""

    def __init__(
        self,
        seed: int,
        *,
        rate_bps: float,
        rtt_s: float,
        loss: float = 0.0,
        queue_s: float = 1.0,
        floor_bytes: int = 6_000,
    ) -> None:
        super().__init__(seed, loss=loss, delay_s=rtt_s / 2)
        self.rate_bps = rate_bps
        self.queue_bytes = max(floor_bytes, int(rate_bps * queue_s / 8))
        self.outages: list[tuple[float, float]] = []
        """From, to; in order."""
        self.delivered_bytes = 0
        """IP bytes of ours that went up and arrived."""
        self.flows: list[Cubic] = []

    def windows(self, first_up_s: float, up_s: float, every_s: float, count: int = 40) -> None:
        """Up for ``up_s`` in every ``every_s``; the first window opens at ``first_up_s``."""
        for number in range(count):
            begin = first_up_s + number * every_s
            self.outages.append((begin + up_s, begin + every_s))

    def carry(self, way: str, size_bytes: int, now: float) -> float | None:
        """When an IP packet arrives that is offered now; None: it is lost."""
        assert self.rate_bps is not None
        waiting = self.waiting_s(way, now)
        down = any(start <= now < end for start, end in self.outages)
        if self.cut or down or waiting * self.rate_bps / 8 > self.queue_bytes:
            return None
        done = now + waiting + 8 * size_bytes / self.rate_bps
        self._free_s[way] = done
        cut_s = next((start for start, _ in self.outages if now < start < done), None)
        if cut_s is not None:
            self._free_s[way] = cut_s
            return None
        return None if self.draw.random() < self.loss else done + self.delay_s

    def waiting_s(self, way: str, now: float) -> float:
        """How long the queue is."""
        return max(self._free_s[way] - now, 0.0)

    def send(self, way: str, data: bytes, path: Hashable, now: float) -> None:
        size = len(data) + IP_UDP_BYTES
        self.bytes[way] += size
        at = self.carry(way, size, now)
        if at is not None:
            self.delivered_bytes += size if way == "up" else 0
            self._count += 1
            heapq.heappush(self._flying, (at, self._count, way, data, path))

    def due(self, now: float) -> list[tuple[str, bytes, Hashable]]:
        for flow in self.flows:
            flow.act(now)
        return super().due(now)

    def next_s(self) -> float | None:
        times = [super().next_s(), *(flow.next_s() for flow in self.flows)]
        return min((t for t in times if t is not None), default=None)


class Cubic:
    """One bulk TCP flow upwards, CUBIC with fast convergence and SACK-like loss detection."""

    PACKET_BYTES = 1_500
    C, BETA = 0.4, 0.7

    def __init__(self, line: Line, start_s: float) -> None:
        self.line, self.start_s = line, start_s
        self.delivered_bytes = 0
        self.cwnd, self.ssthresh = 10.0, float("inf")
        self._w_max = self._k = 0.0
        self._epoch_s: float | None = None
        self._acks: list[tuple[float, int, float]] = []
        self._open: dict[int, float] = {}
        self._next = self._highest = 0
        self._recover = -1
        self._srtt = 0.0
        self._rto_s: float | None = None

    def next_s(self) -> float | None:
        if not self._next:
            return self.start_s
        times = [self._acks[0][0]] if self._acks else []
        return min(times + ([self._rto_s] if self._rto_s is not None else []), default=None)

    def act(self, now: float) -> None:
        if now < self.start_s:
            return
        while self._acks and self._acks[0][0] <= now + 1e-9:
            _, number, sent_s = heapq.heappop(self._acks)
            self._acked(number, now - sent_s, now)
        if self._rto_s is not None and self._rto_s <= now:
            self._open.clear()
            self.ssthresh, self.cwnd, self._epoch_s = max(self.cwnd * self.BETA, 2.0), 1.0, None
            self._recover = self._next
            self._rto_s = now + 2 * max(1.0, 2 * self._srtt)
        while len(self._open) < int(self.cwnd):
            self._send(now)

    def _send(self, now: float) -> None:
        number, self._next = self._next, self._next + 1
        self._open[number] = now
        at = self.line.carry("up", self.PACKET_BYTES, now)
        if at is not None:
            # Hosts are no metronomes: without some jitter two flows at a full queue stay in step for ever.
            jitter_s = self.line.draw.random() * 0.03
            heapq.heappush(self._acks, (at + self.line.delay_s + jitter_s, number, now))
        if self._rto_s is None:
            self._rto_s = now + 3.0

    def _acked(self, number: int, rtt_s: float, now: float) -> None:
        self.delivered_bytes += self.PACKET_BYTES
        self._srtt = self._srtt + (rtt_s - self._srtt) / 8 if self._srtt else rtt_s
        self._rto_s = now + max(1.0, 2 * self._srtt)
        if self._open.pop(number, None) is None:
            return
        self._highest = max(self._highest, number)
        lost = [n for n in self._open if n <= self._highest - 3]
        for n in lost:
            del self._open[n]
        if lost and max(lost) > self._recover:
            self._recover = self._next
            self._w_max = self.cwnd * (1 + self.BETA) / 2 if self.cwnd < self._w_max else self.cwnd
            self.cwnd = self.ssthresh = max(self.cwnd * self.BETA, 2.0)
            self._epoch_s = None
        elif self.cwnd < self.ssthresh:
            self.cwnd += 1
        else:
            self._grow(now)

    def _grow(self, now: float) -> None:
        if self._epoch_s is None:
            self._epoch_s, self._begin = now, self.cwnd
            self._k = (max(self._w_max - self.cwnd, 0.0) / self.C) ** (1 / 3)
            self._w_max = max(self._w_max, self.cwnd)
        t = now - self._epoch_s + self._srtt
        cubic = self.C * (t - self._k) ** 3 + self._w_max
        reno = self._begin + 3 * (1 - self.BETA) / (1 + self.BETA) * (now - self._epoch_s) / self._srtt
        target = min(max(cubic, reno), 1.5 * self.cwnd)
        self.cwnd += max(target - self.cwnd, 0.01) / self.cwnd

"""A simulated way through a network: a rate that may change, a tail-drop queue, delay, loss, outages. Pure.

One :class:`Way` is one direction. Time goes in steps of :data:`STEP_S`; a packet that is served
within a step arrives at its exact time. Shared by the simulated call, its peers and the tests.
"""

import random
from collections import deque
from collections.abc import Callable

from msgspec import Struct

STEP_S = 0.005


class Burst(Struct, frozen=True):
    """Gilbert-Elliott loss, stepped once a packet: mean spell ``1 / to_good``, everything in it is lost."""

    to_bad: float
    to_good: float


class Packet(Struct):
    """One IP packet on its way."""

    kind: str
    size_bytes: int
    sent_s: float
    number: int = 0
    """Counts what is reported by transport-wide feedback; 0 for what is not."""
    content: object = None


class WaySpec(Struct, frozen=True):
    """One direction of a link."""

    rate_at: Callable[[float], float]
    """Bits per second at a time; 0 is an outage."""
    delay_s: float
    queue_bytes: float
    """Tail drop beyond this."""
    loss: float = 0.0
    burst: Burst | None = None
    drops_in_outage: bool = True
    """What waits when the rate is 0 is lost; otherwise it is kept, as a mobile network does."""
    jitter_s: float = 0.0
    """Extra delay, uniform, packets stay in order."""


class Way:
    """Packets go in by :meth:`put` and come out of :meth:`step`."""

    def __init__(self, spec: WaySpec, seed: int) -> None:
        self.spec = spec
        self._chance = random.Random(seed)
        self._queue: deque[Packet] = deque()
        self.queued_bytes = 0
        self._credit_bits = 0.0
        self._flying: deque[tuple[float, Packet]] = deque()
        self._bad = False
        self._last_s = 0.0
        self.dropped: dict[str, int] = {}
        """Packets of a kind that found the queue full."""
        self.served_bits: dict[str, int] = {}
        """Bits of a kind that used the line, lost ones too."""

    def is_full(self, size_bytes: int, now_s: float) -> bool:
        """Whether the queue has no room for it now."""
        return self.spec.rate_at(now_s) > 0 and self.queued_bytes + size_bytes > self.spec.queue_bytes

    def put(self, packet: Packet, now_s: float) -> None:
        """A packet reaches the queue."""
        cut = self.spec.drops_in_outage and self.spec.rate_at(now_s) <= 0
        if cut or self.queued_bytes + packet.size_bytes > self.spec.queue_bytes:
            self.dropped[packet.kind] = self.dropped.get(packet.kind, 0) + 1
            return
        self._queue.append(packet)
        self.queued_bytes += packet.size_bytes

    def step(self, now_s: float) -> list[tuple[float, Packet]]:
        """What arrives by the end of the step that begins ``now_s``, with its time of arrival."""
        rate_bps = self.spec.rate_at(now_s)
        if rate_bps <= 0 and self.spec.drops_in_outage:
            self._queue.clear()
            self.queued_bytes = 0
        self._credit_bits = self._credit_bits + rate_bps * STEP_S if self._queue else 0.0
        while self._queue and self._credit_bits >= self._queue[0].size_bytes * 8:
            packet = self._queue.popleft()
            self.queued_bytes -= packet.size_bytes
            self._credit_bits -= packet.size_bytes * 8
            self.served_bits[packet.kind] = self.served_bits.get(packet.kind, 0) + packet.size_bytes * 8
            if not self._is_lost():
                out_s = now_s + STEP_S - self._credit_bits / rate_bps
                jitter_s = self._chance.random() * self.spec.jitter_s if self.spec.jitter_s else 0.0
                self._last_s = max(self._last_s, out_s + self.spec.delay_s + jitter_s)
                self._flying.append((self._last_s, packet))
        arrived = []
        while self._flying and self._flying[0][0] < now_s + STEP_S:
            arrived.append(self._flying.popleft())
        return arrived

    def delay_now_s(self, now_s: float) -> float:
        """How long a packet that comes now has to wait."""
        rate_bps = self.spec.rate_at(now_s)
        return self.queued_bytes * 8 / rate_bps if rate_bps > 0 else 0.0

    def _is_lost(self) -> bool:
        if self.spec.burst is not None:
            turn = self.spec.burst.to_good if self._bad else self.spec.burst.to_bad
            if self._chance.random() < turn:
                self._bad = not self._bad
            if self._bad:
                return True
        return self._chance.random() < self.spec.loss

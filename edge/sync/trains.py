"""A short train of packets that shows what the way carries now, both ways at a time. Without I/O; time is an argument.

The packets leave together, so that the slowest piece of the way spreads them; their receiver notes when each one came.
The node begins. At the first packet that comes, the hub sends a train of its own, and says twice when the node's came:
what is lost of a train is lost, nothing of it is repeated. Draws no conclusion: :mod:`edge.media.preflight` does.
"""

from msgspec import Struct

from . import frames as fr
from . import seal

COUNT_MAX = 16
SIZE_MIN_BYTES, SIZE_MAX_BYTES = 100, 1_000
"""IP bytes of a packet of a train, over UDP."""
PATIENCE_S = 0.3
"""A packet that comes so long after the one before is not waited for, nor one that comes later than four gaps."""
SAY_AGAIN_S = 0.12
CREDIT_BYTES, CREDIT_BPS = 131_072.0, 16_000.0
"""What a hub answers with at most, each session: at once, and for longer."""
_IP_UDP_BYTES = 28
_FIXED_BYTES = 4
_HEAD_BYTES = 2 + _FIXED_BYTES
_TICK_S = 1e-4


class Plan(Struct, frozen=True):
    """A train."""

    count: int
    size_bytes: int
    """IP bytes of each packet."""

    @property
    def total_bytes(self) -> int:
        """One way."""
        return self.count * self.size_bytes


class Seen(Struct, frozen=True):
    """One direction of a train as its receiver saw it."""

    size_bytes: int
    """IP bytes of each packet."""
    arrived_s: tuple[float | None, ...]
    """Seconds after the first one that came, in the order of sending; None: it did not come."""


class TrainTold(Struct, frozen=True):
    """What became of a train."""

    number: int
    path: str
    """The bearer."""
    up: Seen | None
    """None: the hub said nothing of it in time. It may be of an earlier release."""
    down: Seen | None


class _Arriving:
    """A train that comes."""

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self._at: list[float | None] = [None] * count
        self._last_s, self._gap_s, self._came = 0.0, 0.0, 0

    def take(self, index: int, now: float) -> None:
        if index < len(self._at) and self._at[index] is None:
            if self._came:
                self._gap_s = max(self._gap_s, now - self._last_s)
            self._at[index], self._last_s = now, now
            self._came += 1

    @property
    def due_s(self) -> float:
        """When nothing more is waited for."""
        whole = self._came == len(self._at)
        return self._last_s if whole else self._last_s + max(PATIENCE_S, 4 * self._gap_s)

    def times(self) -> tuple[float | None, ...]:
        first_s = min((at for at in self._at if at is not None), default=0.0)
        return tuple(None if at is None else at - first_s for at in self._at)


def _packets(number: int, plan: Plan, overhead_bytes: int) -> list[fr.Train]:
    pad = max(plan.size_bytes - _IP_UDP_BYTES - overhead_bytes - _HEAD_BYTES, 0)
    pad -= pad + _FIXED_BYTES >= 0x80  # the length takes a second byte
    return [fr.Train(number, index, plan.count, pad) for index in range(plan.count)]


class TrainAsking:
    """The node's side: one train at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._plan: Plan | None = None
        self._leaving: list[fr.Train] = []
        self._until_s = 0.0
        self._down: _Arriving | None = None
        self._up: tuple[float | None, ...] | None = None

    def begin(self, plan: Plan, now: float, most_s: float) -> int:
        """Send a train; what became of it is told after ``most_s`` at the latest. Its number."""
        self._number = self._number % 0xFFFF + 1
        self._plan, self._until_s = plan, now + most_s
        self._leaving = _packets(self._number, plan, seal.PACKET_UP_OVERHEAD_BYTES)
        self._down, self._up = None, None
        return self._number

    def leaving(self) -> list[fr.Train]:
        """The packets that leave now, each a packet of its own."""
        leaving, self._leaving = self._leaving, []
        return leaving

    def take(self, frame: fr.Train | fr.TrainSeen, now: float) -> None:
        """The hub's train, or its word about ours."""
        if self._plan is None or frame.number != self._number:
            return
        if isinstance(frame, fr.TrainSeen):
            if len(frame.ticks) == self._plan.count:
                self._up = tuple(None if not tick else (tick - 1) * _TICK_S for tick in frame.ticks)
        elif frame.count == self._plan.count:
            if self._down is None:
                self._down = _Arriving(self._number, frame.count)
            self._down.take(frame.index, now)

    @property
    def due_s(self) -> float | None:
        """When :meth:`told` has something to say; None while no train is under way."""
        if self._plan is None:
            return None
        if self._up is None or self._down is None:
            return self._until_s
        return min(self._down.due_s, self._until_s)

    def told(self, path: str, now: float) -> TrainTold | None:
        """What became of the train, once."""
        due_s, plan = self.due_s, self._plan
        if plan is None or due_s is None or due_s > now + 1e-6:
            return None
        self._plan = None
        up = None if self._up is None else Seen(plan.size_bytes, self._up)
        down = None if self._down is None else Seen(plan.size_bytes, self._down.times())
        return TrainTold(self._number, path, up, down)


class TrainAnswering:
    """The hub's side, one for each session."""

    def __init__(self, now: float) -> None:
        self._coming: _Arriving | None = None
        self._leaving: list[fr.Train] = []
        self._said = 0
        self._say_s = 0.0
        self._credit_bytes, self._credit_s = CREDIT_BYTES, now

    def take(self, frame: fr.Train, size_bytes: int, now: float) -> None:
        """A packet of the node's train, of so many IP bytes, on a path that has proved itself."""
        if not 2 <= frame.count <= COUNT_MAX or frame.index >= frame.count:
            return
        if self._coming is None or self._coming.number != frame.number:
            plan = Plan(frame.count, min(max(size_bytes, SIZE_MIN_BYTES), SIZE_MAX_BYTES))
            if not self._pays(plan.total_bytes, now):
                return
            self._coming, self._said = _Arriving(frame.number, frame.count), 0
            self._leaving = _packets(frame.number, plan, seal.PACKET_DOWN_OVERHEAD_BYTES)
        self._coming.take(frame.index, now)

    def _pays(self, total_bytes: int, now: float) -> bool:
        earned_bytes = (now - self._credit_s) * CREDIT_BPS / 8
        self._credit_bytes, self._credit_s = min(self._credit_bytes + earned_bytes, CREDIT_BYTES), now
        if total_bytes > self._credit_bytes:
            return False
        self._credit_bytes -= total_bytes
        return True

    def leaving(self, now: float) -> list[fr.Frame]:
        """What leaves now, each a packet of its own."""
        frames: list[fr.Frame] = [*self._leaving]
        self._leaving = []
        due_s = self.due_s
        if self._coming is not None and due_s is not None and due_s <= now + 1e-6:
            ticks = tuple(0 if at is None else round(at / _TICK_S) + 1 for at in self._coming.times())
            frames.append(fr.TrainSeen(self._coming.number, ticks))
            self._said, self._say_s = self._said + 1, now
        return frames

    @property
    def due_s(self) -> float | None:
        """When :meth:`leaving` has something."""
        if self._coming is None or self._said >= 2:
            return None
        return self._coming.due_s if not self._said else self._say_s + SAY_AGAIN_S

"""When to ask whether the other side is back: often at first, then ever more rarely. Without I/O; time is an argument.

No exponential back-off: the line comes back when it does, and a probe is small.
"""

PROBE_FIRST_S = 0.5
PROBE_FIRST_FOR_S = 60.0
PROBE_FAST_S = 1.0
PROBE_SLOW_S = 15.0
PROBE_FAST_FOR_S = 120.0
"""Two probes a second in an outage's first minute, one in the second, then one in 15 s."""
_EPSILON_S = 1e-6


class Outage:
    """The probes of one session at one end."""

    def __init__(self, now: float, *, patient: bool) -> None:
        """``patient``: go on through a long outage (the node does, the hub rests)."""
        self.patient = patient
        self._since_s = now
        self._probe_s = now
        self.ended_s = float("-inf")
        """When the last one ended."""

    def suspected(self, now: float) -> None:
        """The first timeout in a row: an outage would have begun now."""
        self._since_s = now

    def begun(self, now: float) -> None:
        """The second: ask at once."""
        self._probe_s = now

    def due(self, now: float) -> bool:
        """Whether a probe may leave now."""
        return not self._rests(now) and self._probe_s <= now + _EPSILON_S

    def probed(self, now: float) -> None:
        """A probe left."""
        lasts_s = now - self._since_s
        if lasts_s < PROBE_FIRST_FOR_S:
            self._probe_s = now + PROBE_FIRST_S
        else:
            self._probe_s = now + (PROBE_FAST_S if lasts_s < PROBE_FAST_FOR_S else PROBE_SLOW_S)

    def next_s(self, now: float) -> float | None:
        """When the next one is due; None: it is the other side's turn."""
        return None if self._rests(now) else self._probe_s

    def _rests(self, now: float) -> bool:
        return not self.patient and now - self._since_s >= PROBE_FAST_FOR_S


REMIND_FIRST_S, REMIND_EVERY_S = 10.0, 300.0
"""When a node in an outage says its opening again. The hub may have been restarted, and its word for that be lost."""


class Reminder:
    """When a packet of an outage carries the opening, unasked."""

    def __init__(self) -> None:
        self._due_s: float | None = None

    def is_due(self, now: float, *, outage: bool) -> bool:
        """Whether the packet that leaves now should; call it for each."""
        if not outage:
            self._due_s = None
        elif self._due_s is None:
            self._due_s = now + REMIND_FIRST_S
        elif now >= self._due_s:
            self._due_s = now + REMIND_EVERY_S
            return True
        return False

"""How large packets may be where the way swallows large ones and says nothing (RFC 4821, section 1). Without I/O.

A probe fits through any hole, so the link looks alive while everything that is worth sending is lost for ever. Known
from packets alone: full ones are lost again and again while small ones are acknowledged.
"""

STEPS: tuple[tuple[int | None, int], ...] = ((None, 1_060), (800, 600), (340, 0))
"""Most bytes of frames in a packet, and above how many IP bytes a packet shows what the step before could not carry.
With an opening and all headers the last two make 1,030 and 570 B."""
STRIKES = 3
"""Losses of large packets, each with a small one acknowledged after it and no large one in between."""
TRY_FIRST_S, TRY_MAX_S = 60.0, 960.0
"""How long until one packet of the size before is tried, doubled each time that it is lost."""


class PacketSize:
    """The largest packets of one path."""

    def __init__(self) -> None:
        self._step = 0
        self._strikes = 0
        self._lost = False
        self._try_s = 0.0
        self._wait_s = TRY_FIRST_S

    def fit(self, room: int, now: float) -> int:
        """How many bytes of frames the next packet may hold, of ``room``."""
        step = self._step - (self._step > 0 and now >= self._try_s)
        limit = STEPS[step][0]
        return room if limit is None else min(room, limit)

    def sent(self, size: int, now: float) -> None:
        """A packet of so many IP bytes left."""
        if self._step and size > STEPS[self._step - 1][1]:
            self._try_s = now + self._wait_s
            self._wait_s = min(2 * self._wait_s, TRY_MAX_S)

    def lost(self, size: int) -> None:
        """It was called lost while the link was alive."""
        self._lost = self._lost or (self._is_large(size) and not self._was_tried(size))

    def acked(self, size: int, now: float) -> None:
        """It was acknowledged."""
        if self._step and self._was_tried(size):
            self._step -= 1
            self._begin(now)
        elif self._is_large(size):
            self._strikes, self._lost = 0, False
        elif self._lost:
            self._strikes += 1
            self._lost = False
            if self._strikes >= STRIKES:
                self._step += 1
                self._begin(now)

    def _begin(self, now: float) -> None:
        self._strikes, self._lost = 0, False
        self._wait_s = TRY_FIRST_S
        self._try_s = now + self._wait_s

    def _is_large(self, size: int) -> bool:
        """Whether it tells something about the present step; on the last one nothing does."""
        return 0 < STEPS[self._step][1] < size

    def _was_tried(self, size: int) -> bool:
        return self._step > 0 and size > STEPS[self._step - 1][1]

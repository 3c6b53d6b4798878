"""Wall time as the hub last corrected it, over restarts and over a clock that starts at 1970.

The offset to the hub and the latest time that was seen lie in ``clock.json``, which says nothing about
anybody. After a restart the time is a guess until the hub has told it again: never earlier than what
was seen before, and not trusted. Order never depends on it (:mod:`edge.model.clock`).
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from msgspec import DecodeError, Struct, json

from edge.model.clock import Instant

from .config import CLOCK_FILE, write_private

KEEP_EVERY_MS = 10 * 60 * 1000
"""The latest time is written this often at most: the card counts its writes."""
MOVED_MS = 2_000
"""… or when the hub's time has moved by this much against ours."""

RESET_MS = 24 * 3600 * 1000
"""An offset beyond this came from a clock that was never set; it may have been set since."""


class Kept(Struct, frozen=True):
    """``clock.json``."""

    offset_ms: int
    """Hub time minus our own Unix time."""
    seen_ms: int
    """The latest hub time that was seen."""


class Clock:
    """The node's wall clock."""

    def __init__(self, folder: Path, unix_ms: Callable[[], int]) -> None:
        """``unix_ms``: the machine's own clock. Blocking: reads a small file."""
        self._path = folder / CLOCK_FILE
        self._unix_ms = unix_ms
        self._kept = Kept(0, 0)
        if self._path.exists():
            with contextlib.suppress(DecodeError):  # a torn file: the hub tells the time again
                self._kept = json.decode(self._path.read_bytes(), type=Kept)
        self._offset_ms = self._guess(unix_ms())
        self.trusted = False
        """Whether the hub has told the time since this process started."""

    def _guess(self, own_ms: int) -> int:
        """The offset until the hub tells: as it was, none where the machine's clock was set, never before seen."""
        kept_ms, seen_ms = self._kept.offset_ms, self._kept.seen_ms
        fit = [offset_ms for offset_ms in (kept_ms, 0) if own_ms + offset_ms >= seen_ms]
        if not fit:  # a machine without a battery starts long ago: go on from what was seen
            return seen_ms - own_ms
        return fit[0] if abs(kept_ms) <= RESET_MS else min(fit)

    def now(self) -> Instant:
        """The time to record with."""
        return Instant(self._unix_ms() + self._offset_ms, self.trusted)

    def correct(self, hub_ms: int) -> bool:
        """The hub's Unix time now, in ms. True when :meth:`keep` should be called."""
        self._offset_ms = hub_ms - self._unix_ms()
        self.trusted = True
        moved_ms = abs(self._offset_ms - self._kept.offset_ms)
        return moved_ms > MOVED_MS or abs(hub_ms - self._kept.seen_ms) > KEEP_EVERY_MS

    def keep(self) -> None:
        """Write the offset and the time for the next process. Blocking."""
        self._kept = Kept(self._offset_ms, self.now().wall_ms)
        write_private(self._path, json.encode(self._kept))

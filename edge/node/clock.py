"""Wall time as the hub last corrected it, over restarts and over a clock that starts at 1970.

The offset to the hub and the latest time that was seen lie in ``clock.json``, which says nothing about
anybody. Once the hub has told the time, it goes on by the time since the machine was switched on: whoever
sets the machine's clock in the middle of the day moves no token, wait or register. After a restart the
time is a guess until the hub has told it again: never earlier than what was seen before, and not trusted;
the panel board, which counts seconds while the node is off, betters it. Order never depends on it
(:mod:`edge.model.clock`).
"""

import contextlib
import time
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


BOARD_DRIFT = 0.001
"""Both may be right who differ by this part of the time that has passed: a crystal is 20 times better."""


class BoardTime(Struct, frozen=True):
    """The clock of the panel board, which goes on while the node is without power."""

    boots: int
    """The board's count of power-ups: within one its up-time never goes back."""
    uptime_s: float


class Kept(Struct, frozen=True):
    """``clock.json``."""

    offset_ms: int
    """Hub time minus our own Unix time."""
    seen_ms: int
    """The latest hub time that was seen."""
    board: BoardTime | None = None
    """The board's clock at that time."""


def up_ms() -> int:
    """Milliseconds since the machine was switched on; no setting of its clock moves them."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """The node's wall clock."""

    def __init__(self, folder: Path, unix_ms: Callable[[], int], up_ms: Callable[[], int] = up_ms) -> None:
        """``unix_ms``: the machine's own clock; ``up_ms``: since it was switched on. Blocking: reads a small file."""
        self._path = folder / CLOCK_FILE
        self._unix_ms, self._up_ms = unix_ms, up_ms
        self._told_ms = 0
        """What the hub told, minus the time since the machine was switched on."""
        self._kept = Kept(0, 0)
        if self._path.exists():
            with contextlib.suppress(DecodeError):  # a torn file: the hub tells the time again
                self._kept = json.decode(self._path.read_bytes(), type=Kept)
        self._offset_ms = self._guess(unix_ms())
        self.trusted = False
        """Whether the hub has told the time since this process started."""
        self.board: Callable[[], BoardTime | None] = lambda: None
        """The board's clock now, where there is a board. Called from any thread."""

    def _guess(self, own_ms: int) -> int:
        """The offset until the hub tells: as it was, none where the machine's clock was set, never before seen."""
        kept_ms, seen_ms = self._kept.offset_ms, self._kept.seen_ms
        fit = [offset_ms for offset_ms in (kept_ms, 0) if own_ms + offset_ms >= seen_ms]
        if not fit:  # a machine without a battery starts long ago: go on from what was seen
            return seen_ms - own_ms
        return fit[0] if abs(kept_ms) <= RESET_MS else min(fit)

    def now(self) -> Instant:
        """The time to record with."""
        if self.trusted:
            return Instant(self._up_ms() + self._told_ms, True)
        return Instant(self._unix_ms() + self._offset_ms, False)

    def correct(self, hub_ms: int) -> bool:
        """The hub's Unix time now, in ms. True when :meth:`keep` should be called."""
        self._told_ms = hub_ms - self._up_ms()
        self._offset_ms = hub_ms - self._unix_ms()
        self.trusted = True
        moved_ms = abs(self._offset_ms - self._kept.offset_ms)
        return moved_ms > MOVED_MS or abs(hub_ms - self._kept.seen_ms) > KEEP_EVERY_MS

    def hear_board(self, board: BoardTime) -> bool:
        """What the board's clock says of the time since the last :meth:`keep`. True when the guess was off and is
        mended; it stays a guess.
        """
        kept = self._kept.board
        if self.trusted or kept is None or kept.boots != board.boots or board.uptime_s < kept.uptime_s:
            return False
        passed_ms = round(1000 * (board.uptime_s - kept.uptime_s))
        off_ms = self._kept.seen_ms + passed_ms - self.now().wall_ms
        if abs(off_ms) <= MOVED_MS + BOARD_DRIFT * passed_ms:
            return False
        self._offset_ms += off_ms
        return True

    def keep(self) -> None:
        """Write the offset and the time for the next process. Blocking."""
        now_ms = self.now().wall_ms
        self._kept = Kept(now_ms - self._unix_ms(), now_ms, self.board())
        write_private(self._path, json.encode(self._kept))

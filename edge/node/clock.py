"""Wall time as the hub last corrected it, over restarts and over a clock that starts at 1970.

The offset to the hub and the latest time that was seen lie in ``clock.json``, which says nothing about
anybody. Once the hub has told the time, it goes on by the time since the machine was switched on: whoever
sets the machine's clock in the middle of the day moves no token, wait or register. After a restart the
time is a guess until the hub has told it again: never earlier than what was seen before, and not trusted;
the panel board, which counts seconds while the node is off, betters it. A machine's clock that says that more
days have passed than a clinic is closed for is doubted: a time that is too late would stand in all records until it has
come. Until the hub, the board, the last work or a person settles it, time goes on from what was seen. Order never
depends on it (:mod:`edge.model.clock`).
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import DecodeError, Struct, json

from edge.model.clock import AHEAD_MS, RESET_MS, Instant, guess
from edge.model.errors import Refused

from .config import CLOCK_FILE, write_private

KEEP_EVERY_MS = 10 * 60 * 1000
"""The latest time is written this often at most: the card counts its writes."""
KEEP_ALONE_MS = 60 * 60 * 1000
"""… without the hub."""
MOVED_MS = 2_000
"""… or when the hub's time has moved by this much against ours."""

FAR_MS = 400 * 24 * 3600 * 1000
"""A person's word is taken up to here: a year that is mistyped would stand in all records for good, for their stamps
never run backwards. Of a node that was not used for longer the hub tells the time."""

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
        self._doubted_ms: int | None = None
        """The offset that was not believed."""
        self._offset_ms = self._guess(unix_ms())
        self._kept_at_ms = up_ms()
        self.trusted = False
        """Whether the hub has told the time since this process started."""
        self.board: Callable[[], BoardTime | None] = lambda: None
        """The board's clock now, where there is a board. Called from any thread."""

    def _guess(self, own_ms: int) -> int:
        """The offset until the hub tells."""
        found = guess(own_ms, self._kept.offset_ms, self._kept.seen_ms)
        if found.doubted_ms:
            self._doubted_ms = found.doubted_ms - own_ms
        return found.now_ms - own_ms

    @property
    def doubted_ms(self) -> int:
        """What the machine's clock says and nobody has confirmed, Unix ms; 0 when there is no doubt."""
        return 0 if self._doubted_ms is None else self._unix_ms() + self._doubted_ms

    def worked(self, at_ms: int) -> None:
        """The records end at this time, Unix ms: a machine's clock that is a few days later is right."""
        if self._doubted_ms is not None and self.now().wall_ms <= at_ms < self.doubted_ms <= at_ms + AHEAD_MS:
            self._settle(self._doubted_ms)

    def say(self, said_ms: int) -> None:
        """A person says what time it is, Unix ms, where there is doubt; then call :meth:`keep`. Raises Refused."""
        if self._doubted_ms is None:
            raise Refused("The clock is not in doubt.", code="clock_certain")
        if said_ms < self._kept.seen_ms - RESET_MS:
            raise Refused(
                "That is before this node was used last. Look at date and year.", code="clock_before", field="time_ms"
            )
        if said_ms > self._kept.seen_ms + FAR_MS:
            raise Refused(
                "That is more than a year after this node was used last. Look at the year. If it is right, the hub has "
                "to tell the time.",
                code="clock_far",
                field="time_ms",
            )
        self._settle(said_ms - self._unix_ms())

    def _settle(self, offset_ms: int) -> None:
        self._doubted_ms, self._offset_ms = None, offset_ms

    def now(self) -> Instant:
        """The time to record with."""
        if self.trusted:
            return Instant(self._up_ms() + self._told_ms, True)
        return Instant(self._unix_ms() + self._offset_ms, False)

    def correct(self, hub_ms: int) -> bool:
        """The hub's Unix time now, in ms. True when :meth:`keep` should be called."""
        self._told_ms = hub_ms - self._up_ms()
        self._settle(hub_ms - self._unix_ms())
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
        self._doubted_ms = None
        passed_ms = round(1000 * (board.uptime_s - kept.uptime_s))
        off_ms = self._kept.seen_ms + passed_ms - self.now().wall_ms
        if abs(off_ms) <= MOVED_MS + BOARD_DRIFT * passed_ms:
            return False
        self._offset_ms += off_ms
        return True

    def is_due(self) -> bool:
        """Whether the hub is away for so long that :meth:`keep` is to be called: the next process starts there."""
        waited_ms = self._up_ms() - self._kept_at_ms
        return waited_ms > KEEP_ALONE_MS and self._doubted_ms is None and self._kept.seen_ms > 0

    def keep(self) -> None:
        """Write the offset and the time for the next process. Blocking."""
        self._kept_at_ms = self._up_ms()
        now_ms = self.now().wall_ms
        self._kept = Kept(now_ms - self._unix_ms(), now_ms, self.board())
        write_private(self._path, json.encode(self._kept))

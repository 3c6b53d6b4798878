"""How long this hub has run, in hours that its monotonic clock counted: what no wrong wall clock can add to.

Kept in a small file beside the keys, by the one process that serves. What is lost with the file only makes it less.
"""

from pathlib import Path

LIVED_FILE = "lived-hours"
_HOUR_S = 3600.0


def hours(data: Path) -> int:
    """Hours that the hub of this folder is known to have run. Blocking."""
    try:
        return max(0, int((data / LIVED_FILE).read_text("ascii")))
    except (OSError, ValueError):
        return 0


class Lived:
    """The count of a serving hub."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._since_s: float | None = None

    def note(self, monotonic_s: float, least: int) -> int:
        """Hours until now. ``least``: so many are known from elsewhere, should the file be lost. Blocking."""
        known = max(hours(self._data), least)
        if self._since_s is None:
            self._since_s = monotonic_s
        more = int((monotonic_s - self._since_s) // _HOUR_S)
        if more > 0:
            self._since_s += more * _HOUR_S
            known += more
            fresh = self._data / (LIVED_FILE + ".new")
            fresh.write_text(f"{known}\n", "ascii")
            fresh.rename(self._data / LIVED_FILE)
        return known

"""How long the hub has not been heard, over restarts, in ``silence.json``.

A box that is switched off each evening would else never learn that its SIM has had no money for a week.

Counted in seconds that the node ran, so no wrong clock can make it longer than it was.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from msgspec import DecodeError, ValidationError, json

from .config import SILENCE_FILE, write_private

KEEP_EVERY_S = 600.0


class Silence:
    """The silence before this process, and what is to be kept of the present one."""

    def __init__(self, folder: Path, now_s: float) -> None:
        """``now_s``: of a clock that never runs backwards. Blocking: reads a small file."""
        self._path, self._began_s = folder / SILENCE_FILE, now_s
        self.before_s = 0.0
        with contextlib.suppress(FileNotFoundError, DecodeError, ValidationError):  # torn: it is counted anew
            self.before_s = max(json.decode(self._path.read_bytes(), type=float), 0.0)
        self._kept_s = self.before_s

    def keeper(self, age_s: float | None, now_s: float, every_s: float = KEEP_EVERY_S) -> Callable[[], None] | None:
        """What has to be written now, as a blocking call; None for nothing. ``age_s``: since the hub was last heard by
        this process, None for never."""
        silent_s = self.before_s + now_s - self._began_s if age_s is None else age_s
        # Seldom while it is silent, and once when it is heard again; a link that is well writes nothing.
        if silent_s < self._kept_s:
            silent_s = 0.0 if silent_s < every_s else silent_s
        elif silent_s - self._kept_s < every_s:
            return None
        if silent_s == self._kept_s:
            return None
        self._kept_s = silent_s
        return lambda: write_private(self._path, json.encode(silent_s))

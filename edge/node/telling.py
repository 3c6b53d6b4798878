"""The node tells the hub how it stands: one small entry now and then, whoever looks after many nodes reads it.

An entry an hour while all is as it was, sooner when a check turns, never two within ten minutes. Only an unlocked node
writes entries.
"""

import logging
import time

from edge.model import events as ev
from edge.web.often import Often

from .clinic import Clinic
from .report import Reporter, told_of

logger = logging.getLogger("edge.node.telling")

EVERY_S = 3600.0
AGAIN_S = 600.0
LOOK_S = 300.0
FIRST_S = 30.0
"""After the unlocking, so that the first word knows the link."""


def is_due(last: ev.NodeTold | None, age_s: float, now: ev.NodeTold) -> bool:
    """Whether to speak, ``age_s`` seconds after the last word."""
    if last is None or age_s >= EVERY_S:
        return True
    return age_s >= AGAIN_S and now.findings != last.findings


class Telling:
    """Of one running node."""

    def __init__(self, clinic: Clinic, reporter: Reporter) -> None:
        self._clinic = clinic
        self._reporter = reporter
        self._last: ev.NodeTold | None = None
        self._last_s = 0.0
        self.often = Often(
            lambda: self.look(time.monotonic()), LOOK_S, logger, "telling the hub failed", first_s=FIRST_S
        )

    async def look(self, now_s: float) -> bool:
        """Speak if it is time; whether an entry was written. ``now_s`` is any clock that never runs backwards."""
        if self._clinic.locked:
            return False
        told = told_of(await self._reporter.report())
        if not is_due(self._last, now_s - self._last_s, told):
            return False
        await self._clinic.record(told)
        self._last, self._last_s = told, now_s
        return True

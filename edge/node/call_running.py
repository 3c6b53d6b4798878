"""One call at the node while it is not over: its processes, and what they have carried so far. Data only."""

import asyncio

from edge.media import call as machine
from edge.media.process import CallProcess
from edge.media.signals import CallStats, FromCall, Ring

HANG_S = 10.0
"""A process that was silent for this long after its first word hangs."""


class RunningCall:
    """One call that is not over, and what its attempts have carried so far."""

    def __init__(self, ring: Ring, state: machine.CallState, started_ms: int) -> None:
        self.ring = ring
        self.state = state
        self.started_ms = started_ms
        self.accepted_by = ""
        self.accepted_id = ""
        """Name and id of the member of staff who took it."""
        self.process: CallProcess | None = None
        self.ready: CallProcess | None = None
        """The next attempt's process, camera and microphone still shut: while it rings with its offer made, while
        the link is away without."""
        self.waiting: list[FromCall] = []
        """What the process in ``ready`` wants to tell the doctor once somebody has taken the call."""
        self.dropped: set[CallProcess] = set()
        """Processes that were made ready and never wanted: what they say is nothing."""
        self.rate_bps = 0
        """What the link last carried: where the next attempt begins."""
        self.stats: CallStats | None = None
        self.first = -1
        """The attempt with which the running process began: its name here."""
        self.processes = 0
        """How many processes this call has had; each needs new legs to the tablets."""
        self.heard_s: float | None = None
        """When the running process last said something, monotonic; None before its first word: starting takes long on
        a busy machine."""
        self.carried = (0.0, 0.0, 0.0)
        """Seconds of video, sound and concealed sound of attempts that are over."""
        self.asked = 0
        """Number of the tablets' latest offer."""
        self.lan: asyncio.Future[str] | None = None
        """The answer to it."""

    def hangs(self, now_s: float) -> bool:
        """Whether the process has stopped talking: it says how it stands every second, once it runs."""
        return self.heard_s is not None and now_s - self.heard_s > HANG_S

    def wants(self, first: int) -> bool:
        """Whether the process that began with this attempt is the one that the machine wants to run."""
        return self.state.running and self.first == first

    def totals(self) -> tuple[float, float, float]:
        now = (self.stats.video_s, self.stats.audio_s, self.stats.concealed_s) if self.stats else (0.0, 0.0, 0.0)
        return self.carried[0] + now[0], self.carried[1] + now[1], self.carried[2] + now[2]

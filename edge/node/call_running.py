"""One call at the node while it is not over: its processes, and what they have carried so far. Data only."""

import asyncio

from edge.media import call as machine
from edge.media.process import CallProcess
from edge.media.signals import CallStats, FromCall, Ring

ASK_S = 4.0
"""So often a node asks the hub whether a call goes on that has no media: the word of its end may have been lost."""
HANG_S = 10.0
"""A process that was silent for this long after its first word hangs."""


class RunningCall:
    """One call that is not over, and what its attempts have carried so far."""

    def __init__(self, ring: Ring, state: machine.CallState, started_ms: int, now_s: float) -> None:
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
        """Of the process that runs."""
        self.first = -1
        """The attempt with which the running process began: its name here."""
        self.processes = 0
        """How many processes this call has had; each needs new legs to the tablets."""
        self.heard_s: float | None = None
        """When the running process last said something, monotonic; None before its first word: starting takes long on
        a busy machine."""
        self._carried: dict[int, tuple[float, float, float]] = {}
        """By the name of each process: seconds of video, sound and concealed sound by its last word."""
        self.hub_asked_s = now_s
        """When the hub last said that the call goes on, or was asked; monotonic."""
        self.asked = 0
        """Number of the tablets' latest offer."""
        self.lan: asyncio.Future[str] | None = None
        """The answer to it."""

    def asks_hub(self, now_s: float) -> bool:
        """Whether it is time to ask the hub if this call goes on; what carries media is known to."""
        silent = self.state.phase is not machine.Phase.CONNECTED and now_s - self.hub_asked_s >= ASK_S
        if silent:
            self.hub_asked_s = now_s
        return silent

    def hangs(self, now_s: float) -> bool:
        """Whether the process has stopped talking: it says how it stands every second, once it runs."""
        return self.heard_s is not None and now_s - self.heard_s > HANG_S

    def wants(self, first: int) -> bool:
        """Whether the process that began with this attempt is the one that the machine wants to run."""
        return self.state.running and self.first == first

    def note(self, first: int, stats: CallStats) -> None:
        """What the process that began with this attempt has carried so far, by itself; its word may come late."""
        self._carried[first] = stats.video_s, stats.audio_s, stats.concealed_s

    def totals(self) -> tuple[float, float, float]:
        """Seconds of video, sound and concealed sound of all processes."""
        video_s, audio_s, concealed_s = (
            sum(seconds) for seconds in zip((0.0, 0.0, 0.0), *self._carried.values(), strict=True)
        )
        return video_s, audio_s, concealed_s

"""Before a call: what the link to the hub carries now, by trains of the node's own packets, and what follows from it.

One measurement at a time, kept for a moment, so that the ring and the tablets that show it share one. Sends nothing
where bulk has to wait for the day's data or the hours, nor while a call is up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from edge.media.ladder import load_rules
from edge.media.preflight import (
    FIRST_COUNT,
    FIRST_MOST_S,
    FIRST_SIZE_BYTES,
    FURTHER_COUNT,
    MOST_S,
    Carried,
    Devices,
    DeviceState,
    LinkSeen,
    Verdict,
    carried,
    further_bytes,
    judge,
)
from edge.sync.link import LinkState
from edge.sync.meter import Wait
from edge.sync.trains import Plan, Seen, TrainTold

FRESH_S = 15.0
"""A link is asked again after so long."""
HOLDS_S = 60.0
"""So long a call may begin with what was found."""
TRUSTED_PATH = "udp"
"""A call goes as datagrams; a stream over TCP tells little about them."""

Train = Callable[[Plan, float], Awaitable[TrainTold]]


class Found(Struct, frozen=True):
    """A measurement."""

    seen: LinkSeen
    up: Carried | None = None
    down: Carried | None = None
    start_bps: int = 0
    """What the way up carries, if it is sure; 0: begin as if nothing were known."""
    sent_bytes: int = 0
    """IP bytes that it took, each way."""
    took_s: float = 0.0


class Preflight:
    """The measurements of one node."""

    def __init__(
        self,
        link_now: Callable[[], LinkState],
        train: Train,
        camera: str,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``camera``: the source of calls, as in :class:`edge.media.signals.StartCall`."""
        self._link_now = link_now
        self._train = train
        self._camera = camera
        self._monotonic_s = monotonic_s
        self._rules = load_rules()
        self._running: asyncio.Task[Found] | None = None
        self._last = Found(LinkSeen.OFFLINE)
        self._last_s = float("-inf")
        self._hurry = False

    def begin(self) -> "asyncio.Task[Found]":
        """Measure, unless that is under way or was done a moment ago."""
        if self._running is None or (self._running.done() and self._monotonic_s() - self._last_s > FRESH_S):
            self._hurry = False
            self._running = asyncio.create_task(self._measure())
        return self._running

    async def verdict(self, tablet: Devices, camera_failures: int) -> tuple[Verdict, Found]:
        """What to expect of a call now; ``camera_failures``: calls that could not open the node's own camera."""
        found, devices = await asyncio.shield(self.begin()), tablet
        if self._camera != "tablet":
            there = await asyncio.to_thread(camera_is_there, self._camera)
            state = DeviceState.MISSING if not there else DeviceState.BUSY if camera_failures else DeviceState.OK
            devices = Devices(state, DeviceState.UNKNOWN, tablet.sound)
        return judge(self._rules, found.seen, found.up, found.down, devices), found

    def start_bps(self) -> int:
        """Where a call that begins now may begin; 0 where that is not known."""
        return self._last.start_bps if self._monotonic_s() - self._last_s <= HOLDS_S else 0

    def hurry(self) -> None:
        """The call was taken: no further train leaves."""
        self._hurry = True

    async def close(self) -> None:
        """The node stops."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _measure(self) -> Found:
        begin_s, state = self._monotonic_s(), self._link_now()
        if not state.online:
            found = Found(LinkSeen.OFFLINE)
        elif state.waits in (Wait.CAP, Wait.HOURS):
            found = Found(LinkSeen.SAVING)
        elif state.waits is Wait.CALL:  # what was found before it grows no younger by this
            return self._last if begin_s - self._last_s <= HOLDS_S else Found(LinkSeen.MEASURED)
        else:
            found = await self._by_trains(begin_s, state.rtt_ms / 1000)
        self._last, self._last_s = found, self._monotonic_s()
        return found

    async def _by_trains(self, begin_s: float, rtt_s: float) -> Found:
        plan, most_s = Plan(FIRST_COUNT, FIRST_SIZE_BYTES), FIRST_MOST_S
        sent_bytes = 0
        up = down = None
        while True:
            told = await self._train(plan, most_s)
            sent_bytes += plan.total_bytes
            seen = _of(told.up)
            up, down = seen or up, _of(told.down) or down
            found = _found(told, up, down, sent_bytes, self._monotonic_s() - begin_s)
            self._last, self._last_s = found, self._monotonic_s()
            most_s = MOST_S - (self._monotonic_s() - begin_s)
            size_bytes = further_bytes(plan.total_bytes, seen, most_s, rtt_s)
            if not size_bytes or self._hurry:
                return found
            plan = Plan(FURTHER_COUNT, size_bytes)


def camera_is_there(camera: str) -> bool:
    """Whether the file or device that a camera source names exists. Blocking."""
    kind, _, path = camera.partition(":")
    return Path(path).exists() if kind in ("file", "v4l2") else True


def _of(seen: Seen | None) -> Carried | None:
    return carried(seen.size_bytes, seen.arrived_s) if seen is not None else None


def _found(told: TrainTold, up: Carried | None, down: Carried | None, sent_bytes: int, took_s: float) -> Found:
    trusted = up is not None and up.sure and told.path == TRUSTED_PATH
    start_bps = int(up.rate_bps) if up is not None and trusted else 0
    return Found(LinkSeen.MEASURED, up, down, start_bps, sent_bytes, round(took_s, 3))

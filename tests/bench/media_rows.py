"""The links of the media bench, what a person who knows each would set by hand, and what is to be reached there."""

import random
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from tests.kits.link import LinkSpec, Way

Peer = Literal["ours", "stock", "capped"]
PEERS: tuple[Peer, ...] = ("ours", "stock", "capped")
CALL_S = 60.0
CELLULAR_OUTAGE_S = 12.0


class Caps(Struct, frozen=True):
    """What the capped call is told, both ways: sound of 60 ms with DTX always, the rest as the rate allows."""

    audio_bps: int
    red: bool
    video_bps: int
    """Of the patient's picture, payload; 0: no picture."""
    shrink: float
    """640×480 divided by this."""
    fps: int
    own_video_bps: int = 0
    """Of the doctor's own picture."""


class Goal(Struct, frozen=True):
    """One figure of the table in issue 4: ``figure`` of :class:`tests.bench.media_figures.Figures`."""

    figure: str
    bound: float
    at_most: bool
    of_capped: bool = False
    """The bound is a share of the capped call's figure."""

    def met(self, value: float, capped: float | None) -> bool | None:
        """Whether it is reached; None when the capped call was not run."""
        if self.of_capped:
            return None if capped is None else value >= self.bound * capped
        return value <= self.bound if self.at_most else value >= self.bound


class LinkRow(Struct, frozen=True):
    """One link."""

    name: str
    says: str
    spec: Callable[[int], LinkSpec]
    """From a seed."""
    caps: Caps
    goals: tuple[Goal, ...]
    seconds: float = CALL_S
    outage_at_s: float = 0.0
    """When the emulated link is cut for :data:`CELLULAR_OUTAGE_S`, counted from the start of ICE; 0: never."""


def _at_most(figure: str, bound: float) -> Goal:
    return Goal(figure, bound, True)


def _at_least(figure: str, bound: float) -> Goal:
    return Goal(figure, bound, False)


def _like_capped(figure: str) -> Goal:
    return Goal(figure, 1.0, False, True)


def _steady(rate_kbps: float, rtt_ms: float, loss_pct: float) -> Callable[[int], LinkSpec]:
    return lambda seed: LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=loss_pct, seed=seed)


def cellular(seed: int) -> LinkSpec:
    """A trace as of a phone at a cell's edge: each second the rate walks between 48 and 600 kbit/s, the same both
    ways; round trip 160 ms, jitter 20 ms, loss 1 %. Cuts are made by the call's clock, not here.
    """
    draw = random.Random(seed)
    points, rate = [], 200.0
    for second in range(300):
        rate = min(max(rate * draw.choice((0.75, 0.9, 1.0, 1.0, 1.1, 1.3)), 48.0), 600.0)
        points.append((float(second), round(rate, 1)))
    way = Way(rate_kbps=200, delay_ms=80, jitter_ms=20, loss_pct=1, trace=tuple(points), queue_bytes=25_000)
    return LinkSpec(way, way, seed=seed)


ROWS: tuple[LinkRow, ...] = (
    LinkRow(
        "24", "24 kbit/s, 800 ms, 3 %", _steady(24, 800, 3), Caps(6_000, False, 0, 4, 4),
        (_at_most("concealed_pct", 5), _at_most("return_concealed_pct", 5), _at_least("picture_ok", 1)),
    ),
    LinkRow(
        "32", "32 kbit/s, 600 ms, 2 %", _steady(32, 600, 2), Caps(6_000, False, 9_000, 4, 5),
        (_at_most("concealed_pct", 2), _at_least("fps", 4), _at_most("frozen_s", 3), _at_most("ended", 0)),
    ),
    LinkRow(
        "64", "64 kbit/s, 400 ms, 2 %", _steady(64, 400, 2), Caps(10_000, False, 36_000, 4, 10),
        (
            _at_most("concealed_pct", 1), _at_least("fps", 8), _at_most("frozen_s", 1.5),
            _at_most("first_frame_s", 2), _at_most("from_click_s", 3.5),
        ),
    ),
    LinkRow(
        "128", "128 kbit/s, 300 ms, 2 %", _steady(128, 300, 2), Caps(12_000, True, 75_000, 2, 15, 60_000),
        (
            _at_most("concealed_pct", 1), _like_capped("frames"), _at_most("frozen_s", 1),
            _at_most("first_frame_s", 2), _at_least("link_used_pct", 75),
        ),
    ),
    LinkRow(
        "256", "256 kbit/s, 200 ms, 5 %", _steady(256, 200, 5), Caps(16_000, True, 180_000, 2, 15, 120_000),
        (
            _at_most("concealed_pct", 0.5), _like_capped("frames"), _like_capped("width"),
            _at_least("link_used_pct", 70),
        ),
    ),
    LinkRow(
        "500", "500 kbit/s, 100 ms, 1 %", _steady(500, 100, 1), Caps(24_000, True, 380_000, 1, 20, 300_000),
        (_at_least("width", 640), _at_least("fps", 15)),
    ),
    LinkRow(
        "cellular", "48–600 kbit/s walking, 160 ms, 1 %, cut for 12 s", cellular,
        Caps(12_000, True, 75_000, 2, 15, 60_000),
        (_at_most("ended", 0), _at_most("back_s", 5)), 80.0, 35.0,
    ),
)  # fmt: skip
"""640×480 is enlarged from 176×144: those rows show what the link carries, not what a better film would look like."""

"""Short clips of a visit (a gait, a breathing, a seizure): how long they are, and what a byte budget buys. Pure.

A clip waits behind everything else (class 4), so it is made as small as its purpose allows: movement first, then size.
A short one is sharper than a long one. Knows no codec; :mod:`edge.media.clip_process` carries it out.
"""

from msgspec import Struct

RECORDED_MOST_S = 30
"""So long the pages record."""
BUDGET_BYTES = 600_000
"""As two photos: 75 s of a link of 64 kbit/s, or 10 MB a month of one clip every other day."""
PREVIEW_SIDE_PX, PREVIEW_BYTES = 320, 8_000
SOUND_BPS = 12_000
_SOUND_OVERHEAD_BPS, _PICTURE_OVERHEAD_BYTES, _HEAD_BYTES = 1_600, 9, 2_500
"""What WebM adds: 20 ms packets of Opus in blocks of 4 bytes, each picture in one with its share of a cluster."""
_SIDES_PX = (640, 480, 400, 320, 240, 160)
_FPS = (15, 12, 10)
"""Fewer pictures a second hide a tremor."""
_BITS_A_PIXEL = 0.07
_FILL = 0.94
"""Of the budget the first try aims at so much; encoders overshoot."""
_LEAST_BPS = 8_000
_SHRINK_BELOW, _LEAST_SIDE_PX = 0.85, 64


class Shape(Struct, frozen=True):
    """How a clip is encoded."""

    width: int
    height: int
    fps: int
    video_bps: int
    sound_bps: int
    """0: the recording has none."""


def shape(width: int, height: int, duration_s: float, *, sound: bool, budget_bytes: int = BUDGET_BYTES) -> Shape:
    """The first try for a recording of that size and length; never enlarged, sides even."""
    duration_s = max(duration_s, 1.0)
    sound_bps = SOUND_BPS if sound else 0
    total_bps = (budget_bytes - _HEAD_BYTES) * 8 * _FILL / duration_s
    total_bps -= sound_bps + _SOUND_OVERHEAD_BPS if sound else 0
    for side in _SIDES_PX:
        fitted = _fitted(width, height, side)
        for fps in _FPS:
            video_bps = total_bps - fps * _PICTURE_OVERHEAD_BYTES * 8
            if video_bps >= _BITS_A_PIXEL * fitted[0] * fitted[1] * fps:
                return Shape(*fitted, fps, int(video_bps), sound_bps)
    fitted, fps = _fitted(width, height, _SIDES_PX[-1]), _FPS[-1]
    video_bps = max(total_bps - fps * _PICTURE_OVERHEAD_BYTES * 8, _LEAST_BPS)
    return Shape(*fitted, fps, int(video_bps), sound_bps)


def smaller(tried: Shape, made_bytes: int, budget_bytes: int = BUDGET_BYTES) -> Shape | None:
    """The next try after one that came out too large; None when there is nothing left to take away.

    Far too large means that the encoder has nothing coarser to offer at that size: then the picture shrinks instead.
    """
    share = min(budget_bytes / made_bytes, 1.0)
    side, video_bps = max(tried.width, tried.height), tried.video_bps
    if share < _SHRINK_BELOW:
        side = int(side * max(share**0.5, 0.5))
    video_bps = int(video_bps * (0.97 if share < _SHRINK_BELOW else 0.93 * share))
    if side < _LEAST_SIDE_PX or video_bps < _LEAST_BPS:
        return None
    return Shape(*_fitted(tried.width, tried.height, side), tried.fps, video_bps, tried.sound_bps)


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height, 1))
    return max(int(width * scale) // 2 * 2, 16), max(int(height * scale) // 2 * 2, 16)

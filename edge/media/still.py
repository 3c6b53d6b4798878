"""Pictures as files: a small still of a byte budget, and a sharp one with its preview. Blocking; PyAV does the work.

Knows pictures (I420), not calls.
"""

from fractions import Fraction
from typing import Any

_QUALITIES = (70, 50, 35, 22)
_SHRINK = 0.75
_SMALLEST_PX = 48


def webp_within(i420: bytes, width: int, height: int, side_px: int, most_bytes: int) -> bytes:
    """A WebP no longer than ``side_px`` and no larger than ``most_bytes``: rather smaller than muddy.

    Raises ValueError when the picture cannot be made so small.
    """
    frame = _frame(i420, width, height)
    scale = min(1.0, side_px / max(width, height))
    while max(width, height) * scale >= _SMALLEST_PX:
        fitted = frame.reformat(max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2), "yuv420p")
        for quality in _QUALITIES:
            made = _encode(fitted, quality)
            if len(made) <= most_bytes:
                return made
        scale *= _SHRINK
    raise ValueError("the picture cannot be made so small")


def _encode(frame: Any, quality: int) -> bytes:
    import av

    codec = av.CodecContext.create("libwebp", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuv420p"
    codec.time_base = Fraction(1, 1)
    codec.options = {"quality": str(quality), "preset": "photo"}
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def _frame(i420: bytes, width: int, height: int) -> Any:
    """An ``av.VideoFrame`` of I420 bytes without padding, even sides."""
    import av

    frame = av.VideoFrame(width, height, "yuv420p")
    at = 0
    for plane, (columns, rows) in zip(
        frame.planes, ((width, height), (width // 2, height // 2), (width // 2, height // 2)), strict=True
    ):
        stride, size = plane.line_size, columns * rows
        data = i420[at : at + size]
        if stride != columns:
            pad = bytes(stride - columns)
            data = b"".join(data[row * columns : (row + 1) * columns] + pad for row in range(rows))
        plane.update(data)
        at += size
    return frame

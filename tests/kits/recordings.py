"""Recordings as a tablet's browser makes them (WebM with VP8 and Opus), of several contents. Blocking."""

import io
import math
from fractions import Fraction

import av
import numpy as np


def recording(content: str, seconds: float, width: int = 640, height: int = 480, *, sound: bool = True) -> bytes:
    """``still``: a picture that hardly moves; ``walk``: a figure crosses a textured room; ``noise``: no two alike."""
    draw = np.random.default_rng(7)
    room = draw.integers(0, 120, (height, width), dtype=np.uint8)
    out = io.BytesIO()
    with av.open(out, "w", format="webm", options={"live": "1"}) as file:
        picture = file.add_stream("libvpx", rate=24)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.bit_rate = 1_600_000
        picture.options = {"deadline": "realtime", "cpu-used": "8"}
        voice = file.add_stream("libopus", rate=48_000) if sound else None
        if voice is not None:
            voice.layout = "mono"
        for number in range(int(seconds * 24)):
            grey = room.copy()
            if content == "noise":
                grey = draw.integers(0, 255, (height, width), dtype=np.uint8)
            elif content == "walk":
                left = int((0.5 + 0.4 * math.sin(number / 12)) * width)
                grey[height // 4 :, max(left - 40, 0) : left + 40] = 230
            frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=-1), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            file.mux(picture.encode(frame))
            if voice is not None:
                beat = (np.sin(np.arange(2_000) * 0.05) * 8_000).astype(np.int16)
                heard = av.AudioFrame.from_ndarray(beat[None, :], format="s16", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 48_000, number * 2_000, Fraction(1, 48_000)
                file.mux(voice.encode(heard))
        file.mux(picture.encode(None))
        if voice is not None:
            file.mux(voice.encode(None))
    return out.getvalue()

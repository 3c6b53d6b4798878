"""The little that wan and capture share of GStreamer: loading it once, and pulling from an appsink."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from edge.media.capture import Sink, Thinning


class PipelineFailed(Exception):
    """A GStreamer element reported an error; its message names no patient."""


@cache
def load_gst() -> Any:
    """``gi.repository`` with Gst initialised and the WebRTC bindings loaded. Works with 1.22 and 1.26."""
    import gi

    for name in ("Gst", "GstSdp", "GstWebRTC", "GstRtp", "GstVideo"):
        gi.require_version(name, "1.0")
    from gi import repository
    from gi.repository import Gst, GstRtp, GstSdp, GstVideo, GstWebRTC

    Gst.init(None)
    del GstRtp, GstSdp, GstVideo, GstWebRTC  # loaded for their types
    return repository


def bytes_of(buffer: Any) -> bytes:
    """A copy of a Gst.Buffer's bytes."""
    data: bytes = buffer.extract_dup(0, buffer.get_size())
    return data


@contextmanager
def structure_of(owner: Any, *index: int) -> Iterator[Any]:
    """The Gst.Structure of caps, an event or a message, or None: GStreamer 1.26 lends it, 1.22 gives it away."""
    found = owner.get_structure(*index)
    if hasattr(found, "__enter__"):
        with found as lent:
            yield lent
    else:
        yield found


def pull_pictures_and_sound(
    description: str, sink: Sink, stopping: Callable[[], bool], fps: Callable[[], float]
) -> None:
    """Run a pipeline that ends in ``appsink name=out`` until ``stopping``; hand what it makes to ``sink``.

    Raises PipelineFailed when the pipeline cannot run.
    """
    Gst = load_gst().Gst
    pipeline = Gst.parse_launch(description)
    out = pipeline.get_by_name("out")
    thinning = Thinning()
    try:
        pipeline.set_state(Gst.State.PLAYING)
        while not stopping():
            sample = out.emit("try-pull-sample", 200 * Gst.MSECOND)
            failed = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
            if failed is not None:
                raise PipelineFailed(str(failed.type))
            if sample is None:
                continue
            buffer = sample.get_buffer()
            with structure_of(sample.get_caps(), 0) as shape:
                is_sound = shape.get_name() == "audio/x-raw"
                width, height = (0, 0) if is_sound else (shape.get_value("width"), shape.get_value("height"))
            if is_sound:
                sink.sound(bytes_of(buffer))
                continue
            at_s = buffer.pts / Gst.SECOND
            if thinning.takes(at_s, fps()):
                sink.picture(bytes_of(buffer), width, height)
    finally:
        pipeline.set_state(Gst.State.NULL)


def pull_one_picture(description: str, settle: int, most_s: float) -> tuple[bytes, int, int] | None:
    """Run a pipeline that ends in ``appsink name=out`` until its ``settle``-th picture; the last one that came.

    None when none came within ``most_s``. Raises PipelineFailed when the pipeline cannot run.
    """
    Gst = load_gst().Gst
    pipeline = Gst.parse_launch(description)
    out = pipeline.get_by_name("out")
    end_s = time.monotonic() + most_s
    found: tuple[bytes, int, int] | None = None
    try:
        pipeline.set_state(Gst.State.PLAYING)
        while settle > 0 and time.monotonic() < end_s:
            sample = out.emit("try-pull-sample", 200 * Gst.MSECOND)
            failed = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
            if failed is not None:
                raise PipelineFailed(str(failed.type))
            if sample is None:
                continue
            settle -= 1
            with structure_of(sample.get_caps(), 0) as shape:
                found = (sample.get_buffer(), shape.get_value("width"), shape.get_value("height"))
    finally:
        pipeline.set_state(Gst.State.NULL)
    return None if found is None else (_unpadded(bytes_of(found[0]), found[1], found[2]), found[1], found[2])


def run_to_end(pipeline: Any, most_s: float) -> None:
    """Run a pipeline until it says that it has come to its end. Raises PipelineFailed."""
    Gst = load_gst().Gst
    try:
        pipeline.set_state(Gst.State.PLAYING)
        kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS
        message = pipeline.get_bus().timed_pop_filtered(int(most_s * Gst.SECOND), kinds)
        if message is None or message.type == Gst.MessageType.ERROR:
            raise PipelineFailed("timeout" if message is None else str(message.parse_error()[0].message))
    finally:
        pipeline.set_state(Gst.State.NULL)


def _unpadded(i420: bytes, width: int, height: int) -> bytes:
    """GStreamer pads rows to multiples of four bytes; planes of the sizes that we hand on have none."""
    strides = ((width + 3) // 4 * 4, (width // 2 + 3) // 4 * 4, (width // 2 + 3) // 4 * 4)
    rows = (height, height // 2, height // 2)
    if strides == (width, width // 2, width // 2):
        return i420
    out, at = [], 0
    for stride, columns, count in zip(strides, (width, width // 2, width // 2), rows, strict=True):
        out += [i420[at + row * stride : at + row * stride + columns] for row in range(count)]
        at += stride * count
    return b"".join(out)

"""``python -m edge.media.clip_record``: records the node's own camera and microphone, then makes the clip of it.

A process of its own like :mod:`edge.media.clip_process`, which does the second half. First line in: :class:`Record`;
any further byte, or the end of the pipe, stops the recording. Says :class:`Recording` when the first picture has come.
"""

import os
import sys
import threading
import time
from typing import Any

import msgspec
from msgspec import Struct

from edge.media import clip
from edge.media.capture import SOUND_FRAME_S, SOUND_RATE_HZ, open_source
from edge.media.clip_process import confine, finish, make, refuse
from edge.media.pipeline import PipelineFailed, load_gst
from edge.model.errors import BadInput

FIRST_PICTURE_MOST_S = 8.0
END_MOST_S = 20.0
_FPS = 24.0
_PICTURE_BPS, _SOUND_BPS = 1_600_000, 32_000


class Record(Struct, frozen=True, tag="record"):
    """First line in."""

    camera: str
    most_s: float = clip.RECORDED_MOST_S
    budget_bytes: int = clip.BUDGET_BYTES


class Recording(Struct, frozen=True, tag="recording"):
    """It has begun."""


class _Tape:
    """Takes what a source makes, as it comes; encodes it into memory."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.failure = ""
        self._out = os.memfd_create("recording")
        self._lock = threading.Lock()
        self._pipeline: Any = None
        self._picture: Any = None
        self._sound: Any = None
        self._size = (0, 0)
        self._begin_s, self._sounds = 0.0, 0

    def picture(self, i420: bytes, width: int, height: int) -> None:
        with self._lock:
            now_s = time.monotonic()
            if self._pipeline is None:
                self._begin_s, self._size = now_s, (width, height)
                self._begin(width, height)
                self.began.set()
            if (width, height) == self._size:
                self._push(self._picture, i420, now_s - self._begin_s, 1 / _FPS)

    def sound(self, pcm: bytes) -> None:
        with self._lock:
            if self._pipeline is not None:
                self._push(self._sound, pcm, self._sounds * SOUND_FRAME_S, SOUND_FRAME_S)
                self._sounds += 1

    def end(self) -> bytes:
        """What was recorded. Raises PipelineFailed."""
        Gst = load_gst().Gst
        with self._lock:
            pipeline, self._pipeline = self._pipeline, None
        try:
            for source in (self._picture, self._sound):
                source.emit("end-of-stream")
            kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS
            message = pipeline.get_bus().timed_pop_filtered(int(END_MOST_S * Gst.SECOND), kinds)
            if message is None or message.type == Gst.MessageType.ERROR:
                raise PipelineFailed("the recording did not end")
        finally:
            pipeline.set_state(Gst.State.NULL)
        return os.pread(self._out, os.fstat(self._out).st_size, 0)

    def _begin(self, width: int, height: int) -> None:
        Gst = load_gst().Gst
        self._pipeline = Gst.parse_launch(
            f"appsrc name=picture is-live=true format=time caps=video/x-raw,format=I420,width={width},height={height}"
            f",framerate=0/1 ! queue leaky=downstream max-size-buffers=24 max-size-bytes=0 max-size-time=0"
            f" ! vp8enc deadline=1 cpu-used=8 threads=2 end-usage=vbr target-bitrate={_PICTURE_BPS}"
            f" keyframe-max-dist=48 ! queue ! webmmux name=m ! filesink location=/proc/self/fd/{self._out}"
            f" appsrc name=sound is-live=true format=time caps=audio/x-raw,format=S16LE,rate={SOUND_RATE_HZ},channels=1"
            f",layout=interleaved ! queue ! opusenc bitrate={_SOUND_BPS} ! queue ! m."
        )
        self._picture, self._sound = (self._pipeline.get_by_name(name) for name in ("picture", "sound"))
        self._pipeline.set_state(Gst.State.PLAYING)

    def _push(self, source: Any, data: bytes, at_s: float, length_s: float) -> None:
        Gst = load_gst().Gst
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts, buffer.duration = int(at_s * Gst.SECOND), int(length_s * Gst.SECOND)
        source.emit("push-buffer", buffer)


def _wait_for_a_word(stop: threading.Event) -> None:
    sys.stdin.buffer.read(1)
    stop.set()


def main() -> None:
    """Record once."""
    confine()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Record)
    stop = threading.Event()
    threading.Thread(target=_wait_for_a_word, args=(stop,), daemon=True).start()
    tape = _Tape()
    try:
        source = open_source(order.camera)
    except BadInput:
        finish(refuse("clip_no_camera", "The camera of the centre does not open. Look at its cable."))
    source.fps = _FPS
    source.start(tape)
    if not tape.began.wait(FIRST_PICTURE_MOST_S):
        finish(refuse("clip_no_camera", "The camera of the centre gives no picture. Look at its cable."))
    sys.stdout.buffer.write(msgspec.json.encode(Recording()) + b"\n")
    sys.stdout.buffer.flush()
    stop.wait(order.most_s)
    source.stop()
    try:
        recorded = tape.end()
    except PipelineFailed:
        finish(refuse("clip_failed", "The recording could not be made into a clip. Record it again."))
    finish(make(recorded, order.budget_bytes))


if __name__ == "__main__":
    main()

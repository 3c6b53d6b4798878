"""``python -m edge.media.clip_process``: one recording in, one clip within a byte budget out, by GStreamer.

A process of its own, with little memory and little time: what a hostile or broken file does to a codec ends here. Pipes
and memory only, no disk. Says one line of JSON (:class:`Made` or :class:`Refused`), then the bytes.
"""

import os
import resource
import sys
import time
from typing import NoReturn

import msgspec
from msgspec import Struct

from edge.media import clip
from edge.media.__main__ import die_with_the_node
from edge.media.pipeline import PipelineFailed, load_gst, pull_one_picture, run_to_end
from edge.media.still import webp_within
from edge.model.errors import Fault, Refusal
from edge.model.media import Facts, MediaType, Purpose, check
from edge.model.media_probe import probe

MEMORY_BYTES = 1 << 30
CPU_S, TRY_MOST_S = 150, 90.0
TRIES_MAX = 6
_PREVIEW_SETTLE, _PREVIEW_MOST_S = 8, 6.0
_NICE = 10
_HEAD_BYTES = 16_384
_DECODERS = ((b"V_VP8", "video/x-vp8", "vp8dec"), (b"V_VP9", "video/x-vp9", "vp9dec"))


class Order(Struct, frozen=True, tag="order"):
    """First line in; so many bytes follow."""

    size_bytes: int
    budget_bytes: int = clip.BUDGET_BYTES


class Made(Struct, frozen=True, tag="made"):
    """First line out; the preview and the clip follow."""

    preview_bytes: int
    clip_bytes: int
    width: int
    height: int
    fps: int
    tries: int
    took_s: float


class Refused(Struct, frozen=True, tag="refused"):
    """First and only line out."""

    refusal: Refusal


def refuse(code: str, text: str) -> Refusal:
    """Of the recording, not of this machine."""
    return Refusal(code, text, "", Fault.CALLER)


def make(content: bytes, budget_bytes: int) -> tuple[Made, bytes, bytes] | Refusal:
    """Preview and clip of a recording (WebM). Blocking, some seconds."""
    os.nice(_NICE)  # a call goes before it
    begin_s = time.monotonic()
    facts = probe(lambda at, length: content[at : at + length], len(content))
    if isinstance(facts, Refusal):
        return facts
    wrong = check(Purpose.CLIP, facts, len(content))
    if wrong is not None:
        return wrong
    head = content[:_HEAD_BYTES]
    decoder = next(((caps, element) for name, caps, element in _DECODERS if name in head), None)
    if decoder is None:
        return refuse("clip_codec", "The recording's kind of picture is not read here. Record it with this page.")
    source = _memory(content)
    try:
        try:
            preview, width, height = _preview(source, decoder)
            return _within(facts, source, decoder, (width, height), b"A_OPUS" in head, budget_bytes, preview, begin_s)
        except (PipelineFailed, ValueError):
            return refuse("media_damaged", "The recording is damaged or only half there. Record it again.")
    finally:
        os.close(source)


def _within(
    facts: Facts,
    source: int,
    decoder: tuple[str, str],
    size: tuple[int, int],
    sound: bool,
    budget_bytes: int,
    preview: bytes,
    begin_s: float,
) -> tuple[Made, bytes, bytes] | Refusal:
    shape: clip.Shape | None = clip.shape(*size, facts.duration_ms / 1000, sound=sound, budget_bytes=budget_bytes)
    for tries in range(1, TRIES_MAX + 1):
        assert shape is not None
        made = _encode(source, decoder, shape)
        if len(made) <= budget_bytes:
            again = probe(lambda at, length, made=made: made[at : at + length], len(made))  # type: ignore[misc]
            if isinstance(again, Refusal) or again.media_type is not MediaType.WEBM_VIDEO:
                raise PipelineFailed("the clip is none")
            took_s = round(time.monotonic() - begin_s, 2)
            told = Made(len(preview), len(made), shape.width, shape.height, shape.fps, tries, took_s)
            return told, preview, made
        shape = clip.smaller(shape, len(made), budget_bytes)
        if shape is None:
            break
    return refuse("media_too_large", "The recording cannot be made small enough. Record it shorter.")


def _memory(content: bytes) -> int:
    descriptor = os.memfd_create("recording")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    return descriptor


def _read(source: int, decoder: tuple[str, str]) -> str:
    caps, element = decoder
    demuxed = f"filesrc location=/proc/self/fd/{source} ! matroskademux name=d d. ! {caps}"
    return f"{demuxed} ! queue ! {element} ! videoconvert"


def _preview(source: int, decoder: tuple[str, str]) -> tuple[bytes, int, int]:
    found = pull_one_picture(
        _read(source, decoder) + " ! video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=2",
        _PREVIEW_SETTLE,
        _PREVIEW_MOST_S,
    )
    if found is None or max(found[1:]) > 1_920 or min(found[1:]) < 16:
        raise PipelineFailed("no picture")
    i420, width, height = found
    return webp_within(i420, width, height, clip.PREVIEW_SIDE_PX, clip.PREVIEW_BYTES), width, height


def _encode(source: int, decoder: tuple[str, str], shape: clip.Shape) -> bytes:
    out = os.memfd_create("clip")
    raw = f"video/x-raw,format=I420,width={shape.width},height={shape.height},framerate={shape.fps}/1"
    description = (
        f"{_read(source, decoder)} ! videoscale ! videorate ! {raw}"
        f" ! vp8enc target-bitrate={shape.video_bps} end-usage=vbr deadline=200000 cpu-used=5 threads=2"
        f" keyframe-max-dist={shape.fps * 10} lag-in-frames=10 max-quantizer=63 ! queue ! webmmux name=m"
        f" ! filesink location=/proc/self/fd/{out}"
    )
    if shape.sound_bps:
        description += (
            " d. ! audio/x-opus ! queue ! opusdec ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1"
            f" ! opusenc bitrate={shape.sound_bps} bandwidth=wideband audio-type=voice ! queue ! m."
        )
    try:
        run_to_end(load_gst().Gst.parse_launch(description), TRY_MOST_S)
        return os.pread(out, os.fstat(out).st_size, 0)
    finally:
        os.close(out)


def main() -> None:
    """Serve one order."""
    confine()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    finish(make(sys.stdin.buffer.read(order.size_bytes), order.budget_bytes))


def confine() -> None:
    """Little memory, little time, and no longer than the node."""
    die_with_the_node()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))


def finish(answer: tuple[Made, bytes, bytes] | Refusal) -> NoReturn:
    """Say what came of it, and go."""
    out = sys.stdout.buffer
    if isinstance(answer, Refusal):
        out.write(msgspec.json.encode(Refused(answer)) + b"\n")
    else:
        out.write(msgspec.json.encode(answer[0]) + b"\n" + answer[1] + answer[2])
    out.flush()
    os._exit(0)  # codec threads that hang keep nobody waiting


if __name__ == "__main__":
    main()

"""``python -m edge.media.own_still``: one picture of the node's own camera, outside a call, and ends.

A process of its own like :mod:`edge.media.clip_record`. First line in: :class:`Take`. Says one line (:class:`Taken` or
:class:`Refused`), then the picture. Pipes and memory only, no disk.
"""

import os
import sys
import threading
from typing import NoReturn

import msgspec
from msgspec import Struct

from edge.media.capture import open_source
from edge.media.clip_process import Refused, confine, refuse
from edge.media.clip_record import FIRST_PICTURE_MOST_S
from edge.media.still import webp_within
from edge.model.errors import BadInput, Refusal

SIDE_PX, MOST_BYTES = 1_280, 150_000
"""Enough to judge what the camera sees and whether it is sharp."""


class Take(Struct, frozen=True, tag="take"):
    """First line in."""

    camera: str


class Taken(Struct, frozen=True, tag="taken"):
    """First line out; so many bytes of WebP follow."""

    size_bytes: int
    width: int
    height: int
    """Of what the camera gave, in pixels; the picture that follows may be smaller."""


class _Last:
    """Keeps the newest picture of a source."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.taken = (b"", 0, 0)

    def picture(self, i420: bytes, width: int, height: int) -> None:
        self.taken = (i420, width, height)
        self.came.set()

    def sound(self, pcm: bytes) -> None:
        """Nobody listens."""


def take(camera: str) -> tuple[Taken, bytes] | Refusal:
    """One picture of a source, as sharp as it gives one. Blocking, a second or some."""
    try:
        source = open_source(camera)
    except BadInput:
        return refuse("clip_no_camera", "The camera of the centre does not open. Look at its cable.")
    last = _Last()
    source.start(last)
    if not last.came.wait(FIRST_PICTURE_MOST_S):
        return refuse("clip_no_camera", "The camera of the centre gives no picture. Look at its cable.")
    taken = source.sharp() or last.taken
    source.stop()
    content = webp_within(*taken, SIDE_PX, MOST_BYTES)
    return Taken(len(content), *taken[1:]), content


def main() -> NoReturn:
    """Serve one order."""
    confine()
    answer = take(msgspec.json.decode(sys.stdin.buffer.readline(), type=Take).camera)
    out = sys.stdout.buffer
    if isinstance(answer, Refusal):
        out.write(msgspec.json.encode(Refused(answer)) + b"\n")
    else:
        out.write(msgspec.json.encode(answer[0]) + b"\n" + answer[1])
    out.flush()
    os._exit(0)  # a camera's threads that hang keep nobody waiting


if __name__ == "__main__":
    main()

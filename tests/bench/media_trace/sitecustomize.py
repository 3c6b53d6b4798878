"""Lets a call process of the bench write down what it saw: Python imports this by itself from ``PYTHONPATH``.

Does nothing but in ``python -m edge.media`` with ``UPKENDRA_BENCH_TRACE`` set to a folder. There it writes one
JSON line for each feedback message with the packets' fates (enough to replay the estimator), each change of the
allocation, each second's figures, each picture's burnt-in number and the count of sound frames, by Unix time in
seconds. Changes nothing of what the process does.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

_SOUND_EVERY = 25


class _Log:
    """One file, written from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()

    def put(self, kind: str, **fields: object) -> None:
        line = json.dumps({"t": round(time.time(), 4), "kind": kind, **fields})
        with self._lock:
            self._file.write(line + "\n")


class _Sink:
    """Stands between a source and the call."""

    def __init__(self, sink: Any, log: _Log) -> None:
        self._sink, self._log, self._sounds = sink, log, 0

    def picture(self, i420: bytes, width: int, height: int) -> None:
        from edge.media.testcard import BLOCKS, read_clock

        row = width // BLOCKS // 2 * width
        blocks = [int(i420[row + (2 * block + 1) * width // (2 * BLOCKS)] > 127) for block in range(BLOCKS)]
        number = read_clock(blocks)
        self._log.put("picture", number=-1 if number is None else number)
        self._sink.picture(i420, width, height)

    def sound(self, pcm: bytes) -> None:
        if self._sounds % _SOUND_EVERY == 0:
            self._log.put("sound", frames=self._sounds)
        self._sounds += 1
        self._sink.sound(pcm)


def _watch(log: _Log) -> None:
    from msgspec import to_builtins

    from edge.media import capture, estimate, ladder, worker
    from edge.media.signals import CallStats

    feed, allocate, start, say = (
        estimate.Estimator.feed, ladder.Ladder.allocate, capture.Source.start, worker.Worker.say,
    )  # fmt: skip
    last: list[object] = [None]

    def fed(self: Any, packets: Any, now_s: float, rtt_s: float, *more: Any) -> None:
        feed(self, packets, now_s, rtt_s, *more)
        fates = [[round(p.sent_s, 4), p.arrived_s and round(p.arrived_s, 4), p.size_bytes] for p in packets]
        figures = {
            name: round(float(getattr(self, name, 0)), 4) for name in ("rate_bps", "queue_s", "loss", "received_bps")
        }
        log.put("feedback", now_s=round(now_s, 4), rtt_s=round(rtt_s, 4), packets=fates, **figures)

    def allocated(self: Any, total_bps: float, now_s: float, *more: Any, **named: Any) -> Any:
        given = allocate(self, total_bps, now_s, *more, **named)
        if given != last[0]:
            last[0] = given
            log.put("allocation", total_bps=round(total_bps), **to_builtins(given))
        return given

    def said(self: Any, message: Any) -> None:
        if isinstance(message, CallStats):
            log.put("second", **to_builtins(message))
        say(self, message)

    def started(self: Any, sink: Any) -> None:
        start(self, _Sink(sink, log))

    for owner, name, by in (
        (estimate.Estimator, "feed", fed), (ladder.Ladder, "allocate", allocated),
        (capture.Source, "start", started), (worker.Worker, "say", said),
    ):  # fmt: skip
        setattr(owner, name, by)


_folder = os.environ.get("UPKENDRA_BENCH_TRACE")
if _folder and sys.orig_argv[-2:] == ["-m", "edge.media"]:
    _watch(_Log(Path(_folder, f"call-{os.getpid()}.jsonl")))

"""What a clip costs: bytes, seconds and memory of making it, for several contents and lengths.

``python -m tests.bench.clips [SECONDS …]`` records made-up pictures of 640x480, 24 a second, as a browser does, and has
each made small by a process as the node does. "cpu s" is what that process used; "memory" the most it held at once.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from edge.media import clip
from edge.media.clip_process import Made, Order, Refused
from tests.kits.recordings import recording

_ROOT = Path(__file__).parents[2]


def made(content: bytes) -> tuple[Made, float, float]:
    """The process's word, seconds of the clock, and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    order = msgspec.json.encode(Order(len(content))) + b"\n" + content
    begin_s = time.monotonic()
    command = [sys.executable, "-m", "edge.media.clip_process"]
    done = subprocess.run(command, input=order, stdout=subprocess.PIPE, cwd=_ROOT, check=True)
    took_s = time.monotonic() - begin_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = msgspec.json.decode(done.stdout.partition(b"\n")[0], type=Made | Refused)
    assert isinstance(said, Made), said
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return said, took_s, cpu_s


def main(arguments: list[str]) -> None:
    """Command line."""
    print(f"budget {clip.BUDGET_BYTES} B; load {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores\n")
    print("| content | seconds | recorded B | clip B | preview B | size, fps | tries | s | cpu s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for content in ("still", "walk", "noise"):
        for seconds in map(float, arguments or ["10", "30"]):
            recorded = recording(content, seconds)
            if len(recorded) > 8 << 20:  # more than a browser would make of it, and more than the node takes
                continue
            said, took_s, cpu_s = made(recorded)
            shape = f"{said.width}×{said.height}, {said.fps}"
            figures = (content, seconds, len(recorded), said.clip_bytes, said.preview_bytes, shape, said.tries)
            print("|", " | ".join(map(str, figures)), f"| {took_s:.1f} | {cpu_s:.1f} |", flush=True)
    print(f"\nmost memory of one: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])

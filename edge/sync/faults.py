"""Named points at which a fault test may kill this process.

Knows one environment variable and nothing else. ``UPKENDRA_KILL_AT=<name>[:n]`` sends SIGKILL to
the process when it passes the point ``name`` for the n-th time (first by default); the name ``*`` stands for any
point. Without the variable :func:`point` does nothing. Points of this package are listed in ``docs/protocol.md``.
"""

import os
import signal
from collections import Counter

VARIABLE = "UPKENDRA_KILL_AT"

_passed: Counter[str] = Counter()


def point(name: str) -> None:
    """Die here if the environment says so. Cheap enough to stand on every durable step."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    target, _, times = wanted.partition(":")
    if target not in (name, "*"):
        return
    _passed[target] += 1
    if _passed[target] == (int(times) if times.isdecimal() else 1):
        before_kill(name)
        os.kill(os.getpid(), signal.SIGKILL)


def before_kill(name: str) -> None:
    """What a test wants to know of the last moment; nothing by itself."""

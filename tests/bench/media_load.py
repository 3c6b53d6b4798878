"""What processes and the machine cost while a call runs, from /proc, and a real limit on both (cgroups).

CPU is user plus system time; memory is PSS, shared pages divided among their users.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.kits import process

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000
DISTURBED_AT = 2.5
"""Load average over two cores from which a run is marked as disturbed."""


class Sample(Struct, frozen=True):
    """One moment."""

    unix_s: float
    load: float
    call_cpu_s: float
    """Of the call process so far; 0 without one."""
    pss_mb: float
    """Node and call process."""
    up_bytes: int
    """IP bytes that used the line so far, node → hub."""
    down_bytes: int
    rate_bps: float
    """The line's rate, node → hub, at this moment."""
    handles: process.Handles = process.Handles(0, 0)
    """Of node and call process together."""


def tree(pid: int) -> list[int]:
    """The process and all that it started, itself first."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                found += map(int, (task / "children").read_text().split())
            except OSError:
                continue
    return found


def call_process(node_pid: int) -> int:
    """The newest call process below the node; 0 when there is none."""
    calls = [pid for pid in tree(node_pid)[1:] if "edge.media" in _words(pid)]
    return max(calls, default=0)


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far; 0 when it is gone."""
    try:
        return process.cpu_s(pid)
    except OSError:
        return 0.0


def pss_mb(pids: list[int]) -> float:
    """PSS of these processes together, in MB of 2^20 bytes."""
    total_mb = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total_mb += process.memory(pid).pss_mb
    return total_mb


def handles(pids: list[int]) -> process.Handles:
    """What these processes hold open together."""
    held = []
    for pid in pids:
        with contextlib.suppress(OSError):
            held.append(process.handles(pid))
    return process.Handles(sum(one.descriptors for one in held), sum(one.threads for one in held))


def load() -> float:
    """Load average of the last minute."""
    return os.getloadavg()[0]


@contextmanager
def limited(pid: int, *, cpu_share: float, memory_mb: int) -> Iterator[None]:
    """Hold a process, and all that it starts from now on, to a share of one core and so much memory.

    Uses cgroup v2 where its CPU controller is there, v1 otherwise. Raises OSError where neither may be made.
    """
    name = f"upkendra-bench-{os.getpid()}"
    unified = (_GROUPS / "cgroup.controllers").exists()
    groups = [_GROUPS / name] if unified else [_GROUPS / "cpu" / name, _GROUPS / "memory" / name]
    quota = str(int(_PERIOD_US * cpu_share))
    settings = (
        [("cpu.max", f"{quota} {_PERIOD_US}"), ("memory.max", str(memory_mb << 20))]
        if unified
        else [
            ("cpu.cfs_period_us", str(_PERIOD_US)),
            ("cpu.cfs_quota_us", quota),
            ("memory.limit_in_bytes", str(memory_mb << 20)),
        ]
    )
    if unified:
        (_GROUPS / "cgroup.subtree_control").write_text("+cpu +memory")
    try:
        for group in groups:
            group.mkdir()
            for file, value in settings:
                if (group / file).exists():
                    (group / file).write_text(value)
            for one in tree(pid):
                (group / "cgroup.procs").write_text(str(one))
        yield
    finally:
        for group in groups:
            _dissolve(group)


def _dissolve(group: Path) -> None:
    """Give the processes back to the group above and remove this one."""
    for _ in range(50):
        try:
            for pid in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)

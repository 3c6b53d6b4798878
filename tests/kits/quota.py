"""Hold a process and what it starts to a share of one core: by the kernel where it may be asked, else by stopping it.

cgroup v2 (``cpu.max``) or v1 (``cpu.cfs_quota_us``), with the kernel's usual period of 100 ms; without root a thread
stops and continues the process (SIGSTOP, SIGCONT) by the same period, which is coarser and harder on it. Linux only.
"""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PERIOD_US = 100_000
ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
CPU_V1 = Path("/sys/fs/cgroup/cpu")


def _settings(share: float) -> list[tuple[Path, dict[str, str]]]:
    """Where a group may be made, and what is written into it."""
    quota_us = round(share * PERIOD_US)
    found: list[tuple[Path, dict[str, str]]] = []
    for root in ROOTS:
        with contextlib.suppress(OSError):
            if "cpu" in (root / "cgroup.subtree_control").read_text().split():
                found.append((root, {"cpu.max": f"{quota_us} {PERIOD_US}"}))
    if (CPU_V1 / "cgroup.procs").exists():
        found.append((CPU_V1, {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}))
    return found


def _pulse(pid: int, share: float, ended: threading.Event) -> None:
    """Let it run for its share of each period, then stop it until the period is over."""
    period_s = PERIOD_US / 1e6
    while not ended.is_set():
        begun_s = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            ended.wait(period_s * share)
            os.kill(pid, signal.SIGSTOP)
        ended.wait(max(0.0, begun_s + period_s - time.monotonic()))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def held(pid: int, share: float) -> Iterator[str]:
    """Hold a running process to ``share`` of one core while the block runs; how it is done, in words."""
    for root, settings in _settings(share):
        group = root / f"upkendra-bench-{secrets.token_hex(4)}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name, value in settings.items():
                (group / name).write_text(value)
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            group.rmdir()
            continue
        try:
            yield f"cgroup {'v1' if root == CPU_V1 else 'v2'}, {', '.join(f'{k}={v}' for k, v in settings.items())}"
        finally:
            _empty(group, root)
        return
    ended = threading.Event()
    thread = threading.Thread(target=_pulse, args=(pid, share, ended), daemon=True)
    thread.start()
    try:
        yield f"stopped and continued, {share:.0%} of each {PERIOD_US // 1000} ms"
    finally:
        ended.set()
        thread.join()


def _empty(group: Path, root: Path) -> None:
    """Move whatever is left back, then take the group away."""
    for line in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (root / "cgroup.procs").write_text(line)
    group.rmdir()

"""Processes that from now on take only the time of the processor that nobody else wants."""

import contextlib
import os
from pathlib import Path

PROC = Path("/proc")


def last_of_groups(pid: int) -> None:
    """Let a process that began a session of its own take no time from those of other sessions.

    To the kernel a session is a group of its own (autogroup, sched(7)), and a class holds within a group only: an
    idle one alone in its group takes as much of a core as everybody else's group (docs/decisions/0044).
    """
    with contextlib.suppress(OSError):  # a kernel without such groups
        (PROC / str(pid) / "autogroup").write_text("19")


def descendants(pid: int) -> set[int]:
    """Children of a process, and theirs, as far as they run now."""
    parents: dict[int, int] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def give_way(pid: int) -> None:
    """Put what a process has started into the kernel's idle class, with all that it starts from now on."""
    done: set[int] = set()
    while new := descendants(pid) - done:  # what was started while it was looked for is seen the next time
        done |= new
        for one in new:
            own_session = False
            with contextlib.suppress(OSError):
                own_session = os.getsid(one) == one
                for thread in (PROC / str(one) / "task").iterdir():
                    with contextlib.suppress(OSError):
                        os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
            if own_session:
                last_of_groups(one)

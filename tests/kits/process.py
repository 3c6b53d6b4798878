"""What a process of this machine has used (proc(5)). Each raises OSError when it is gone."""

import os
from pathlib import Path

from msgspec import Struct


class Memory(Struct, frozen=True):
    """Resident, MB of 2^20 bytes: all of it, and with what others share divided among them."""

    rss_mb: float
    pss_mb: float


class Handles(Struct, frozen=True):
    """File descriptors, and threads."""

    descriptors: int
    threads: int


def memory(pid: int) -> Memory:
    """Its memory now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if name in _NAMES}
    return Memory(*(kb.get(name, 0) / 1024 for name in _NAMES))


def cpu_s(pid: int, *, with_children: bool = False) -> float:
    """User and system seconds so far; ``with_children``: and of those that have ended and were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_children else 13])) / os.sysconf("SC_CLK_TCK")


def handles(pid: int) -> Handles:
    """What it holds open now."""
    return Handles(*(sum(1 for _ in Path(f"/proc/{pid}/{kind}").iterdir()) for kind in ("fd", "task")))


_NAMES = ("Rss", "Pss")

"""A process that is held to a share of a core gets no more, whichever way this machine has for it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import quota

SPIN = "while True: pass"


def used_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_busy_process_gets_its_share_and_no_more(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_kernel:
        monkeypatch.setattr(quota, "_settings", lambda share: [])
    with subprocess.Popen([sys.executable, "-c", SPIN]) as busy:
        try:
            with quota.held(busy.pid, 0.2):
                begun_s, before_s = time.monotonic(), used_s(busy.pid)
                while used_s(busy.pid) - before_s < 0.2:
                    time.sleep(0.02)
                assert (used_s(busy.pid) - before_s) / (time.monotonic() - begun_s) < 0.4
        finally:
            busy.kill()

"""A process that is held to a share of a core gets no more, whichever way this machine has for it."""

import subprocess
import sys
import time

import pytest

from . import quota
from .process import cpu_s

SPIN = "while True: pass"


@pytest.mark.serial
@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_busy_process_gets_its_share_and_no_more(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_kernel:
        monkeypatch.setattr(quota, "_settings", lambda share: [])
    with subprocess.Popen([sys.executable, "-c", SPIN]) as busy:
        try:
            with quota.held(busy.pid, 0.2):
                begun_s, before_s = time.monotonic(), cpu_s(busy.pid)
                while cpu_s(busy.pid) - before_s < 0.2:
                    time.sleep(0.02)
                assert (cpu_s(busy.pid) - before_s) / (time.monotonic() - begun_s) < 0.4
        finally:
            busy.kill()

"""What the kernel tells about a process is read as what it is."""

import mmap
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .process import Handles, cpu_s, handles, memory


def test_memory_and_processor_time_grow_with_their_use_and_a_process_that_is_gone_is_said() -> None:
    me = os.getpid()
    before, used_s = memory(me), cpu_s(me)
    assert before.rss_mb >= before.pss_mb > 1
    with mmap.mmap(-1, 32 << 20) as held:  # fresh pages: the allocator may give back what a test before let go
        held.write(b"x" * len(held))
        assert memory(me).pss_mb - before.pss_mb > len(held) / (2 << 20)
    begun_s = time.process_time()
    while time.process_time() - begun_s < 0.1:
        pass
    assert cpu_s(me) - used_s >= 0.05
    assert cpu_s(me, with_children=True) >= cpu_s(me)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    with pytest.raises(OSError, match=str(child.pid)):
        memory(child.pid)


def test_an_open_file_and_a_thread_are_counted_while_they_are_there() -> None:
    before, done = handles(os.getpid()), threading.Event()
    with Path(os.devnull).open():
        waiting = threading.Thread(target=done.wait)
        waiting.start()
        during = handles(os.getpid())
        done.set()
        waiting.join()
    assert during == Handles(before.descriptors + 1, before.threads + 1)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    with pytest.raises(OSError, match=str(child.pid)):
        handles(child.pid)

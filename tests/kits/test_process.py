"""What the kernel tells about a process is read as what it is."""

import mmap
import os
import subprocess
import sys
import time

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


HOLDER = """
import sys, threading
print("none", flush=True)
sys.stdin.readline()
held, over = open(sys.executable, "rb"), threading.Event()
threading.Thread(target=over.wait, daemon=True).start()
print("held", flush=True)
sys.stdin.readline()
"""


def test_an_open_file_and_a_thread_are_counted_while_they_are_there() -> None:
    argv = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "none\n"
        before = handles(child.pid)
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "held\n"
        assert handles(child.pid) == Handles(before.descriptors + 1, before.threads + 1)
        print(file=child.stdin, flush=True)
    with pytest.raises(OSError, match=str(child.pid)):
        handles(child.pid)

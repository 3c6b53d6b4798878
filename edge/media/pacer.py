"""Lets video packets out at a pace, so that a key frame does not stand in front of the sound.

One thread with one queue of packets. Knows sizes, not contents.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any


class Pace:
    """When the next packet may leave. Pure: time is an argument."""

    def __init__(self, rate_bps: float) -> None:
        self.rate_bps = rate_bps
        """May change at any time."""
        self._free_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long the next packet has to wait yet."""
        return max(self._free_s - now_s, 0.0)

    def note(self, size_bytes: int, now_s: float) -> None:
        """A packet of ``size_bytes`` on the wire leaves now. A wait that came late is made up for by 10 ms at most."""
        self._free_s = max(self._free_s, now_s - 0.01) + size_bytes * 8 / self.rate_bps


class Pacer:
    """Calls ``emit`` for each packet, spaced by its size at :attr:`rate_bps`."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._pace = Pace(50_000.0)
        self._emit = emit
        self._queue: deque[tuple[Any, int]] = deque()
        self._queued_bytes = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pacer", daemon=True)

    @property
    def rate_bps(self) -> float:
        """May change at any time."""
        return self._pace.rate_bps

    @rate_bps.setter
    def rate_bps(self, rate_bps: float) -> None:
        self._pace.rate_bps = rate_bps

    def start(self) -> None:
        """Begin to let packets out."""
        self._thread.start()

    def stop(self) -> None:
        """Drop what is queued and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def put(self, packet: Any, size_bytes: int) -> None:
        """Queue a packet of ``size_bytes`` on the wire."""
        with self._wake:
            self._queue.append((packet, size_bytes))
            self._queued_bytes += size_bytes
            self._wake.notify()

    def clear(self) -> None:
        """Forget what is queued: the picture was switched off."""
        with self._wake:
            self._queue.clear()
            self._queued_bytes = 0

    def backlog_s(self) -> float:
        """How long the queued packets will take."""
        return self._queued_bytes * 8 / self.rate_bps

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
            wait_s = self._pace.wait_s(time.monotonic())
            if wait_s > 0:
                time.sleep(min(wait_s, 0.5))
            with self._wake:
                if not self._queue:
                    continue
                packet, size_bytes = self._queue.popleft()
                self._queued_bytes -= size_bytes
            self._pace.note(size_bytes, time.monotonic())
            self._emit(packet)

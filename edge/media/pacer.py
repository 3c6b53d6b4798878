"""Lets video packets out at a pace, so that a key frame does not stand in front of the sound.

One thread with one queue of packets. Knows sizes, not contents.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any


class Pacer:
    """Calls ``emit`` for each packet, spaced by its size at :attr:`rate_bps`."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self.rate_bps = 50_000.0
        """May change at any time."""
        self._emit = emit
        self._queue: deque[tuple[Any, int]] = deque()
        self._queued_bytes = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pacer", daemon=True)

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
        free_s = time.monotonic()
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
            now_s = time.monotonic()
            if free_s > now_s:
                time.sleep(min(free_s - now_s, 0.5))
            with self._wake:
                if not self._queue:
                    continue
                packet, size_bytes = self._queue.popleft()
                self._queued_bytes -= size_bytes
            free_s = max(free_s, time.monotonic() - 0.01) + size_bytes * 8 / self.rate_bps
            self._emit(packet)

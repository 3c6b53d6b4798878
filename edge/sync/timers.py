"""When each of many things is due: one time a thing, the next one found without looking at all of them."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
_SLACK = 64


class Timers(Generic[K]):
    """One due time a key. Times that were replaced stay in the heap until they surface, or are too many."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: K, due_s: float | None) -> None:
        """Let ``key`` be due then; None: never."""
        if due_s is None:
            self._due.pop(key, None)
            return
        if self._due.get(key) == due_s:
            return
        self._due[key] = due_s
        self._count += 1
        heapq.heappush(self._heap, (due_s, self._count, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[K]:
        """What is due, the earliest first; it is due no more."""
        found: list[K] = []
        while self._settle() and self._heap[0][0] <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            found.append(key)
        return found

    def next(self) -> float | None:
        """When the next one is due; None when nothing is."""
        return self._heap[0][0] if self._settle() else None

    def _settle(self) -> bool:
        """Drop replaced times from the top; whether anything is left."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return bool(self._heap)

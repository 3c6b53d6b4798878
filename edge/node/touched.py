"""Which records the writer's transactions have changed since the reader looked, so that it reads those only.

A transaction that names nothing may have changed anything. Kept in memory; :class:`edge.node.database.Database` says
when one has ended, committed or not: naming too much costs a reading, naming too little would show old things.
"""

import threading
from collections.abc import Iterable


class Touched:
    """Ids of visits and patients. The writer's thread names, any thread takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._anything = True
        self._named: set[str] | None = None
        self.waits = True
        """Something was touched that nobody has taken."""

    def name(self, ids: Iterable[str]) -> None:
        """Within a transaction: these change, and of what is not named nothing does."""
        self._named = (self._named or set()) | set(ids)

    def ended(self) -> None:
        """The transaction has ended."""
        named, self._named = self._named, None
        with self._lock:
            if named is None:
                self._anything = True
            else:
                self._ids |= named - {""}
            self.waits = self._anything or bool(self._ids)

    def lost(self) -> None:
        """What was taken was not read after all."""
        with self._lock:
            self._anything = self.waits = True

    def take(self) -> frozenset[str] | None:
        """What was touched since the last time, None for anything. Take first, then read."""
        with self._lock:
            taken = None if self._anything else frozenset(self._ids)
            self._ids, self._anything, self.waits = set(), False, False
        return taken

"""Which process of the hub a node speaks with in an epoch: told apart by their salts, believed or not. Pure.

A hub process that died may still have packets under way. Only who acknowledges a packet that left after a process was
replaced is alive.
"""

from .incoming import Incoming
from .signals import Delivered, SignalOrder

RETIRED_MAX = 64
"""So many changes of the process end an epoch."""


class HubProcesses:
    """Those of one epoch; what came from each is kept apart."""

    def __init__(self, delivered: Delivered) -> None:
        """``delivered``: signals that were heard in this epoch and in those before it."""
        self._delivered = delivered
        self.salt: bytes | None = None
        """Of the one that is spoken with; None while none is."""
        self.incoming = Incoming()
        self.order = SignalOrder(delivered)
        self._retired: dict[bytes, int] = {}
        """Those that were replaced, and the counter from which on the packets left that they cannot know."""
        self._peers: dict[bytes, tuple[Incoming, SignalOrder]] = {}

    def is_believed(self, salt: bytes, acked: int) -> bool:
        """Whether a packet under another salt is of a living process; ``acked``: the counter that it acknowledges."""
        replaced_at = self._retired.get(salt)
        if replaced_at is None:
            return True
        if acked < replaced_at:
            return False
        del self._retired[salt]
        return True

    def meet(self, salt: bytes) -> bool:
        """Speak with this one from now on; whether it is a new one."""
        fresh = salt not in self._peers
        self.salt = salt
        self.incoming, self.order = self._peers.setdefault(salt, (Incoming(salt[:2]), SignalOrder(self._delivered)))
        return fresh

    def retire(self, next_counter: int) -> bool:
        """The one that was spoken with is replaced; False if there was none. ``next_counter``: of what leaves next."""
        if self.salt is None:
            return False
        self._retired[self.salt] = next_counter
        self.salt = None
        return True

    @property
    def many(self) -> bool:
        """Whether a new epoch is due, so that the list does not grow for ever."""
        return len(self._retired) > RETIRED_MAX

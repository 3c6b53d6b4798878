"""The node's asking to be opened by the hub: what is due when. Pure."""

from . import frames as fr

ASK_EVERY_S = 5.0
"""A person's answer is seen within this and a round trip."""


class UnlockAsking:
    """One request at a time, said again until it ends."""

    def __init__(self) -> None:
        self.request = b""
        """8 B; empty while nobody asks."""
        self._said_s = float("-inf")

    def begin(self, request: bytes) -> None:
        """Ask from now on, and at once."""
        self.request, self._said_s = request, float("-inf")

    def end(self) -> None:
        """Ask no more."""
        self.request = b""

    @property
    def due_s(self) -> float | None:
        """When it is to be said next; None for never."""
        return self._said_s + ASK_EVERY_S if self.request else None

    def is_due(self, now: float) -> bool:
        """Whether it is to be said now."""
        return self.due_s is not None and self.due_s <= now

    def take(self, nonce: int, now: float) -> fr.UnlockAsk:
        """The frame that leaves now."""
        self._said_s = now
        return fr.UnlockAsk(self.request, nonce)

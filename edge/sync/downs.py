"""Which down blobs a node's process knows: offered to the application, or durable here. Pure."""

REMEMBERED = 4_096


class DownsHeld:
    """The latest down blobs by their sequence."""

    def __init__(self) -> None:
        self._held: dict[int, bool] = {}

    def stored(self, seq: int) -> None:
        """The blob is durable here."""
        self._held[seq] = True
        while len(self._held) > REMEMBERED:
            self._held.pop(next(iter(self._held)))

    def failed(self, seq: int) -> None:
        """The blob could not be stored: it may be offered again."""
        if not self._held.get(seq):
            self._held.pop(seq, None)

    def is_stored(self, seq: int) -> bool:
        return self._held.get(seq, False)

    def offer(self, seq: int) -> bool:
        """Whether the blob is new to the application; it counts as offered then."""
        if seq in self._held:
            return False
        self._held[seq] = False
        return True

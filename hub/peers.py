"""What other processes of a hub said of themselves lately: nodes they speak with, and whose pages they hold.

A process says everything once and then every few seconds what has changed, which is nearly always nothing. Who missed a
word of it, or came later, asks for everything anew.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from .fanout import Present, PresentChanged

SAID_EVERY_S = 4.0
GONE_S = 10.0
"""Who has been silent for so long is dead, or cannot be reached: either way nobody is there."""


def node(node_id: bytes) -> bytes:
    """How a node is named among who is there."""
    return b"n" + node_id


def doctor(doctor_id: str) -> bytes:
    """A doctor with a page open."""
    return b"d" + doctor_id.encode()


def family(account_id: str) -> bytes:
    """A number of patients at home with a page open."""
    return b"f" + account_id.encode()


class Here:
    """What this process says of itself."""

    def __init__(self) -> None:
        self._number = 0
        self._said: frozenset[bytes] | None = None

    def next(self, here: Iterable[bytes]) -> Present | PresentChanged:
        """What to say now."""
        before, now = self._said, frozenset(here)
        self._said, self._number = now, self._number + 1
        if before is None:
            return Present(self._number, tuple(sorted(now)))
        return PresentChanged(self._number, tuple(sorted(now - before)), tuple(sorted(before - now)))

    def forget(self) -> None:
        """Say everything the next time."""
        self._said = None


class _Peer(Struct):
    at_s: float
    number: int
    here: set[bytes]


class Peers:
    """All other processes."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._peers: dict[bytes, _Peer] = {}

    def said(self, sender: bytes, told: Present | PresentChanged) -> bool:
        """Take over what a process said; False when something before it is missing."""
        now_s, known = self._monotonic_s(), self._peers.get(sender)
        if isinstance(told, Present):
            self._peers[sender] = _Peer(now_s, told.number, set(told.here))
        elif known is None or told.number != known.number + 1:
            return False
        else:
            known.here = (known.here - set(told.gone)) | set(told.come)
            known.at_s, known.number = now_s, told.number
        self._forget()
        return True

    def lives(self, sender: bytes) -> bool:
        """Whether a process was heard lately."""
        return sender in self._peers and self._peers[sender].at_s >= self._monotonic_s() - GONE_S

    def online(self, node_id: str) -> bool:
        """Whether another process speaks with the node."""
        return self._has(node(bytes.fromhex(node_id)))

    def has_page(self, doctor_id: str) -> bool:
        """Whether a doctor has a page open at another process."""
        return self._has(doctor(doctor_id))

    def has_family(self, account_id: str) -> bool:
        """Whether a page of patients at home is open at another process."""
        return self._has(family(account_id))

    def _has(self, name: bytes) -> bool:
        return any(name in peer.here for peer in self._live())

    def _live(self) -> list[_Peer]:
        since_s = self._monotonic_s() - GONE_S
        return [peer for peer in self._peers.values() if peer.at_s >= since_s]

    def _forget(self) -> None:
        since_s = self._monotonic_s() - GONE_S
        for sender in [name for name, peer in self._peers.items() if peer.at_s < since_s]:
            del self._peers[sender]

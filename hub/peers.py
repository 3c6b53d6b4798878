"""What other processes of a hub said of themselves lately: nodes they speak with, doctors whose pages they hold."""

from collections.abc import Callable

from msgspec import Struct

from .fanout import Present

ID_BYTES = 8
SAID_EVERY_S = 4.0
GONE_S = 10.0
"""Who has been silent for so long is dead, or cannot be reached: either way nobody is there."""


class _Peer(Struct, frozen=True):
    at_s: float
    nodes: frozenset[bytes]
    doctors: frozenset[str]


class Peers:
    """All other processes."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._peers: dict[bytes, _Peer] = {}

    def said(self, sender: bytes, present: Present) -> None:
        nodes = present.nodes
        found = frozenset(nodes[at : at + ID_BYTES] for at in range(0, len(nodes), ID_BYTES))
        self._peers[sender] = _Peer(self._monotonic_s(), found, frozenset(present.doctors))
        self._forget()

    def online(self, node_id: str) -> bool:
        """Whether another process speaks with the node."""
        wanted = bytes.fromhex(node_id)
        return any(wanted in peer.nodes for peer in self._live())

    def has_page(self, doctor_id: str) -> bool:
        """Whether a doctor has a page open at another process."""
        return any(doctor_id in peer.doctors for peer in self._live())

    def has_pages(self) -> bool:
        return any(peer.doctors for peer in self._live())

    def _live(self) -> list[_Peer]:
        since_s = self._monotonic_s() - GONE_S
        return [peer for peer in self._peers.values() if peer.at_s >= since_s]

    def _forget(self) -> None:
        since_s = self._monotonic_s() - GONE_S
        for sender in [name for name, peer in self._peers.items() if peer.at_s < since_s]:
            del self._peers[sender]

"""What the hub no longer believes, as this node knows it: the newest list that it signed, kept beside the keys.

A plain file, since a locked node has to know it, and a revoked one can open nothing any more. Knows no link, no stick
and no session: whoever brings a list hands its bytes over.
"""

import logging
from pathlib import Path

from msgspec import Struct

from edge.sync import revocation, seal
from edge.web.logs import say

from .config import NodeConfig, write_private

logger = logging.getLogger("edge.node.revoked")
FILE = "revoked.bin"


class Standing(Struct, frozen=True):
    """What the newest list says, for people."""

    number: int
    made_ms: int
    revoked: bool
    """The hub believes nothing of this node any more."""
    replaced: bool
    """Another machine stands at this node's place."""
    doctors_closed: int
    staff_removed: int


class Revoked:
    """The list of one node."""

    def __init__(self, folder: Path, config: NodeConfig) -> None:
        """Read what is known. Blocking."""
        self._path = folder / FILE
        self._config = config
        self.told: revocation.SignedList | None = None
        """The newest list; None: none came."""
        try:
            found = revocation.parse_list(self._path.read_bytes())
            revocation.check_list(found, config.node_id, config.hub_sign, 0)
            self.told = found
        except FileNotFoundError:
            pass
        except (OSError, revocation.RevocationRefused):
            say(logger, "revoked_unreadable", logging.ERROR)

    @property
    def number(self) -> int:
        """Of the newest list; 0: none."""
        return self.told.number if self.told is not None else 0

    def take(self, raw: bytes) -> bool:
        """Keep a list durably; False when it is the one that is known. Raises RevocationRefused. Blocking."""
        told = revocation.parse_list(raw)
        if not revocation.check_list(told, self._config.node_id, self._config.hub_sign, self.number):
            return False
        write_private(self._path, raw)
        self.told = told
        return True

    def may_log_in(self, staff_id: str) -> bool:
        """Whether the hub's administrator has not removed this person."""
        return self.told is None or staff_id not in self.told.content.staff

    @property
    def standing(self) -> Standing | None:
        """What the list says; None when none came."""
        if self.told is None:
            return None
        content = self.told.content
        mine = revocation.machine_of(seal.verifier_of(self._config.device))
        return Standing(
            self.told.number,
            self.told.made_ms,
            bool(content.revoked_ms),
            content.machine != mine,
            len(content.closed),
            len(content.staff),
        )

    @property
    def why_out(self) -> str:
        """Why the hub believes this machine no more: node_revoked, node_replaced; empty when it does."""
        standing = self.standing
        if standing is None:
            return ""
        return "node_revoked" if standing.revoked else "node_replaced" if standing.replaced else ""

"""Short-lived TURN credentials (coturn's ``use-auth-secret``, draft-uberti-behave-turn-rest-00).

Pure: secret, name and time in; ICE servers out. The shared secret never leaves the hub.
"""

import base64
import hashlib
import hmac

from msgspec import Struct

from edge.media.signals import IceServer

LIFE_S = 4 * 3600


class Turn(Struct, frozen=True):
    """A TURN server of this hub. ``secret`` is shared with coturn."""

    urls: tuple[str, ...] = ()
    secret: str = ""

    def __repr__(self) -> str:
        return f"Turn({self.urls})"


def ice_servers(turn: Turn, name: str, unix_s: int) -> tuple[IceServer, ...]:
    """Servers with a credential that ends ``LIFE_S`` seconds from now; empty when none is configured."""
    if not turn.urls or not turn.secret:
        return ()
    username = f"{unix_s + LIFE_S}:{name}"
    digest = hmac.digest(turn.secret.encode(), username.encode(), hashlib.sha1)
    return (IceServer(turn.urls, username, base64.b64encode(digest).decode()),)

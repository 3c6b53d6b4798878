"""Short-lived TURN credentials (coturn's ``use-auth-secret``, draft-uberti-behave-turn-rest-00).

Pure: secret, name and time in; ICE servers out. The shared secret never leaves the hub.
"""

import base64
import hashlib
import hmac
import re

from msgspec import Struct

from edge.media.signals import IceServer
from edge.model.errors import BadInput

LIFE_S = 4 * 3600
_URL = re.compile(r"(turn|turns):(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?")
"""As in RFC 7065; without a transport, ``turn`` is UDP and ``turns`` TLS over TCP."""


class Turn(Struct, frozen=True):
    """A TURN server of this hub. ``secret`` is shared with coturn."""

    urls: tuple[str, ...] = ()
    secret: str = ""
    life_s: int = LIFE_S
    """How long a credential is good: no call outlives it, and what leaks is soon worth nothing."""

    def __repr__(self) -> str:
        return f"Turn({self.urls})"


def turn_urls(given: list[str]) -> tuple[str, ...]:
    """Addresses as browsers and nodes take them, in their order. Raises BadInput.

    DTLS (``turns`` over UDP) is refused: neither Chromium nor the node speaks it.
    """
    for url in given:
        match = _URL.fullmatch(url)
        if match is None or (match.group(1) == "turns" and match.group(5) == "udp"):
            text = "A TURN server looks like turn:HOST:3478?transport=udp, turn:…?transport=tcp or turns:HOST:443."
            raise BadInput(text, field="turn")
    return tuple(given)


def ice_servers(turn: Turn, name: str, unix_s: int) -> tuple[IceServer, ...]:
    """Servers with a credential that ends ``turn.life_s`` seconds from now; empty when none is configured."""
    if not turn.urls or not turn.secret:
        return ()
    username = f"{unix_s + turn.life_s}:{name}"
    digest = hmac.digest(turn.secret.encode(), username.encode(), hashlib.sha1)
    return (IceServer(turn.urls, username, base64.b64encode(digest).decode()),)

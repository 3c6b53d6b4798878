"""From which browsers a doctor has logged in: mistakes there are counted apart from those of strangers.

Whoever knows a log-in name can make the hub wait at it. The browser that has proved the name before does not share
that wait (OWASP, "device cookies"). Nothing is stored: the cookie carries a MAC over name and browser. Opens nothing.
"""

import hashlib
import hmac
import re
from typing import Final

from .keys import Keyring

MAX_AGE_S: Final = 180 * 86_400
"""As long as a patient's browser is known (:data:`hub.home.codes.DEVICE_MS`)."""
_COOKIE: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")


def cookie_of(keys: Keyring, user: str, device: str) -> str:
    """What a browser keeps after a log-in; ``device``: 32 hexadecimal digits drawn for it."""
    return f"{device}.{_mac(keys, user, device)}"


def device_of(keys: Keyring, user: str, cookie: str) -> str:
    """The browser that logged in as this user before; "" for any other cookie."""
    found = _COOKIE.fullmatch(cookie)
    return found[1] if found is not None and hmac.compare_digest(found[2], _mac(keys, user, found[1])) else ""


def _mac(keys: Keyring, user: str, device: str) -> str:
    key = hashlib.sha256(b"upk1 login device" + keys.data).digest()
    return hmac.new(key, f"{device} {user}".encode(), "sha256").hexdigest()

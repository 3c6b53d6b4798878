"""Web push to patients' browsers: RFC 8291 encryption, RFC 8292 identification, and the POST to the push service.

What is pushed says what the SMS would say, and nothing clinical; the service sees one size. It goes to the services
that browsers use and nowhere else, since the address comes from a page. Knows no table. Logs no address and no text.
"""

import base64
import logging
import os
import re
import struct
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from edge.model.errors import BadInput
from edge.web.logs import say

logger = logging.getLogger("hub.home")
PLAIN_BYTES: Final = 1_024
"""Each message is padded to this, so that its length tells nothing."""
RECORD_BYTES: Final = 4_096
LIFE_S: Final = 600
"""The service keeps a message so long for a telephone that is away; a turn is over then."""
TOKEN_S: Final = 6 * 3600
"""A VAPID token may be good for 24 h (RFC 8292 §2)."""
SEND_S: Final = 10.0
SERVICES: Final = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "*.notify.windows.com",
)
"""Of Chromium, Firefox, Safari and Edge."""
_HOST: Final = re.compile(r"[a-z0-9.-]{4,100}")


class Subscription(Struct, frozen=True):
    """Where a browser can be reached, and its keys (RFC 8030, 8291)."""

    endpoint: str
    p256dh: bytes
    """65 bytes, uncompressed."""
    auth: bytes
    """16 bytes."""

    def __repr__(self) -> str:
        return "Subscription(…)"


class Outcome(Enum):
    """What became of a push."""

    TAKEN = auto()
    GONE = auto()
    """The browser wants none any more."""
    FAILED = auto()


def to_text(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Opposite of :func:`to_text`. Raises BadInput."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise BadInput("This is not base64url.", field="p256dh") from None


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 65 bytes of a public key."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def subscription_of(endpoint: str, p256dh: str, auth: str, services: tuple[str, ...] = SERVICES) -> Subscription:
    """What a page hands over, checked. Raises BadInput."""
    made = Subscription(endpoint, from_text(p256dh), from_text(auth))
    if not is_of(endpoint, services):
        raise BadInput("This is the address of no push service that the hub knows.", field="endpoint")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), made.p256dh)
    except ValueError:
        raise BadInput("This is no key of a browser.", field="p256dh") from None
    if len(made.auth) != 16 or len(made.p256dh) != 65:
        raise BadInput("These are no keys of a browser.", field="auth")
    return made


def is_of(endpoint: str, services: tuple[str, ...]) -> bool:
    """Whether an address is that of one of these services: HTTPS, no other port, nobody's name in it."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return False
    host, local = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"
    if local in services:  # a whole origin: a gateway of one's own
        return True
    if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc or not _HOST.fullmatch(host):
        return False
    return any(host == one or (one[:2] == "*." and host.endswith(one[1:])) for one in services)


def encrypt(plain: bytes, to: Subscription, private: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """One record of aes128gcm (RFC 8188) under the keys of RFC 8291 §3.4; ``private`` and 16 bytes ``salt`` are new."""
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), to.p256dh)
    ours = point_of(private.public_key())
    shared = private.exchange(ec.ECDH(), theirs)
    secret = _hkdf(to.auth, shared, b"WebPush: info\0" + to.p256dh + ours, 32)
    key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
    head = salt + struct.pack(">IB", RECORD_BYTES, len(ours)) + ours
    return head + AESGCM(key).encrypt(nonce, plain + b"\x02", None)


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def vapid(key: ec.EllipticCurvePrivateKey, endpoint: str, contact: str, now_s: int) -> str:
    """The Authorization header: a JWT by ES256 for the service's origin (RFC 8292 §2)."""
    parts = urlsplit(endpoint)
    claims: dict[str, str | int] = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now_s + TOKEN_S}
    if contact:
        claims["sub"] = contact
    head = to_text(msgspec.json.encode({"typ": "JWT", "alg": "ES256"}))
    signed = f"{head}.{to_text(msgspec.json.encode(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    token = f"{signed}.{to_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
    return f"vapid t={token}, k={to_text(point_of(key.public_key()))}"


class Pusher:
    """Posts to push services."""

    def __init__(self, services: tuple[str, ...] = SERVICES, contact: str = "") -> None:
        """``contact``: mailto: or https: of whoever runs the hub, for the services' operators."""
        self.services, self._contact = services, contact
        self._session: ClientSession | None = None

    async def send(self, key: ec.EllipticCurvePrivateKey, to: Subscription, plain: bytes, now_s: int) -> Outcome:
        """Hand a message to the service. Never raises."""
        if not is_of(to.endpoint, self.services):  # kept by an earlier release, or under other settings
            return Outcome.GONE
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(total=SEND_S))
        body = encrypt(plain.ljust(PLAIN_BYTES), to, ec.generate_private_key(ec.SECP256R1()), os.urandom(16))
        headers = {
            "Authorization": vapid(key, to.endpoint, self._contact, now_s),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(LIFE_S),
            "Urgency": "high",
        }
        try:
            async with self._session.post(to.endpoint, data=body, headers=headers, allow_redirects=False) as reply:
                if 200 <= reply.status < 300:
                    return Outcome.TAKEN
                say(logger, "push_refused", logging.WARNING, status=reply.status)
                return Outcome.GONE if reply.status in (404, 410) else Outcome.FAILED
        except (ClientError, OSError, TimeoutError) as error:
            say(logger, "push_not_sent", logging.WARNING, why=type(error).__name__)
            return Outcome.FAILED

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

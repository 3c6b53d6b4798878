"""A push service and the browsers behind it: a real HTTP server that checks who speaks and opens what came."""

import base64
import json
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def octets(data: str) -> bytes:
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))


def mac(key: bytes, data: bytes) -> bytes:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(data)
    return made.finalize()


@dataclass
class Browser:
    """Its keys, and what it was shown."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = b"0123456789abcdef"
    shown: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    status: int = 201
    """What the service answers for it."""

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def open(self, body: bytes) -> bytes:
        """RFC 8188 and 8291, step by step as they stand there."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.private.exchange(ec.ECDH(), theirs)
        ikm = mac(mac(self.auth, shared), b"WebPush: info\0" + self.public + sender + b"\x01")
        prk = mac(salt, ikm)
        key = mac(prk, b"Content-Encoding: aes128gcm\0\x01")[:16]
        nonce = mac(prk, b"Content-Encoding: nonce\0\x01")[:12]
        padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert padded[-1:] == b"\x02", "the last record"
        return padded[:-1]


class PushService:
    """Takes what is pushed for its browsers."""

    def __init__(self) -> None:
        self.browsers: dict[str, Browser] = {}
        self.strangers = 0
        """Requests whose sender was not whom the browser subscribed for."""
        self.key = b""
        """The hub's public key, as browsers were given it."""
        app = web.Application()
        app.router.add_post("/push/{name}", self._take)
        self._server = TestServer(app)

    async def start(self) -> "PushService":
        await self._server.start_server()
        return self

    async def close(self) -> None:
        await self._server.close()

    @property
    def origin(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    def browser(self, name: str) -> dict[str, object]:
        """A new browser; its subscription."""
        made = self.browsers[name] = Browser()
        return {"endpoint": f"{self.origin}/push/{name}", "p256dh": text(made.public), "auth": text(made.auth)}

    async def _take(self, request: web.Request) -> web.Response:
        browser = self.browsers[request.match_info["name"]]
        if not self._is_the_hub(request.headers.get("Authorization", "")):
            self.strangers += 1
            return web.Response(status=403)
        assert (request.headers["Content-Encoding"], request.headers["Urgency"]) == ("aes128gcm", "high")
        assert int(request.headers["TTL"]) > 0
        body = await request.read()
        if browser.status == 201:
            browser.sizes.append(len(body))
            browser.shown.append(json.loads(browser.open(body)))
        return web.Response(status=browser.status)

    def _is_the_hub(self, header: str) -> bool:
        scheme, _, rest = header.partition(" ")
        fields = dict(one.strip().split("=", 1) for one in rest.split(","))
        head, claims, signature = fields["t"].split(".")
        assert (scheme, json.loads(octets(head))["alg"]) == ("vapid", "ES256")
        said = json.loads(octets(claims))
        assert said["aud"] == self.origin
        raw = octets(signature)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets(fields["k"]))
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        return octets(fields["k"]) == self.key

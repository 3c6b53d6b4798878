"""Enrolment: from a one-time site token to keys on both sides (docs/decisions/0002).

Pure: bytes in, bytes out, randomness as an argument. Trusts the token and no bearer: the hub's keys
are checked against the token, the request is sealed to the hub, the reply to a key that the node drew
for it. Which tokens are valid, used or expired is the hub application's business.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec
from msgspec import Struct

from edge.model.errors import Fault, UpkendraError
from edge.model.events import StaffPublished
from edge.model.records import Name, Role, ShortText

from . import seal

TOKEN_PREFIX = "UPK1-"  # noqa: S105 - a format's name
TOKEN_SECRET_BYTES = 16
ROOT_HASH_BYTES = 16
TYPE_REQUEST = 0x10
TYPE_REPLY = 0x11
REQUEST_MAX_BYTES = 4096
REPLY_MAX_BYTES = 1 << 20
"""It names every doctor of the hub, some 300 B each."""
ANNOUNCED_MAX = 4
"""Of the hub's KEM keys, the newest: a node seals to the first, and all that are kept would not fit for ever."""
_ENROL = b"upk1 enrol"
_ENROLLED = b"upk1 enrolled"
_SIGN = b"upk1 hub-sign"
_KEM = b"upk1 hub-kem"


class EnrolRefused(UpkendraError):
    """The enrolment did not take place. Check the token and the hub's address, and ask for a new token."""

    code = "enrol_refused"
    fault = Fault.CALLER


class SiteToken(Struct, frozen=True):
    """What a technician carries to the site."""

    secret: bytes
    """16 random bytes, valid once."""
    root_hash: bytes
    """SHA256(F_pub)[:16]."""

    def __repr__(self) -> str:
        return "SiteToken(…)"


class SignedKem(Struct, frozen=True, array_like=True):
    public: bytes
    signature: bytes


class Announcement(Struct, frozen=True, array_like=True):
    """Body of GET /enrol/keys (msgpack array): F signs H, H signs K_i."""

    version: int
    root: bytes
    sign: bytes
    root_signature: bytes
    kem: tuple[SignedKem, ...]


class CheckedKeys(Struct, frozen=True):
    """Hub keys that go back to the token."""

    root: bytes
    sign: bytes
    kem: tuple[bytes, ...]


class EnrolSecrets(Struct, frozen=True):
    """The private keys a node drew for its enrolment, 32 B raw each."""

    device: bytes
    log: bytes
    records: bytes
    response: bytes
    """X25519; thrown away after the reply."""

    def __repr__(self) -> str:
        return "EnrolSecrets(…)"


class EnrolRequest(Struct, frozen=True, array_like=True):
    """What the hub reads in a request. Both signatures were checked."""

    secret: bytes
    """Of the token; the hub looks it up and uses it up."""
    device_public: bytes
    log_public: bytes
    records_public: bytes
    response_public: bytes
    device_signature: bytes
    log_signature: bytes
    software: str = ""

    def __repr__(self) -> str:
        return f"EnrolRequest(software={self.software!r})"


class Worker(Struct, frozen=True, array_like=True):
    """Somebody who worked at the node that is replaced. Never a PIN, a verifier or a badge: the hub has none."""

    staff_id: ShortText
    name: Name
    name_hi: Name
    role: Role


class EnrolGrant(Struct, frozen=True, array_like=True):
    """What the node is given."""

    node_id: bytes
    psk: bytes
    site_code: str
    site_name: str
    district: str
    tls_fingerprint: bytes
    udp_port: int
    wss_port: int
    unlock: bytes = b""
    """U, 32 B: wraps the hub's slot of the DMK once, then the node forgets it."""
    staff: tuple[StaffPublished, ...] = ()
    demo: bool = False
    workers: tuple[Worker, ...] = ()
    """For a machine that takes a node's place: its people, who need new badges and PINs."""

    def __repr__(self) -> str:
        return f"EnrolGrant({self.site_code})"


_encoder = msgspec.msgpack.Encoder()
_announcements = msgspec.msgpack.Decoder(Announcement)
_requests = msgspec.msgpack.Decoder(EnrolRequest)
_grants = msgspec.msgpack.Decoder(EnrolGrant)


def make_token(secret: bytes, root_public: bytes) -> str:
    """``UPK1-`` ‖ base32(secret16 ‖ SHA256(F_pub)[:16])."""
    if len(secret) != TOKEN_SECRET_BYTES:
        raise ValueError("a token's secret has 16 bytes")
    body = secret + hashlib.sha256(root_public).digest()[:ROOT_HASH_BYTES]
    return TOKEN_PREFIX + base64.b32encode(body).decode().rstrip("=")


def parse_token(text: str) -> SiteToken:
    """A token as scanned or pasted; spaces and case do not matter. Raises EnrolRefused."""
    compact = "".join(text.split()).upper()
    if not compact.startswith(TOKEN_PREFIX) or not compact.isascii():
        raise EnrolRefused("this is not a site token", code="token_malformed")
    body = compact[len(TOKEN_PREFIX) :]
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except binascii.Error as error:
        raise EnrolRefused("this is not a whole site token", code="token_malformed") from error
    if len(raw) != TOKEN_SECRET_BYTES + ROOT_HASH_BYTES:
        raise EnrolRefused("this is not a whole site token", code="token_malformed")
    return SiteToken(raw[:TOKEN_SECRET_BYTES], raw[TOKEN_SECRET_BYTES:])


def certify_sign(root_private: bytes, sign_public: bytes) -> bytes:
    """F's signature over H."""
    return seal.sign(root_private, _SIGN + sign_public)


def announce(root_public: bytes, root_signature: bytes, hub: seal.HubKeys) -> bytes:
    """Body of GET /enrol/keys."""
    publics = [seal.public_of(private) for private in hub.kem[:ANNOUNCED_MAX]]
    kem = tuple(SignedKem(public, seal.sign(hub.sign, _KEM + public)) for public in publics)
    return _encoder.encode(Announcement(1, root_public, seal.verifier_of(hub.sign), root_signature, kem))


def check_announcement(body: bytes, token: SiteToken) -> CheckedKeys:
    """The hub's keys, if they go back to the token. Raises EnrolRefused."""
    try:
        told = _announcements.decode(body[:REQUEST_MAX_BYTES])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnrolRefused("the answer is not a hub's", code="hub_keys_malformed") from error
    if not hmac.compare_digest(hashlib.sha256(told.root).digest()[:ROOT_HASH_BYTES], token.root_hash):
        raise EnrolRefused("the token belongs to another hub", code="hub_other")
    if not seal.verify(told.root, _SIGN + told.sign, told.root_signature) or not told.kem:
        raise EnrolRefused("the hub's keys are not signed by its root", code="hub_keys_refused")
    for kem in told.kem:
        if len(kem.public) != 32 or not seal.verify(told.sign, _KEM + kem.public, kem.signature):
            raise EnrolRefused("the hub's keys are not signed by its root", code="hub_keys_refused")
    return CheckedKeys(told.root, told.sign, tuple(kem.public for kem in told.kem))


def _request_tbs(request: EnrolRequest, kem_public: bytes) -> bytes:
    keys = request.device_public + request.log_public + request.records_public + request.response_public
    return _ENROL + hashlib.sha256(kem_public).digest() + request.secret + keys


def make_request(token: SiteToken, hub: CheckedKeys, secrets: EnrolSecrets, software: str = "") -> bytes:
    """Body of POST /enrol: ``10 ‖ hub_key_id2 ‖ HPKE(K, "upk1 enrol", EnrolRequest)``."""
    kem = hub.kem[0]
    bare = EnrolRequest(
        token.secret,
        seal.verifier_of(secrets.device),
        seal.verifier_of(secrets.log),
        seal.public_of(secrets.records),
        seal.public_of(secrets.response),
        b"",
        b"",
        software,
    )
    tbs = _request_tbs(bare, kem)
    signed = msgspec.structs.replace(
        bare, device_signature=seal.sign(secrets.device, tbs), log_signature=seal.sign(secrets.log, tbs)
    )
    return bytes((TYPE_REQUEST,)) + seal.key_id(kem) + seal.hpke_seal(kem, _ENROL, _encoder.encode(signed))


def open_request(body: bytes, hub: seal.HubKeys) -> EnrolRequest:
    """The request, if it is whole and the node holds the keys it names. Raises EnrolRefused."""
    if not 3 < len(body) <= REQUEST_MAX_BYTES or body[0] != TYPE_REQUEST:
        raise EnrolRefused("this is not an enrolment request", code="enrol_malformed")
    for private in hub.kem:
        public = seal.public_of(private)
        if seal.key_id(public) != body[1:3]:
            continue
        try:
            request = _requests.decode(seal.hpke_open(private, _ENROL, body[3:]))
        except (seal.SealRefused, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EnrolRefused("the enrolment request was altered", code="enrol_malformed") from error
        return _believe(request, public)
    raise EnrolRefused("the request is sealed to another hub key", code="enrol_malformed")


def _believe(request: EnrolRequest, kem_public: bytes) -> EnrolRequest:
    tbs = _request_tbs(request, kem_public)
    keys = (request.device_public, request.log_public, request.records_public, request.response_public)
    if (
        any(len(key) != 32 for key in keys)
        or len(request.secret) != TOKEN_SECRET_BYTES
        or not seal.is_agreeable(request.records_public)
        or not seal.is_agreeable(request.response_public)
        or not seal.verify(request.device_public, tbs, request.device_signature)
        or not seal.verify(request.log_public, tbs, request.log_signature)
    ):
        raise EnrolRefused("the enrolment request's keys do not hold", code="enrol_malformed")
    return request


def _reply_info(body: bytes) -> bytes:
    return _ENROLLED + hashlib.sha256(body).digest()


def make_reply(body: bytes, request: EnrolRequest, grant: EnrolGrant, hub_sign: bytes) -> bytes:
    """Answer to the POST ``body``: ``11 ‖ HPKE(response key, …, H-signature ‖ EnrolGrant)``."""
    info = _reply_info(body)
    raw = _encoder.encode(grant)
    return bytes((TYPE_REPLY,)) + seal.hpke_seal(request.response_public, info, seal.sign(hub_sign, info + raw) + raw)


def open_reply(reply: bytes, body: bytes, secrets: EnrolSecrets, hub: CheckedKeys) -> tuple[EnrolGrant, seal.NodeKeys]:
    """The grant and the keys to keep, from the answer to ``body``. Raises EnrolRefused."""
    if not 1 < len(reply) <= REPLY_MAX_BYTES or reply[0] != TYPE_REPLY:
        raise EnrolRefused("this is not an enrolment reply", code="enrol_malformed")
    info = _reply_info(body)
    try:
        plain = seal.hpke_open(secrets.response, info, reply[1:])
        grant = _grants.decode(plain[seal.SIGNATURE_BYTES :])
    except (seal.SealRefused, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnrolRefused("the enrolment reply was altered", code="enrol_malformed") from error
    if not seal.verify(hub.sign, info + plain[seal.SIGNATURE_BYTES :], plain[: seal.SIGNATURE_BYTES]):
        raise EnrolRefused("the enrolment reply is not the hub's", code="enrol_malformed")
    if len(grant.node_id) != seal.NODE_ID_BYTES or len(grant.psk) != 32:
        raise EnrolRefused("the enrolment reply is not whole", code="enrol_malformed")
    keys = seal.NodeKeys(grant.node_id, grant.psk, secrets.device, hub.root, hub.sign, hub.kem, grant.tls_fingerprint)
    return grant, keys

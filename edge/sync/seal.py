"""Keys and sealing: opening, epoch, bundle, packet, down blob (SEALING.md, suite 01).

Knows the primitives and the byte layouts; knows no clock, socket or store. Randomness that decides
a key (epsilon, run, salt) is an argument; HPKE draws its own ephemeral key. Whatever cannot be opened raises
:class:`SealRefused` with a stable code, and nothing else.
"""

import hashlib
import hmac
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

NODE_ID_BYTES = 8
RUN_BYTES = 8
EPSILON_BYTES = 32
SALT_BYTES = 6
EPOCH_ID_BYTES = 4
BUNDLE_ID_BYTES = 11

SUITE_01 = 1
TYPE_OPENING = 1
TYPE_BUNDLE = 2
TYPE_PACKET_UP = 3
TYPE_PACKET_DOWN = 4
TYPE_DOWN = 5
TYPE_UNKNOWN_EPOCH = 6

HEAD_BYTES = 7
MAC_BYTES = 8
TAG_BYTES = 16
SIGNATURE_BYTES = 64
OPENING_BYTES = 176
BUNDLE_HEADER_BYTES = 8
PACKET_UP_OVERHEAD_BYTES = 24
PACKET_DOWN_HEADER_BYTES = 14
PACKET_DOWN_OVERHEAD_BYTES = 30
PAD_BYTES = 32
BUNDLE_MAX_BYTES = 256 * 1024
"""A sealed bundle is never larger; bigger things are blobs."""

COUNTER_LIMIT = 1 << 24
EPOCH_PACKETS = 1 << 23
"""A new epoch is due after this many packets (SEALING.md)."""
EPOCH_LIFE_S = 24 * 3600.0
"""… or after this time."""
REPLAY_WINDOW = 1024

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_PROBE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Any private key shows what a point of low order is; nothing is ever sealed with this one."""
_OPEN_LABEL = b"upk1 open"
_DOWN_LABEL = b"upk1 down"


class SealRefused(UpkendraError):
    """Something sealed could not be opened. It is not ours, was altered, replayed, or its key is gone."""

    code = "seal_refused"
    fault = Fault.CALLER


class Grade(StrEnum):
    """Which key of the node signed an opening."""

    LOG = "L"
    """The log key, from an unlocked store: speaks for the clinic."""
    DEVICE = "D"
    """The device key alone, while locked: telemetry, old bundles, flagged emergencies."""


class NodeKeys(Struct, frozen=True):
    """What a node keeps after enrolment in plain files (0600), see SEALING.md."""

    node_id: bytes
    psk: bytes
    device: bytes
    """Ed25519 private key D, 32 B raw."""
    hub_root: bytes
    """Ed25519 public key F."""
    hub_sign: bytes
    """Ed25519 public key H."""
    hub_kem: tuple[bytes, ...]
    """X25519 public keys K_i, the preferred one first."""
    tls_fingerprint: bytes = b""
    """SHA-256 of the hub's TLS leaf certificate (DER)."""
    kem_made_ms: int = 0
    """When the preferred K was made, as far as the hub has said."""

    def __repr__(self) -> str:
        return f"NodeKeys({self.node_id.hex()})"


class HubKeys(Struct, frozen=True):
    """The private keys of a hub process."""

    kem: tuple[bytes, ...]
    """X25519 private keys K_i, 32 B raw, the newest first, kept 400 days."""
    sign: bytes
    """Ed25519 private key H, 32 B raw."""
    made_ms: int = 0
    """When the newest K was made, Unix ms; 0 for one that was never announced."""

    def __repr__(self) -> str:
        return "HubKeys(…)"


class NodeRecord(Struct, frozen=True):
    """What the hub knows about a node for the purpose of sealing."""

    node_id: bytes
    psk: bytes
    device_public: bytes
    log_public: bytes
    records_public: bytes
    """X25519 public key R: clinical downlink is sealed to it."""
    revoked: bool = False

    def __repr__(self) -> str:
        return f"NodeRecord({self.node_id.hex()}, revoked={self.revoked})"


def hkdf(secret: bytes, label: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
    """HKDF-SHA256 with info ``"upk1 " ‖ label``."""
    return HKDF(hashes.SHA256(), length, salt, b"upk1 " + label).derive(secret)


def key_id(kem_public: bytes) -> bytes:
    """``hub_key_id2``: the first two bytes of SHA256(K_pub)."""
    return hashlib.sha256(kem_public).digest()[:2]


def node_hint(node_id: bytes) -> bytes:
    """``node_hint3``: lets the hub find the few nodes an opening may come from."""
    return hashlib.sha256(b"upk1 hint" + node_id).digest()[:3]


def epoch_id_of(opening: bytes) -> bytes:
    """``epoch_id4`` of an opening."""
    return hashlib.sha256(opening).digest()[:EPOCH_ID_BYTES]


def bundle_id(sealed: bytes) -> bytes:
    """Name of a sealed bundle in acknowledgements: epoch_id4 ‖ ctr3 ‖ last 4 bytes of its tag.

    Raises SealRefused when it cannot be a bundle.
    """
    if len(sealed) < BUNDLE_HEADER_BYTES + TAG_BYTES + PAD_BYTES or sealed[0] != TYPE_BUNDLE:
        raise SealRefused("not a sealed bundle", code="bundle_malformed")
    return sealed[1:BUNDLE_HEADER_BYTES] + sealed[-4:]


def pad(plain: bytes) -> bytes:
    """Zeros up to the next multiple of 32 bytes; the payload codec knows its own length."""
    return plain + bytes(-len(plain) % PAD_BYTES)


@lru_cache(maxsize=4096)
def mac_key(psk: bytes) -> bytes:
    """``psk_mac``."""
    return hkdf(psk, b"mac")


def mix_key(psk: bytes) -> bytes:
    """``psk_mix``."""
    return hkdf(psk, b"mix")


def public_of(private: bytes) -> bytes:
    """Raw X25519 public key of a raw private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def verifier_of(private: bytes) -> bytes:
    """Raw Ed25519 public key of a raw private key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, message: bytes) -> bytes:
    """Ed25519 signature, 64 B."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature holds; False for anything that is no key or no signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_agreeable(public: bytes) -> bool:
    """Whether an X25519 public key is one: with a point of low order (RFC 7748, section 6.1) nothing can be sealed."""
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True


def hpke_seal(public: bytes, info: bytes, plain: bytes) -> bytes:
    """HPKE base mode, suite 01: enc(32) ‖ ciphertext ‖ tag(16)."""
    return _HPKE.encrypt(plain, X25519PublicKey.from_public_bytes(public), info)


def hpke_open(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """Opposite of :func:`hpke_seal`. Raises SealRefused."""
    try:
        return _HPKE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info)
    except (InvalidTag, ValueError) as error:
        raise SealRefused("HPKE does not open", code="hpke_refused") from error


def _nonce(counter: int) -> bytes:
    return bytes(9) + counter.to_bytes(3, "big")


class Counter:
    """A packet or bundle counter that lives in RAM only and never repeats."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def take(self) -> int:
        """The next unused value. Raises SealRefused at 2^24: the epoch should long have ended."""
        if self.value >= COUNTER_LIMIT:
            raise SealRefused("the epoch's counter is used up", code="epoch_exhausted")
        value = self.value
        self.value += 1
        return value


class ReplayWindow:
    """Which of the last 1,024 counters of one key were seen (the scheme of RFC 6479)."""

    __slots__ = ("_bits", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._bits = 0

    def fresh(self, counter: int) -> bool:
        """Whether ``counter`` is new and not older than the window."""
        if counter > self.highest:
            return True
        behind = self.highest - counter
        return behind < REPLAY_WINDOW and not self._bits >> behind & 1

    def mark(self, counter: int) -> None:
        """Remember a counter whose packet was authentic."""
        if counter > self.highest:
            ahead = min(counter - self.highest, REPLAY_WINDOW)
            self._bits = (self._bits << ahead | 1) & ((1 << REPLAY_WINDOW) - 1)
            self.highest = counter
        elif self.highest - counter < REPLAY_WINDOW:
            self._bits |= 1 << (self.highest - counter)


class _EpochKeys:
    """The keys of one epoch, equal at both ends."""

    def __init__(self, opening: bytes, epsilon: bytes, psk: bytes) -> None:
        self.opening = opening
        self.epoch_id = epoch_id_of(opening)
        self._epsilon = epsilon
        self._mix = mix_key(psk)
        self._bundle = ChaCha20Poly1305(hkdf(epsilon, b"bundle", self._mix))
        self._up = ChaCha20Poly1305(hkdf(epsilon, b"n2h", self._mix))
        self._down: dict[bytes, ChaCha20Poly1305] = {}

    def _down_key(self, salt: bytes) -> ChaCha20Poly1305:
        key = self._down.get(salt)
        if key is None:
            if len(self._down) > 64:
                self._down.clear()
            key = self._down[salt] = ChaCha20Poly1305(hkdf(self._epsilon, b"h2n" + salt, self._mix))
        return key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.epoch_id.hex()})"


class Epoch(_EpochKeys):
    """The node's side of an epoch: seals bundles and packets, opens what the hub answers.

    Belongs to one thread. Everything secret in it is RAM only and dies with the process.
    """

    def __init__(self, opening: bytes, epsilon: bytes, keys: NodeKeys, run: bytes, grade: Grade) -> None:
        super().__init__(opening, epsilon, keys.psk)
        self.run = run
        self.grade = grade
        self._bundles = Counter()
        self._packets = Counter()
        self._windows: dict[bytes, ReplayWindow] = {}

    @classmethod
    def new(cls, keys: NodeKeys, run: bytes, epsilon: bytes, grade: Grade, signer: bytes) -> "Epoch":
        """Begin an epoch. ``signer`` is the Ed25519 private key of the grade (L or D)."""
        if len(epsilon) != EPSILON_BYTES or len(run) != RUN_BYTES or len(keys.node_id) != NODE_ID_BYTES:
            raise ValueError("epsilon has 32 bytes, run and node_id have 8")
        kem = keys.hub_kem[0]
        head = bytes((TYPE_OPENING, SUITE_01)) + key_id(kem) + node_hint(keys.node_id)
        signature = sign(signer, opening_tbs(head, kem, keys.node_id, run, grade, epsilon))
        plain = epsilon + keys.node_id + run + grade.value.encode() + signature
        body = head + hpke_seal(kem, _OPEN_LABEL + head, plain)
        mac = hmac.digest(mac_key(keys.psk), body, "sha256")[:MAC_BYTES]
        return cls(body + mac, epsilon, keys, run, grade)

    @property
    def packets_sealed(self) -> int:
        """Packets and bundles so far; a new epoch is due at ``EPOCH_PACKETS``."""
        return max(self._packets.value, self._bundles.value)

    @property
    def next_counter(self) -> int:
        """Counter of the next packet."""
        return self._packets.value

    def seal_bundle(self, plain: bytes) -> bytes:
        """Seal a packed payload (padded here to 32 B). The result may lie at rest with ``opening``."""
        header = bytes((TYPE_BUNDLE,)) + self.epoch_id
        counter = self._bundles.take()
        header += counter.to_bytes(3, "big")
        return header + self._bundle.encrypt(_nonce(counter), pad(plain), header)

    def seal_packet(self, plain: bytes) -> tuple[int, bytes]:
        """Seal the frames of one packet: its counter, and ``03 ‖ epoch_id4 ‖ ctr3 ‖ AEAD``."""
        counter = self._packets.take()
        header = bytes((TYPE_PACKET_UP,)) + self.epoch_id + counter.to_bytes(3, "big")
        return counter, header + self._up.encrypt(_nonce(counter), plain, header)

    def open_packet(self, data: bytes) -> tuple[bytes, int, bytes]:
        """Open a hub packet once: (salt6, counter, frames). Raises SealRefused."""
        if len(data) < PACKET_DOWN_OVERHEAD_BYTES or data[0] != TYPE_PACKET_DOWN:
            raise SealRefused("not a hub packet", code="packet_malformed")
        if data[1:5] != self.epoch_id:
            raise SealRefused("a packet of another epoch", code="epoch_unknown")
        salt = data[5:11]
        counter = int.from_bytes(data[11:14], "big")
        window = self._windows.get(salt)
        if window is not None and not window.fresh(counter):
            raise SealRefused("a packet seen before", code="replayed")
        try:
            plain = self._down_key(salt).decrypt(
                _nonce(counter), data[PACKET_DOWN_HEADER_BYTES:], data[:PACKET_DOWN_HEADER_BYTES]
            )
        except InvalidTag as error:
            raise SealRefused("the packet does not open", code="packet_refused") from error
        self._windows.setdefault(salt, ReplayWindow()).mark(counter)
        return salt, counter, plain


class OpenedEpoch(_EpochKeys):
    """The hub's side of an epoch."""

    def __init__(self, opening: bytes, epsilon: bytes, record: NodeRecord, run: bytes, grade: Grade) -> None:
        super().__init__(opening, epsilon, record.psk)
        self.node_id = record.node_id
        self.run = run
        self.grade = grade
        self._window = ReplayWindow()
        self._packets = Counter()

    @property
    def highest(self) -> int:
        """The highest packet counter that was authentic; -1 for none."""
        return self._window.highest

    @property
    def packets_sealed(self) -> int:
        """Packets sealed under this process's salt."""
        return self._packets.value

    def open_bundle(self, sealed: bytes) -> bytes:
        """The padded payload of a bundle. Raises SealRefused."""
        if not BUNDLE_HEADER_BYTES + TAG_BYTES < len(sealed) <= BUNDLE_MAX_BYTES or sealed[0] != TYPE_BUNDLE:
            raise SealRefused("not a sealed bundle", code="bundle_malformed")
        header = sealed[:BUNDLE_HEADER_BYTES]
        try:
            return self._bundle.decrypt(
                _nonce(int.from_bytes(header[5:8], "big")), sealed[BUNDLE_HEADER_BYTES:], header
            )
        except InvalidTag as error:
            raise SealRefused("the bundle does not open", code="bundle_refused") from error

    def open_packet(self, data: bytes) -> tuple[int, bytes]:
        """Open a node's packet once: (counter, frames). Raises SealRefused."""
        if len(data) < PACKET_UP_OVERHEAD_BYTES or data[0] != TYPE_PACKET_UP:
            raise SealRefused("not a node packet", code="packet_malformed")
        counter = int.from_bytes(data[5:8], "big")
        if not self._window.fresh(counter):
            raise SealRefused("a packet seen before", code="replayed")
        try:
            plain = self._up.decrypt(_nonce(counter), data[8:], data[:8])
        except InvalidTag as error:
            raise SealRefused("the packet does not open", code="packet_refused") from error
        self._window.mark(counter)
        return counter, plain

    def seal_packet(self, salt: bytes, plain: bytes) -> tuple[int, bytes]:
        """Seal frames for the node under this process's salt: counter and the whole packet."""
        counter = self._packets.take()
        header = bytes((TYPE_PACKET_DOWN,)) + self.epoch_id + salt + counter.to_bytes(3, "big")
        return counter, header + self._down_key(salt).encrypt(_nonce(counter), plain, header)


def opening_tbs(head: bytes, kem_public: bytes, node_id: bytes, run: bytes, grade: Grade, epsilon: bytes) -> bytes:
    """What L or D signs inside an opening."""
    return _OPEN_LABEL + head + hashlib.sha256(kem_public).digest() + node_id + run + grade.value.encode() + epsilon


def opening_hint(opening: bytes) -> bytes:
    """The node hint of an opening, before anything is believed. Raises SealRefused."""
    if len(opening) != OPENING_BYTES or opening[0] != TYPE_OPENING:
        raise SealRefused("not an opening", code="opening_malformed")
    if opening[1] != SUITE_01:
        raise SealRefused("an opening of a suite this release does not speak", code="suite_unknown")
    return opening[4:7]


def opening_is_from(opening: bytes, psk: bytes) -> bool:
    """The cheap check (2 µs): does the HMAC fit this node's PSK?"""
    expected = hmac.digest(mac_key(psk), opening[:-MAC_BYTES], "sha256")[:MAC_BYTES]
    return hmac.compare_digest(expected, opening[-MAC_BYTES:])


def open_opening(opening: bytes, keys: HubKeys, record: NodeRecord) -> OpenedEpoch:
    """Open and verify an opening for one node; HMAC first. Raises SealRefused.

    ``hub_key_gone`` means that the KEM key was destroyed: what was sealed needs to be RESEALed.
    """
    opening_hint(opening)
    if not opening_is_from(opening, record.psk):
        raise SealRefused("the opening is not from this node", code="opening_mac")
    if record.revoked:
        raise SealRefused("this node is revoked", code="node_revoked")
    head = opening[:HEAD_BYTES]
    pairs = [(private, public_of(private)) for private in keys.kem]
    fitting = [(private, public) for private, public in pairs if key_id(public) == head[2:4]]
    if not fitting:
        raise SealRefused("the hub key of this opening is gone", code="hub_key_gone")
    for private, public in fitting[:4]:
        try:
            plain = hpke_open(private, _OPEN_LABEL + head, opening[HEAD_BYTES:-MAC_BYTES])
        except SealRefused:
            continue
        return _believe(opening, plain, public, record)
    raise SealRefused("the opening does not open", code="opening_refused")


def _believe(opening: bytes, plain: bytes, kem_public: bytes, record: NodeRecord) -> OpenedEpoch:
    epsilon, node_id, run = plain[:32], plain[32:40], plain[40:48]
    if node_id != record.node_id or plain[48:49] not in (b"L", b"D"):
        raise SealRefused("the opening names another node or grade", code="opening_refused")
    grade = Grade(plain[48:49].decode())
    public = record.log_public if grade is Grade.LOG else record.device_public
    if not verify(public, opening_tbs(opening[:HEAD_BYTES], kem_public, node_id, run, grade, epsilon), plain[49:]):
        raise SealRefused("the opening's signature does not hold", code="opening_signature")
    return OpenedEpoch(opening, epsilon, record, run, grade)


def down_tbs(node_id: bytes, records_public: bytes, seq: int, payload: bytes) -> bytes:
    """What H signs inside a down blob."""
    return _DOWN_LABEL + node_id + hashlib.sha256(records_public).digest() + seq.to_bytes(8, "big") + payload


def seal_down(record: NodeRecord, seq: int, payload: bytes, hub_sign: bytes) -> bytes:
    """Seal clinical downlink to a node's records key R: ``05 ‖ HPKE(…)``."""
    signature = sign(hub_sign, down_tbs(record.node_id, record.records_public, seq, payload))
    plain = seq.to_bytes(8, "big") + payload + signature
    return bytes((TYPE_DOWN,)) + hpke_seal(record.records_public, _DOWN_LABEL + record.node_id, plain)


class SignedDown(Struct, frozen=True, array_like=True):
    """What was in a down blob. Whoever keeps it can give it back: H signed it for this node and this number."""

    seq: int
    payload: bytes
    signature: bytes


def open_down(blob: bytes, node_id: bytes, records_private: bytes, hub_sign_public: bytes) -> SignedDown:
    """What is in a down blob whose H-signature holds. Raises SealRefused."""
    if len(blob) < 1 + 32 + 8 + SIGNATURE_BYTES + TAG_BYTES or blob[0] != TYPE_DOWN:
        raise SealRefused("not a down blob", code="down_malformed")
    plain = hpke_open(records_private, _DOWN_LABEL + node_id, blob[1:])
    down = SignedDown(int.from_bytes(plain[:8], "big"), plain[8:-SIGNATURE_BYTES], plain[-SIGNATURE_BYTES:])
    check_down(down, node_id, public_of(records_private), hub_sign_public)
    return down


def check_down(down: SignedDown, node_id: bytes, records_public: bytes, hub_sign_public: bytes) -> None:
    """Check H's signature over what was said to this node. Raises SealRefused."""
    tbs = down_tbs(node_id, records_public, down.seq, down.payload)
    if not verify(hub_sign_public, tbs, down.signature):
        raise SealRefused("the hub's signature does not hold", code="down_signature")

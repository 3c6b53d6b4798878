"""The DTLS handshake of a call on a thin link: a small certificate, whole flights in one datagram, each sent twice.

GStreamer's own certificate is RSA of 2048 bits and its flight leaves in pieces of 256 bytes: six packets, each of
which may be lost, and then OpenSSL waits for a second or more. A record that comes twice is dropped by its number
(RFC 6347 §4.1.2.6), so a copy costs bytes at a moment when nothing else is sent. After that second OpenSSL sends its
flight again, which on a thin link is just when the answer comes: on its heels the media would wait behind it. So what
follows a flight too soon is kept back, and dropped when the answer was there first. Knows records, not GStreamer.
"""

import datetime
import re
import secrets
import threading
import time
from collections.abc import Callable

from msgspec import Struct

CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22
_KIND_AT, _SERVER_HELLO = 13, 2
"""Behind a record's head stands the kind of its message (RFC 6347 §4.2.2)."""
LARGEST_BYTES = 1_150
"""Of a datagram with several records."""
GATHER_S = 0.004
"""The pieces of one flight come within this."""
COPY_AFTER_S = 0.06
"""Longer than a short burst of losses, and shorter than anybody's timer."""
AGAIN_AFTER_S = 1.8
"""A flight that left twice is not sent anew before this: a round trip of 24 kbit/s and 0.8 s takes 1.3 s."""
_TOGETHER_S = 0.5
"""Packets of one flight are no further apart."""


class Identity(Struct, frozen=True):
    """Who a leg is in its handshake."""

    pem: str
    """Certificate and private key."""
    fingerprint: str
    """SHA-256 of the certificate as SDP writes it (RFC 8122)."""


def identity() -> Identity:
    """A fresh key of the curve P-256 and a certificate: nobody checks anything of it but the fingerprint."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "call")])
    begin = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)  # a node's clock may be years off
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(63) | 1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + private
    return Identity(pem.decode(), certificate.fingerprint(hashes.SHA256()).hex(":").upper())


def with_fingerprint(sdp: str, fingerprint: str) -> str:
    """The description with that one instead: webrtcbin writes its own before it can be given another certificate."""
    return re.sub(r"(?m)^(a=fingerprint:)sha-256 [0-9A-Fa-f:]+", rf"\1sha-256 {fingerprint}", sdp)


def is_handshake(datagram: bytes) -> bool:
    """Whether it begins with a record of the handshake: in clear, or the sealed last one behind its announcement."""
    return len(datagram) > 13 and datagram[0] in (CHANGE_CIPHER_SPEC, HANDSHAKE)


def _is_answer(datagram: bytes) -> bool:
    """Whether a server's flight begins with it."""
    return datagram[0] == HANDSHAKE and datagram[_KIND_AT] == _SERVER_HELLO


def together(datagrams: list[bytes]) -> list[bytes]:
    """The same records, in as few datagrams as may be."""
    whole: list[bytes] = []
    for datagram in datagrams:
        if whole and len(whole[-1]) + len(datagram) <= LARGEST_BYTES:
            whole[-1] += datagram
        else:
            whole.append(datagram)
    return whole


class Arriving:
    """How quickly the browser's half of the handshake comes in: what its way carries, before any report is there.

    Its first flight is two packets (a key of ML-KEM fills more than one) that leave together: the second comes as much
    later as the link takes for it.
    """

    def __init__(self) -> None:
        self.rate_bps = 0.0
        """IP bits per second; 0 while nothing can be told."""
        self._before_s = float("-inf")

    def note(self, datagram_bytes: int, now_s: float) -> None:
        """A datagram of the handshake has come, so large with its IP headers."""
        gap_s, self._before_s = now_s - self._before_s, now_s
        if 0 < gap_s <= _TOGETHER_S:
            self.rate_bps = max(self.rate_bps, datagram_bytes * 8 / gap_s)


class Flights:
    """Takes the datagrams of a handshake from any thread; gives them to ``send``, from threads of its own too."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        timer: Callable[[float, Callable[[], None]], threading.Timer] = threading.Timer,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._timer, self._monotonic_s = send, timer, monotonic_s
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._timers: set[threading.Timer] = set()
        self._flown_s = float("-inf")
        """When a server's answer left (monotonic)."""
        self._held = False
        """What waits has left before."""
        self._answered = False
        self._closed = False

    def take(self, datagram: bytes) -> bool:
        """A datagram that is about to leave; True when it is sent from here instead."""
        if not is_handshake(datagram):
            return False
        if datagram[0] == CHANGE_CIPHER_SPEC:  # media follow on its heels and are of no use before it
            with self._lock:
                before, self._waiting = [] if self._held else together(self._waiting), []
                self._answered = True
            for _ in range(2):
                self._all([*before, datagram])
            self._later(COPY_AFTER_S, lambda: self._all([*before, datagram]))
            return True
        with self._lock:
            first, wait_s = not self._waiting, GATHER_S
            self._waiting.append(datagram)
            if first:
                self._held = _is_answer(datagram) and self._flown_s > float("-inf")
                if self._held:
                    wait_s = max(wait_s, self._flown_s + AGAIN_AFTER_S - self._monotonic_s())
        if first:
            self._later(wait_s, self._gathered)
        return True

    def close(self) -> None:
        """Send nothing any more."""
        with self._lock:
            self._closed = True
            timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    def _gathered(self) -> None:
        with self._lock:
            flight, self._waiting = together(self._waiting), []
            if not flight or (self._held and self._answered):
                return
            if _is_answer(flight[0]):
                self._flown_s = self._monotonic_s()
        self._all(flight)
        self._later(COPY_AFTER_S, lambda: self._all(flight))

    def _all(self, flight: list[bytes]) -> None:
        for datagram in flight:
            self._send(datagram)

    def _later(self, wait_s: float, act: Callable[[], None]) -> None:
        def due() -> None:
            with self._lock:
                self._timers.discard(timer)
                if self._closed:
                    return
            act()

        timer = self._timer(wait_s, due)
        timer.daemon = True
        with self._lock:
            if self._closed:
                return
            self._timers.add(timer)
        timer.start()

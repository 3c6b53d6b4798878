"""The DTLS handshake of a call on a thin link: a small certificate, whole flights in one datagram, each sent twice.

GStreamer's own certificate is RSA of 2048 bits and its flight leaves in pieces of 256 bytes: six packets, each of
which may be lost, and then OpenSSL waits for a second or more. A record that comes twice is dropped by its number
(RFC 6347 §4.1.2.6), so a copy costs bytes at a moment when nothing else is sent. Knows records, not GStreamer.
"""

import datetime
import re
import secrets
import threading
from collections.abc import Callable

from msgspec import Struct

CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22
LARGEST_BYTES = 1_150
"""Of a datagram with several records."""
GATHER_S = 0.004
"""The pieces of one flight come within this."""
COPY_AFTER_S = 0.06
"""Longer than a short burst of losses, and shorter than anybody's timer."""


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


def together(datagrams: list[bytes]) -> list[bytes]:
    """The same records, in as few datagrams as may be."""
    whole: list[bytes] = []
    for datagram in datagrams:
        if whole and len(whole[-1]) + len(datagram) <= LARGEST_BYTES:
            whole[-1] += datagram
        else:
            whole.append(datagram)
    return whole


class Flights:
    """Takes the datagrams of a handshake from any thread; gives them to ``send``, from threads of its own too."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._timers: set[threading.Timer] = set()
        self._closed = False

    def take(self, datagram: bytes) -> bool:
        """A datagram that is about to leave; True when it is sent from here instead."""
        if not is_handshake(datagram):
            return False
        if datagram[0] == CHANGE_CIPHER_SPEC:  # media follow on its heels and are of no use before it
            self._gathered()
            self._send(datagram)
            self._send(datagram)
            self._later(COPY_AFTER_S, lambda: self._send(datagram))
            return True
        with self._lock:
            self._waiting.append(datagram)
            first = len(self._waiting) == 1
        if first:
            self._later(GATHER_S, self._gathered)
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
        for datagram in flight:
            self._send(datagram)
        if flight:
            self._later(COPY_AFTER_S, lambda: self._again(flight))

    def _again(self, flight: list[bytes]) -> None:
        for datagram in flight:
            self._send(datagram)

    def _later(self, wait_s: float, act: Callable[[], None]) -> None:
        def due() -> None:
            with self._lock:
                self._timers.discard(timer)
                if self._closed:
                    return
            act()

        timer = threading.Timer(wait_s, due)
        timer.daemon = True
        with self._lock:
            if self._closed:
                return
            self._timers.add(timer)
        timer.start()

"""coturn with throw-away keys, as a hub runs it: TURN over UDP, TCP and TLS, credentials that the hub's code makes."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.media.signals import IceServer
from hub.turn import Turn, ice_servers

SECRET = "throw-away"
RELAY_ONLY = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(options) { super({...options, iceTransportPolicy: "relay"}); }
};
"""
"""Runs before the page's own code: nothing but relayed candidates."""


def own_address() -> str:
    """An address of this machine that is not loopback: neither end offers loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "turn.pem", folder / "turn.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


class Relay:
    """A running coturn."""

    def __init__(self, address: str, port: int, tls_port: int) -> None:
        self.address, self.port, self.tls_port = address, port, tls_port

    def servers(self, transport: str, *, life_s: int = 600) -> tuple[IceServer, ...]:
        """What the hub would offer for ``udp``, ``tcp`` or ``tls``, with a credential that lives that long."""
        url = (
            f"turns:{self.address}:{self.tls_port}?transport=tcp"
            if transport == "tls"
            else f"turn:{self.address}:{self.port}?transport={transport}"
        )
        return ice_servers(Turn((url,), SECRET, life_s), "node", int(time.time()))


@contextlib.asynccontextmanager
async def relaying(folder: Path, address: str, *options: str) -> AsyncIterator[Relay]:
    """coturn on ``address``, until the end of the block; ``options`` go to it as they are."""
    relay = Relay(address, _free_port(address), _free_port(address))
    certificate, key = _certificate(folder, address)
    server = await asyncio.create_subprocess_exec(
        "turnserver",
        *("-n", "--no-cli", "--no-dtls", "--realm", "upkendra", "--log-file", "stdout"),
        *("--listening-ip", address, "--relay-ip", address, "--listening-port", str(relay.port)),
        *("--tls-listening-port", str(relay.tls_port), "--cert", str(certificate), "--pkey", str(key)),
        *("--use-auth-secret", "--static-auth-secret", SECRET, "--min-port", "42000", "--max-port", "42200", *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            for port in (relay.port, relay.tls_port):
                await _listens(address, port)
        yield relay
    finally:
        server.terminate()
        await server.wait()


async def _listens(address: str, port: int) -> None:
    """Wait until somebody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return

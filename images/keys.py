"""The keys of whoever makes releases: the update key (Ed25519), and RAUC's, which signs bundles."""

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from edge.sync import seal

FROM, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
"""A node's clock may be wrong by years, and an expired certificate would end its updates for ever."""


def make(folder: Path) -> str:
    """Write both pairs; the public update key in hex. Raises OSError: FileExistsError for keys that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    _secret(folder / "update.key", private)
    public = seal.verifier_of(private).hex()
    (folder / "update.pub").write_text(public + "\n")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    _secret(
        folder / "bundle.key.pem",
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    (folder / "bundle.cert.pem").write_bytes(_certificate(key).public_bytes(pem))
    return public


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Upkendra updates")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )


def _secret(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)

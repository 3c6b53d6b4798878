"""HTTPS for the clinic's own network: a certification authority of this node alone, which may sign for it only.

The CA's key exists for the moment in which it signs one leaf, and is never written: a thief of the node, or a CA
certificate on a tablet, can vouch for no other site (RFC 5280 §4.2.1.10, name constraints). Both certificates are
valid from 2020 to 2049, because a node's clock may be wrong by years and nobody could renew them on the tablets.
"""

import ipaddress
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from edge.model.errors import BadInput

from .config import write_private

logger = logging.getLogger("node.lan")

FOLDER = "lan"
CA_FILE = "ca.pem"
LEAF_FILE = "leaf.pem"
DEFAULT_NAME = "upkendra.lan"
DEFAULT_ADDRESS = "10.42.0.1"
"""The node's address in its own Wi-Fi."""
_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)


class LanNames(Struct, frozen=True):
    """What tablets call the node: a DNS name and an IP address."""

    name: str = DEFAULT_NAME
    address: str = DEFAULT_ADDRESS


def parse_names(name: str, address: str) -> LanNames:
    """Raises BadInput."""
    labels = name.split(".")
    if len(labels) < 2 or not all(part.isascii() and part.replace("-", "").isalnum() for part in labels):
        raise BadInput("A name in the clinic's network looks like upkendra.lan.", field="lan-name")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise BadInput("This is no IP address.", field="lan-address") from None
    return LanNames(name.lower(), address)


def make(names: LanNames) -> tuple[bytes, bytes]:
    """(CA certificate, leaf certificate with its key), both PEM. The CA's key is gone when this returns."""
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    address = ipaddress.ip_address(names.address)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Upkendra clinic box ({names.name})")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names.name)])
    permitted = [x509.DNSName(names.name), x509.IPAddress(ipaddress.ip_network(address))]
    ca_usage, leaf_usage = _usage(signs_certificates=True), _usage(signs_certificates=False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_FROM)
            .not_valid_after(_UNTIL)
        )

    ca = (
        builder(issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(ca_usage, critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        builder(subject, leaf_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(leaf_usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(names.name), x509.IPAddress(address)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ca.public_bytes(pem), leaf.public_bytes(pem) + private


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def load(folder: Path, names: LanNames) -> tuple[bytes, ssl.SSLContext]:
    """(CA certificate in PEM for the tablets, context of the server); made at the first use. Blocking.

    Other names than before, or damaged files, make a new pair, which every tablet has to install anew: logged.
    """
    place = folder / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    if not _fits(place, names):
        ca, leaf = make(names)
        write_private(place / LEAF_FILE, leaf)
        write_private(place / CA_FILE, ca)
        logger.warning("lan_certificate_made")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(place / LEAF_FILE)
    return (place / CA_FILE).read_bytes(), context


def _fits(place: Path, names: LanNames) -> bool:
    """Whether there is a whole pair for these names."""
    try:
        ca = x509.load_pem_x509_certificate((place / CA_FILE).read_bytes())
        pair = (place / LEAF_FILE).read_bytes()
        leaf = x509.load_pem_x509_certificate(pair)
        leaf.verify_directly_issued_by(ca)
        key = serialization.load_pem_private_key(pair, None)
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    addresses = alternative.get_values_for_type(x509.IPAddress)
    return (
        key.public_key() == leaf.public_key()
        and alternative.get_values_for_type(x509.DNSName) == [names.name]
        and addresses == [ipaddress.ip_address(names.address)]
    )

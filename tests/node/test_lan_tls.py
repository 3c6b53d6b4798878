"""The node's own certificate: good for the node, for nothing else, and kept."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from edge.model.errors import BadInput
from edge.node import lan_tls

NAMES = lan_tls.LanNames()
NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)


def trusts(ca: bytes, leaf: x509.Certificate, name: str, when: datetime.datetime = NOW) -> bool:
    subject: x509.DNSName | x509.IPAddress
    try:
        subject = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    store = Store([x509.load_pem_x509_certificate(ca)])
    try:
        PolicyBuilder().store(store).time(when).build_server_verifier(subject).verify(leaf, [])
    except VerificationError:
        return False
    return True


def test_the_node_is_trusted_by_name_and_address_whatever_its_clock_says() -> None:
    ca, pair = lan_tls.make(NAMES)
    leaf = x509.load_pem_x509_certificate(pair)
    for name in ("upkendra.lan", "10.42.0.1"):
        for year in (2021, 2026, 2048):
            assert trusts(ca, leaf, name, NOW.replace(year=year)), (name, year)
    assert not trusts(ca, leaf, "example.org")
    assert not trusts(lan_tls.make(NAMES)[0], leaf, "upkendra.lan"), "another node's"


def test_even_the_cas_key_could_vouch_for_no_other_site(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[ec.EllipticCurvePrivateKey] = []
    generate = ec.generate_private_key

    def kept(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        keys.append(generate(curve))
        return keys[-1]

    monkeypatch.setattr(ec, "generate_private_key", kept)
    ca_pem, _ = lan_tls.make(NAMES)
    ca = x509.load_pem_x509_certificate(ca_pem)

    def forged(name: str) -> x509.Certificate:
        key = generate(ec.SECP256R1())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(keys[0], hashes.SHA256())
        )

    assert trusts(ca_pem, forged("upkendra.lan"), "upkendra.lan")
    assert not trusts(ca_pem, forged("bank.example.org"), "bank.example.org")


def test_the_pair_is_kept_and_made_anew_for_other_names_only(tmp_path: Path) -> None:
    ca, _ = lan_tls.load(tmp_path, NAMES)
    assert lan_tls.load(tmp_path, NAMES)[0] == ca
    folder = tmp_path / lan_tls.FOLDER
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    private = [path for path in folder.rglob("*") if b"PRIVATE" in path.read_bytes()]
    assert [path.name for path in private] == [lan_tls.LEAF_FILE]
    key = serialization.load_pem_private_key(private[0].read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() != x509.load_pem_x509_certificate(ca).public_key(), "the CA's key is nowhere"
    other, _ = lan_tls.load(tmp_path, lan_tls.LanNames("clinic.lan", "10.42.0.1"))
    assert other != ca


@pytest.mark.parametrize("file", [lan_tls.CA_FILE, lan_tls.LEAF_FILE])
@pytest.mark.parametrize("left", [0, 100, 300])
def test_a_pair_that_a_power_cut_tore_is_made_anew(tmp_path: Path, file: str, left: int) -> None:
    lan_tls.load(tmp_path, NAMES)
    path = tmp_path / lan_tls.FOLDER / file
    path.write_bytes(path.read_bytes()[:left])
    ca, context = lan_tls.load(tmp_path, NAMES)
    leaf = x509.load_pem_x509_certificate((tmp_path / lan_tls.FOLDER / lan_tls.LEAF_FILE).read_bytes())
    assert trusts(ca, leaf, "upkendra.lan")
    assert isinstance(context, ssl.SSLContext)


def test_a_leaf_without_its_key_is_made_anew(tmp_path: Path) -> None:
    before, _ = lan_tls.load(tmp_path, NAMES)
    path = tmp_path / lan_tls.FOLDER / lan_tls.LEAF_FILE
    path.write_bytes(path.read_bytes().partition(b"-----BEGIN PRIVATE")[0])
    after, _ = lan_tls.load(tmp_path, NAMES)
    assert after != before


@pytest.mark.parametrize(
    ("name", "address"), [("upkendra", "10.42.0.1"), ("a b.lan", "10.42.0.1"), ("..", "10.42.0.1"), ("u.lan", "here")]
)
def test_names_that_no_certificate_could_hold_are_refused(name: str, address: str) -> None:
    with pytest.raises(BadInput):
        lan_tls.parse_names(name, address)

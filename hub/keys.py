"""The hub's own keys: made once by ``init``, kept as files 0600 below the data folder.

F (root, Ed25519) signs H (signing, Ed25519), H signs K (KEM, X25519). ``data.key`` seals secrets
that stand in the database. The TLS leaf is self-signed and pinned by nodes through its
fingerprint. Knows no table.
"""

import contextlib
import datetime
import fcntl
import hashlib
import os
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.x509.oid import NameOID

from edge.model.errors import Fault, UpkendraError
from edge.sync import enrol, seal

from . import lived

KEYS_FILE = "keys.json"
LEAF_FILE = "tls.crt"
LEAF_KEY_FILE = "tls.key"
LEAF_DAYS = 20 * 365
_OTHER_OWNER = "The hub's keys belong to somebody else. Start the hub as the owner of its folder."


class KeysRefused(UpkendraError):
    """The hub's keys are missing, unreadable, or there already. See the message."""

    code = "hub_keys"
    fault = Fault.STATE


KEEP_DAYS = 400
"""A KEM key is destroyed so long after a newer one came: a stick may be months late."""
KEEP_RUNNING_HOURS = 50 * 24
"""… and not before the hub itself has run for so long since then, whatever the wall clock says (decision 0028)."""
DAY_MS = 86_400_000


class KemKey(msgspec.Struct, frozen=True):
    """One KEM key."""

    private: bytes
    made_ms: int
    retired_ms: int = 0
    """When a newer one came, by the wall clock; 0 for the newest."""
    retired_hours: int = 0
    """How long the hub had run by then (:mod:`hub.lived`)."""

    def __repr__(self) -> str:
        return f"KemKey(made_ms={self.made_ms})"


class KeyFile(msgspec.Struct, frozen=True):
    """What ``keys.json`` holds. ``root`` belongs off line after the ceremony; then it is empty here."""

    root: bytes
    root_public: bytes
    root_signature: bytes
    """F over H."""
    sign: bytes
    kem: tuple[KemKey, ...]
    """Newest first."""
    data: bytes

    def __repr__(self) -> str:
        return "KeyFile(…)"


class Keyring(msgspec.Struct, frozen=True):
    """The keys of a running hub."""

    hub: seal.HubKeys
    root_public: bytes
    sign_public: bytes
    announcement: bytes
    """Body of GET /enrol/keys."""
    data: bytes
    leaf_path: Path
    leaf_key_path: Path
    tls_fingerprint: bytes
    """SHA-256 of the leaf in DER."""

    def __repr__(self) -> str:
        return "Keyring(…)"

    def sign(self, message: bytes) -> bytes:
        """Ed25519 by H."""
        return seal.sign(self.hub.sign, message)

    def protect(self, secret: bytes, label: str) -> bytes:
        """Seal a secret for the database; ``label`` binds it to its place."""
        nonce = secrets.token_bytes(12)
        return nonce + ChaCha20Poly1305(self.data).encrypt(nonce, secret, label.encode())

    def reveal(self, sealed: bytes, label: str) -> bytes:
        """Opposite of :meth:`protect`. Raises KeysRefused."""
        try:
            return ChaCha20Poly1305(self.data).decrypt(sealed[:12], sealed[12:], label.encode())
        except InvalidTag as error:
            raise KeysRefused("A secret in the database does not fit data.key of this hub.") from error

    def tls_context(self) -> ssl.SSLContext:
        """TLS 1.3 with the pinned leaf, for nodes. Blocking."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.leaf_path, self.leaf_key_path)
        return context


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, durably."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def init_keys(data: Path) -> None:
    """Make all keys below ``data``. Raises KeysRefused when there are some already."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (data / KEYS_FILE).exists():
        raise KeysRefused("This data folder already holds a hub's keys; they are not replaced.")
    for stale in (LEAF_FILE, LEAF_KEY_FILE):  # of an init that was cut short before keys.json
        (data / stale).unlink(missing_ok=True)
    root, sign, kem = (secrets.token_bytes(32) for _ in range(3))
    certificate, private = _make_leaf()
    write_private(data / LEAF_KEY_FILE, private)
    write_private(data / LEAF_FILE, certificate)
    keys = KeyFile(
        root=root,
        root_public=seal.verifier_of(root),
        root_signature=enrol.certify_sign(root, seal.verifier_of(sign)),
        sign=sign,
        kem=(KemKey(kem, 0),),
        data=secrets.token_bytes(32),
    )
    draft = data / (KEYS_FILE + ".draft")
    draft.unlink(missing_ok=True)
    write_private(draft, msgspec.json.encode(keys))
    draft.rename(data / KEYS_FILE)
    _settle(data)


def load_keys(data: Path) -> Keyring:
    """The keys of the hub in ``data``. Raises KeysRefused when they are missing or damaged."""
    try:
        keys = _read(data)
        leaf = x509.load_pem_x509_certificate((data / LEAF_FILE).read_bytes())
    except FileNotFoundError as error:
        raise KeysRefused("No hub was made in this data folder. Look at --data; `hub init` makes a new hub.") from error
    except PermissionError as error:
        raise KeysRefused(_OTHER_OWNER) from error
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise KeysRefused("The hub's keys cannot be read. Restore them from the backup.") from error
    hub = seal.HubKeys(tuple(key.private for key in keys.kem), keys.sign, keys.kem[0].made_ms)
    return Keyring(
        hub=hub,
        root_public=keys.root_public,
        sign_public=seal.verifier_of(keys.sign),
        announcement=enrol.announce(keys.root_public, keys.root_signature, hub),
        data=keys.data,
        leaf_path=data / LEAF_FILE,
        leaf_key_path=data / LEAF_KEY_FILE,
        tls_fingerprint=hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest(),
    )


def rotate(data: Path, now_ms: int) -> KeyFile:
    """Make a new KEM key and destroy those that are due. Raises KeysRefused. Blocking."""
    with _alone(data):
        keys = _read(data)
        newest, hours = keys.kem[0], _hours(data, keys)
        fresh = KemKey(secrets.token_bytes(32), max(now_ms, newest.made_ms + 1))
        retired = msgspec.structs.replace(newest, retired_ms=now_ms, retired_hours=hours)
        kept = (fresh, retired, *keys.kem[1:])
        return _replace(data, msgspec.structs.replace(keys, kem=_still_kept(kept, now_ms, hours)))


def destroy_old(data: Path, now_ms: int) -> int:
    """Destroy KEM keys that were retired more than 400 days ago, if the hub itself has run for long enough since then;
    how many. Raises KeysRefused. Blocking.
    """
    with _alone(data):
        keys = _read(data)
        kept = _still_kept(keys.kem, now_ms, _hours(data, keys))
        if len(kept) < len(keys.kem):
            _replace(data, msgspec.structs.replace(keys, kem=kept))
        return len(keys.kem) - len(kept)


def least_hours(data: Path) -> int:
    """So long the hub has run at least, by its keys. Raises KeysRefused. Blocking."""
    return max(key.retired_hours for key in _read(data).kem)


def _hours(data: Path, keys: KeyFile) -> int:
    return max(lived.hours(data), *(key.retired_hours for key in keys.kem))


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One process at a time reads the keys and writes them back: a serving hub destroys, a command rotates."""
    try:
        handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError as error:
        raise KeysRefused(_OTHER_OWNER) from error
    except OSError as error:
        raise KeysRefused("No hub was made in this data folder. Look at --data; `hub init` makes a new hub.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _still_kept(kem: tuple[KemKey, ...], now_ms: int, hours: int) -> tuple[KemKey, ...]:
    return tuple(key for key in kem if not _is_due(key, now_ms, hours))


def _is_due(key: KemKey, now_ms: int, hours: int) -> bool:
    """Both clocks must say so: the wall clock may have jumped, the other one does not run while the hub is off."""
    if not key.retired_ms:
        return False
    return now_ms - key.retired_ms > KEEP_DAYS * DAY_MS and hours - key.retired_hours >= KEEP_RUNNING_HOURS


def _read(data: Path) -> KeyFile:
    try:
        return msgspec.json.decode((data / KEYS_FILE).read_bytes(), type=KeyFile)
    except FileNotFoundError as error:
        raise KeysRefused("No hub was made in this data folder. Look at --data; `hub init` makes a new hub.") from error
    except PermissionError as error:
        raise KeysRefused(_OTHER_OWNER) from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysRefused("The hub's keys cannot be read. Restore them from the backup.") from error


def _replace(data: Path, keys: KeyFile) -> KeyFile:
    """Durably, over the old bytes: they are overwritten once, which is all that a file system promises."""
    draft = data / (KEYS_FILE + ".draft")
    draft.unlink(missing_ok=True)
    write_private(draft, msgspec.json.encode(keys))
    old = data / (KEYS_FILE + ".old")
    _overwrite(old)  # of a change that was cut short
    os.link(data / KEYS_FILE, old)
    draft.rename(data / KEYS_FILE)
    _settle(data)  # before that a power cut may bring the old file back under its name: it must not be empty then
    _overwrite(old)
    _settle(data)
    return keys


def _settle(data: Path) -> None:
    """Make what was linked, renamed and removed in the folder durable."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _overwrite(path: Path) -> None:
    """Remove a file of keys, if it is there, and what is in it."""
    if not path.exists():
        return
    if path.stat().st_nlink == 1:  # otherwise it is still the file that is in use
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
    path.unlink()


def _make_leaf() -> tuple[bytes, bytes]:
    """A self-signed P-256 leaf and its key, PEM. Valid from 1970: nodes pin it and may not know the date."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upkendra-hub")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(now + datetime.timedelta(days=LEAF_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("upkendra-hub")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )

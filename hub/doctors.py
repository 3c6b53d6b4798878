"""Doctors' accounts: password and TOTP, the signing key wrapped by the password, back-off.

The password is never stored: it is right when it unwraps the signing key (Argon2id, RFC 9106, then
AES-256-GCM). A log-in says only that something was wrong, after the same work for known and unknown
names. Time is an argument.
"""

import base64
import hashlib
import secrets

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from msgspec import Struct
from sqlalchemy import Connection, select, update

from edge.model.errors import NotFound, Refused
from edge.slips.sign import certify_doctor
from edge.sync import seal
from edge.web.refusals import TooManyAttempts, Unauthorised, WrongPin

from . import audit
from .keys import Keyring
from .store.dialect import Value, insert_new, lock, put_row
from .store.schema import doctors, failures, sessions
from .store.schema_office import retired_keys

TOTP_STEP_S = 30
TOTP_SECRET_BYTES = 20
FREE_ATTEMPTS = 3
FREE_AT_ADDRESS = 20
BACKOFF_MAX_S = 900
PASSWORD_MIN = 10


class Doctor(Struct, frozen=True):
    """A doctor as patients and the log-in see one."""

    doctor_id: str
    name: str
    registration: str
    qualification: str
    contact: str = ""


class Account(Struct, frozen=True):
    """What a log-in needs from the database."""

    doctor: Doctor
    salt: bytes
    totp_sealed: bytes
    totp_step: int
    key_wrapped: bytes
    certificate: bytes
    disabled: bool

    def __repr__(self) -> str:
        return f"Account({self.doctor.doctor_id})"


class SigningKey(Struct, frozen=True):
    """A doctor's unwrapped key; RAM only."""

    private: bytes
    certificate: bytes

    def __repr__(self) -> str:
        return "SigningKey(…)"


class Wrapped(Struct, frozen=True):
    """A signing key under a password."""

    private: bytes
    salt: bytes
    content: bytes

    def __repr__(self) -> str:
        return "Wrapped(…)"


def wrap(doctor_id: str, private: bytes, password: str) -> Wrapped:
    """A signing key under a new password. Slow on purpose. Raises Refused."""
    if len(password) < PASSWORD_MIN:
        raise Refused(f"A password has at least {PASSWORD_MIN} characters.", code="password_short")
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    content = nonce + AESGCM(derive(password, salt)).encrypt(nonce, private, doctor_id.encode())
    return Wrapped(private, salt, content)


def derive(password: str, salt: bytes) -> bytes:
    """Key from a password: Argon2id, 64 MiB, t=3, p=1 (some 200 ms; not for the event loop)."""
    return hash_secret_raw(
        password.encode(), salt, time_cost=3, memory_cost=65_536, parallelism=1, hash_len=32, type=Type.ID
    )


def unwrap(account: Account, password: str) -> SigningKey | None:
    """The signing key, or None for a wrong password. Slow on purpose."""
    key = derive(password, account.salt)
    try:
        private = AESGCM(key).decrypt(
            account.key_wrapped[:12], account.key_wrapped[12:], account.doctor.doctor_id.encode()
        )
    except InvalidTag:
        return None
    return SigningKey(private, account.certificate)


_NOBODY = Account(Doctor("", "", "", ""), bytes(16), b"", 0, bytes(60), b"", True)


def check_password(account: Account | None, password: str) -> SigningKey | None:
    """As :func:`unwrap`, with the same work for a name that does not exist."""
    return unwrap(account or _NOBODY, password)


def add_doctor(
    connection: Connection, keys: Keyring, doctor: Doctor, password: str, now_ms: int, actor: str = ""
) -> str:
    """Create the account and its certified signing key; returns the TOTP secret in base32.

    Raises Refused when the id is taken or the password has fewer than ten characters.
    """
    secret, row = _fresh(keys, doctor, password)
    row |= {
        "doctor_id": doctor.doctor_id,
        "name": doctor.name,
        "registration": doctor.registration,
        "qualification": doctor.qualification,
        "contact": doctor.contact,
        "made_ms": now_ms,
        "disabled_ms": 0,
    }
    if not insert_new(connection, doctors, row):
        raise Refused("There is a doctor with this id already.", code="doctor_exists")
    audit.record(connection, now_ms, actor, "doctor_added", doctor.doctor_id)
    return secret


def reset_doctor(
    connection: Connection, keys: Keyring, doctor_id: str, password: str, now_ms: int, actor: str = ""
) -> str:
    """New password, authenticator and signing key; returns the TOTP secret in base32. Raises NotFound, Refused.

    The old key opens with the old password only, and that is lost or known to somebody: it signs nothing any more,
    and nodes hear so. What it signed before stays good. Sessions end; a closed account stays closed.
    """
    account = find_account(connection, doctor_id)
    if account is None:
        raise NotFound("There is no such doctor.")
    mine = doctors.c.doctor_id == doctor_id
    old = bytes(connection.execute(select(doctors.c.key_public).where(mine)).scalar_one())
    secret, row = _fresh(keys, account.doctor, password)
    connection.execute(update(doctors).where(mine).values(row))
    put_row(connection, retired_keys, {"key_public": old, "doctor_id": doctor_id, "retired_ms": now_ms})
    connection.execute(sessions.delete().where(sessions.c.doctor_id == doctor_id))
    connection.execute(failures.delete().where(failures.c.key == user_key(doctor_id)))
    audit.record(connection, now_ms, actor, "doctor_reset", doctor_id)
    return secret


def _fresh(keys: Keyring, doctor: Doctor, password: str) -> tuple[str, dict[str, Value]]:
    """Everything that is drawn anew for an account: the TOTP secret in base32, and columns. Raises Refused."""
    wrapped = wrap(doctor.doctor_id, secrets.token_bytes(32), password)
    totp = secrets.token_bytes(TOTP_SECRET_BYTES)
    public = seal.verifier_of(wrapped.private)
    row: dict[str, Value] = {
        "salt": wrapped.salt,
        "totp_sealed": keys.protect(totp, f"totp {doctor.doctor_id}"),
        "totp_step": 0,
        "key_public": public,
        "key_wrapped": wrapped.content,
        "certificate": certify_doctor(public, doctor.doctor_id, doctor.name, doctor.registration, keys.sign),
    }
    return base64.b32encode(totp).decode(), row


def totp_uri(doctor_id: str, secret: str) -> str:
    """What an authenticator app scans."""
    return f"otpauth://totp/Upkendra:{doctor_id}?secret={secret}&issuer=Upkendra"


def find_account(connection: Connection, doctor_id: str) -> Account | None:
    """The account behind an id, or None."""
    row = connection.execute(select(doctors).where(doctors.c.doctor_id == doctor_id)).first()
    if row is None:
        return None
    return Account(
        Doctor(row.doctor_id, row.name, row.registration, row.qualification, row.contact),
        row.salt,
        row.totp_sealed,
        row.totp_step,
        row.key_wrapped,
        row.certificate,
        bool(row.disabled_ms),
    )


def disable_doctor(connection: Connection, doctor_id: str, now_ms: int, actor: str = "") -> None:
    """Close an account: its sessions end, and nothing is signed with its key any more. Raises NotFound.

    What she signed before stays good. The running hub gives her visits back to the queue.
    """
    _set_disabled(connection, doctor_id, now_ms)
    connection.execute(sessions.delete().where(sessions.c.doctor_id == doctor_id))
    audit.record(connection, now_ms, actor, "doctor_disabled", doctor_id)


def enable_doctor(connection: Connection, doctor_id: str, now_ms: int, actor: str = "") -> None:
    """Open a closed account again, with the password and the authenticator that it had. Raises NotFound."""
    _set_disabled(connection, doctor_id, 0)
    audit.record(connection, now_ms, actor, "doctor_enabled", doctor_id)


def _set_disabled(connection: Connection, doctor_id: str, disabled_ms: int) -> None:
    done = connection.execute(update(doctors).where(doctors.c.doctor_id == doctor_id).values(disabled_ms=disabled_ms))
    if done.rowcount == 0:
        raise NotFound("There is no such doctor.")


def need_enabled(connection: Connection, doctor_id: str) -> None:
    """Raise Refused(doctor_disabled) when the account was closed."""
    if connection.execute(select(doctors.c.disabled_ms).where(doctors.c.doctor_id == doctor_id)).scalar():
        raise Refused("This account was closed. Ask the administrator.", code="doctor_disabled")


def need_current(connection: Connection, doctor_id: str, key: SigningKey) -> None:
    """Raise Unauthorised when the account has another key since this one was unlocked: nodes refuse the old one."""
    held = connection.execute(select(doctors.c.certificate).where(doctors.c.doctor_id == doctor_id)).scalar()
    if held is None or bytes(held) != key.certificate:
        raise Unauthorised("This account was given a new password and key. Log in again.")


def totp_step(secret: bytes, code: str, now_ms: int, last_step: int) -> int | None:
    """The time step that a code belongs to (RFC 6238, one step of drift), if it is later than ``last_step``."""
    present = now_ms // 1000 // TOTP_STEP_S
    totp = TOTP(secret, 6, SHA1(), TOTP_STEP_S)  # noqa: S303 - HMAC-SHA1 is what authenticator apps speak
    for step in (present - 1, present, present + 1):
        expected = totp.generate(max(step, 0) * TOTP_STEP_S)
        if step > last_step and secrets.compare_digest(expected, code.encode()):
            return step
    return None


def user_key(user: str) -> bytes:
    """Under which the mistakes at a name are counted."""
    return hashlib.sha256(b"upk1 login user" + user.encode()).digest()


def known_key(user: str, device: str) -> bytes:
    """The same at a browser from which this user has logged in before (:mod:`hub.login_device`)."""
    return hashlib.sha256(f"upk1 login known {device}{user}".encode()).digest()


def again_key(person_id: str) -> bytes:
    """The same of somebody who is logged in and is asked for the password again."""
    return hashlib.sha256(b"upk1 password again" + person_id.encode()).digest()


def address_key(address: str) -> bytes:
    """Under which the mistakes from an address are counted; no name has the same."""
    return hashlib.sha256(b"upk1 login address" + address.encode()).digest()


def check_backoff(connection: Connection, key: bytes, now_ms: int) -> None:
    """Raise TooManyAttempts while a name or an address has to wait."""
    row = connection.execute(select(failures.c.until_ms).where(failures.c.key == key)).first()
    if row is not None and row.until_ms > now_ms:
        wait_s = (row.until_ms - now_ms + 999) // 1000
        raise TooManyAttempts(f"Too many wrong attempts. Wait {wait_s} s and try again.")


def note_failure(connection: Connection, key: bytes, now_ms: int, free: int = FREE_ATTEMPTS) -> None:
    """Count a wrong attempt: after ``free`` of them the wait doubles from 2 s up to 15 min."""
    lock(connection, f"failure {key.hex()}")
    row = connection.execute(select(failures.c.count, failures.c.until_ms).where(failures.c.key == key)).first()
    forgotten = row is None or (row[1] and now_ms - row[1] > BACKOFF_MAX_S * 1000)
    count = 1 if row is None or forgotten else row[0] + 1
    wait_s = min(2 ** (count - free), BACKOFF_MAX_S) if count > free else 0
    put_row(connection, failures, {"key": key, "count": count, "until_ms": now_ms + wait_s * 1000})


def accept_code(connection: Connection, keys: Keyring, account: Account, code: str, now_ms: int) -> bool:
    """Use up an authenticator's code; False for a wrong one."""
    fresh = find_account(connection, account.doctor.doctor_id)
    if fresh is None or fresh.disabled:
        return False
    secret = keys.reveal(fresh.totp_sealed, f"totp {fresh.doctor.doctor_id}")
    step = totp_step(secret, code, now_ms, fresh.totp_step)
    if step is None:
        return False
    # Another process of the hub may take the same code at this moment.
    mine = (doctors.c.doctor_id == fresh.doctor.doctor_id) & (doctors.c.totp_step < step)
    return connection.execute(update(doctors).where(mine).values(totp_step=step)).rowcount == 1


def logged_in(connection: Connection, doctor_id: str, now_ms: int, counted: bytes) -> None:
    """Forget the mistakes that were ``counted`` under this key, and write that somebody is logged in."""
    connection.execute(failures.delete().where(failures.c.key == counted))
    audit.record(connection, now_ms, doctor_id, "login", doctor_id)


def wrong_login() -> WrongPin:
    """The one answer to every wrong log-in."""
    return WrongPin("Name, password or code is wrong, or the code was used before. Wait for the next code.")

"""A person's own log-in: a password, an authenticator and recovery codes that nobody else has seen.

Who makes or resets an account sees its first password and authenticator secret. Until the person has replaced both,
her sessions may do nothing else, and the signing key that they opened is replaced with them: what is signed later was
signed with what nobody else had seen. (Who resets an account can also renew it in her stead: she is locked out by that,
and the audit log shows it.) A recovery code stands for the authenticator's code once, when the telephone is lost.
"""

import base64
import hashlib
import secrets

from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from edge.model.errors import BadInput, Refused
from edge.slips.sign import certify_doctor
from edge.sync import seal

from . import audit, doctors
from .keys import Keyring, KeysRefused
from .store.dialect import Value, put_row
from .store.schema import doctors as accounts
from .store.schema import sessions
from .store.schema_office import given_logins, recovery_codes, retired_keys

CODES = 8
CODE_BYTES = 10
"""80 bits, sixteen characters: not to be guessed, also not from the hashes."""
CODE_CHARS = 16
TICKET_BYTES = 12 + doctors.TOTP_SECRET_BYTES + 16


class Renewal(Struct, frozen=True):
    """What a person has chosen and proved."""

    private: bytes
    """The signing key as the old password opened it."""
    wrapped: doctors.Wrapped
    """The key that goes on, under the new password."""
    ticket: bytes
    """Of :func:`draw_authenticator`."""
    code: str
    """Of the new authenticator."""

    def __repr__(self) -> str:
        return "Renewal(…)"


def give(connection: Connection, person_id: str, now_ms: int) -> None:
    """Somebody else knows this log-in's password and secret: its person has to replace both first."""
    put_row(connection, given_logins, {"person_id": person_id, "given_ms": now_ms})
    connection.execute(recovery_codes.delete().where(recovery_codes.c.person_id == person_id))


def is_given(connection: Connection, person_id: str) -> bool:
    """Whether somebody else knows this log-in."""
    mine = given_logins.c.person_id == person_id
    return connection.execute(select(given_logins.c.given_ms).where(mine)).first() is not None


def draw_authenticator(keys: Keyring, person_id: str) -> tuple[str, bytes]:
    """A fresh secret: in base32 for the authenticator, and sealed as a ticket that brings it back to :func:`renew`."""
    secret = secrets.token_bytes(doctors.TOTP_SECRET_BYTES)
    return base64.b32encode(secret).decode(), keys.protect(secret, f"totp {person_id}")


def renew(
    connection: Connection, keys: Keyring, person_id: str, renewal: Renewal, token_hash: bytes, now_ms: int
) -> tuple[str, ...]:
    """Put a person's own password and authenticator in the place of the old; her new recovery codes.

    All her other sessions end. Raises BadInput, Refused(totp_wrong), WrongPin when the account changed meanwhile.
    """
    try:
        secret = keys.reveal(renewal.ticket.ljust(TICKET_BYTES, b"\0"), f"totp {person_id}")
    except KeysRefused:
        raise BadInput("This was not drawn for you here. Begin again.", field="ticket") from None
    step = doctors.totp_step(secret, renewal.code, now_ms, 0)
    if step is None:
        raise Refused(
            "The code is not the one of the new entry in your authenticator. Scan it again, or wait for the next code.",
            code="totp_wrong",
        )
    account = doctors.find_account(connection, person_id)
    if account is None or account.key_wrapped == b"" or account.disabled:
        raise doctors.wrong_login()
    row: dict[str, Value] = {
        "salt": renewal.wrapped.salt,
        "key_wrapped": renewal.wrapped.content,
        "totp_sealed": renewal.ticket,
        "totp_step": step,
    }
    public, old = seal.verifier_of(renewal.wrapped.private), seal.verifier_of(renewal.private)
    if public != old:
        doctor = account.doctor
        row["key_public"] = public
        row["certificate"] = certify_doctor(public, person_id, doctor.name, doctor.registration, keys.sign)
        put_row(connection, retired_keys, {"key_public": old, "doctor_id": person_id, "retired_ms": now_ms})
    mine = (accounts.c.doctor_id == person_id) & (accounts.c.key_public == old)
    if connection.execute(update(accounts).where(mine).values(row)).rowcount == 0:
        raise doctors.wrong_login()  # reset by an administrator in this moment
    connection.execute(given_logins.delete().where(given_logins.c.person_id == person_id))
    connection.execute(
        sessions.delete().where((sessions.c.doctor_id == person_id) & (sessions.c.token_hash != token_hash))
    )
    audit.record(connection, now_ms, person_id, "login_renewed", person_id)
    return _new_codes(connection, person_id, now_ms)


def _new_codes(connection: Connection, person_id: str, now_ms: int) -> tuple[str, ...]:
    connection.execute(recovery_codes.delete().where(recovery_codes.c.person_id == person_id))
    codes = [base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode() for _ in range(CODES)]
    for code in codes:
        row = {"code_hash": _hash(person_id, code), "person_id": person_id, "made_ms": now_ms}
        connection.execute(recovery_codes.insert().values(row))
    return tuple("-".join(code[at : at + 4] for at in range(0, CODE_CHARS, 4)) for code in codes)


def is_code(said: str) -> bool:
    """Whether this has the form of a recovery code and not of an authenticator's."""
    return len(_plain(said)) == CODE_CHARS


def use_code(connection: Connection, person_id: str, said: str, now_ms: int) -> bool:
    """Use up a recovery code; False when there is none like it (any more)."""
    mine = (recovery_codes.c.person_id == person_id) & (recovery_codes.c.code_hash == _hash(person_id, _plain(said)))
    if connection.execute(recovery_codes.delete().where(mine)).rowcount != 1:
        return False
    audit.record(connection, now_ms, person_id, "recovery_code_used", person_id)
    return True


def codes_left(connection: Connection, person_id: str) -> int:
    """How many recovery codes a person has not used."""
    mine = recovery_codes.c.person_id == person_id
    return int(connection.execute(select(func.count()).select_from(recovery_codes).where(mine)).scalar_one())


def _plain(said: str) -> str:
    return said.replace("-", "").replace(" ", "").upper()


def _hash(person_id: str, code: str) -> bytes:
    return hashlib.sha256(b"upk1 recovery code" + person_id.encode() + b"\0" + code.encode()).digest()

"""``hub add-doctor``, ``reset-doctor``, ``disable-doctor``, ``enable-doctor``, ``role``: accounts by the shell."""

import argparse
import secrets
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection

from edge.model.errors import BadInput
from edge.model.records import Name

from . import doctors, own_login, review
from .keys import Keyring
from .permits import Role

ID_MOST: Final = 60
Work: TypeAlias = Callable[[Connection, Keyring], dict[str, object]]
"""What is done in one transaction; what is printed of it."""


def add_parsers(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """The commands and their options. ``add`` makes a parser by its name and text."""
    doctor = add("add-doctor", "Add a doctor; prints the TOTP secret (and a generated password) once.")
    doctor.add_argument("--id", required=True, help="name to log in with")
    doctor.add_argument("--name", required=True)
    doctor.add_argument("--registration", required=True, help="number and council")
    doctor.add_argument("--qualification", required=True)
    doctor.add_argument("--contact", default="")
    doctor.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    for name, text in (
        (
            "disable-doctor",
            "Close a doctor's account: sessions end, nothing is signed, her visits go back to the queue.",
        ),
        ("enable-doctor", "Open a closed account again."),
        (
            "reset-doctor",
            "New password, authenticator and signing key, printed once; the old key is closed.",
        ),
    ):
        add(name, text).add_argument("--id", required=True, help="name to log in with")
    role = add("role", "Give a person a role, or take it: a medical officer approves lists, rules and terms.")
    role.add_argument("--id", required=True, help="name to log in with")
    role.add_argument("--role", default=review.MEDICAL_OFFICER, choices=[role.value for role in Role])
    role.add_argument("--take", action="store_true", help="take it away")


def _shown(doctor_id: str, secret: str, password: str) -> dict[str, object]:
    shown: dict[str, object] = {"doctor_id": doctor_id, "totp_secret": secret}
    shown["totp_uri"] = doctors.totp_uri(doctor_id, secret)
    return shown | ({"password": password} if password else {})


def _add(arguments: argparse.Namespace, now_ms: int) -> Work:
    for field in ("id", "name", "registration", "qualification"):
        try:
            msgspec.convert(getattr(arguments, field), Name)
        except msgspec.ValidationError:
            raise BadInput("Between 1 and 80 printable characters are needed.", field=field) from None
    generated = "" if arguments.password_stdin else secrets.token_urlsafe(12)
    password = generated or sys.stdin.readline().rstrip("\r\n")
    doctor = doctors.Doctor(
        arguments.id, arguments.name, arguments.registration, arguments.qualification, arguments.contact[:200]
    )
    if len(doctor.doctor_id) > ID_MOST:
        raise BadInput(f"A log-in name has at most {ID_MOST} characters.", field="id")

    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        secret = doctors.add_doctor(connection, keys, doctor, password, now_ms)
        if generated:
            own_login.give(connection, doctor.doctor_id, now_ms)
        return _shown(doctor.doctor_id, secret, generated)

    return act


def _reset(arguments: argparse.Namespace, now_ms: int) -> Work:
    password = secrets.token_urlsafe(12)

    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        secret = doctors.reset_doctor(connection, keys, arguments.id, password, now_ms)
        own_login.give(connection, arguments.id, now_ms)
        return _shown(arguments.id, secret, password)

    return act


def _disable(arguments: argparse.Namespace, now_ms: int) -> Work:
    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        doctors.disable_doctor(connection, arguments.id, now_ms)
        return {"disabled": arguments.id}

    return act


def _enable(arguments: argparse.Namespace, now_ms: int) -> Work:
    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        doctors.enable_doctor(connection, arguments.id, now_ms)
        return {"enabled": arguments.id}

    return act


def _role(arguments: argparse.Namespace, now_ms: int) -> Work:
    change = review.take_role if arguments.take else review.give_role

    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        change(connection, arguments.id, arguments.role, now_ms)
        return {"id": arguments.id, "role": arguments.role, "given": not arguments.take}

    return act


COMMANDS: Final[dict[str, Callable[[argparse.Namespace, int], Work]]] = {
    "add-doctor": _add,
    "reset-doctor": _reset,
    "disable-doctor": _disable,
    "enable-doctor": _enable,
    "role": _role,
}
"""Each by its name: the arguments and the time, Unix ms. Raises BadInput; the work NotFound, Refused."""

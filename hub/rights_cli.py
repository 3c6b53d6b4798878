"""``hub retention``, ``erasure`` and ``verify``: how long things are kept, what is erased, and whether all logs hold.

Whoever asks or agrees says so with her own name and password, as on the page; the hub that serves carries it out.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection

from edge.model.errors import BadInput, Forbidden

from . import chains, doctors, erasures, retention
from .keys import Keyring
from .permits import PERMITS, roles_of

Work: TypeAlias = Callable[[Connection, Keyring], dict[str, object]]
REASON: Final = (10, 60)


def add_parsers(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """The commands and their options. ``add`` makes a parser by its name and text."""
    keep = add("retention", "Show how long things are kept, or fix it for a class. Nothing is erased by this.")
    keep.add_argument("--class", dest="kind", choices=[one.value for one in retention.Class])
    keep.add_argument("--days", type=int, metavar="N", help="0: until further notice")
    ask = add("erasure", "Show requests; what of a person would go; ask for it; agree to somebody else's request.")
    ask.add_argument("--person", default="", metavar="NUMBER", help="on the slip, or the id of the person or a visit")
    ask.add_argument("--reason", default="", help="asks for it: 10 to 60 signs, no name of a patient")
    ask.add_argument("--agree", default="", metavar="ID", help="to this request")
    ask.add_argument("--refuse", default="", metavar="ID", help="this request")
    ask.add_argument("--id", default="", help="your name to log in with; your password is read from stdin")
    add("verify", "Compute all logs of this hub anew, and compare them with what was signed. Changes nothing.")


def _retention(arguments: argparse.Namespace, now_ms: int) -> Work:
    if (arguments.kind is None) != (arguments.days is None):
        raise BadInput("Say which class, and how many days.", field="class")

    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        if arguments.kind is not None:
            retention.put(connection, retention.Class(arguments.kind), arguments.days, "", now_ms)
        found = retention.settings(connection)
        return {name.value: msgspec.to_builtins(one) for name, one in found.items()}

    return act


def _erasure(arguments: argparse.Namespace, now_ms: int) -> Work:
    reason, decided = arguments.reason.strip(), arguments.agree or arguments.refuse
    if arguments.reason and not REASON[0] <= len(reason) <= REASON[1]:
        raise BadInput("A reason has 10 to 60 signs.", field="reason")
    password = sys.stdin.readline().rstrip("\n") if reason or decided else ""

    def act(connection: Connection, keys: Keyring) -> dict[str, object]:
        if reason or decided:
            _need(connection, arguments.id, password)
        if decided:
            erasures.decide(connection, decided, arguments.id, now_ms, agree=bool(arguments.agree))
        elif reason:
            return {"asked": erasures.ask(connection, arguments.person, reason, arguments.id, now_ms)}
        elif arguments.person:
            made = erasures.plan(connection, arguments.person, "", now_ms)
            return {"plan": msgspec.to_builtins(made)}
        return {"requests": msgspec.to_builtins(erasures.listed(connection))}

    return act


def _need(connection: Connection, person_id: str, password: str) -> None:
    """Raise unless this is an open account that may ask on the page, and its password."""
    account = doctors.find_account(connection, person_id)
    if doctors.check_password(account, password) is None or account is None or account.disabled:
        raise doctors.wrong_login()
    if not roles_of(connection, person_id) & PERMITS["POST", "/api/erasures"]:
        raise Forbidden("Your role does not allow this. Ask the administrator.")


def _verify(arguments: argparse.Namespace, now_ms: int) -> Work:
    return lambda connection, keys: msgspec.structs.asdict(chains.verify(connection))


READS: Final = frozenset({"verify"})
"""Those that write nothing."""
COMMANDS: Final[dict[str, Callable[[argparse.Namespace, int], Work]]] = {
    "retention": _retention,
    "erasure": _erasure,
    "verify": _verify,
}

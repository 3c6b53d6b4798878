"""``hub officer`` and ``hub breach-report``: who is named, and the reports after a breach."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from edge.model.errors import BadInput

from . import affected, breach, node_reads, on_call, report_cli


def add_officer(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub officer``."""
    parser.add_argument("--role", required=True, choices=[role.value for role in breach.Role])
    parser.add_argument("--name", required=True)
    parser.add_argument("--phone", default="")
    parser.add_argument("--email", default="")


def add_affected(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub affected``."""
    parser.add_argument("--id", default="", help="name to log in with, here or at a node; everybody without it")
    parser.add_argument("--node", default="", metavar="CENTRE", help="its code or id: only what was opened there")
    parser.add_argument("--from", dest="from_day", required=True, metavar="DAY", help="YYYY-MM-DD, Indian calendar")
    parser.add_argument("--to", dest="to_day", required=True, metavar="DAY", help="the last day")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub breach-report``."""
    add_affected(parser)
    parser.add_argument("--noticed", required=True, metavar="TIME", help="YYYY-MM-DDTHH:MM, Indian time")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new one")


def officer(arguments: argparse.Namespace, now_ms: int) -> Callable[[Connection], None]:
    """Name somebody; nodes are told of a grievance officer by the running hub. Raises BadInput."""
    given = {name: getattr(arguments, name) for name in ("name", "phone", "email")}
    try:
        made = msgspec.convert(given, type=breach.Officer)
    except msgspec.ValidationError:
        raise BadInput("Name, phone and email are lines of at most 120 signs.", field="name") from None

    def act(connection: Connection) -> None:
        breach.put_officer(connection, breach.Role(arguments.role), made, now_ms)
        if arguments.role == breach.Role.GRIEVANCE:
            on_call.tell_all_anew(connection)

    return act


def asked(arguments: argparse.Namespace, connection: Connection, now_ms: int) -> None:
    """Audit who is asked about, before anything is shown. Raises BadInput, NotFound."""
    report_cli.days(arguments)
    node_reads.need_place(connection, arguments.node)
    affected.asked(connection, arguments.id, arguments.node, now_ms, "")


def look(arguments: argparse.Namespace, connection: Connection) -> affected.Affected:
    """Who was affected. Only reads: it may take minutes. Raises BadInput."""
    from_ms, to_ms = affected.span_of(*report_cli.days(arguments))
    return affected.look(connection, arguments.id, from_ms, to_ms, arguments.node)


def report(arguments: argparse.Namespace) -> Callable[[Connection], dict[str, str]]:
    """Make the texts; only reads. Raises BadInput."""
    noticed_ms = breach.noticed(arguments.noticed)

    def act(connection: Connection) -> dict[str, str]:
        found = look(arguments, connection)
        return breach.files(connection, found, f"{arguments.from_day} to {arguments.to_day}", noticed_ms)

    return act


def write(folder: Path, texts: dict[str, str]) -> None:
    """Write them where nobody else reads. Raises BadInput for a folder that is there, OSError. Blocking."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise BadInput("This folder is there already: name a new one.", field="out") from None
    for name, text in texts.items():
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)

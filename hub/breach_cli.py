"""``hub officer`` and ``hub breach-report``: who is named, and the reports after a breach."""

import argparse
import datetime
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from edge.model.clock import IST_OFFSET_S
from edge.model.errors import BadInput

from . import affected, breach, report_cli


def add_officer(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub officer``."""
    parser.add_argument("--role", required=True, choices=[role.value for role in breach.Role])
    parser.add_argument("--name", required=True)
    parser.add_argument("--phone", default="")
    parser.add_argument("--email", default="")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub breach-report``."""
    parser.add_argument("--id", default="", help="name to log in with whose readings count; everybody's without it")
    parser.add_argument("--from", dest="from_day", required=True, metavar="DAY", help="YYYY-MM-DD, Indian calendar")
    parser.add_argument("--to", dest="to_day", required=True, metavar="DAY", help="the last day")
    parser.add_argument("--noticed", required=True, metavar="TIME", help="YYYY-MM-DDTHH:MM, Indian time")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new one")


def officer(arguments: argparse.Namespace, now_ms: int) -> Callable[[Connection], None]:
    """Name somebody. Raises BadInput."""
    given = {name: getattr(arguments, name) for name in ("name", "phone", "email")}
    try:
        made = msgspec.convert(given, type=breach.Officer)
    except msgspec.ValidationError:
        raise BadInput("Name, phone and email are lines of at most 120 signs.", field="name") from None
    return lambda connection: breach.put_officer(connection, breach.Role(arguments.role), made, now_ms)


def report(arguments: argparse.Namespace, now_ms: int) -> Callable[[Connection], dict[str, str]]:
    """Make the texts. Raises BadInput."""
    first, last = report_cli.days(arguments)
    try:
        noticed = datetime.datetime.strptime(arguments.noticed, "%Y-%m-%dT%H:%M").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise BadInput("When it was noticed looks like 2026-11-26T14:30.", field="noticed") from None
    noticed_ms = int(noticed.timestamp() - IST_OFFSET_S) * 1000
    from_ms, to_ms = affected.span_of(first, last)

    def act(connection: Connection) -> dict[str, str]:
        found = affected.people(connection, arguments.id, from_ms, to_ms, now_ms)
        named = (breach.load_officer(connection, role) for role in (breach.Role.GRIEVANCE, breach.Role.INCIDENT))
        return breach.reports(found, f"{arguments.from_day} to {arguments.to_day}", noticed_ms, *named)

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

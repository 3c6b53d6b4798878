"""Whom to ring when no doctor answers: numbers that the hub says, and those that the centre keeps itself.

In plain files, so that they are there while the records are locked: numbers of services and of people on duty, never
of patients.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.model.events import GrievanceNamed, OnCallPublished
from edge.model.records import ShortText

from .config import write_private

FILE = "on-call.json"
HUB_FILE = "on-call-hub.json"
"""What the hub said last; the centre does not change it."""
GRIEVANCE_FILE = "grievance-hub"
"""Whom patients complain to, as the hub said last."""
MOST = 12

Phone = Annotated[str, Meta(pattern=r"^\+?[0-9][0-9 -]{1,17}$(?!\n)")]


class OnCall(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to ring."""

    name: Annotated[ShortText, Meta(min_length=1)]
    """Whose number: "PHC Rahui, duty doctor"."""
    phone: Phone


class OnCallList(Struct, frozen=True, forbid_unknown_fields=True):
    """In the order in which they should be rung."""

    items: Annotated[tuple[OnCall, ...], Meta(max_length=MOST)] = ()


class Numbers(Struct, frozen=True):
    """All numbers: those of the hub are rung first."""

    items: tuple[OnCall, ...]
    """The centre's own."""
    from_hub: tuple[OnCall, ...]
    grievance: str = ""
    """Whom patients complain to about their data."""


def load(folder: Path) -> OnCallList:
    """The list of a data folder; empty when there is none, or none that can be read. Blocking."""
    return _read(folder / FILE)


def numbers(folder: Path) -> Numbers:
    """Both lists of a data folder. Blocking."""
    return Numbers(_read(folder / FILE).items, _read(folder / HUB_FILE).items, grievance(folder))


def _read(file: Path) -> OnCallList:
    try:
        return msgspec.json.decode(file.read_bytes(), type=OnCallList)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return OnCallList()


def hear(folder: Path, told: OnCallPublished) -> None:
    """Keep what the hub said, in the place of what it said before. Blocking."""
    known = OnCallList(tuple(OnCall(one.name, one.phone) for one in told.numbers))
    write_private(folder / HUB_FILE, msgspec.json.encode(known))


def hear_grievance(folder: Path, told: GrievanceNamed) -> None:
    """Keep whom patients complain to, in the place of who was named before. Blocking."""
    write_private(folder / GRIEVANCE_FILE, msgspec.msgpack.encode(told))


def grievance(folder: Path) -> str:
    """Whom patients complain to and how, as a slip prints it; "" while the hub named nobody. Blocking."""
    try:
        told = msgspec.msgpack.decode((folder / GRIEVANCE_FILE).read_bytes(), type=GrievanceNamed)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return ", ".join(part for part in (told.name, told.phone, told.email) if part)


def keep(folder: Path, told: OnCallList) -> None:
    """Replace the list. Blocking."""
    write_private(folder / FILE, msgspec.json.encode(told))

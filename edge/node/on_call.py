"""Whom to ring when no doctor answers: numbers that the centre keeps itself.

In a plain file, so that they are there while the records are locked: numbers of services and of people on duty, never
of patients.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.model.records import ShortText

from .config import write_private

FILE = "on-call.json"
MOST = 12

Phone = Annotated[str, Meta(pattern=r"^\+?[0-9][0-9 -]{1,17}$")]


class OnCall(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to ring."""

    name: Annotated[ShortText, Meta(min_length=1)]
    """Whose number: "PHC Rahui, duty doctor"."""
    phone: Phone


class OnCallList(Struct, frozen=True, forbid_unknown_fields=True):
    """In the order in which they should be rung."""

    items: Annotated[tuple[OnCall, ...], Meta(max_length=MOST)] = ()


def load(folder: Path) -> OnCallList:
    """The list of a data folder; empty when there is none, or none that can be read. Blocking."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=OnCallList)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return OnCallList()


def keep(folder: Path, told: OnCallList) -> None:
    """Replace the list. Blocking."""
    write_private(folder / FILE, msgspec.json.encode(told))

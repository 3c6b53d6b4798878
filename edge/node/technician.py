"""What the appliance noted of a technician's shell goes into the audit log, when somebody has opened the records.

The machine's own program (root's) leaves a small file for each opening and each end in ``technician/`` of the data
folder; a file that was written into the log goes. A power cut between the two writes it twice, never not at all.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.model import events as ev
from edge.web.often import Often

from .clinic import Clinic
from .sealing import AUDIT_S

NOTES: Final = "technician"
LOOK_S: Final = 20.0
ACTION: Final = "technician_ssh"
NOTE_MAX_BYTES: Final = 4096

logger = logging.getLogger("edge.node.technician")


class Note(Struct, frozen=True):
    """One file. ``what``: opened or ended; ``why``: the hours, or time or drawn."""

    permit_id: str
    technician: str
    what: str
    why: str = ""


def notes(folder: Path) -> list[tuple[Path, Note | None]]:
    """What waits, in the order it happened; None for a file that is no note. Blocking."""
    found: list[tuple[Path, Note | None]] = []
    for path in sorted((folder / NOTES).glob("*.json")):
        try:
            with path.open("rb") as file:
                found.append((path, msgspec.json.decode(file.read(NOTE_MAX_BYTES), type=Note)))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found.append((path, None))
    return found


def event_of(note: Note) -> ev.Accessed:
    """The line of the audit log. Pure."""
    return ev.Accessed(ACTION, note.permit_id[:16], f"{note.what[:10]} {note.why[:10]}: {note.technician[:60]}")


class Technician:
    """Of one running node."""

    def __init__(self, folder: Path, clinic: Clinic) -> None:
        self._folder = folder
        self._clinic = clinic
        self.often = Often(self.look, LOOK_S, logger, "what a technician did could not be written down")

    async def look(self) -> int:
        """Write down what waits, unless the records are locked; how many."""
        if self._clinic.locked:
            return 0
        found = await asyncio.to_thread(notes, self._folder)
        for path, note in found:
            if note is not None:
                await self._clinic.record(event_of(note))
                self._clinic.seal_soon(AUDIT_S, audit=True)
            await asyncio.to_thread(path.unlink)
        return len(found)

"""What a visit of a stick is like on either side: files are sorted, deletions counted, the end told as one JSON line.

Blocking where it touches the stick. Knows neither node nor hub.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from edge.model.errors import UpkendraError
from edge.sync import courier

from .usb import Stick
from .usb_stick import Folder

Tell = Callable[[str], None]


class Carried(msgspec.Struct):
    """What one visit of a stick did: the JSON line at its end. Both sides add what is theirs."""

    complete: bool = False
    code: str = ""
    """Why it is not complete."""
    deleted: int = 0
    others: int = 0
    """Whole files of or for others, left as they are."""
    later: int = 0
    """Files of a later release, left as they are."""
    damaged: int = 0
    junk: int = 0
    passed_over: int = 0
    """Files beyond the limits of a visit; the next one goes on when there are fewer."""


def tell_place(path: Path, tell: Tell) -> None:
    """Say so where no stick is mounted: a forgotten mount would make a stick of the machine's own disk."""
    if path.is_dir() and not path.is_mount():
        tell("Nothing is mounted there: the folder itself is taken for the stick.")


def tell_end(done: Carried, tell: Tell, *, hold: bool = False) -> None:
    """What a person does next."""
    if not done.complete:
        tell("Not everything was done: there are more files than one visit looks at. What was done is safe.")
    unmount = "Unmount the stick before you take it out."
    tell("Leave the stick where it is." if hold else f"Done. {unmount}" if done.complete else unmount)


class Files:
    """The stick of a visit, and what became of its files."""

    def __init__(self, stick: Stick, done: Carried) -> None:
        self.stick = stick
        self._done = done

    def parse(self, folder: Folder, name: str, raw: bytes) -> courier.CourierFile | None:
        """A whole file of this version, or None (counted)."""
        try:
            file = courier.parse(raw)
        except courier.CourierRefused:
            self.stick.mark_damaged(folder, name)
            self._done.damaged += 1
            return None
        if isinstance(file, courier.LaterFile):
            self._done.later += 1
            return None
        return file

    def delete(self, folder: Folder, names: Sequence[str]) -> None:
        """Delete files durably."""
        for name in names:
            self.stick.delete(folder, name)
            self._done.deleted += 1
        if names:
            self.stick.settle(folder)

    async def carry(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of a visit and fill in how it ended. Raises what stopped it."""
        done, counts = self._done, self.stick.counts
        try:
            await work()
        except UpkendraError as error:
            done.code = error.refusal.code
            raise
        finally:
            done.junk = counts["junk"]
            done.passed_over = counts["passed_over"]
            done.damaged += counts["unreadable"] + counts["too_large"]
        if done.passed_over:
            done.code = "stick_crowded"
        done.complete = not done.passed_over

"""Updates on the appliance: what is claimed, what was installed and waits for its first boot, how it ended.

The folder ``updates/`` belongs to the node's user: names in it are never followed through links, and what is written
there is written under a fresh name. What decides about the next boot lies in root's own folder.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.model.releases import is_newer as is_newer

SYSTEM: Final = "system"
PENDING_FILE: Final = "update.json"
OUTCOME_FILE: Final = "outcome"
WHY_FILE: Final = "why"
"""Why a new system gave itself up, for the old one to tell."""
CLAIMED: Final = ".claimed"
NOTE_MAX_BYTES: Final = 16 * 1024
_STEM: Final = re.compile(r"^[0-9a-f]{24}$")


class Note(Struct, frozen=True):
    """What the courier wrote beside a bundle; see docs/updates.md."""

    name: str
    version: str
    target: str
    number: int
    sha256: str


class Pending(Struct, frozen=True):
    """A system that is being installed, or was and has to show itself at its first boot."""

    version: str
    from_version: str
    slot: str
    """Where it lies: A or B."""
    stem: str
    """Of its files in ``updates/``."""
    hub_answered: bool
    """Whether the hub was heard before the restart: then it must be heard after it as well."""
    installed: bool = True
    """False while it is being installed: a power cut then is no failure of the new system."""
    kept: bool = False
    """It serves, and counts as good; it is over when somebody has opened the records (docs/decisions/0052)."""


class Outcome(Struct, frozen=True):
    """How the last update ended, for the node's page and its report."""

    version: str
    ended: str
    """installed, refused, rolled_back, committed"""
    code: str = ""
    message: str = ""


def waiting(folder: Path, suffix: str = ".json") -> list[tuple[str, Note]]:
    """(stem, note) of each update of this suffix that can be read. Blocking."""
    found = []
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    for name in names:
        stem = name.removesuffix(suffix)
        if stem != name and _STEM.match(stem) and (note := _note(folder / name)) is not None:
            found.append((stem, note))
    return found


def _note(path: Path) -> Note | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            return msgspec.json.decode(file.read(NOTE_MAX_BYTES), type=Note)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def newest(found: Iterable[tuple[str, Note]], name: str = SYSTEM) -> tuple[str, Note] | None:
    """The update of a name with the highest number. Pure."""
    ours = [one for one in found if one[1].name == name]
    return max(ours, key=lambda one: one[1].number, default=None)


def claim(folder: Path, stem: str) -> bool:
    """Take an update: from now on the courier touches neither of its files. False when it is gone."""
    try:
        (folder / f"{stem}.json").rename(folder / f"{stem}{CLAIMED}")
    except FileNotFoundError:
        return False
    _sync(folder)
    return True


def give_back(folder: Path, stem: str) -> None:
    """Let a claimed update be taken once more."""
    (folder / f"{stem}{CLAIMED}").rename(folder / f"{stem}.json")
    _sync(folder)


def drop(folder: Path, stem: str) -> None:
    """An update that is over: both files go. A bundle that a power cut leaves alone is taken by nobody."""
    for suffix in (CLAIMED, ".bundle"):
        (folder / f"{stem}{suffix}").unlink(missing_ok=True)


def load(system: Path) -> Pending | None:
    """What waits for its first boot. A file that cannot be read counts as none. Blocking."""
    try:
        return msgspec.json.decode((system / PENDING_FILE).read_bytes(), type=Pending)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def save(system: Path, pending: Pending | None) -> None:
    """Keep it, durably; None: nothing waits. Blocking."""
    if pending is None:
        (system / PENDING_FILE).unlink(missing_ok=True)
        _sync(system)
    else:
        write(system / PENDING_FILE, msgspec.json.encode(pending))


def tell(folder: Path, outcome: Outcome, owner: int) -> None:
    """Leave the outcome where the node reads it. ``owner``: the node's user id. Blocking."""
    write(folder / OUTCOME_FILE, msgspec.json.encode(outcome), owner)


def write(path: Path, content: bytes, owner: int = -1) -> None:
    """Write a file whole or not at all, never through a link. Raises OSError. Blocking."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        if owner >= 0:
            os.fchown(file.fileno(), owner, owner)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_REFUSALS: Final = (
    ("upkendra-base:", "update_base", ""),
    ("ompatible mismatch", "update_target", "This update is for another machine."),
    ("signature", "update_signature", "This update is not signed by the key that this node trusts."),
    ("certificate", "update_signature", "This update is not signed by the key that this node trusts."),
    ("", "update_damaged", "The update is damaged or not whole, or the card did not take it."),
)
_OURS: Final = ("rauc busy", "D-Bus error", "rror creating proxy", "did not end in")


def is_machines_fault(said: str) -> bool:
    """Whether RAUC never judged the update: it was busy, gone, or took too long. Pure."""
    return any(word in said for word in _OURS)


def refusal(said: str) -> tuple[str, str]:
    """Code and sentence for what RAUC said when it refused. Pure.

    A delta's own word is passed on. Whether a bundle was cut short shows before its signature is looked at: RAUC reads
    the signature's size from the last eight bytes. Its progress ("30% Verifying signature done.") is no refusal.
    """
    said = "\n".join(line for line in said.splitlines() if not re.match(r"\s*\d+% ", line))
    damaged = ("size", "too small", "too large", "exceeds", "truncated", "Invalid bundle", "identifier")
    for word, code, sentence in _REFUSALS:
        if word == "signature" and any(sign in said for sign in damaged) and "verif" not in said:
            continue
        if word in said:
            own = re.search(r"upkendra-base: ([^\n]{1,200})", said)
            return code, own.group(1).strip() if own and not sentence else sentence
    raise AssertionError("the last row takes everything")

"""``updates/``: whole, checked updates that wait for the installer, and the copy of one that is under way. Blocking.

What lies here and who may do what with it stands in docs/updates.md; this is the side that fills it. Knows no stick:
blocks come from whoever reads them, and every one is compared with the signed release before it is kept.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.sync import courier, release, seal
from edge.sync.faults import point

from .config import NodeConfig, write_private

FOLDER: Final = "updates"
TARGET_FILE: Final = "target"
KEY_FILE: Final = "update.pub"
KNOWN_FILE: Final = "known.json"
OFFER_SUFFIX: Final = ".offer"
"""The signed offer of what comes by link, as long as it has not come whole."""
NAME_DIGITS: Final = 24
RESERVE_BYTES: Final = 500_000_000
"""What has to stay free for records when an update lies here."""
SYNC_EVERY: Final = 16
"""Blocks between two syncs of the copy."""
UNSIGNED: Final = bytes(seal.SIGNATURE_BYTES)


class Waiting(Struct, frozen=True):
    """``<24 digits>.json``: an update that is whole beside it, as ``<24 digits>.bundle``."""

    name: str
    version: str
    target: str
    size_bytes: int
    sha256: str
    number: int
    """Of the hub's offer."""
    offered_ms: int
    taken_ms: int
    signed_by: str
    """``update_key``, or ``hub`` where no update key is installed: then the installer's own check is the only one."""


class Known(Struct, frozen=True):
    """The newest offer of one name that was taken in."""

    number: int
    sha256: str


def _refused(message: str, code: str) -> release.ReleaseRefused:
    return release.ReleaseRefused(message, code=code)


class Spool:
    """The folder of one node."""

    def __init__(self, data: Path, config: NodeConfig) -> None:
        self._folder = data / FOLDER
        self._config = config

    def waiting(self) -> tuple[Waiting, ...]:
        """Updates that the installer has not claimed yet."""
        found = (self._read(path, Waiting) for path in sorted(self._folder.glob("*.json")) if path.name != KNOWN_FILE)
        return tuple(one for one in found if one is not None)

    def _read(self, path: Path, kind: type[Waiting]) -> Waiting | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def target(self) -> str:
        """The board; empty where nothing installs updates."""
        return self._word(TARGET_FILE)

    def _known(self) -> dict[str, Known]:
        try:
            return msgspec.json.decode((self._folder / KNOWN_FILE).read_bytes(), type=dict[str, Known])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}

    def _newest(self, name: str) -> Known | None:
        """The newest offer of a name that was taken in; ``known.json`` is written last, and may lack what waits."""
        waits = [Known(one.number, one.sha256) for one in self.waiting() if one.name == name]
        noted = self._known().get(name)
        return max([*waits, *([noted] if noted else [])], key=lambda one: one.number, default=None)

    def _word(self, name: str) -> str:
        try:
            return (self._folder / name).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def known_hashes(self) -> frozenset[str]:
        """SHA-256 of what was taken in last, of each name, and of what waits."""
        return frozenset((*(one.sha256 for one in self.waiting()), *(one.sha256 for one in self._known().values())))

    def look(self, offer: courier.UpdateFile) -> release.Release | None:
        """The release of an offer, checked, when it is to be copied; None when it was taken before.

        What no json names is removed first: it takes the room. Raises CourierRefused: courier_not_ours,
        courier_signature; ReleaseRefused: update_malformed, update_no_installer, update_target, update_unsigned,
        update_signature, update_older, update_busy, update_no_room.
        """
        if offer.hub != courier.hub_of(self._config.hub_sign) or offer.node_id not in (
            self._config.node_id,
            courier.EVERY_NODE,
        ):
            raise courier.CourierRefused("an offer for another node", code="courier_not_ours")
        courier.check_update(offer, self._config.hub_sign)
        found = release.parse_release(offer.release)
        self._check_target(found)
        self._check_key(offer)
        known = self._newest(found.name)
        if known is not None and offer.number < known.number:
            raise _refused("A newer update of this name was taken in here.", "update_older")
        if known is not None and known.sha256 == found.sha256:
            return None
        with self.alone():
            self._sweep(found)
        part = self.path_of(found, ".part")
        there = part.stat().st_size if part.exists() else 0
        if shutil.disk_usage(self._folder).free < found.size_bytes - there + RESERVE_BYTES:
            raise _refused("There is not enough room for this update.", "update_no_room")
        return found

    def _check_target(self, found: release.Release) -> None:
        if not self.target:
            raise _refused("Nothing on this machine installs updates.", "update_no_installer")
        if self.target != found.target:
            raise _refused("This update is for another machine.", "update_target")

    def _check_key(self, offer: courier.UpdateFile) -> None:
        key = self._word(KEY_FILE)
        if not key:
            return
        if offer.release_signature == UNSIGNED:
            raise _refused("This update is not signed by the update key.", "update_unsigned")
        try:
            public = bytes.fromhex(key)
        except ValueError:
            public = b""
        release.check_release(offer.release, offer.release_signature, public)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes a copy meanwhile. Raises ReleaseRefused(update_busy)."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise _refused("Another update is being brought at this moment.", "update_busy") from None
            yield
            os.fsync(handle)
        finally:
            os.close(handle)

    def copy(
        self,
        offer: courier.UpdateFile,
        found: release.Release,
        block: Callable[[int], bytes],
        now_ms: int,
        progress: Callable[[int], None],
    ) -> Waiting:
        """Copy the payload in, from where an earlier copy ended; what it is now.

        Raises ReleaseRefused: update_busy, update_no_room, update_damaged (a block is not what the release says; what
        was copied before it is kept for the next stick).
        """
        with self.alone():
            self._sweep(found)
            try:
                self._fill(found, block, progress)
            except OSError as error:
                raise _refused("The update could not be written here.", "update_no_room") from error
            return self._finish(offer, found, now_ms)

    def _sweep(self, found: release.Release) -> None:
        """Half copies of other updates, and whole ones that a kill left without their json: nobody will claim them.

        Of ``found`` such a one is gone on with as a half copy.
        """
        for path in self._folder.glob("*.bundle"):
            if not path.with_suffix(".json").exists() and not path.with_suffix(".claimed").exists():
                path.replace(path.with_suffix(".part"))
        for path in self._folder.glob("*.part"):
            if path != self.path_of(found, ".part"):
                path.unlink()
        for path in self._folder.glob("*" + OFFER_SUFFIX):
            if path != self.path_of(found, OFFER_SUFFIX):
                path.unlink()

    def _fill(self, found: release.Release, block: Callable[[int], bytes], progress: Callable[[int], None]) -> None:
        whole = hashlib.sha256()
        handle = os.open(self.path_of(found, ".part"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "r+b") as file:
            number = 0
            while number < found.block_count and found.is_block(number, content := file.read(release.BLOCK_BYTES)):
                whole.update(content)
                number += 1
            file.seek(min(number * release.BLOCK_BYTES, found.size_bytes))
            file.truncate()
            for at in range(number, found.block_count):
                content = block(at)
                if not found.is_block(at, content):
                    raise _refused("The update on the stick is damaged or not whole.", "update_damaged")
                whole.update(content)
                file.write(content)
                if at % SYNC_EVERY == SYNC_EVERY - 1:
                    file.flush()
                    os.fsync(file.fileno())
                    point("update.copied")
                progress(at + 1)
            file.flush()
            os.fsync(file.fileno())
        if whole.hexdigest() != found.sha256:
            self.path_of(found, ".part").unlink()
            raise _refused("The release does not fit its own blocks.", "update_malformed")

    def _finish(self, offer: courier.UpdateFile, found: release.Release, now_ms: int) -> Waiting:
        self.path_of(found, ".part").replace(self.path_of(found, ".bundle"))
        point("update.renamed")
        signed_by = "update_key" if self._word(KEY_FILE) else "hub"
        made = Waiting(
            found.name,
            found.version,
            found.target,
            found.size_bytes,
            found.sha256,
            offer.number,
            offer.made_ms,
            now_ms,
            signed_by,
        )
        write_private(self.path_of(found, ".json"), msgspec.json.encode(made))
        point("update.told")
        self.path_of(found, OFFER_SUFFIX).unlink(missing_ok=True)
        for path in self._folder.glob("*.json"):
            other = self._read(path, Waiting) if path.name != KNOWN_FILE else None
            if other is not None and other.name == found.name and other.sha256 != found.sha256:
                path.unlink()
                path.with_suffix(".bundle").unlink(missing_ok=True)
        known = {**self._known(), found.name: Known(offer.number, found.sha256)}
        write_private(self._folder / KNOWN_FILE, msgspec.json.encode(known))
        return made

    def path_of(self, found: release.Release, suffix: str) -> Path:
        """Where a file of this update lies, whether it is there or not."""
        return self._folder / (found.sha256[:NAME_DIGITS] + suffix)

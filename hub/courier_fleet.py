"""What the hub puts on a stick for the machines: lists of what is revoked, and an update with its signed offer.

Blocking where it touches the stick.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.model.errors import BadInput
from edge.sync import courier, release, seal
from edge.sync.bearers.usb_payload import Progress, is_whole, write_payload
from edge.sync.bearers.usb_stick import Folder, part_name, part_prefix, payload_name
from edge.sync.bearers.usb_visit import Files, Tell

from .courier import HubDesk

RELEASE_SUFFIX: Final = ".update.json"
SIGNATURE_SUFFIX: Final = ".update.sig"
UNSIGNED: Final = bytes(seal.SIGNATURE_BYTES)
TELL_EVERY: Final = 32
OFFERS_MAX: Final = 2000
"""Offers of one update on one stick: one for each node, where it goes in waves."""


class Update(Struct, frozen=True):
    """An update as the administrator names it."""

    file: Path
    release: bytes
    release_signature: bytes
    node_id: bytes


def blocks_of(file: Path) -> Iterator[bytes]:
    """A file's blocks as a release names them. Blocking."""
    with file.open("rb") as opened:
        while content := opened.read(release.BLOCK_BYTES):
            yield content


def load_update(file: Path, node: str) -> Update:
    """An update file with the release beside it. Raises BadInput, ReleaseRefused, OSError. Blocking."""
    try:
        node_id = bytes.fromhex(node) if node else courier.EVERY_NODE
    except ValueError:
        node_id = b""
    if len(node_id) != seal.NODE_ID_BYTES:
        raise BadInput("A node's id has 16 hexadecimal digits.", field="for")
    raw = beside(file, RELEASE_SUFFIX).read_bytes()
    found = release.parse_release(raw)
    if found.size_bytes != file.stat().st_size:
        raise release.ReleaseRefused("The release beside the file is of another file.")
    signature = UNSIGNED
    if beside(file, SIGNATURE_SUFFIX).exists():
        try:
            signature = bytes.fromhex(beside(file, SIGNATURE_SUFFIX).read_text("ascii").strip())
        except (ValueError, UnicodeDecodeError):
            signature = b""
        if len(signature) != seal.SIGNATURE_BYTES:
            raise release.ReleaseRefused("The signature beside the file cannot be read.", code="update_signature")
    return Update(file, raw, signature, node_id)


def release_update(file: Path, name: str, version: str, target: str, key: Path | None) -> release.Release:
    """Write the release beside an update file, and its signature when there is a key. Raises BadInput, ReleaseRefused,
    OSError. Blocking.
    """
    raw = release.describe(name, version, target, blocks_of(file))
    private = key.read_bytes() if key is not None else b""
    if key is not None and len(private) != 32:
        raise BadInput("The update key's file holds 32 bytes.", field="signing-key")
    beside(file, RELEASE_SUFFIX).write_bytes(raw)
    beside(file, SIGNATURE_SUFFIX).unlink(missing_ok=True)
    if private:
        beside(file, SIGNATURE_SUFFIX).write_text(release.sign_release(private, raw).hex() + "\n")
    return release.parse_release(raw)


def beside(file: Path, suffix: str) -> Path:
    """Where a release or its signature lies: ``system.raucb`` has ``system.raucb.update.json``."""
    return file.with_name(file.name + suffix)


class Fleet:
    """The folder FLEET in one visit."""

    def __init__(self, files: Files, desk: HubDesk, public: bytes, tell: Tell) -> None:
        self._files = files
        self._stick = files.stick
        self._desk = desk
        self._public = public
        self._mine = courier.hub_of(public)
        self._tell = tell
        self._lists: dict[bytes, str] = {}
        """Digest of each file of lists of this hub → its name."""
        self._offers: dict[str, courier.UpdateFile] = {}
        self._named: dict[str, str] = {}
        """Name of each whole offer, of any hub → name of its payload."""

    def look(self) -> None:
        """Read what lies there. Raises StickRefused."""
        for name, raw in self._stick.scan(Folder.FLEET):
            file = self._files.parse(Folder.FLEET, name, raw)
            if isinstance(file, courier.RevokedFile) and file.hub == self._mine:
                self._lists[courier.digest_of(raw)] = name
            elif isinstance(file, courier.UpdateFile):
                self._note(name, file)

    def _note(self, name: str, file: courier.UpdateFile) -> None:
        try:
            if file.hub == self._mine:
                courier.check_update(file, self._public)
                self._offers[name] = file
            self._named[name] = payload_name(release.parse_release(file.release).sha256)
        except courier.CourierRefused:
            return

    async def write_lists(self) -> int:
        """Put the present lists on the stick, take older ones off; how many lists were written. Raises StickRefused."""
        lists = await self._desk.revoked()
        wanted = {courier.digest_of(raw): raw for raw in courier.revoked_files(self._mine, lists)}
        fresh = [raw for digest, raw in wanted.items() if digest not in self._lists]
        for raw in fresh:
            self._stick.write(Folder.FLEET, raw)
        self._files.delete(Folder.FLEET, [name for digest, name in self._lists.items() if digest not in wanted])
        return len(lists) if fresh else 0

    async def write_update(self, update: Update) -> bool:
        """Put an update and its offer on the stick, in the place of an older one; whether anything was new there.

        An update with waves is offered to each node whose wave has come, and to no other. The payload comes first: an
        offer never stands without it. Raises StickRefused, CourierRefused, OSError.
        """
        found = release.parse_release(update.release)
        due = await self._desk.due(found.sha256)
        may = due if due is None or update.node_id == courier.EVERY_NODE else tuple({update.node_id} & set(due))
        if may == ():
            self._take_off(self._not_due(update, due))
            raise courier.CourierRefused("no node may have this update now", code="update_not_due")
        fresh = await self._write_payload(update, found)
        named = may or (update.node_id,)
        if len(named) > OFFERS_MAX:
            self._tell(f"{len(named)} machines may have it; a stick holds offers for {OFFERS_MAX}. Use --update-for.")
        for node_id in named[:OFFERS_MAX]:
            one = msgspec.structs.replace(update, node_id=node_id)
            fresh |= await self._write_offer(one, found, wave=due is not None)
        self._take_off(self._not_due(update, due))
        return fresh

    def _not_due(self, update: Update, due: tuple[bytes, ...] | None) -> list[str]:
        """Offers of this update to nodes that may not have it: paused or removed since, or made before it had waves."""
        if due is None:
            return []
        return [n for n, one in self._offers.items() if one.release == update.release and one.node_id not in due]

    async def _write_payload(self, update: Update, found: release.Release) -> bool:
        part, mine = part_name(self._mine, found.sha256), part_prefix(self._mine)
        stale = [name for name in self._stick.parts if name.lower() != part and name.lower().startswith(mine)]
        self._files.delete(Folder.FLEET, stale)
        whole = is_whole(self._stick, found)
        if not whole:
            self._tell(f"Writing the update {found.name} {found.version}: {found.block_count} MB.")
            write_payload(self._stick, self._mine, found, update.file, self._progress(found))
        return not whole

    async def _write_offer(self, update: Update, found: release.Release, *, wave: bool) -> bool:
        same = [name for name, one in self._offers.items() if self._is_same(one, update)]
        if not same:
            raw = await self._desk.offer(update.node_id, update.release, update.release_signature)
            self._named[self._stick.write(Folder.FLEET, raw)] = payload_name(found.sha256)
        others = (update.node_id, courier.EVERY_NODE) if wave else (update.node_id,)
        old = [
            name
            for name, one in self._offers.items()
            if name not in same[:1] and one.node_id in others and self._replaces(update, one)
        ]
        self._take_off(old)
        return not same

    def _take_off(self, offers: list[str]) -> None:
        """Remove offers, and the payloads that no offer names any more."""
        self._files.delete(Folder.FLEET, offers)
        unnamed = {self._named.pop(name) for name in offers if name in self._named} - set(self._named.values())
        self._files.delete(Folder.FLEET, [name for name in self._stick.payloads if name.lower() in unnamed])
        for name in offers:
            self._offers.pop(name, None)

    def _progress(self, found: release.Release) -> Progress:
        def told(done: int) -> None:
            if done % TELL_EVERY == 0:
                self._tell(f"{done} of {found.block_count} MB written.")

        return told

    @staticmethod
    def _is_same(one: courier.UpdateFile, update: Update) -> bool:
        return (one.node_id, one.release, one.release_signature) == (
            update.node_id,
            update.release,
            update.release_signature,
        )

    @staticmethod
    def _replaces(update: Update, one: courier.UpdateFile) -> bool:
        """Whether an offer says something about the same thing."""
        try:
            old, new = release.parse_release(one.release), release.parse_release(update.release)
        except release.ReleaseRefused:
            return True
        return (old.name, old.target) == (new.name, new.target)

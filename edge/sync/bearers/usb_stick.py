"""What to write to, read from and delete on a courier stick. Pure: listings and state in, a plan out.

Rules: a bundle leaves a stick only against a signed receipt that names its very bytes; a receipt
leaves only when nothing that it covers is left; nothing that is another's is ever touched; doing
all of it twice changes nothing. Knows no file system, no key and no clock.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from edge.sync.courier import ROWS_MAX, Row

ROOT: Final = "UPKENDRA"
NAME_DIGITS: Final = 24
SUFFIX: Final = ".upk"
DRAFT_SUFFIX: Final = ".tmp"
PAYLOAD_SUFFIX: Final = ".pay"
"""A large file that a signed offer beside it describes."""
PART_SUFFIX: Final = ".par"
"""A payload that is not whole yet; writing goes on where it ended."""
PART_HUB_DIGITS: Final = 8
SECOND_COPY: Final = 2


class Folder(StrEnum):
    """Folders below ``UPKENDRA``; they keep listings short and mean nothing else."""

    UP = "UP"
    RECEIPTS = "RECEIPTS"
    DOWN = "DOWN"
    FLEET = "FLEET"
    """What is for the machines: lists of what is revoked, updates."""


class UpCopy(Struct, frozen=True):
    """A whole bundle file that lies on the stick."""

    name: str
    bundle_id: bytes
    digest: bytes
    mine: bool
    """Sealed by this node (at the hub: meant for this hub)."""


class ReceiptCopy(Struct, frozen=True):
    """A receipt on the stick whose signature held: a node's own, or any of this hub."""

    name: str
    node_id: bytes
    rows: tuple[Row, ...]


class Waiting(Struct, frozen=True):
    """A bundle of the outbox, not acknowledged yet."""

    bundle_id: bytes
    digest: bytes
    size_bytes: int


class Clean(Struct, frozen=True):
    """What may be deleted, in this order."""

    bundles: tuple[str, ...]
    receipts: tuple[str, ...]
    second_copies: int
    """Bundles that the hub has and whose copy stays on this stick."""


def is_ours(name: str) -> bool:
    """Whether a name looks like one that we give. Says nothing about what is in the file."""
    return _is_name(name, SUFFIX)


def is_draft(name: str) -> bool:
    """Whether a name looks like one of our unfinished files: never whole, may be removed."""
    return _is_name(name, DRAFT_SUFFIX)


def payload_name(sha256: str) -> str:
    """Under which name a payload lies, by its SHA-256 in hexadecimal digits."""
    return sha256[:NAME_DIGITS] + PAYLOAD_SUFFIX


def part_name(hub: bytes, sha256: str) -> str:
    """Under which name a hub writes a payload until it is whole; so it knows which of these are its own."""
    return part_prefix(hub) + sha256[: NAME_DIGITS - PART_HUB_DIGITS] + PART_SUFFIX


def part_prefix(hub: bytes) -> str:
    """How the names of a hub's unfinished payloads begin."""
    return hub.hex()[:PART_HUB_DIGITS]


def is_payload(name: str) -> bool:
    """Whether a name looks like one of a whole payload."""
    return _is_name(name, PAYLOAD_SUFFIX)


def looks_ours(name: str) -> bool:
    """Whether a name is of the shape of ours, whole, unfinished or of a payload: all that writing could meet."""
    return any(_is_name(name, suffix) for suffix in (SUFFIX, DRAFT_SUFFIX, PAYLOAD_SUFFIX, PART_SUFFIX))


def draft_of(name: str) -> str:
    """Under which name a file is written until it is whole."""
    return name[:NAME_DIGITS] + DRAFT_SUFFIX


def _is_name(name: str, suffix: str) -> bool:
    low = name.lower()
    stem = low[:NAME_DIGITS]
    return len(low) == NAME_DIGITS + len(suffix) and low.endswith(suffix) and not set(stem) - set("0123456789abcdef")


def first_name(raw: bytes) -> str:
    """The name that a file has where nothing else stands under it."""
    return hashlib.sha256(raw).hexdigest()[:NAME_DIGITS] + SUFFIX


def free_name(raw: bytes, taken: Collection[str], damaged: Collection[str] = ()) -> str:
    """A name for a file. One that is taken is passed over, unless what lies there is ``damaged``.

    ``taken`` and ``damaged`` are in lower case: FAT does not tell cases apart. Where the name of its draft is taken
    (by something that could not be removed), it is passed over as well.
    """
    digest = hashlib.sha256(raw).digest()
    while True:
        name = digest.hex()[:NAME_DIGITS] + SUFFIX
        if (name not in taken or name in damaged) and draft_of(name) not in taken:
            return name
        digest = hashlib.sha256(digest).digest()


def to_write(waiting: Sequence[Waiting], on_stick: Iterable[UpCopy]) -> list[bytes]:
    """Ids of the bundles of which no whole copy lies on the stick, in the order of the outbox."""
    there = {(copy.bundle_id, copy.digest) for copy in on_stick if copy.mine}
    return [one.bundle_id for one in waiting if (one.bundle_id, one.digest) not in there]


def clean(on_stick: Iterable[UpCopy], receipts: Sequence[ReceiptCopy], *, hold: bool) -> Clean:
    """What a node may delete after it has durably learned from ``receipts``, all of them its own.

    ``hold``: the stick stays in the node as a second copy, so what the hub has once is kept until it
    has it twice.
    """
    levels = _levels(receipts)
    gone: list[str] = []
    kept: set[tuple[bytes, bytes]] = set()
    second_copies = 0
    for copy in on_stick:
        row = levels.get((copy.bundle_id, copy.digest))
        if not copy.mine or row is None:
            continue
        if hold and 0 < row.durable < SECOND_COPY:
            kept.add((copy.bundle_id, copy.digest))
            second_copies += 1
        else:
            gone.append(copy.name)
    useless = [
        receipt.name for receipt in receipts if not any((row.bundle_id, row.digest) in kept for row in receipt.rows)
    ]
    return Clean(tuple(gone), tuple(useless), second_copies)


def _levels(receipts: Iterable[ReceiptCopy]) -> dict[tuple[bytes, bytes], Row]:
    levels: dict[tuple[bytes, bytes], Row] = {}
    for receipt in receipts:
        for row in receipt.rows:
            known = levels.get((row.bundle_id, row.digest))
            if known is None or row.durable > known.durable:
                levels[row.bundle_id, row.digest] = row
    return levels


def receipts_due(
    taken: Mapping[bytes, Collection[Row]], on_stick: Sequence[ReceiptCopy]
) -> list[tuple[bytes, tuple[Row, ...]]]:
    """Receipts that the hub has still to write: (node_id, rows). What a receipt says already is not said again."""
    due: list[tuple[bytes, tuple[Row, ...]]] = []
    for node_id in sorted(taken):
        told = _levels(receipt for receipt in on_stick if receipt.node_id == node_id)
        fresh = sorted({row for row in taken[node_id] if not _is_told(row, told)})
        due += [(node_id, tuple(fresh[at : at + ROWS_MAX])) for at in range(0, len(fresh), ROWS_MAX)]
    return due


def _is_told(row: Row, told: Mapping[tuple[bytes, bytes], Row]) -> bool:
    known = told.get((row.bundle_id, row.digest))
    return known is not None and known.durable >= row.durable


def receipted(taken: Mapping[str, tuple[bytes, Row]], on_stick: Sequence[ReceiptCopy]) -> list[str]:
    """Names of bundle files that the hub may delete: a receipt for them lies on the stick, whole.

    ``taken``: name → (node, what the hub says about the bundle in that file).
    """
    by_node: dict[bytes, list[ReceiptCopy]] = {}
    for receipt in on_stick:
        by_node.setdefault(receipt.node_id, []).append(receipt)
    levels = {node_id: _levels(copies) for node_id, copies in by_node.items()}
    return [name for name, (node_id, row) in taken.items() if _is_told(row, levels.get(node_id, {}))]

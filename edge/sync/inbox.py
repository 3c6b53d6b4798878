"""Bytes that claim to be a bundle → a verdict. Pure: never raises, whatever the bytes.

Only what is authentic gets here. What cannot be read is not thrown away: the verdict carries a stable reason,
the hub keeps the sealed bytes aside and the rest goes on.
"""

from typing import TypeAlias

from msgspec import Struct

from .blobs import is_chunk, unpack_chunk
from .bundle import BundlePayload, BundleRefused, Chunk, unpack
from .frontier import Frontier
from .seal import Grade

DEVICE_CLASSES = (0, 5)
"""A D-signed epoch carries flagged emergencies and telemetry only (SEALING.md)."""


class Accepted(Struct, frozen=True):
    payload: BundlePayload


class Duplicate(Struct, frozen=True):
    """Every entry of it was held already."""

    payload: BundlePayload


class Gap(Struct, frozen=True):
    """Good, but entries before it are missing. Store it all the same."""

    payload: BundlePayload
    first: int
    last: int


class Piece(Struct, frozen=True):
    """A chunk of a blob; it stands in no log."""

    chunk: Chunk


class Rejected(Struct, frozen=True):
    reason: str
    """Stable code: to quarantine with."""


Verdict: TypeAlias = Accepted | Duplicate | Gap | Rejected


def judge(packed: bytes, grade: Grade, held: Frontier | None) -> Verdict | Piece:
    """Judge an opened bundle's content.

    ``held``: what is known to be durable of this log, None for a log not heard of.
    """
    try:
        if is_chunk(packed):
            piece = Piece(unpack_chunk(packed))
            return piece if grade is Grade.LOG else Rejected("device_grade")
        payload = unpack(packed)
    except BundleRefused as error:
        return Rejected(error.refusal.code)
    if grade is Grade.DEVICE and payload.cls not in DEVICE_CLASSES:
        return Rejected("device_grade")
    return place(payload, held)


def place(payload: BundlePayload, held: Frontier | None) -> Verdict:
    """Where a readable payload stands in its log."""
    held = held or Frontier()
    count = len(payload.entries)
    if count and all(held.has(seq) for seq in range(payload.first_seq, payload.first_seq + count)):
        return Duplicate(payload)
    hole = held.missing_before(payload.first_seq)
    return Gap(payload, *hole) if hole else Accepted(payload)

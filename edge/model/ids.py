"""Identifiers: 80 random bits as 16 Crockford base32 characters, made by whoever speaks first.

A tablet makes the id of what it is about to say (a command, a patient, a visit), so that a
message that was sent twice is recognised. This module may not know a random source: it is given
the random bytes.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

ID_BYTES = 10
ID_PATTERN = "^[0-9a-hjkmnp-tv-z]{16}$(?!\\n)"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

Id: TypeAlias = Annotated[str, Meta(pattern=ID_PATTERN, description="80 bits, Crockford base32, lower case")]
"""An identifier as it stands in JSON, in entries and in URLs."""

NodeId: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\\n)", description="8 bytes, hexadecimal")]
"""A node, as given by the hub at enrolment (SEALING.md `node_id`)."""


def make_id(random_bytes: bytes) -> str:
    """Encode ``ID_BYTES`` random bytes as an id of 16 characters.

    Raises ValueError when the length is not ``ID_BYTES``.
    """
    if len(random_bytes) != ID_BYTES:
        raise ValueError(f"an id needs {ID_BYTES} random bytes, not {len(random_bytes)}")
    number = int.from_bytes(random_bytes, "big")
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(75, -1, -5))


def id_bytes(identifier: str) -> bytes:
    """The 10 bytes behind an id. Raises ValueError when it is not one."""
    number = 0
    if len(identifier) != 16:
        raise ValueError("an id has 16 characters")
    for character in identifier:
        position = _ALPHABET.find(character)
        if position < 0:
            raise ValueError(f"{character!r} does not occur in an id")
        number = number << 5 | position
    return number.to_bytes(ID_BYTES, "big")

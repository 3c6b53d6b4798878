"""What was erased by law is known by a name that tells nothing: a hash of a random id. Node and hub make the same one.

A list of these names lets nothing that was erased come back, from an old copy, a stick or a late bundle. Pure.
"""

import hashlib
from typing import Final

NAME_BYTES: Final = 16
NAMES_MAX: Final = 500
"""In one entry."""


def name_of(identifier: str) -> bytes:
    """The name of a visit, patient or blob by its id of 80 random bits."""
    return hashlib.sha256(b"upk1 erased" + identifier.encode()).digest()[:NAME_BYTES]

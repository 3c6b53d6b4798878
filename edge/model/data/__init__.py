"""The tables behind the rules and screens, one JSON file each, and the one function that reads them."""

from importlib import resources
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


def load(name: str, kind: type[_T]) -> _T:
    """Decode ``<name>.json`` of this folder as ``kind``. Raises msgspec.ValidationError when it is not one."""
    return msgspec.json.decode(resources.files(__name__).joinpath(f"{name}.json").read_bytes(), type=kind)

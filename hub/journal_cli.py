"""``hub open-journal``: what a technician's stick brought of a machine, to be read."""

import argparse
from pathlib import Path

from edge.sync import journals

from .keys import Keyring


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``hub open-journal``."""
    parser.add_argument("--file", type=Path, required=True, help="upkendra-journal-….sealed, from the stick")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new one, for the text")


def open_file(arguments: argparse.Namespace, keys: Keyring) -> dict[str, object]:
    """Write the text. Raises SealRefused, OSError. Blocking."""
    node_id, text = journals.unpack(arguments.file.read_bytes(), keys.hub.kem)
    with arguments.out.open("xb") as file:
        file.write(text)
    return {"node": node_id.hex(), "size_bytes": len(text), "out": str(arguments.out)}

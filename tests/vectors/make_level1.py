"""Writes ``level1.json``: frames as the first release wrote them. Never again: they stand for nodes in the field."""

import json
import sys
from pathlib import Path

from edge.sync import frames as fr
from edge.sync.versions import FIRST

FILE = Path(__file__).with_name("level1.json")


def main() -> int:
    """Refuses to write over what is frozen."""
    if FILE.exists():
        sys.stderr.write("level1.json is frozen\n")
        return 1
    frames: dict[str, fr.Frame] = {
        "frag": fr.Frag(1, 1, 300, 0, 5, b"piece"),
        "ack": fr.Ack(b"\1\2", 70_000, 0, b"\xff\1"),
        "probe": fr.Probe(),
        "stored": fr.Stored(bytes(range(11)), 1),
        "stored_here": fr.StoredHere(1, ((3, 3), (300, 304))),
        "down_stored": fr.DownStored(258),
        "path": fr.Path(True, bytes(range(8))),
        "hello": fr.Hello(FIRST),
    }
    FILE.write_text(json.dumps({name: fr.encode(frame).hex() for name, frame in frames.items()}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

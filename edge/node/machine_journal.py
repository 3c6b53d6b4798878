"""The machine's journal for a technician whose stick asks for it: sealed to the hub, beside the file that asked.

The journal lies in memory and goes with the power. A program of its own (``python -m edge.node.machine_journal``), run
by a unit of the appliance for each stick, as the node's user in the journal's group. Blocking.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from edge.model.errors import UpkendraError
from edge.sync import journals

from .config import load_config

WISH_FILE: Final = "upkendra-journal.txt"
DONE_FILE: Final = "upkendra-journal-done.txt"
LINES_MAX: Final = 50_000
READ_S: Final = 120.0


def read() -> bytes:
    """The newest lines; an appliance keeps those of one boot. Raises OSError, SubprocessError."""
    argv = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={LINES_MAX}"]
    return subprocess.run(argv, capture_output=True, check=True, timeout=READ_S).stdout


def save(data: Path, stick: Path, now: datetime) -> Path | None:
    """Write it to a stick that asks for it; the file. Raises NotEnrolled, NodeDamaged, OSError, SubprocessError."""
    if not (stick / WISH_FILE).is_file():
        return None
    config = load_config(data)
    content = journals.pack(read(), config.node_id, config.hub_kem[0])
    path = stick / f"upkendra-journal-{config.node_id.hex()}-{now:%Y%m%dT%H%M%S}.sealed"
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    (stick / WISH_FILE).replace(stick / DONE_FILE)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="machine-journal", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's data folder")
    parser.add_argument("--stick", type=Path, required=True, metavar="DIR", help="where the stick is mounted")
    options = parser.parse_args(arguments)
    try:
        path = save(options.data, options.stick, datetime.now(UTC))
    except UpkendraError as error:
        print(json.dumps({"error": msgspec.to_builtins(error.refusal)}, ensure_ascii=False), file=sys.stderr)
        return 1
    print(json.dumps({"saved": "" if path is None else path.name}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

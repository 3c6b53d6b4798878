"""The first boot: what the technician put on the card's FAT partition moves into the data folder, and is wiped there.

Run once by the system, before the node and with the right to write to the FAT partition; idempotent, so a power cut at
any step is answered by running it again. A program of its own as well (``python -m edge.node.first_boot``), because the
whole node takes seconds to import on a small board. Blocking.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.model import provisioning
from edge.model.errors import BadInput, UpkendraError
from edge.sync import faults

from .config import NODE_FILE, write_private

SITE_FILE = "site.json"
"""In the data folder (0600) until the node is set up: see :mod:`.setting_up`."""
ERROR_FILE = "upkendra-error.txt"


def take(boot: Path, data: Path) -> provisioning.Provisioning | None:
    """Move the provisioning file, if there is one. Raises BadInput, after writing the reason beside the file.

    A node that is enrolled already keeps what it has, and the file is left alone: nobody sets it up anew by a card.
    """
    if (data / NODE_FILE).exists() and not (data / SITE_FILE).exists():
        return None
    path = boot / provisioning.FILE_NAME
    try:
        with path.open("rb") as file:
            content = file.read(provisioning.FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if b"\0" in content and (data / SITE_FILE).exists():
        wipe(path)  # the power went away while it was wiped; a card writes sector by sector
        return load_site(data)
    try:
        found = provisioning.parse(content)
    except BadInput as error:
        _explain(boot, error.refusal.message)
        raise
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(data / SITE_FILE, msgspec.json.encode(found))
    faults.point("first-boot-kept")
    wipe(path)
    (boot / ERROR_FILE).unlink(missing_ok=True)
    return found


def wipe(path: Path) -> None:
    """Overwrite with zeros, then delete. A card may keep the old block all the same: the token serves once only."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    faults.point("first-boot-zeroed")
    path.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_site(data: Path) -> provisioning.Provisioning | None:
    """What the data folder still has to be set up with. Raises BadInput. Blocking."""
    try:
        return provisioning.parse((data / SITE_FILE).read_bytes())
    except FileNotFoundError:
        return None


def _explain(boot: Path, why: str) -> None:
    text = f"{why}\r\nCorrect {provisioning.FILE_NAME}, or make it anew, and start the node again.\r\n"
    (boot / ERROR_FILE).write_text(text, "utf-8")


def add_options(command: argparse.ArgumentParser) -> None:
    """What the command is told."""
    command.add_argument("--boot", type=Path, required=True, metavar="DIR", help="where the FAT partition is mounted")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's data folder")


def run(options: argparse.Namespace) -> None:
    """The command. Raises BadInput, OSError."""
    taken = take(options.boot, options.data)
    print(json.dumps({"taken": taken is not None}), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it by itself; the exit code."""
    parser = argparse.ArgumentParser(prog="first-boot", description=(__doc__ or "").partition("\n")[0])
    add_options(parser)
    try:
        run(parser.parse_args(arguments))
    except UpkendraError as error:
        print(json.dumps({"error": msgspec.to_builtins(error.refusal)}, ensure_ascii=False), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

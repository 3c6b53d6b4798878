"""``grub-editenv FILE list|set|unset``, as RAUC calls it: the boot counters that GRUB reads, changed in place.

GRUB's own program empties the file and writes it anew; a power cut between the two would leave no counters. Here the
block is overwritten where it is, in one write, and what is not ``#`` padding fits into its first sector.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

HEADER = b"# GRUB Environment Block\n"
BLOCK_BYTES = 1024
"""GRUB's manual, "Environment block": exactly 1024 bytes, padded with ``#``."""
SECTOR_BYTES = 512


def parse(block: bytes) -> dict[str, str]:
    """The variables of a block; none when it is damaged."""
    if len(block) != BLOCK_BYTES or not block.startswith(HEADER):
        return {}
    lines = block[len(HEADER) :].decode("ascii", "replace").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, sign, value in pairs if sign}


def encode(variables: dict[str, str]) -> bytes:
    """The block. Raises ValueError when it does not fit into one sector."""
    body = HEADER + "".join(f"{name}={value}\n" for name, value in variables.items()).encode("ascii")
    if len(body) > SECTOR_BYTES:
        raise ValueError("the variables do not fit into one sector")
    return body + b"#" * (BLOCK_BYTES - len(body))


def read(path: Path) -> dict[str, str]:
    """The variables of a file; none when it is damaged. Raises OSError. Blocking."""
    return parse(path.read_bytes())


def write(path: Path, variables: dict[str, str]) -> None:
    """Overwrite the block in place, and wait for the disk. Raises OSError. Blocking."""
    block = encode(variables)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DSYNC | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, block, 0)
        if os.fstat(fd).st_size != BLOCK_BYTES:
            os.ftruncate(fd, BLOCK_BYTES)
        os.fsync(fd)
    finally:
        os.close(fd)


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    match list(arguments):
        case [file, "list"]:
            for name, value in read(Path(file)).items():
                print(f"{name}={value}")
        case [file, "set", *words] if words and all("=" in word for word in words):
            changed = {name: value for name, _, value in (word.partition("=") for word in words)}
            write(Path(file), {**read(Path(file)), **changed})
        case [file, "unset", *names] if names:
            write(Path(file), {name: value for name, value in read(Path(file)).items() if name not in names})
        case _:
            print("grub-editenv FILE list | set NAME=VALUE … | unset NAME …", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

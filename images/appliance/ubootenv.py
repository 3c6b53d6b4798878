"""``fw_printenv`` and ``fw_setenv``, as RAUC calls them: the boot counters that U-Boot's script reads.

Two sectors of a partition of their own, each a whole environment in U-Boot's format (a checksum, then NAME=VALUE). Only
the older one is written, in one write, so that a power cut leaves the newer one; they lie so far apart that a card does
not rewrite one with the other. ``UPK_TURN`` counts 0, 1, 2, 0, … and tells which is newer (`images/builder/boot.cmd`).
"""

import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

DEVICE = Path("/dev/disk/by-partlabel/UPK-ENV")
SECTOR_BYTES = 512
APART_BYTES = 4 << 20
"""The largest block that a card erases at once, as its data sheet has it."""
TURN = "UPK_TURN"
TURNS = 3
_CRC_BYTES = 4


def parse(sector: bytes) -> dict[str, str]:
    """The variables of a sector; none when it is damaged."""
    if len(sector) != SECTOR_BYTES or zlib.crc32(sector[_CRC_BYTES:]) != int.from_bytes(sector[:_CRC_BYTES], "little"):
        return {}
    lines = sector[_CRC_BYTES:].split(b"\0\0", 1)[0].decode("ascii", "replace").split("\0")
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, sign, value in pairs if sign}


def encode(variables: dict[str, str]) -> bytes:
    """The sector. Raises ValueError when they do not fit into one."""
    body = "".join(f"{name}={value}\0" for name, value in variables.items()).encode("ascii") + b"\0"
    if len(body) > SECTOR_BYTES - _CRC_BYTES:
        raise ValueError("the variables do not fit into one sector")
    body = body.ljust(SECTOR_BYTES - _CRC_BYTES, b"\0")
    return zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + body


def newer(first: dict[str, str], second: dict[str, str]) -> int:
    """Which of two copies counts: 0 or 1; -1 when both are damaged. Pure."""
    turns = [int(copy[TURN]) if copy.get(TURN, "").isdigit() else None for copy in (first, second)]
    if turns[0] is None or turns[1] is None:
        return 0 if turns[0] is not None else 1 if turns[1] is not None else -1
    return 1 if turns[1] == (turns[0] + 1) % TURNS else 0


def _copies(fd: int) -> list[dict[str, str]]:
    return [parse(os.pread(fd, SECTOR_BYTES, number * APART_BYTES)) for number in (0, 1)]


def read(path: Path) -> dict[str, str]:
    """The variables; none when both copies are damaged. Raises OSError. Blocking."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copies = _copies(fd)
    finally:
        os.close(fd)
    at = newer(*copies)
    return {name: value for name, value in copies[at].items() if name != TURN} if at >= 0 else {}


def write(path: Path, variables: dict[str, str]) -> None:
    """Write all variables into the older copy, and wait for the disk. Raises OSError, ValueError. Blocking."""
    fd = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
    try:
        copies = _copies(fd)
        at = newer(*copies)
        turn = (int(copies[at][TURN]) + 1) % TURNS if at >= 0 else 0
        os.pwrite(fd, encode({TURN: str(turn), **variables}), APART_BYTES if at == 0 else 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def print_env(path: Path, names: Sequence[str]) -> int:
    """``fw_printenv [NAME …]``: the exit code is 1 when one is not there."""
    known = read(path)
    for name in names or known:
        if name in known:
            print(f"{name}={known[name]}")
    return 0 if all(name in known for name in names) else 1


def set_env(path: Path, name: str, value: str | None) -> int:
    """``fw_setenv NAME [VALUE]``: without a value the variable goes; an empty one stays, RAUC asks for it again."""
    known = {other: text for other, text in read(path).items() if other != name}
    write(path, known if value is None else {**known, name: value})
    return 0


def main(arguments: Sequence[str], path: Path = DEVICE) -> int:
    """Run one command; the exit code."""
    match list(arguments):
        case ["print", *names]:
            return print_env(path, names)
        case ["set", name] if name:
            return set_env(path, name, None)
        case ["set", name, value] if name:
            return set_env(path, name, value)
    print("fw_printenv [NAME …] | fw_setenv NAME [VALUE]", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

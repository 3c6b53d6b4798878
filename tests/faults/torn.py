"""Commits that a power cut took back: the end of a WAL is cut away, as if it had never reached the disk."""

import random
import struct
from pathlib import Path

TEARABLE = {
    "journal.committed": "node/records.db-wal",
    "journal.covered": "node/records.db-wal",
    "outbox.added": "node/outbox.db-wal",
    "ack.stored": "node/outbox.db-wal",
    "down.stored": "node/outbox.db-wal",
    "down.imported": "node/records.db-wal",
    "hub-after-commit": "hub/hub.db-wal",
}
"""Points right behind a commit that nobody was told of, and the file in which it stands."""
WAL_FRAMES_MAX = 900
"""Before SQLite checkpoints inside a commit: behind that a torn end would be no power cut any more."""


def tear(wal: Path, draw: random.Random, told: int = 0) -> bool:
    """Cut a WAL somewhere inside its last transaction. False when there is none that may be torn.

    ``told``: its size when anybody, person or machine, was last answered; what stood there then was on the disk.
    """
    if not wal.exists():
        return False
    raw = wal.read_bytes()
    if len(raw) < 32:
        return False
    frame_bytes = 24 + struct.unpack(">I", raw[8:12])[0]
    salts, commits, place = raw[16:24], [32], 32
    while place + frame_bytes <= len(raw) and raw[place + 8 : place + 16] == salts:
        place += frame_bytes
        if raw[place - frame_bytes + 4 : place - frame_bytes + 8] != bytes(4):
            commits.append(place)
    if len(commits) < 2 or commits[-1] != place or (place - 32) // frame_bytes > WAL_FRAMES_MAX:
        return False
    if commits[-2] < told:
        return False
    with wal.open("r+b") as file:
        file.truncate(draw.randrange(commits[-2], commits[-1]))
    return True

"""A file system in one file, mounted: what was deleted from it can still be read off. Needs root. Blocking."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 192 * 1024 * 1024


class NoDisk(Exception):
    """This machine gives no loop device, or does not let us mount."""


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    """Make an ext4 image and mount it at a folder while the block runs. Raises NoDisk."""
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    at.mkdir(parents=True, exist_ok=True)
    make = ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    try:
        done = subprocess.run(["mount", "-o", "loop,nodiscard", str(image), str(at)], capture_output=True, check=False)
    except OSError as error:
        raise NoDisk(str(error)) from None
    if done.returncode:
        raise NoDisk(done.stderr.decode(errors="replace"))
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True, capture_output=True)

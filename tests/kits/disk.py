"""File systems for tests, mounted: one in a file, of which what was deleted can still be read off; a small one that
is soon full. Need root. Blocking."""

import contextlib
import os
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


@contextmanager
def small(at: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of that size at a folder while the block runs. Raises NoDisk."""
    at.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "small", str(at)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoDisk(str(error)) from None
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True, capture_output=True)


def fill(path: Path) -> None:
    """Write a file until nothing more fits beside it, to the last byte."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for step in (64 << 10, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while os.write(descriptor, bytes(step)) == step:
                    pass
    finally:
        os.close(descriptor)

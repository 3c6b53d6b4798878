"""The technician's files on a card's FAT partition, through GNU mtools: no mount, no root for a file target."""

import os
import subprocess
from pathlib import Path

from edge.model import provisioning

from . import write
from .errors import CardRefused, WriteFailed

TIMEOUT_S = 60.0


def put(target: Path, offset_bytes: int, content: bytes, name: str = provisioning.FILE_NAME) -> None:
    """Write a file and read it back. Raises CardRefused (no FAT there), WriteFailed."""
    _run(["mcopy", "-o", "-i", _place(target, offset_bytes), "-", f"::/{name}"], content)
    fd = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        write.forget_cache(fd)
    finally:
        os.close(fd)
    if get(target, offset_bytes, name) != content:
        raise WriteFailed(f"The card did not keep the file {name}. Take another card.", code="card_lies")


def get(target: Path, offset_bytes: int, name: str = provisioning.FILE_NAME) -> bytes:
    """A file on the card. Raises CardRefused when it is not there."""
    return _run(["mcopy", "-n", "-i", _place(target, offset_bytes), f"::/{name}", "-"], b"")


def _place(target: Path, offset_bytes: int) -> str:
    return f"{target.resolve()}@@{offset_bytes}"


def _run(argv: list[str], content: bytes) -> bytes:
    try:
        done = subprocess.run(
            argv,
            input=content,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"},
        )
    except OSError:
        raise CardRefused("mtools is not installed: apt-get install mtools.", code="no_mtools") from None
    except subprocess.TimeoutExpired:
        raise WriteFailed("The card does not answer.", code="write_failed") from None
    if done.returncode != 0:
        raise CardRefused(
            "The card's boot partition cannot be read, or the file is not on it. Flash the card first.",
            code="no_boot_partition",
        )
    return done.stdout

"""Argon2id in a short-lived process, so that its 64 MiB never belong to the node.

The process is :mod:`edge.node.stretch_worker`. Knows no files and keeps nothing.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from edge.model.errors import UpkendraError

MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 1
"""Argon2id, 64 MiB, t3, p1 (SEALING.md)."""
SALT_BYTES = 16
STRETCHED_BYTES = 32
TIMEOUT_S = 30.0
_WORKER = Path(__file__).with_name("stretch_worker.py")


class StretchFailed(UpkendraError):
    """The PIN could not be checked: the helper process failed. Try again."""

    code = "stretch_failed"


def helper() -> tuple[str, ...]:
    """The helper's command: neither site nor the node's own modules, which take longer than Argon2's binding."""
    return sys.executable, "-I", "-S", str(_WORKER), os.pathsep.join(filter(None, sys.path))


async def stretch(pin: str, salt: bytes) -> bytes:
    """Argon2id of a PIN, 32 B. Takes a fraction of a second in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(*helper(), stdin=pipe, stdout=pipe)
    except OSError:
        raise StretchFailed("The PIN could not be checked.") from None
    request = {
        "pin": pin,
        "salt": salt.hex(),
        "passes": PASSES,
        "memory_kib": MEMORY_KIB,
        "lanes": LANES,
        "length": STRETCHED_BYTES,
    }
    try:
        out, _ = await asyncio.wait_for(child.communicate(json.dumps(request).encode()), TIMEOUT_S)
    except TimeoutError:
        child.kill()
        await child.wait()
        raise StretchFailed("The PIN could not be checked in time.") from None
    if child.returncode != 0:
        raise StretchFailed("The PIN could not be checked.")
    return bytes.fromhex(out.decode("ascii"))

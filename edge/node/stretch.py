"""Argon2id in a short-lived process, so that its 64 MiB never belong to the node.

Run as ``python -m edge.node.stretch``: one JSON line ``{"pin", "salt"}`` on stdin, 32 bytes as hex on
stdout. Knows no files and keeps nothing.
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
_ROOT = str(Path(__file__).resolve().parents[2])


class StretchFailed(UpkendraError):
    """The PIN could not be checked: the helper process failed. Try again."""

    code = "stretch_failed"


async def stretch(pin: str, salt: bytes) -> bytes:
    """Argon2id of a PIN, 32 B. Takes about a third of a second in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge.node.stretch",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _ROOT},
    )
    try:
        out, _ = await asyncio.wait_for(
            child.communicate(json.dumps({"pin": pin, "salt": salt.hex()}).encode()), TIMEOUT_S
        )
    except TimeoutError:
        child.kill()
        await child.wait()
        raise StretchFailed("The PIN could not be checked in time.") from None
    if child.returncode != 0:
        raise StretchFailed("The PIN could not be checked.")
    return bytes.fromhex(out.decode("ascii"))


def main() -> None:
    """The helper process."""
    from argon2.low_level import Type, hash_secret_raw

    request = json.loads(sys.stdin.read())
    sys.stdout.write(
        hash_secret_raw(
            request["pin"].encode(),
            bytes.fromhex(request["salt"]),
            time_cost=PASSES,
            memory_cost=MEMORY_KIB,
            parallelism=LANES,
            hash_len=STRETCHED_BYTES,
            type=Type.ID,
        ).hex()
    )


if __name__ == "__main__":
    main()

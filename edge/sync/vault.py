"""A file sealed at rest: blocks of 64 KiB, each an AEAD text, with a counter and a mark on the last one.

``"UPKB" ‖ version 01 ‖ block …``; block i is ChaCha20-Poly1305 under a key that seals one file only, with
nonce ``0⁷ ‖ i4 ‖ last1``. Any range can be read alone; a file that was cut short, put together from two,
or had blocks swapped does not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
Vizár, 2015). Pure.
"""

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from edge.model.errors import Fault, UpkendraError

from .seal import TAG_BYTES

KEY_BYTES = 32
BLOCK_BYTES = 64 * 1024
HEADER = b"UPKB\x01"
_SEALED_BLOCK_BYTES = BLOCK_BYTES + TAG_BYTES


class VaultRefused(UpkendraError):
    """A sealed file is damaged, cut short, or belongs to another key. Its bytes are not shown."""

    code = "vault_refused"
    fault = Fault.US


def _nonce(index: int, *, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes((last,))


def block_count(size_bytes: int) -> int:
    """Blocks of a file; an empty one has one."""
    return max(1, -(-size_bytes // BLOCK_BYTES))


def sealed_bytes(size_bytes: int) -> int:
    """Length of the sealed file."""
    return len(HEADER) + size_bytes + TAG_BYTES * block_count(size_bytes)


def seal_file(key: bytes, content: bytes) -> Iterator[bytes]:
    """The sealed file, piece by piece. ``key``: 32 random bytes that have never sealed anything else."""
    cipher = ChaCha20Poly1305(key)
    yield HEADER
    count = block_count(len(content))
    for index in range(count):
        block = content[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]
        yield cipher.encrypt(_nonce(index, last=index == count - 1), block, HEADER)


def open_range(
    key: bytes, size_bytes: int, start: int, length: int, read: Callable[[int, int], bytes]
) -> Iterator[bytes]:
    """Plain bytes ``start`` … ``start + length``, block by block; ``read`` gives (offset, length) of the sealed file.

    Raises VaultRefused. A range beyond the end is a ValueError.
    """
    if start < 0 or length < 0 or start + length > size_bytes:
        raise ValueError("no such range")
    if read(0, len(HEADER)) != HEADER:
        raise VaultRefused("The file is not one of ours, or is gone.")
    cipher = ChaCha20Poly1305(key)
    count = block_count(size_bytes)
    end = start + length
    for index in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
        last = index == count - 1
        plain_length = size_bytes - index * BLOCK_BYTES if last else BLOCK_BYTES
        text = read(len(HEADER) + index * _SEALED_BLOCK_BYTES, plain_length + TAG_BYTES)
        try:
            plain = cipher.decrypt(_nonce(index, last=last), text, HEADER)
        except (InvalidTag, ValueError) as error:
            raise VaultRefused("The file is damaged.") from error
        yield plain[max(0, start - index * BLOCK_BYTES) : max(0, end - index * BLOCK_BYTES)]


def sealed_span(start: int, length: int) -> tuple[int, int]:
    """Which bytes of the sealed file hold a plain range (beyond the end is cut by the store)."""
    first = start // BLOCK_BYTES
    past = -(-(start + length) // BLOCK_BYTES)
    return len(HEADER) + first * _SEALED_BLOCK_BYTES, len(HEADER) + past * _SEALED_BLOCK_BYTES

"""Files at rest: any range opens, nothing that was cut, swapped, mixed or altered does; bytes are as published."""

import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.media import Manifest, Purpose
from edge.sync import blobs, vault

KEY, OTHER = bytes(range(32)), bytes(32)
BLOCK = vault.BLOCK_BYTES
TEXT = random.Random(1).randbytes(3 * BLOCK)
VECTORS = Path(__file__).parents[1] / "vectors" / "blobs.json"


def sealed(content: bytes, key: bytes = KEY) -> bytes:
    return b"".join(vault.seal_file(key, content))


def opened(raw: bytes, size: int, start: int = 0, length: int | None = None, key: bytes = KEY) -> bytes:
    span = size - start if length is None else length
    return b"".join(vault.open_range(key, size, start, span, lambda at, count: raw[at : at + count]))


@given(st.sampled_from((0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 77)), st.data())
@settings(max_examples=60, deadline=None)
def test_any_range_opens(size: int, data: st.DataObject) -> None:
    raw = sealed(TEXT[:size])
    assert len(raw) == vault.sealed_bytes(size)
    start = data.draw(st.integers(0, size))
    length = data.draw(st.integers(0, size - start))
    assert opened(raw, size, start, length) == TEXT[start : start + length]
    first, last = vault.sealed_span(start, length)
    part = raw[first:last]
    given_ = lambda at, count: raw[:5] if at == 0 else part[at - first : at - first + count]  # noqa: E731
    assert b"".join(vault.open_range(KEY, size, start, length, given_)) == TEXT[start : start + length]


@pytest.mark.parametrize("size", [1, BLOCK, 2 * BLOCK, 2 * BLOCK + 5])
def test_what_was_altered_or_cut_does_not_open(size: int) -> None:
    raw = sealed(TEXT[:size])
    for at in (0, 4, 5, len(raw) // 2, len(raw) - 1):
        with pytest.raises(vault.VaultRefused):
            opened(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :], size)
        with pytest.raises(vault.VaultRefused):
            opened(raw[:at], size)
    with pytest.raises(vault.VaultRefused):
        opened(raw, size, key=OTHER)


def test_blocks_cannot_be_swapped_dropped_or_taken_from_a_shorter_file() -> None:
    raw = sealed(TEXT)
    step = BLOCK + 16
    blocks = [raw[5 + at : 5 + at + step] for at in range(0, len(raw) - 5, step)]
    with pytest.raises(vault.VaultRefused):
        opened(raw[:5] + blocks[1] + blocks[0] + blocks[2], len(TEXT))
    with pytest.raises(vault.VaultRefused):
        opened(raw[:5] + blocks[0] + blocks[1], 2 * BLOCK)
    shorter = sealed(TEXT[:BLOCK])
    with pytest.raises(vault.VaultRefused):
        opened(shorter + blocks[1] + blocks[2], len(TEXT))


def test_a_range_beyond_the_end_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="range"):
        opened(sealed(b"abc"), 3, 2, 2)


def test_names_chunks_and_files_are_as_published() -> None:
    told = json.loads(VECTORS.read_text())
    raw = {name: bytes.fromhex(told[name]) for name in ("visit_salt", "content", "manifest", "key", "at_rest")}
    manifest = msgspec.msgpack.decode(raw["manifest"], type=Manifest)
    made = blobs.manifest_of(raw["visit_salt"], Purpose.ORIGINAL, manifest.facts, raw["content"])
    assert made == manifest
    assert (manifest.blob_id, manifest.digest.hex(), manifest.checks.hex()) == (
        told["blob_id"],
        told["digest"],
        told["checks"],
    )
    chunks = [blobs.unpack_chunk(bytes.fromhex(chunk)) for chunk in told["chunks"]]
    assert b"".join(chunk.data for chunk in chunks) == raw["content"]
    assert [blobs.pack_chunk(chunk).hex() for chunk in chunks] == told["chunks"]
    assert sealed(raw["content"], raw["key"]) == raw["at_rest"]
    assert opened(raw["at_rest"], len(raw["content"]), key=raw["key"]) == raw["content"]

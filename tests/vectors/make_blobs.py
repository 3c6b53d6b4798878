"""Writes ``blobs.json`` anew: ``python -m tests.vectors.make_blobs``. Only when the format changes on purpose."""

import json
import random
from pathlib import Path

import msgspec

from edge.model.media import Facts, MediaType, Purpose, chunk_count, chunk_span
from edge.sync import blobs, vault
from edge.sync.bundle import Chunk


def main() -> None:
    """One blob of two chunks: its names, its chunks as they are sealed, its file at rest."""
    draw = random.Random(20261126).randbytes
    salt, content, key = draw(16), draw(8_400), draw(32)
    facts = Facts(MediaType.JPEG, 640, 480, 0, (4_000,))
    manifest = blobs.manifest_of(salt, Purpose.ORIGINAL, facts, content)
    count = chunk_count(len(content))
    spans = [chunk_span(len(content), number) for number in range(count)]
    chunks = [
        blobs.pack_chunk(Chunk(manifest.blob_id, number, count, content[start : start + length]))
        for number, (start, length) in enumerate(spans)
    ]
    shown = {
        "visit_salt": salt.hex(),
        "content": content.hex(),
        "blob_id": manifest.blob_id,
        "digest": manifest.digest.hex(),
        "checks": manifest.checks.hex(),
        "manifest": msgspec.msgpack.encode(manifest).hex(),
        "chunks": [chunk.hex() for chunk in chunks],
        "key": key.hex(),
        "at_rest": b"".join(vault.seal_file(key, content)).hex(),
    }
    (Path(__file__).parent / "blobs.json").write_text(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    main()

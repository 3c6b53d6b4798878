"""``python -m tests.bench.make_dictionary``: train the zstd dictionary that the release ships.

Trains on made-up visits with ``TRAINING`` words: whole visits in one bundle, and visits entry by entry, as a
node seals them when the link is idle. Deterministic for one version of zstd. A number that was ever shipped is
never trained anew: bundles that lie on sticks name it. Make the next number instead.
"""

import random
import sys
from pathlib import Path

import msgspec
import zstandard

from edge.sync import data
from edge.sync.bundle import BundlePayload
from edge.sync.log import Stream
from tests.bench.consultations import TRAINING, consultation, raws

NUMBER = 1
SIZE_BYTES = 30 * 1024
VISITS = 1_200
SEGMENT_BYTES = 2_048


def samples() -> list[bytes | bytearray | memoryview]:
    """What bundles hold before they are compressed."""
    made: list[bytes | bytearray | memoryview] = []
    for number in range(VISITS):
        rng = random.Random(f"training {number}")
        entries = raws(consultation(rng, TRAINING, number), rng, number, TRAINING.actor)
        run, first = rng.randbytes(8), rng.randrange(1, 400)
        pieces = [(first, entries)] if number % 2 else [(first + i, (one,)) for i, one in enumerate(entries)]
        for seq, piece in pieces:
            made.append(msgspec.msgpack.encode(BundlePayload(1, run, Stream.CLINICAL, seq, piece)))
    return made


def train() -> bytes:
    """The dictionary's bytes."""
    return zstandard.train_dictionary(SIZE_BYTES, samples(), k=SEGMENT_BYTES, d=8, level=19).as_bytes()


if __name__ == "__main__":
    file = Path(data.__file__).parent / f"dictionary-{NUMBER:03d}.bin"
    file.write_bytes(train())
    sys.stdout.write(f"{file.name}: {file.stat().st_size} bytes\n")

"""``python -m tests.bench.make_dictionary``: train the codec's model that the release ships.

Codes made-up visits of many shapes, with ``TRAINING`` words and the program's own texts, one bundle after
another with one table of chances, and keeps where the chances came to stand. Deterministic. A number that was
ever shipped is never trained anew: bundles that lie on sticks name it. Make the next number instead.
"""

import random
import sys
from array import array
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from edge.model import records
from edge.model.reference import reference
from edge.model.triage_rules import rules
from edge.sync import data
from edge.sync.compact import Model, Walk
from edge.sync.log import Stream
from edge.sync.rangecoder import NEW_SLOT, SLOTS, Writer
from tests.bench.shapes import Node
from tests.bench.wording import SITES, STAFF, TRAINING, prose

NUMBER = 2
BUNDLES = 2_000
TRUST = 3
"""How often a trained chance counts as seen: little, so that a bundle's own content soon weighs more."""
_ROUGH = 0xFFC0
"""Chances are kept to ten bits."""
_MORE = """
hour day week month year manual device good doubtful A C V P U hi en spoken tick thumb audio otp
teleconsultation data general node doctor STAFF pdf 1 ok mother father husband wife son daughter login logout
age avpu pregnancy post_partum signs before after any now today hung_up failed
contec-v7 contec-old contec-oem nonin nonin-7 nonin-8 nonin-13 nonin-ascii onetouch-ultra onetouch-ultraeasy
sd-codefree contour-astm beurer-bm"""


def words() -> tuple[str, ...]:
    """What the reference lists and the events spell out; lists in their own order."""
    lists = reference()
    found: dict[str, None] = {}

    def add(*more: str) -> None:
        found.update(dict.fromkeys(more))

    for group in (lists.signs, lists.complaints, lists.conditions, lists.vitals):
        add(*(item.id for item in group))
    add("", *(rule.code for rule in rules().rules), rules().version)
    add(*(f"vital:{item.id}" for item in lists.vitals), "vitals")
    for held in vars(records).values():
        if isinstance(held, type) and issubclass(held, StrEnum):
            add(*(member.value for member in held))
    add(*_MORE.split(), *(one.version for one in lists.consent_statements))
    for coded in (lists.frequencies, lists.routes):
        add(*(item.code for item in coded))
    for drug in lists.formulary:
        add(drug.id, drug.generic, drug.form, drug.strength)
    return tuple(word for word in found if "\n" not in word and "\0" not in word)


def bundles() -> Iterator[tuple[int, int, tuple[bytes, ...]]]:
    """Class, stream and entries of made-up bundles, as nodes seal them."""
    lines = list(prose())
    for number in range(BUNDLES):
        rng = random.Random(f"training {number}")
        notes = (*TRAINING.notes, *[""] * 16, *rng.sample(lines, 40))
        own = msgspec.structs.replace(TRAINING, notes=notes, site=rng.choice(SITES))
        node = Node(own, f"training {number}", staff=rng.sample(STAFF, rng.choice((1, 1, 3))))
        if number % 10 == 9:
            yield 5, Stream.AUDIT, node.audit(rng.randrange(1, 8))
            continue
        entries: tuple[bytes, ...] = ()
        for _ in range(rng.choice((1, 1, 1, 3))):
            entries += node.visit(whole=rng.random() < 0.3).raw
        cut = rng.randrange(len(entries)) if rng.random() < 0.3 else 0
        for piece in (entries[:cut], entries[cut:]):
            if piece:
                yield 1, Stream.CLINICAL, piece


def train() -> Model:
    """The model."""
    slots = array("I", [NEW_SLOT]) * SLOTS
    model = Model(words(), slots)
    for number, (cls, stream, entries) in enumerate(bundles()):
        rng = random.Random(f"place {number}")
        writer = Writer(slots, sys.maxsize)
        Walk(writer, model, reading=False).payload(cls, rng.randbytes(8), stream, rng.randrange(1, 900), entries, None)
    kept = (
        max(slot >> 8 & _ROUGH, 1 << 6) << 8 | min(slot & 255, TRUST) if slot != NEW_SLOT else NEW_SLOT
        for slot in slots
    )
    return Model(model.words, array("I", kept))


if __name__ == "__main__":
    file = Path(data.__file__).parent / f"model-{NUMBER:03d}.bin"
    file.write_bytes(train().file())
    sys.stdout.write(f"{file.name}: {file.stat().st_size} bytes\n")

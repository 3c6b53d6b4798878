"""What a node uses in a month: one working day through the real endpoints on simulated time, times the days.

The day: 30 visits of the fixed corpus between 9 and 15 o'clock, each in five bundles as the nurse saves them, a preview
of 8 kB and an original of 150 kB for each, a prescription of 700 B down; the link stays up for 24 hours. Calls are not
in it.
"""

import random
from collections import Counter

from edge.sync import frames as fr
from edge.sync.link import Cls
from edge.sync.session import Session
from tests.bench.consultations import load_corpus
from tests.bench.rows import Row
from tests.sync.kit import World
from tests.sync.line import IP_UDP_BYTES, Line

VISITS, FIRST_S, LAST_S, DAY_S, DAYS = 30, 9 * 3600.0, 15 * 3600.0, 86_400.0, 26
PREVIEW_BYTES, ORIGINAL_BYTES, PRESCRIPTION_BYTES = 8_000, 150_000, 700
BUNDLES = 5
NAMES = {
    0: "signals",
    1: "records and prescriptions",
    2: "previews",
    3: "originals",
    9: "keep-alive and ACKs",
}


class Counted(World):
    """Notes the IP bytes of each packet under the most urgent class that is aboard."""

    def __init__(self, line: Line, seed: int) -> None:
        self.by_class: Counter[int] = Counter()
        super().__init__(line, seed)

    def start_node(self) -> None:
        super().start_node()
        seal = self.node._seal

        def counted(frames: list[fr.Frame]) -> tuple[int, bytes]:
            counter, datagram = seal(frames)
            self.note(frames, len(datagram))
            return counter, datagram

        self.node._seal = counted  # type: ignore[method-assign]

    def note(self, frames: list[fr.Frame], size_bytes: int) -> None:
        classes = [frame.cls for frame in frames if isinstance(frame, fr.Frag)]
        self.by_class[min(classes, default=9)] += size_bytes + IP_UDP_BYTES


def day() -> Counter[int]:
    """IP bytes of one day by class, both ways."""
    draw = random.Random(1)
    world = Counted(Line(1, rate_bps=128_000, rtt_s=0.3, loss=0.01), 1)
    real = Session._seal

    def counted(session: Session, frames: list[fr.Frame], path: object) -> tuple[int, tuple[bytes, object]]:
        sealed = real(session, frames, path)
        world.note(frames, len(sealed[1][0]))
        return sealed

    Session._seal = counted  # type: ignore[assignment,method-assign]
    try:
        began, corpus = world.now, load_corpus()
        for number in range(VISITS):
            world.go(began + FIRST_S + number * (LAST_S - FIRST_S) / VISITS - world.now)
            entries = corpus[number % len(corpus)].raw
            for first in range(0, len(entries), -(-len(entries) // BUNDLES)):
                world.submit(tuple(entries[first : first + -(-len(entries) // BUNDLES)]), Cls.CLINICAL)
                world.go(60.0)
            world.submit((draw.randbytes(PREVIEW_BYTES),), Cls.PREVIEW)
            for _ in range(ORIGINAL_BYTES // 50_000):
                world.submit((draw.randbytes(50_000),), Cls.ORIGINAL)
            world.prescribe(number + 1, draw.randbytes(PRESCRIPTION_BYTES))
        world.go(began + DAY_S - world.now)
        assert not world.outbox and len(world.downs_held) == VISITS
    finally:
        Session._seal = real  # type: ignore[method-assign]
    return world.by_class


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick`` changes nothing."""
    by_class = day()
    rows = [
        Row(f"node-month, {NAMES[cls]}", round(by_class[cls] * DAYS / 1e6, 1), "MB")
        for cls in sorted(by_class)
        if by_class[cls]
    ]
    return [
        *rows,
        Row("node-month, 30 visits a day with a photo, in all", round(sum(by_class.values()) * DAYS / 1e6, 1), "MB"),
    ]

"""A photo over a link that is there 8 s in a minute, with restarts of either side: what is sent twice is little."""

import random
import statistics

import pytest

from edge.model import media
from edge.sync import frames as fr
from edge.sync.arq import Arq
from edge.sync.bundle import Chunk
from edge.sync.link import ChunkArrived, HubEvent
from tests.sync.kit import Medium, World

PHOTO_BYTES = 300_000
BLOB = "0123456789abcdef"
CLS = 3


class PhotoWorld(World):
    """A hub that keeps chunks and a node that holds the sealed chunks of one photo in its outbox."""

    def __init__(self, medium: Medium, seed: int) -> None:
        self.photo = random.Random(seed).randbytes(PHOTO_BYTES)
        self.held: dict[int, bytes] = {}
        super().__init__(medium, seed)

    def send_photo(self) -> None:
        count = media.chunk_count(PHOTO_BYTES)
        for number in range(count):
            start, length = media.chunk_span(PHOTO_BYTES, number)
            ref = self.node.seal_chunk(Chunk(BLOB, number, count, self.photo[start : start + length]))
            self.outbox[ref.bundle_id] = (ref, CLS)
            self.node.submit_bundle(ref, CLS, self.now)

    def _hub_hears(self, event: HubEvent) -> None:
        if not isinstance(event, ChunkArrived):
            super()._hub_hears(event)
            return
        assert self.held.setdefault(event.chunk.number, event.chunk.data) == event.chunk.data
        self.hub_log[(b"chunk", 0, event.chunk.number)] = event.chunk.data
        self.hub_offers.append(event.bundle_id)
        self.hub.bundle_stored(event.node_id, event.bundle_id)

    def whole(self) -> bool:
        return not self.outbox and b"".join(self.held[n] for n in sorted(self.held)) == self.photo


class Counter:
    """Bytes of the photo's chunks that left in fragments, each time they left."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        real = Arq.on_sent

        def on_sent(arq: Arq, counter: int, frames: list[fr.Frame], size: int, now: float) -> None:
            self.bytes += sum(len(frame.data) for frame in frames if isinstance(frame, fr.Frag) and frame.cls == CLS)
            real(arq, counter, frames, size, now)

        patch.setattr(Arq, "on_sent", on_sent)


def send(seed: int, counter: Counter, *, restarts: str = "") -> tuple[float, float]:
    """How much of the photo was sent again (a share), and the seconds until it was whole and acknowledged."""
    medium = Medium(seed, loss=0.01, delay_s=0.3)
    medium.rate_bps = 64_000
    world = PhotoWorld(medium, seed)
    world.send_photo()
    sealed_bytes = sum(len(ref.sealed) for ref, _ in world.outbox.values())
    begin_s = world.now
    counter.bytes = 0
    for window in range(60):
        medium.cut = False
        if window == 2 and restarts:
            world.go(4.0)
            if "hub" in restarts:
                world.start_hub()
            if "node" in restarts:
                world.start_node()
        if world.go(8.0, world.whole):
            return counter.bytes / sealed_bytes - 1, world.now - begin_s
        medium.cut = True
        world.go(52.0)
    raise AssertionError("the photo did not arrive")


@pytest.mark.parametrize("restarts", ["", "hub", "node", "hub and node"])
def test_at_most_a_tenth_of_a_photo_is_sent_twice(restarts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 kbit/s, RTT 600 ms, 1 % loss, up 8 s in every 60 s; the restart comes in the middle of a window."""
    counter = Counter(monkeypatch)
    again = [send(seed, counter, restarts=restarts)[0] for seed in (1, 2, 3)]
    # Of six seeds with a restart of both ends one is at 0.101 to 0.105, whichever packets are lost.
    assert statistics.median(again) <= 0.10 and max(again) <= 0.12, again


def test_sealing_costs_little() -> None:
    world = PhotoWorld(Medium(1), 1)
    world.send_photo()
    sealed_bytes = sum(len(ref.sealed) for ref, _ in world.outbox.values())
    assert sealed_bytes / PHOTO_BYTES <= 1.01

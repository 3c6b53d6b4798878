"""A way that swallows large packets, up, down or both, and says nothing."""

import random
from collections.abc import Hashable

import pytest

from tests.sync.kit import Medium, World

PHOTO = random.Random(2).randbytes(15_000)


class Hole(Medium):
    """Swallows what is larger than the way's MTU; everything else passes, but for a loss."""

    def __init__(self, seed: int, mtu: dict[str, int]) -> None:
        super().__init__(seed, loss=0.01, delay_s=0.15)
        self.rate_bps = 256_000
        self.mtu = mtu

    def send(self, way: str, data: bytes, path: Hashable, now: float) -> None:
        if len(data) + 28 <= self.mtu[way]:
            super().send(way, data, path, now)
        else:
            self.bytes[way] += len(data) + 28


@pytest.mark.parametrize("mtu", [{"up": 1_100, "down": 1_500}, {"up": 576, "down": 576}, {"up": 1_500, "down": 1_000}])
def test_what_is_large_comes_through_a_way_that_swallows_large_packets(mtu: dict[str, int]) -> None:
    world = World(Hole(3, mtu))
    for number in range(4):
        world.submit((PHOTO + bytes((number,)),), 3)
    world.submit((PHOTO[:400],), 1)
    for seq in range(1, 4):
        world.prescribe(seq, PHOTO)
    assert world.go(180, lambda: not world.outbox and len(world.downs_held) == 3)


def test_full_packets_come_back_when_the_way_takes_them() -> None:
    hole = Hole(4, {"up": 800, "down": 800})
    world = World(hole)
    world.submit((PHOTO,), 3)
    assert world.go(120, lambda: not world.outbox)
    hole.mtu = {"up": 1_500, "down": 1_500}
    sizes: list[int] = []
    send = hole.send

    def watched(way: str, data: bytes, path: Hashable, now: float) -> None:
        if way == "up":
            sizes.append(len(data))
        send(way, data, path, now)

    hole.send = watched  # type: ignore[method-assign]
    for _ in range(12):
        world.submit((PHOTO,), 3)
        assert world.go(60, lambda: not world.outbox)
        world.go(120)
    assert max(sizes[-20:]) > 1_100


def test_outages_losses_and_cuts_leave_packets_full() -> None:
    world = World(Medium(5, loss=0.2, delay_s=0.3))
    world.medium.rate_bps = 64_000
    for number in range(8):
        world.submit((PHOTO + bytes((number,)),), 3)
    for _ in range(12):
        world.go(8)
        world.medium.cut = True
        world.go(20)
        world.medium.cut = False
    sizes: list[int] = []
    send = world.medium.send

    def watched(way: str, data: bytes, path: Hashable, now: float) -> None:
        sizes.append(len(data))
        send(way, data, path, now)

    world.medium.send = watched  # type: ignore[method-assign]
    world.submit((PHOTO,), 3)
    assert world.go(120, lambda: not world.outbox)
    assert max(sizes) > 1_100

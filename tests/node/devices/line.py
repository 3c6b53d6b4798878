"""Driver and simulated device on a line in simulated time, which may cut, mix and spoil what passes."""

import random
from collections.abc import Callable

from edge.node.devices.drivers.base import Changed, Condition, Driver, Live, News, Result, Wave
from edge.node.devices.drivers.table import DRIVERS
from tests.kits.devices import DEVICES, Device, Kept

NODE_MS = 1_795_500_000_000
"""What the node's wall clock shows (local) when a measurement begins: 2026-11-24."""
STEP_S = 0.02
STREAMS = ("contec-v7", "contec-old", "contec-oem", "nonin", "nonin-7", "nonin-8", "nonin-ascii")
SUMMED = ("nonin", "nonin-7", "nonin-13", "onetouch-ultra", "onetouch-ultraeasy", "sd-codefree", "contour-astm")
METERS = ("onetouch-ultra", "onetouch-ultraeasy", "sd-codefree", "contour-astm", "beurer-bm")
MINUTE_MS = 60_000


def memory(clock_ms: int) -> list[Kept]:
    """Readings of others, and one of two minutes ago, by the meter's clock."""
    return [
        Kept(clock_ms - 3 * 86_400_000, 311, (190, 110, 99)),
        Kept(clock_ms - 95 * MINUTE_MS, 54, (91, 60, 50)),
        Kept(clock_ms - 2 * MINUTE_MS, 142, (135, 75, 72)),
    ]


def device_of(model: str, clock_ms: int = NODE_MS) -> Device:
    return DEVICES[model](clock_ms, memory(clock_ms))


def truth(model: str) -> dict[str, float]:
    if model in METERS:
        return {"sbp": 135.0, "dbp": 75.0, "hr": 72.0} if model == "beurer-bm" else {"rbs_mgdl": 142.0}
    return {"spo2": 97.0, "hr": 65.0}


class Line:
    """One measurement."""

    def __init__(self, model: str, device: Device | None = None, *, seed: int = 1) -> None:
        self.device = device or device_of(model)
        self.now = 0.0
        self.driver: Driver = DRIVERS[model](0.0, NODE_MS)
        self.news: list[News] = []
        self.pieces: Callable[[bytes], list[bytes]] = lambda data: [data]
        self.draw = random.Random(seed)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP_S
            self.device.feed(said, self.now) if (said := self.driver.bytes_to_send()) else None
            self.device.step(self.now)
            for piece in self.pieces(self.device.take()):
                self.hear(piece)
            timer = self.driver.get_timer()
            if timer is not None and timer <= self.now:
                self.driver.due(self.now)
            self._gather()

    def hear(self, data: bytes) -> None:
        if data:
            self.driver.receive(data, self.now)
        self._gather()

    def _gather(self) -> None:
        while (news := self.driver.next_news()) is not None:
            self.news.append(news)

    @property
    def results(self) -> list[Result]:
        return [news for news in self.news if isinstance(news, Result)]

    @property
    def numbers(self) -> list[dict[str, float]]:
        """Everything that ever stood on the screen."""
        return [
            {one.vital: one.value for one in news.values}
            for news in self.news
            if isinstance(news, Live | Result) and news.values
        ]

    @property
    def conditions(self) -> list[Condition]:
        return [news.condition for news in self.news if isinstance(news, Changed)]

    @property
    def wave(self) -> bytes:
        return b"".join(news.points for news in self.news if isinstance(news, Wave))

    def clear(self) -> None:
        self.news.clear()

"""One photo of 300 kB over a link that is up 8 s in every 60 s: ours and plain tools, each on a link of its own.

All runs go at the same time: 64 kbit/s each are no work for a machine, and each run takes minutes.
"""

import math
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from tests.bench.rows import Row, at_most
from tests.bench.sync_long_ends import LIMIT_S, PHOTO_BYTES
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec

UP_S, EVERY_S, WINDOWS = 8.0, 60.0, 7
IN_OUTAGE_S = 30.0
SEEDS = 5
RETRY_S = 1.0


def line(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, loss_pct=1, seed=seed)


class Windows:
    """Plans the outages at the moment when the client begins, and remembers when the first window opened."""

    def __init__(self, stand: Stand, opens_s: float) -> None:
        self._link, self._opens_s = stand.link, opens_s
        self.opened_s = 0.0

    def plan(self) -> None:
        self.opened_s = time.monotonic() + self._opens_s
        if self._opens_s:
            self._link.outage(0.0, self._opens_s)
        for number in range(WINDOWS):
            self._link.outage(self._opens_s + number * EVERY_S + UP_S, EVERY_S - UP_S)


def ours(seed: int, opens_s: float) -> tuple[float, float]:
    """Seconds from the first window, and the share of the photo's bytes that was sent twice."""
    with Stand(line(seed), "hub") as stand:
        windows = Windows(stand, opens_s)
        said = stand.end("photo", start=windows.plan)
    return (said["at"] - windows.opened_s if said["done"] else math.inf), said["twice"]


def ranged(seed: int) -> float:
    with Stand(line(seed), "ranged-server") as stand:
        windows = Windows(stand, 0.0)
        said = stand.end("ranged", start=windows.plan)
    return said["at"] - windows.opened_s if said["done"] else math.inf


def rsync(seed: int) -> float:
    """``--inplace``, tried again until the time is over; keys exchanged before."""
    with Stand(line(seed), "sshd") as stand:
        source = stand.folder / "from"
        source.mkdir()
        (source / "photo").write_bytes(os.urandom(PHOTO_BYTES))
        command = stand.rsync_command(source, "-r", "--inplace", "--timeout=10")
        windows = Windows(stand, 0.0)
        windows.plan()
        while (left_s := windows.opened_s + LIMIT_S - time.monotonic()) > 0:
            try:
                if stand.link.left.run(command, timeout_s=left_s).returncode == 0:
                    return time.monotonic() - windows.opened_s
            except subprocess.TimeoutExpired:
                break
            time.sleep(RETRY_S)
    return math.inf


def _peer(name: str, took_s: float) -> Row:
    text = f"{name}" if math.isfinite(took_s) else f"{name}: not within {LIMIT_S:.0f} s, at least"
    return Row(text, round(min(took_s, LIMIT_S), 1), "s")


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: one seed of ours, no peers."""
    seeds = range(1, 2 if quick else SEEDS + 1)
    with ThreadPoolExecutor(16) as pool:
        at_once = [pool.submit(ours, seed, 0.0) for seed in seeds]
        in_outage = [pool.submit(ours, seed, IN_OUTAGE_S) for seed in seeds]
        peers: list[tuple[str, Callable[[int], float]]] = (
            []
            if quick
            else [("photo in windows, HTTPS PUT with ranges", ranged), ("photo in windows, rsync --inplace", rsync)]
        )
        others = [(name, pool.submit(peer, 1)) for name, peer in peers]
        began = [future.result() for future in at_once]
        waited = [future.result() for future in in_outage]
        rows = [
            at_most("photo in windows, from an opening, worst", max(took_s for took_s, _ in began), "s", 330),
            at_most("photo in windows, sent twice, worst", 100 * max(twice for _, twice in began), "%", 10),
            Row("photo, begun in an outage, from the opening", round(max(took_s for took_s, _ in waited), 1), "s"),
            at_most("photo, begun in an outage, sent twice, worst", 100 * max(twice for _, twice in waited), "%", 10),
            Row("photo, sent twice, median of all", round(100 * median(twice for _, twice in began + waited), 1), "%"),
        ]
        return rows + [_peer(name, future.result()) for name, future in others]

"""How long an urgent visit waits beside our own bulk."""

import json
import statistics
import time

from tests.bench.rows import Row, at_most
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec


def busy(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, loss_pct=1, seed=seed)


def urgent() -> list[float]:
    """Seconds of each urgent visit beside the bulk, sorted."""
    with Stand(busy(1), "hub") as stand:
        _, _, sent = stand.client("node", "urgent")
        time.sleep(3)
        stand.server.terminate()
        assert stand.server.stdout is not None
        durable = {line["bundle"]: line["at"] for line in map(json.loads, stand.server.stdout)}
    return sorted(durable.get(name, float("inf")) - said for name, said in sent.items())


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick`` changes nothing."""
    waits = urgent()
    return [
        at_most("urgent visit beside 5 MB, median", statistics.median(waits), "s", 1.5),
        at_most("urgent visit beside 5 MB, 95th percentile", waits[int(len(waits) * 0.95)], "s", 2.5),
    ]

"""How long an urgent visit waits beside our own bulk."""

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.rows import Row, at_most
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec


def busy(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, loss_pct=1, seed=seed)


def urgent(*, wss: bool = False) -> list[float]:
    """Seconds of each urgent visit beside the bulk, sorted; ``wss``: nobody answers UDP."""
    with Stand(busy(1), "wss-hub" if wss else "hub") as stand:
        client = ("node-wss", stand.fingerprint.hex()) if wss else ("node", "urgent")
        _, _, sent = stand.client(*client)
        time.sleep(3)
        stand.server.terminate()
        assert stand.server.stdout is not None
        durable = {line["bundle"]: line["at"] for line in map(json.loads, stand.server.stdout)}
    return sorted(durable.get(name, float("inf")) - said for name, said in sent.items())


def second_connection() -> list[float]:
    """The peer: the bulk by one HTTPS upload, each urgent visit by an HTTPS connection of its own."""
    with Stand(busy(1), "https-server") as stand:
        _, _, sent = stand.client("https", "urgent")
    return sorted(sent.values())


def run(*, quick: bool = False) -> list[Row]:
    """The rows, each on a link of its own at the same time; ``quick``: without WebSocket and peer."""
    with ThreadPoolExecutor(4) as pool:
        waiting = pool.submit(urgent)
        others = [] if quick else [pool.submit(urgent, wss=True), pool.submit(second_connection)]
        waits = waiting.result()
        more = [future.result() for future in others]
    rows = [
        at_most("urgent visit beside 5 MB, median", statistics.median(waits), "s", 1.5),
        at_most("urgent visit beside 5 MB, 95th percentile", waits[int(len(waits) * 0.95)], "s", 2.5),
    ]
    for name, found in zip(("over WSS", "HTTPS, a second connection"), more, strict=False):
        rows.append(Row(f"urgent visit beside 5 MB, {name}, median", round(statistics.median(found), 2), "s"))
        rows.append(Row(f"urgent visit beside 5 MB, {name}, slowest", round(found[-1], 2), "s"))
    return rows

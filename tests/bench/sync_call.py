"""A call beside our bulk on 128 kbit/s: how much sound has to be made up, against the same call alone.

The call is synthetic (paced UDP, 60 kbit/s); what a call process would tell its sync link is computed by the same
function from an estimate of the whole line. Each case has a link of its own with the same losses of the line.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from edge.media.ladder import bulk_bps
from tests.bench.rows import Row, at_most
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec

LINE_BPS, CALL_BPS = 128_000, 60_000
LEAD_S, CALL_S = 10.0, 120.0
SEEDS = 3


def concealed(seed: int, bulk: str) -> float:
    """Share of the sound in per cent; ``bulk``: none, limited or free."""
    with Stand(LinkSpec.both(rate_kbps=LINE_BPS / 1000, rtt_ms=300, loss_pct=1, seed=seed), "hub") as stand:
        sink = stand.link.right.popen(
            [sys.executable, "-m", "tests.bench.sync_long_ends", "call-sink"], stdout=subprocess.PIPE
        )
        assert sink.stdout is not None
        sink.stdout.readline()

        def send() -> None:
            limit = (str(float(bulk_bps(LINE_BPS, CALL_BPS))),) if bulk == "limited" else ()
            with contextlib.suppress(ValueError):  # the link ends while it still sends
                stand.end("bulk", str(LEAD_S + CALL_S + 20), *limit)

        if bulk != "none":
            threading.Thread(target=send, daemon=True).start()
        time.sleep(LEAD_S)
        stand.end("call-source", str(CALL_S))
        return 100 * float(json.loads(sink.stdout.readline())["concealed"])


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: one seed."""
    seeds = range(1, 2 if quick else SEEDS + 1)
    with ThreadPoolExecutor(12) as pool:
        found = {bulk: [pool.submit(concealed, seed, bulk) for seed in seeds] for bulk in ("none", "limited", "free")}
        mean = {bulk: sum(future.result() for future in futures) / len(futures) for bulk, futures in found.items()}
    return [
        Row("sound made up, a call alone", round(mean["none"], 2), "%"),
        at_most("sound made up more beside bulk that the call limits", mean["limited"] - mean["none"], "%", 0.5),
        Row("sound made up more beside bulk that nobody limits", round(mean["free"] - mean["none"], 2), "%"),
    ]

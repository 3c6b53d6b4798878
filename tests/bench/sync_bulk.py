"""13 MB mixed beside rsync, each on a link of its own; and what the node's process costs while it sends."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.rows import Row, against, at_most
from tests.bench.sync_long_ends import mixed_files
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec

SEEDS = 2
COST_S = 60.0


def line(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=384, rtt_ms=300, loss_pct=1, seed=seed)


def ours(seed: int) -> float:
    with Stand(line(seed), "hub") as stand:
        return stand.end("mixed")["seconds"]


def rsync(seed: int) -> float:
    with Stand(line(seed), "sshd") as stand:
        source = stand.folder / "from"
        source.mkdir()
        mixed_files(source)
        command = stand.rsync_command(source, "-rz")
        began = time.monotonic()
        done = stand.link.left.run(command, timeout_s=900)
        if done.returncode != 0:
            raise RuntimeError(f"rsync: {done.stderr.decode()[:200]}")
        return time.monotonic() - began


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: one seed of each."""
    seeds = range(1, 2 if quick else SEEDS + 1)
    with ThreadPoolExecutor(8) as pool:
        mine = [pool.submit(ours, seed) for seed in seeds]
        theirs = [pool.submit(rsync, seed) for seed in seeds]
        took_s = max(future.result() for future in mine)
        peer_s = min(future.result() for future in theirs)
    return [
        at_most("13 MB mixed, 384 kbit/s, slowest of ours", took_s, "s", 293),
        against("13 MB mixed, faster than the fastest rsync by", took_s, "s", peer_s, 1 / 0.97),
    ]


def cost(*, quick: bool = False) -> list[Row]:
    """What the node's sync process costs while photos leave at 64 kbit/s: only sync, without pages and calls."""
    with Stand(LinkSpec.both(rate_kbps=64, rtt_ms=600, loss_pct=1), "hub") as stand:
        said = stand.end("bulk", str(COST_S))
    return [
        at_most("sync process at 64 kbit/s, PSS", said["pss_mb"], "MB", 90),
        at_most("sync process at 64 kbit/s, share of a core", 100 * said["cpu"], "%", 5),
    ]

"""Whole visits of text: 50 on a very bad link beside plain tools, and one alone on an idle link."""

import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.rows import Row, against, at_most
from tests.bench.sync_stand import Stand
from tests.kits.cases import draw_case
from tests.kits.clinic import Clinic, linked
from tests.kits.link import Link, LinkSpec
from tests.kits.visit import DoctorVisit, NurseVisit

QUICK_SEEDS, SEEDS, PEER_SEEDS = 2, 20, 5
REAL_QUICK_VISITS, REAL_VISITS = 2, 5
SETTLE_S = 3.0


def fifty(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=32, rtt_ms=1000, loss_pct=3, seed=seed)


def one(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, seed=seed)


def repeat(
    spec: Callable[[int], LinkSpec], server: str, what: str, work: str, seeds: int
) -> tuple[list[float], list[int]]:
    """Sorted seconds and bytes over the seeds."""
    seconds, sizes = [], []
    for seed in range(1, seeds + 1):
        with Stand(spec(seed), server) as stand:
            took_s, size, _ = stand.client(what, work)
        seconds.append(took_s)
        sizes.append(size)
    return sorted(seconds), sorted(sizes)


def real_visits(count: int) -> tuple[list[int], list[float]]:
    """Bytes of a real node's visits up to the token, and seconds from the token's answer to the doctor's queue."""
    sizes, waits = [], []
    with tempfile.TemporaryDirectory() as folder, linked(one(1)) as link, Clinic(Path(folder), link=link) as clinic:
        assert link is not None
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        for number in range(count + 1):
            before = line_bytes(link)
            visit = NurseVisit(draw_case(random.Random(number)))
            visit.run(nurse)
            waits.append(DoctorVisit(visit).wait_in_queue(doctor))
            time.sleep(SETTLE_S)
            sizes.append(line_bytes(link) - before)
        nurse.close()
        doctor.close()
    return sorted(sizes[1:]), sorted(waits[1:])  # the first one meets the hub and logs in


def line_bytes(link: Link) -> int:
    """IP bytes that used the line so far, both ways."""
    stats = link.stats()
    return stats.uplink.sent_bytes + stats.downlink.sent_bytes


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: two seeds, and no slow peers."""
    seeds = QUICK_SEEDS if quick else SEEDS
    peer_seeds = QUICK_SEEDS if quick else PEER_SEEDS
    seconds, sizes = repeat(fifty, "hub", "node", "batch", seeds)
    batch_s, batch_bytes = repeat(fifty, "https-server", "https", "batch", peer_seeds)
    middle_s, middle = statistics.median(seconds), statistics.median(sizes)
    rows = [
        at_most("50 visits cold, one bundle", middle, "B", 8_500),
        at_most("50 visits cold, one bundle, median", middle_s, "s", 3.3),
        at_most("50 visits cold, one bundle, 95th percentile", seconds[int(len(seconds) * 0.95)], "s", 6),
        against("50 visits, fewer bytes than the gzip batch by", middle, "B", statistics.median(batch_bytes), 1.5),
        against("50 visits, faster than the gzip batch by", middle_s, "s", statistics.median(batch_s), 1.7),
    ]
    warm_s, warm = repeat(fifty, "hub", "node", "warm batch", seeds)
    rows += [
        at_most("50 visits warm, one bundle", statistics.median(warm), "B", 7_700),
        at_most("50 visits warm, one bundle, median", statistics.median(warm_s), "s", 3.3),
    ]
    for work, goal in (("warm", 560), ("cold", 750)):
        took, cost = repeat(one, "hub", "node", work, QUICK_SEEDS if quick else PEER_SEEDS)
        rows.append(at_most(f"one visit {work}, 64 kbit/s, 600 ms", statistics.median(cost), "B", goal))
        rows.append(at_most(f"one visit {work}, until acknowledged", statistics.median(took), "s", 1.2))
    took_bytes, waits = real_visits(REAL_QUICK_VISITS if quick else REAL_VISITS)
    rows += [
        Row("a visit through a real node, registration to token", statistics.median(took_bytes), "B"),
        Row("the same, from the token to the doctor's queue", round(statistics.median(waits), 2), "s"),
    ]
    if quick:
        return rows
    seconds, sizes = repeat(fifty, "hub", "node", "each", peer_seeds)
    rows += [
        Row("50 visits cold, a bundle a visit", statistics.median(sizes), "B"),
        Row("50 visits cold, a bundle a visit, median", round(statistics.median(seconds), 2), "s"),
    ]
    seconds, sizes = repeat(fifty, "https-server", "https", "each", 2)
    rows += [
        Row("50 visits, HTTPS keep-alive, gzip each", statistics.median(sizes), "B"),
        Row("50 visits, HTTPS keep-alive, median of 2", round(statistics.median(seconds), 2), "s"),
    ]
    if shutil.which("rsync") and Path("/usr/sbin/sshd").exists():
        with Stand(fifty(1), "sshd") as stand:
            took_s, size = stand.rsync()
        rows += [
            Row("50 visits, rsync -z over ssh", size, "B"),
            Row("50 visits, rsync, one run", round(took_s, 2), "s"),
        ]
    return rows

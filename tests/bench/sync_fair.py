"""Our bulk beside one TCP CUBIC flow, on links with a long and a short queue, either of them first."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.bench.rows import Row
from tests.bench.sync_stand import Stand
from tests.kits.link import LinkSpec

HEAD_START_S, SETTLE_S, MEASURED_S = 15.0, 20.0, 100.0
MSS_IP = 1_500 / 1_448
"""IP bytes for each byte of a TCP stream (timestamps on)."""


class Case(NamedTuple):
    """A link and who comes first."""

    rate_kbps: int
    rtt_ms: int
    queue_s: float
    loss_pct: float
    tcp_first: bool

    def name(self) -> str:
        first = "TCP" if self.tcp_first else "we"
        return f"{self.rate_kbps} kbit/s {self.rtt_ms} ms queue {self.queue_s:g} s {self.loss_pct:g} %, {first} first"


CASES = (
    Case(128, 300, 1.0, 0, True),
    Case(128, 300, 1.0, 0, False),
    Case(384, 300, 0.3, 0.5, True),
    Case(64, 600, 1.0, 1, True),
    Case(64, 600, 1.0, 1, False),
)
SEEDS = 3
LEAST, MOST = 0.3, 3.0


def share(case: Case, seed: int) -> float:
    """Our goodput over the TCP flow's, in IP bytes that arrived."""
    spec = LinkSpec.both(
        rate_kbps=case.rate_kbps,
        rtt_ms=case.rtt_ms,
        loss_pct=case.loss_pct,
        queue_bytes=max(6_000, int(case.rate_kbps * 125 * case.queue_s)),
        seed=seed,
    )
    whole_s = HEAD_START_S + SETTLE_S + MEASURED_S
    with Stand(spec, "hub") as stand:
        program = [sys.executable, "-m", "tests.bench.sync_long_ends"]
        sink = stand.link.right.popen([*program, "tcp-sink"], stdout=subprocess.PIPE)
        assert sink.stdout is not None
        sink.stdout.readline()
        seen: list[tuple[float, int]] = []

        def follow() -> None:
            for text in sink.stdout or ():
                said = json.loads(text)
                seen.append((said["at"], said["bytes"]))

        threading.Thread(target=follow, daemon=True).start()

        source = stand.link.left.popen(
            [*program, "tcp-source", str(whole_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert source.stdin is not None
        assert source.stdout is not None
        source.stdout.readline()
        ready, go = threading.Event(), threading.Event()

        def wait() -> None:
            ready.set()
            go.wait()

        def send() -> None:
            with contextlib.suppress(ValueError):  # the link ends while it still sends
                stand.end("bulk", str(whole_s), start=wait)

        threading.Thread(target=send, daemon=True).start()
        ready.wait()

        def tcp() -> None:
            assert source.stdin is not None
            source.stdin.write(b"\n")
            source.stdin.flush()

        first, second = (tcp, go.set) if case.tcp_first else (go.set, tcp)
        first()
        time.sleep(HEAD_START_S)
        second()
        time.sleep(SETTLE_S)
        marks = []
        for pause_s in (MEASURED_S, 0.0):
            marks.append((stand.link.stats().uplink.delivered_bytes, seen[-1][1] if seen else 0))
            time.sleep(pause_s)
    theirs = (marks[1][1] - marks[0][1]) * MSS_IP
    if theirs <= 0 or marks[1][0] - marks[0][0] <= theirs:
        raise RuntimeError("one of the two flows did not run: this draw says nothing")
    return (marks[1][0] - marks[0][0] - theirs) / theirs


def run(*, quick: bool = False) -> list[Row]:
    """The rows, each draw by itself: one draw is no answer; ``quick``: one link, one draw."""
    cases = CASES[:1] if quick else CASES
    draws = [(case, seed) for seed in range(1, 2 if quick else SEEDS + 1) for case in cases]
    with ThreadPoolExecutor(len(draws)) as pool:
        shares = list(pool.map(lambda draw: share(*draw), draws))
    return [
        Row(
            f"ours over cubic, {case.name()}, draw {seed}", round(value, 2), "×", reach=LEAST, ok=LEAST <= value <= MOST
        )
        for (case, seed), value in sorted(zip(draws, shares, strict=True), key=lambda one: cases.index(one[0][0]))
    ]

"""``python -m tests.bench.media_browsers [--seeds N] [--seconds S]``: two browsers without a node, ours and stock.

The same page twice on the same emulated link: steered by ``edge/ui/call/peer_ladder.js``, and as a web site would make
the call (640×480 both ways, nothing set). The worse of the two ends; medians of the seeds. Needs root.
"""

import argparse
import statistics
import sys

from tests.bench.rows import Row
from tests.media.two_browsers import Call, run

LINKS = ((48, 500, 2.0), (64, 400, 2.0), (128, 300, 2.0), (256, 200, 5.0))
"""Rate in kbit/s, round trip in ms, loss in per cent."""
GOAL = (64, 400, 2.0)


def _worse(calls: list[Call], figure: str, *, most: bool) -> float:
    """Of the two ends, in the median call."""
    choose = max if most else min
    return statistics.median(
        choose(float(getattr(end, figure)) for end in (call.caller, call.callee)) for call in calls
    )


def measure(seeds: int, seconds: float) -> list[Row]:
    """All links; the peer value is the stock call's."""
    rows: list[Row] = []
    for link in LINKS:
        name = f"two browsers {link[0]} kbit/s, {link[1]} ms, {link[2]:g} %"
        ours, stock = (
            [run(*link, seconds, ours=one, seed=seed) for seed in range(1, seeds + 1)] for one in (True, False)
        )
        fps, concealed = _worse(ours, "fps", most=False), _worse(ours, "concealed_pct", most=True)
        goal = link == GOAL
        stock_fps, stock_concealed = _worse(stock, "fps", most=False), _worse(stock, "concealed_pct", most=True)
        made = [
            Row(f"{name}: frames", fps, "1/s", stock_fps, None, 5.0 if goal else None, fps >= 5 if goal else None),
            Row(
                f"{name}: sound concealed", concealed, "%", stock_concealed, None,
                2.0 if goal else None, concealed <= 2 if goal else None,
            ),
            Row(
                f"{name}: first frame", _worse(ours, "first_frame_ms", most=True), "ms",
                _worse(stock, "first_frame_ms", most=True),
            ),
            Row(f"{name}: frozen", _worse(ours, "freeze_s", most=True), "s", _worse(stock, "freeze_s", most=True)),
            Row(
                f"{name}: link used, second half", statistics.median(call.used for call in ours), "",
                statistics.median(call.used for call in stock),
            ),
        ]  # fmt: skip
        for row in made:
            print(f"{row.name:<62} {row.value:>10,.6g} {row.unit:4} stock {row.peer_value:,.6g}", flush=True)
        rows += made
    return rows


def main() -> int:
    """Command line; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.media_browsers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    return 1 if any(row.ok is False for row in measure(options.seeds, options.seconds)) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes ``ladder.json``: what ladder and coarse estimator answer, so that Python and the pages' JavaScript agree.

``python -m tests.vectors.make_ladder``. Numbers that JSON cannot write are strings ("NaN", "Infinity").
"""

import json
import math
import random
from pathlib import Path
from typing import Any

import msgspec

from edge.media.coarse import Coarse, Second
from edge.media.ladder import Ladder, load_rules

FILE = Path(__file__).with_name("ladder.json")
RULES = load_rules()


def number(value: float | None) -> float | str | None:
    """As JSON can write it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read(value: float | str | None) -> float | None:
    """What :func:`number` wrote."""
    return None if value is None else float(value)


def ladder_case(steps: list[tuple[float, float, float | None, float]]) -> dict[str, Any]:
    """Rate, time, loss and sustained rate of each step, and the allocations."""
    ladder = Ladder(RULES)
    return {
        "steps": [[number(value) for value in step] for step in steps],
        "allocations": [msgspec.to_builtins(ladder.allocate(*step)) for step in steps],
    }


def coarse_case(start_bps: float, steps: list[tuple[Second, float]]) -> dict[str, Any]:
    """What was seen, for how long, and the estimates."""
    coarse = Coarse(start_bps)
    rates = [coarse.take(seen, elapsed_s) for seen, elapsed_s in steps]
    seconds = [
        [{key: number(value) for key, value in msgspec.to_builtins(seen).items()}, number(elapsed_s)]
        for seen, elapsed_s in steps
    ]
    return {"start_bps": number(start_bps), "steps": seconds, "rates": rates, "line_loss": coarse.line_loss}


def _ladders(chance: random.Random) -> list[dict[str, Any]]:
    bounds = [rung.at_bps + off for rung in RULES.rungs for off in (-1, 0, 1)]
    cases = [ladder_case([(bps, 0.0, loss, 0.0)]) for bps in bounds for loss in (None, 0.0, 0.03)]
    for _ in range(6):
        steps, now_s, rate_bps = [], 0.0, chance.uniform(10_000, 400_000)
        for _ in range(40):
            now_s = round(now_s + chance.choice([0.1, 0.5, 1.0, 4.0]), 3)
            rate_bps = round(min(max(rate_bps * chance.uniform(0.6, 1.6), 5_000), 3_000_000), 1)
            loss = chance.choice([None, 0.0, 0.004, 0.02])
            sustained_bps = chance.choice([0.0, 0.0, round(rate_bps * 1.5, 1)])
            steps.append((rate_bps, now_s, loss, sustained_bps))
        cases.append(ladder_case(steps))
    odd = [(math.nan, 0.0, math.nan, math.nan), (math.inf, 1.0, -1.0, -math.inf), (-5.0, 20.0, None, 50_000.0)]
    return [*cases, ladder_case(odd)]


def _coarses(chance: random.Random) -> list[dict[str, Any]]:
    cases = []
    for _ in range(8):
        steps, rtt_s, sent_bps = [], chance.uniform(0.1, 0.8), 30_000.0
        for _ in range(40):
            sent_bps = round(min(max(sent_bps * chance.uniform(0.8, 1.35), 9_000), 600_000), 1)
            seen = Second(
                sent_bps=sent_bps,
                rtt_s=chance.choice([None, round(rtt_s + chance.choice([0, 0, 0.02, 0.4]), 4)]),
                lost=chance.choice([None, 0.0, 0.02, 0.05, 0.4]),
                own_bps=chance.choice([None, None, round(sent_bps * 1.5, 1)]),
                heard=chance.random() > 0.12,
            )
            steps.append((seen, chance.choice([1.0, 1.0, 1.1, 0.9])))
        cases.append(coarse_case(chance.choice([0.0, 60_000.0]), steps))
    for silence in (3, 12):
        fine = (Second(60_000.0, 0.2, 0.0), 1.0)
        cases.append(coarse_case(60_000.0, [fine] * 5 + [(Second(9_000.0, heard=False), 1.0)] * silence + [fine] * 5))
    odd = [
        (Second(math.nan), 1.0), (Second(-1.0), 1.0), (Second(1e4, math.nan, math.nan, math.nan), 1.0),
        (Second(1e4, -3.0, 7.0, -1.0), 1.0), (Second(1e4, 0.2, 0.0), math.nan), (Second(1e4, 0.2, 0.0), -1.0),
        (Second(math.inf, 0.2, 0.0), 1.0), (Second(1e4, 1e9, 0.0, math.inf), 1e9),
    ]  # fmt: skip
    return [*cases, coarse_case(math.nan, odd)]


def build() -> dict[str, Any]:
    """All vectors; the same on every machine."""
    chance = random.Random(22)
    return {"rules_version": RULES.version, "ladder": _ladders(chance), "coarse": _coarses(chance)}


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), separators=(",", ":")).replace('{"steps"', '\n{"steps"') + "\n")

"""How fast a hand gets a patient to the token: in Chromium, by touch, at human speed, on a computer throttled 4×.

``python -m tests.bench.touch`` writes the list of taps and what was measured into ``docs/benchmarks.md``, between its
marks; ``./run bench node`` measures the same. What counts is said in :mod:`tests.e2e.touch`.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from playwright.sync_api import Browser, Page, sync_playwright

from tests.bench.rows import Row, at_most
from tests.e2e.pages import BROWSER_ARGS, CHROMIUM, Clinic, Stage, register, tap
from tests.e2e.touch import KEY_S, TAP_S, THROTTLE, Answer, Hand, Move, new_patient, open_tablet, returning
from tests.kits.clinic import ROOT

SIZES = {"lying, 1280×800": (1280, 800), "upright, 800×1280": (800, 1280)}
RUNS = 3
EMPTY = 5
NAMES = ("Sarita Devi", "Phulmati Kumari", "Jasoda Devi")
FROM, UNTIL = "<!-- touch: written by python -m tests.bench.touch -->\n", "<!-- touch: end -->\n"


class Run(Struct, frozen=True):
    """One patient of one kind on one size of screen."""

    size: str
    kind: str
    moves: tuple[Move, ...]
    nothing_ms: tuple[float, ...]
    """Answers to touches of a heading, before and after: what the machine itself takes."""

    @property
    def total_s(self) -> float:
        return sum(move.hand_s + move.waited_s for move in self.moves)

    @property
    def answers_ms(self) -> list[float]:
        return [move.answer.total_ms for move in self.moves if move.what == "tap"]


def measure() -> list[Run]:
    """Every size and kind, ``RUNS`` times, against one clinic."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        stage = Stage(Path(folder))
        try:
            clinic = stage.start()
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
            _first_village(browser, clinic)
            for number, name in enumerate(NAMES[:RUNS]):
                for size, (width, height) in SIZES.items():
                    runs += _patient(browser, clinic, size, (width, height), name, f"5550{number}{width:05d}")
            browser.close()
        finally:
            stage.stop()
    return runs


def _first_village(browser: Browser, clinic: Clinic) -> None:
    page = open_tablet(browser, clinic, 1280, 800)
    register(page, "पहली देवी", age="71")
    page.context.close()


def _patient(browser: Browser, clinic: Clinic, size: str, pixels: tuple[int, int], name: str, mobile: str) -> list[Run]:
    page = open_tablet(browser, clinic, *pixels)
    age = str(20 + 9 * int(mobile[4]) + 4 * (pixels[0] > pixels[1]))
    first = _timed(page, lambda hand: new_patient(hand, name, mobile, age))
    for control in ("close-visit", "close-outcome-completed", "close-confirm", "visit-home"):
        tap(page, control)
    second = _timed(page, lambda hand: returning(hand, mobile[-6:]))
    page.context.close()
    return [Run(size, "new", *first), Run(size, "returning", *second)]


def _timed(page: Page, journey: Callable[[Hand], str]) -> tuple[tuple[Move, ...], tuple[float, ...]]:
    hand = Hand(page)
    before = [hand.tap_nothing() for _ in range(EMPTY)]
    journey(hand)
    after = [hand.tap_nothing() for _ in range(EMPTY)]
    hand.rest()
    return tuple(hand.moves), (*before, *after)


def rows(runs: list[Run]) -> list[Row]:
    """The figures with their goals: the slowest run, and the slowest tap of all."""
    found: list[Row] = []
    for size in SIZES:
        for kind, reach in (("new", 60), ("returning", 10)):
            totals = [run.total_s for run in runs if (run.size, run.kind) == (size, kind)]
            found.append(at_most(f"{kind} patient to token, {size}", max(totals), "s", reach))
    answers = sorted(answer for run in runs for answer in run.answers_ms)
    found.append(Row(f"tap answered, CPU ÷ {THROTTLE}, median of {len(answers)}", statistics.median(answers), "ms"))
    found.append(at_most("tap answered, slowest", answers[-1], "ms", 100))
    nothing = sorted(answer for run in runs for answer in run.nothing_ms)
    found.append(Row(f"touch of a heading that does nothing, slowest of {len(nothing)}", nothing[-1], "ms"))
    return found


def run() -> list[Row]:
    """Measure and give the rows."""
    return rows(measure())


def _table(runs: list[Run]) -> str:
    today, load = datetime.now(UTC).strftime("%Y-%m-%d"), os.getloadavg()[0]
    out = [
        f"\n{today}, {os.cpu_count()} cores at a load of {load:.0f}, {RUNS} runs each, CPU "
        f"throttled {THROTTLE}×; a tap {TAP_S} s, a key {KEY_S} s, a scroll as a tap; "
        "the page's own waits included; reading out, listening and measuring are not counted. A tap is answered with "
        "the next picture (Event Timing, in steps of 8 ms; below 16 ms it says nothing and 0 stands here). "
        "Beside it, the slowest answer to a touch of a heading, which does nothing: what the machine itself took.\n",
        "| screen | patient | total, each run (s) | waits (s) | taps, scrolls | keys | slowest (ms) | heading (ms) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        for kind in ("new", "returning"):
            mine = [run for run in runs if (run.size, run.kind) == (size, kind)]
            touched = [sum(move.what in ("tap", "scroll") for move in run.moves) for run in mine]
            keys = [sum(move.keys for move in run.moves) for run in mine]
            waits = [sum(move.waited_s for move in run.moves) for run in mine]
            out.append(
                f"| {size} | {kind} | {_each(run.total_s for run in mine)} | {_each(waits)} | {_each(touched, 0)} | "
                f"{_each(keys, 0)} | {max(max(run.answers_ms) for run in mine):.0f} | "
                f"{max(max(run.nothing_ms) for run in mine):.0f} |"
            )
    for kind in ("new", "returning"):
        first = next(run for run in runs if run.kind == kind)
        out += [f"\nThe taps of a {kind} patient ({first.size}), in their order:\n", "`" + _list(first.moves) + "`"]
    return "\n".join(out) + "\n\n"


def by_tap(runs: list[Run]) -> list[str]:
    """Each tap with its median and slowest answer, the slowest first, and of what that one was made."""
    taps: dict[str, list[Answer]] = {}
    for run in runs:
        for move in run.moves:
            if move.what == "tap":
                taps.setdefault(move.where, []).append(move.answer)
    out: list[str] = []
    for where, answers in sorted(taps.items(), key=lambda tap: -max(map(_total_ms, tap[1]))):
        slow, middle_ms = max(answers, key=_total_ms), statistics.median(_total_ms(one) for one in answers)
        out += [
            f"{where:20} slowest {slow.total_ms:.0f} ms, median {middle_ms:.0f} of {len(answers)}",
            f"    {slow.event}: waited {slow.waited_ms:.0f}, handled {slow.handled_ms:.0f}, shown {slow.shown_ms:.0f}",
        ]
        out += [f"    {frame}" for frame in slow.work]
    return out


def _total_ms(answer: Answer) -> float:
    return answer.total_ms


def _each(values: Iterable[float], digits: int = 1) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def _list(moves: tuple[Move, ...]) -> str:
    words: list[str] = []
    for move in moves:
        if move.what == "type":
            words[-1] += f" + {move.keys} keys" if words else f"{move.keys} keys"
        elif move.what == "scroll":
            words.append(f"scroll to {move.where}")
        elif move.what == "tap":
            words.append(move.where)
    return " · ".join(words)


def main() -> int:
    """Measure, write the section, print the rows; 1 when a goal is missed."""
    runs = measure()
    page = ROOT / "docs" / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(FROM)
    _, _, after = rest.partition(UNTIL)
    page.write_text(before + FROM + _table(runs) + UNTIL + after, "utf-8")
    for line in (*by_tap(runs), *rows(runs)):
        print(line)
    return 1 if any(row.ok is False for row in rows(runs)) else 0


if __name__ == "__main__":
    sys.exit(main())

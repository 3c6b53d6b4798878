"""What the tablet says of a stick, and the technician's page of what is revoked and of updates, in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.kits.courier import carry

from .pages import BROWSER_ARGS, CHROMIUM, Clinic, Stage, Watch, _run, faults_here, log_in_nurse, log_in_technician, tap

pytestmark = [pytest.mark.browser, pytest.mark.long]
WAIT_MS = 30_000
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=640)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "clinic"


@pytest.fixture
def clinic(folder: Path) -> Iterator[Clinic]:
    folder.mkdir()
    stage = Stage(folder)
    try:
        yield stage.start()
    finally:
        stage.stop()


def says(page: Page, stage: str) -> None:
    page.locator(f'[data-test="stick-line"][data-stage="{stage}"]').wait_for(timeout=WAIT_MS)
    assert faults_here(page) == [], stage


def test_the_tablet_says_when_a_stick_may_be_pulled_and_the_technician_sees_what_it_brought(
    clinic: Clinic, folder: Path, tmp_path: Path
) -> None:
    at_node, at_hub, stick = folder / "node", folder / "hub", tmp_path / "stick"
    stick.mkdir()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        page = browser.new_context(viewport=NARROW).new_page()
        page.set_default_timeout(WAIT_MS)
        watch = Watch(page, clinic.node_url)
        log_in_nurse(page, clinic)
        assert carry("edge.node", at_node, stick).complete
        says(page, "done")
        _run(["edge.node", "courier", "--data", str(at_node), "--pulled", "--result", "success"])
        says(page, "out")
        tap(page, "stick-seen")
        expect(page.locator('[data-test="stick-line"]')).to_have_count(0)
        assert carry("edge.node", at_node, stick / "none").code == 1
        says(page, "failed")
        expect(page.locator('[data-test="stick-line"]')).to_contain_text("stick_missing")
        _run(["edge.node", "courier", "--data", str(at_node), "--pulled", "--result", "success"])
        tap(page, "language-toggle")
        says(page, "failed")
        tap(page, "stick-seen")
        tap(page, "logout")

        (at_node / "updates").mkdir()
        (at_node / "updates" / "target").write_text("amd64")
        update = tmp_path / "system.raucb"
        update.write_bytes(b"a system" * 200_000)
        named = ["--name", "system", "--version", "1.2.0", "--target", "amd64"]
        _run(["hub", "release-update", "--file", str(update), *named])
        node_id = json.loads(_run(["hub", "status", "--data", str(at_hub)]))["node_ids"][0]
        _run(["hub", "revoke", "--data", str(at_hub), "--node", node_id])
        assert carry("hub", at_hub, stick, "--update", str(update)).complete
        assert carry("edge.node", at_node, stick).complete
        page.set_viewport_size(WIDE)
        page.goto(clinic.node_url)
        page.locator('[data-test="revoked-line"][data-why="node_revoked"]').wait_for()
        log_in_technician(page, clinic)
        page.locator('[data-test="finding"][data-check="standing"][data-grade="fail"]').wait_for()
        page.locator('[data-test="revoked"][data-state="node-revoked"]').wait_for()
        expect(page.locator('[data-test="update-waits"]')).to_contain_text("system 1.2.0")
        assert faults_here(page) == []
        watch.none()
        browser.close()

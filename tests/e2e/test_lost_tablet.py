"""A lost tablet in a real browser: when it meets the node again its key, its half-filled form and its session go."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.kits.clinic import Clinic
from tests.kits.way import CutWay

from .kept import keys_kept, lying, until_lying
from .pages import BROWSER_ARGS, CHROMIUM, fill, look, see, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
TYPED = "खोया Devi"


def log_in(context: BrowserContext, clinic: Clinic, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    tap(page, f"staff-{clinic.nurse.staff_id}")
    fill(page, "login-pin", clinic.nurse.pin)
    tap(page, "login-submit")
    see(page, "new-patient")
    return page


def test_a_lost_tablet_is_wiped_when_it_comes_near_the_node_again(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic, CutWay(clinic.node.url) as way, sync_playwright() as playwright:
        clinic.unlock(clinic.node_client())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        away = browser.new_context(viewport={"width": 360, "height": 640})
        lost = log_in(away, clinic, way.url)
        assert keys_kept(lost) == [False]
        tap(lost, "new-patient")
        fill(lost, "reg-name", TYPED)
        way.cut()
        fill(lost, "reg-village", "Sealmarker Tola")
        until_lying(lost, ["form"])
        here = log_in(browser.new_context(viewport={"width": 1280, "height": 800}), clinic, clinic.node.url)
        here.goto(f"{clinic.node.url}/#/closing")
        tap(here, "lost-open")
        see(here, "lost-dialog")
        assert look(here) == []
        tap(here, "lost-now")
        expect(here.locator('[data-test="lost-dialog"]')).to_have_count(0)
        tap(here, "closing-back")
        see(here, "new-patient")
        assert keys_kept(here) == [False], "the one that asked goes on"
        expect(lost.locator('[data-test="reg-name"]')).to_have_value(TYPED)
        way.mend()
        see(lost, "login-page", 40_000)
        assert keys_kept(lost) == [] and lying(lost) == []
        expect(lost.locator("body")).not_to_contain_text(TYPED)
        clinic.node.kill()
        clinic.node.start()
        lost.goto(way.url)
        see(lost, "unlock-form")
        expect(lost.locator('[data-test="day-openers"]')).to_have_count(0)
        here.goto(clinic.node.url)
        see(here, "day-openers")
        browser.close()

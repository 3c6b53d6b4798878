"""On the tablet of a replaced node: somebody who came back by name gets a badge, vouched for by a colleague."""

import asyncio
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from edge.model.records import Role
from edge.node import provision
from edge.node.config import load_config
from edge.node.journal import Journal
from edge.node.unlock import Slots
from edge.node.views import Staff
from tests.kits.clinic import Clinic

from .pages import BROWSER_ARGS, CHROMIUM, fill, look, see, tap

pytestmark = pytest.mark.browser
REKHA = Staff("rekha-1", "Rekha Kumari", "रेखा कुमारी", Role.CHO, has_pin=False)
PIN = "739164"


def came_back(clinic: Clinic) -> None:
    """Put a name without a PIN into a node that does not run, as its enrolment does."""
    folder = clinic.node_data
    config = load_config(folder)
    dmk = asyncio.run(provision._open(folder, Slots(folder), (clinic.recovery_code, "")))

    def put(journal: Journal) -> None:
        journal.views.list_staff(REKHA)

    provision._with_records(folder, config, dmk, put)


@pytest.mark.timeout(120)
def test_a_colleague_vouches_and_the_new_badge_is_shown_once(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic:
        clinic.node.stop()
        came_back(clinic)
        clinic.node.start()
        clinic.unlock(clinic.node_client())
        walk(clinic)


def walk(clinic: Clinic) -> None:
    """The steps on the tablet."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        page = browser.new_context(viewport={"width": 360, "height": 640}).new_page()
        page.goto(clinic.node.url)
        see(page, "login-page")
        assert look(page) == []
        tap(page, f"staff-{REKHA.staff_id}")
        see(page, "badge-form")
        fill(page, "badge-badge", clinic.nurse.badge)
        fill(page, "badge-badgePin", "0000")
        fill(page, "badge-pin", PIN)
        fill(page, "badge-again", PIN + "1")
        expect(page.locator('[data-test="badge-give"]')).to_be_disabled()
        fill(page, "badge-again", PIN)
        assert look(page) == []
        tap(page, "badge-give")
        see(page, "badge-wrong")
        fill(page, "badge-badgePin", clinic.nurse.pin)
        tap(page, "badge-give")
        see(page, "badge-made")
        expect(page.locator('[data-test="badge-code"]')).to_contain_text("UPB1-")
        expect(page.locator("img.qr")).to_have_js_property("complete", value=True)
        assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 0
        assert look(page) == []
        tap(page, "badge-kept")
        tap(page, f"staff-{REKHA.staff_id}")
        fill(page, "login-pin", PIN)
        tap(page, "login-submit")
        see(page, "new-patient")
        browser.close()

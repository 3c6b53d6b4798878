"""The locked page: a RED patient without a log-in; a tablet of the same day opens the node, until the day is closed."""

import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.kits.clinic import Clinic

from .kept import keys_kept, lying, until_lying
from .pages import BROWSER_ARGS, CHROMIUM, Watch, fill, look, see, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def red_case(page: Page) -> str:
    """A RED patient at the locked node, from one tap to the hub; the token."""
    tap(page, "red-door")
    see(page, "red-go")
    assert look(page) == []
    tap(page, "red-gender-male")
    fill(page, "red-age", "55")
    tap(page, "red-go")
    page.locator('[data-test="red-open"][data-hub="true"]').wait_for(timeout=30_000)
    tap(page, "red-avpu-P")
    fill(page, "red-spo2", "82")
    assert look(page) == []
    tap(page, "red-send")
    see(page, "red-told")
    tap(page, "red-refer")
    for control in ("referral-place-district", "referral-way-108"):
        tap(page, control)
    assert look(page) == []
    tap(page, "referral-save")
    see(page, "red-referred")
    assert look(page) == []
    page.reload()
    see(page, "red-referred")
    token = page.locator('[data-test="red-token"]').inner_text()
    expect(page.locator('[data-test="red-sent"]')).to_contain_text("82")
    tap(page, "red-leave")
    return token


def ask_the_hub(page: Page, desk: Page, clinic: Clinic) -> None:
    """Neither badge nor tablet: a coordinator at the hub says yes, and the log-in page comes by itself."""
    person = clinic.make_coordinator()
    tap(page, "ask-go")
    page.locator('[data-test="ask-hub"][data-state="waiting"]').wait_for(timeout=60_000)
    assert look(page) == []
    desk.goto(clinic.hub.url)
    for field, text in (("user", person.user), ("password", person.password), ("totp", person.code())):
        fill(desk, f"login-{field}", text)
    tap(desk, "login-submit")
    see(desk, "unlock-request")
    expect(desk.locator('[data-test="unlock-approve"]')).to_be_disabled()
    fill(desk, "unlock-why", "Spoke with Sunita on her own phone")
    fill(desk, "unlock-password", "not the password")
    tap(desk, "unlock-approve")
    see(desk, "unlock-wrong")
    fill(desk, "unlock-password", person.password)
    tap(desk, "unlock-approve")
    see(desk, "unlocks-decided")
    see(page, "login-page", 60_000)


DAY_MS = 24 * 3600 * 1000


def lose_the_day(clinic: Clinic) -> None:
    """As after a battery was changed: the hub is away, and the clock says ten days more than when it was kept."""
    clinic.hub.stop()
    now_ms = time.time_ns() // 1_000_000
    kept = {"offset_ms": 10 * DAY_MS, "seen_ms": now_ms + 90_000}
    (clinic.node_data / "clock.json").write_text(json.dumps(kept))


def tell_the_day(page: Page, clinic: Clinic) -> None:
    """The node asks what day it is, refuses one before its last work, and takes what the tablet's own clock says."""
    see(page, "clock-line")
    said = page.locator('[data-test="clock-line"] [role="alert"]').all_inner_texts()
    assert len(said) == 1 and not any(letter.isdigit() for letter in said[0]), "read aloud once, not each minute"
    assert look(page) == []
    tap(page, "clock-other")
    assert look(page) == []
    own = page.locator('[data-test="clock-now"]').input_value()
    fill(page, "clock-now", "2026-01-05T10:00")
    tap(page, "clock-say")
    see(page, "clock-wrong")
    assert look(page) == []
    fill(page, "clock-now", own)
    tap(page, "clock-say")
    expect(page.locator('[data-test="clock-line"]')).to_have_count(0)
    told = page.request.get(f"{clinic.node.url}/api/status").json()
    assert told["doubted_ms"] == 0
    assert abs(told["time_ms"] - time.time() * 1000) < DAY_MS / 24


def test_a_power_cut_at_noon_costs_a_pin_and_a_closed_day_a_badge(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        page = browser.new_context(viewport={"width": 360, "height": 640}).new_page()
        page.goto(clinic.node.url)
        token = red_case(page)
        fill(page, "unlock-badge", clinic.nurse.badge)
        fill(page, "unlock-pin", clinic.nurse.pin)
        assert look(page) == []
        tap(page, "unlock-submit")
        tap(page, f"staff-{clinic.nurse.staff_id}")
        fill(page, "login-pin", clinic.nurse.pin)
        tap(page, "login-submit")
        see(page, "new-patient")
        expect(page.locator('[data-test="queue-row"]').first).to_contain_text(token)
        assert keys_kept(page) == [False]
        clinic.node.kill()
        lose_the_day(clinic)
        clinic.node.start()
        page.goto("about:blank")  # the page of before would go on asking the locked node
        watch = Watch(page, clinic.node.url)
        page.goto(clinic.node.url)
        tap(page, f"day-{clinic.nurse.staff_id}")
        see(page, "day-form")
        assert look(page) == []
        for digit in clinic.nurse.pin:
            page.locator(".keypad").get_by_role("button", name=digit, exact=True).click()
        tap(page, "day-submit")
        see(page, "new-patient")
        watch.none()
        tell_the_day(page, clinic)
        clinic.hub.start()
        page.route("**/api/drafts/**", lambda route: route.abort())
        tap(page, "new-patient")
        fill(page, "reg-name", "Shanti Sealmarker")
        until_lying(page, ["form"])
        page.goto(f"{clinic.node.url}/#/closing")
        tap(page, "closing-close")
        see(page, "closing-dialog")
        assert look(page) == []
        tap(page, "closing-now")
        see(page, "unlock-form")
        expect(page.locator('[data-test="day-openers"]')).to_have_count(0)
        assert keys_kept(page) == []
        assert lying(page) == [], "what was typed went with the day"
        expect(page.locator("body")).not_to_contain_text("Sealmarker")
        ask_the_hub(page, browser.new_context(viewport={"width": 1440, "height": 900}).new_page(), clinic)
        browser.close()

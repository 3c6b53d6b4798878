"""The reception in a real browser: how fast a hand gets through, slips, and two tablets on one queue."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .pages import (
    Clinic,
    Watch,
    fill,
    log_in_nurse,
    look,
    register,
    see,
    take_visit,
    tap,
)
from .touch import Hand, new_patient, open_tablet, returning

pytestmark = pytest.mark.browser
NAME = "सत्यभामा देवी राजराजेश्वरी विश्वकर्मा उपाध्याय"


@pytest.fixture
def page(browser: Browser, clinic: Clinic) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    made = context.new_page()
    watch = Watch(made, clinic.node_url)
    log_in_nurse(made, clinic)
    yield made
    watch.none()
    context.close()


def closed(page: Page) -> None:
    """Close the visit on the screen and go to the queue."""
    for control in ("close-visit", "close-outcome-completed", "close-confirm"):
        tap(page, control)
    see(page, "visit-closed")
    tap(page, "visit-home")


@pytest.mark.parametrize("size", [(1280, 800), (800, 1280)], ids=["lying", "upright"])
def test_a_new_patient_has_her_token_within_a_minute_and_one_who_returns_within_ten_seconds(
    browser: Browser, clinic: Clinic, size: tuple[int, int], page: Page
) -> None:
    register(page, "गाँव की पहली" if size[0] > size[1] else "दूसरे गाँव की")  # a village to choose
    tablet = open_tablet(browser, clinic, *size)
    hand = Hand(tablet)
    mobile = f"5550{size[0]:06d}"
    first = new_patient(hand, "Sarita Devi" if size[0] > size[1] else "Kunti Devi", mobile)
    assert hand.total_s <= 60
    hand.rest()
    closed(tablet)
    hand = Hand(tablet)
    second = returning(hand, mobile[-4:])
    assert hand.total_s <= 10
    assert int(second.rpartition("-")[2]) == int(first.rpartition("-")[2]) + 1
    tablet.context.close()


def test_a_patient_is_found_in_either_script_and_her_page_shows_no_fault(page: Page) -> None:
    register(page, NAME, mobile="5550123456")
    take_visit(page)
    assert look(page) == []
    closed(page)
    fill(page, "search", "satyabama")
    see(page, "patient-row")
    assert look(page) == []
    fill(page, "search", "5550123456")
    see(page, "family-new")
    tap(page, "patient-row")
    see(page, "last-time")
    assert look(page) == []
    tap(page, "give-token")
    assert page.locator('[role="alert"]').count() == 2, "consent is asked, not taken for given"
    tap(page, "edit-person")
    see(page, "edit-person-form")
    assert look(page) == []
    tap(page, "edit-cancel")
    tap(page, "family-new")
    expect(page.locator('[data-test="reg-village"]')).to_have_value("नमूनापुर")
    expect(page.locator('[data-test="reg-mobile"]')).to_have_value("5550123456")
    page.locator('[data-test="family-member"]', has_text=NAME).wait_for()
    assert look(page) == []


def test_a_slip_of_the_finger_is_taken_back(page: Page) -> None:
    register(page, "रुक्मिणी देवी", age="48")
    take_visit(page)
    token = page.locator('[data-test="token-number"]').inner_text()
    tap(page, "undo")
    page.locator('[data-test="visit-page"][data-state="triaged"]').wait_for()
    tap(page, "edit-form")
    tap(page, "go-triage")
    tap(page, "issue-token")
    page.locator('[data-test="visit-page"][data-state="waiting"]').wait_for()
    assert page.locator('[data-test="token-number"]').inner_text() == token
    closed(page)
    tap(page, "undo")
    page.locator('[data-test="visit-page"][data-state="waiting"]').wait_for()
    for control in ("close-visit", "close-outcome-completed", "close-confirm", "undo-closing"):
        tap(page, control)
    page.locator('[data-test="visit-page"][data-state="waiting"]').wait_for()
    closed(page)
    fill(page, "search", "rukmini")
    tap(page, "patient-row")
    for control in ("consent-tele-yes", "consent-data-yes", "give-token"):
        tap(page, control)
    see(page, "visit-page")
    page.locator('[data-test="undo-bar"]', has_text="-").wait_for()
    tap(page, "undo")
    see(page, "new-patient")
    fill(page, "search", "rukmini")
    see(page, "patient-row")
    assert page.locator(".here-mark").count() == 0


def test_the_red_button_on_a_known_patients_page_asks_nothing_and_registers_nobody_anew(page: Page) -> None:
    register(page, "भागीरथी देवी", age="66")
    tap(page, "undo")
    fill(page, "search", "bhagirathi")
    tap(page, "patient-row")
    tap(page, "emergency")
    assert page.locator('[data-test="emergency-age"]').count() == 0
    tap(page, "emergency-go")
    page.locator('[data-test="visit-page"] [data-colour="red"]').first.wait_for()
    tap(page, "visit-home")
    fill(page, "search", "bhagirathi")
    see(page, "patient-row")
    assert page.locator('[data-test="patient-row"]').count() == 1


def test_two_tablets_refuse_a_correction_of_old_data_and_a_second_token_for_who_is_here(
    browser: Browser, clinic: Clinic, page: Page
) -> None:
    register(page, "शारदा देवी", age="47")
    take_visit(page)
    closed(page)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    other = context.new_page()
    log_in_nurse(other, clinic)
    for tablet in (page, other):
        fill(tablet, "search", "sharda")
        tap(tablet, "patient-row")
        see(tablet, "patient-page")
    for tablet in (page, other):
        tap(tablet, "edit-person")
    fill(page, "reg-village", "मानपुर")
    tap(page, "edit-save")
    see(page, "patient-page")
    fill(other, "reg-relative", "रामविलास")
    tap(other, "edit-save")
    see(other, "edit-wrong")
    other.locator('[data-test="person-as-known"]', has_text="मानपुर").wait_for()
    tap(other, "edit-cancel")
    for tablet in (page, other):
        tap(tablet, "consent-tele-yes")
        tap(tablet, "consent-data-yes")
    tap(page, "give-token")
    see(page, "visit-page")
    token = page.locator('[data-test="token-number"]', has_text="-").inner_text()
    tap(other, "give-token")
    see(other, "toast-bad")
    other.locator('[data-test="here-already"]', has_text=token).wait_for()
    tap(other, "to-open-visit")
    other.locator('[data-test="token-number"]', has_text=token).wait_for()
    tap(other, "visit-home")
    expect(other.locator('[data-test="queue-row"]', has_text="शारदा")).to_have_count(1)
    context.close()


def test_the_end_of_the_day_says_what_waits_and_why_in_both_languages(page: Page) -> None:
    register(page, f"द्रौपदी {NAME}", age="40")
    take_visit(page)
    tap(page, "visit-home")
    tap(page, "closing-open")
    page.locator('[data-test="closing-item"][data-why="for_doctor"]', has_text="द्रौपदी").wait_for()
    page.locator('[data-test="closing-rows"]', has_text="द्रौपदी").wait_for()
    for width, height in ((1280, 800), (800, 1280), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        assert look(page) == [], (width, height)
    pdf = page.request.get(page.locator('[data-test="closing-print"]').evaluate("(link) => link.href"))
    assert pdf.ok and pdf.body().startswith(b"%PDF")
    fill(page, "closing-day", "2026-01-01")
    see(page, "closing-empty")
    see(page, "closing-nothing")


ANSWER = """
() => document.addEventListener("click", (event) => {
  const control = event.target.closest("button");
  requestAnimationFrame(() => {
    window.__answer = [control.hasAttribute("data-touched"), document.querySelector("form").dataset.test];
  });
}, { once: true })
"""
"""Keeps what the first picture after the next touch will show."""


def test_a_touch_is_answered_before_the_next_screen_is_built_and_counts_once(page: Page) -> None:
    register(page, "मालती देवी", age="61")
    tap(page, "consent-tele-yes")
    tap(page, "consent-data-yes")
    said: list[str] = []
    page.on("request", lambda one: said.append(one.post_data or "") if one.url.endswith("/api/commands") else None)
    page.evaluate(ANSWER)
    page.locator('[data-test="step-next"]').evaluate("(button) => { button.click(); button.click(); }")
    see(page, "step-complaint")
    assert page.evaluate("() => window.__answer") == [True, "step-consent"]
    tap(page, "complaint-fever")
    fill(page, "duration-fever", "3")
    with page.expect_response(lambda one: one.url.endswith("/api/commands")):
        tap(page, "step-next")
    see(page, "step-history")
    assert len([one for one in said if "record_consent" in one]) == 2

"""The console beyond the first signature: saved lines, amending, cancelling, in person, medical review."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .pages import (
    Clinic,
    Stage,
    Watch,
    _run,
    faults_here,
    fill,
    log_in_doctor,
    log_in_nurse,
    register,
    see,
    take_visit,
    tap,
)

pytestmark = pytest.mark.browser
SIZES = ((1366, 768), (1440, 900), (360, 640))
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder for the screens, to be looked at by a person."""
VOICES_COME = """() => {
  speechSynthesis.getVoices = () => [{ lang: "hi-IN", name: "Hindi", localService: true }];
  window.SpeechSynthesisUtterance = function (text) { this.text = text; };
  window.said = 0;
  speechSynthesis.speak = () => (window.said += 1);
  speechSynthesis.dispatchEvent(new Event("voiceschanged"));
}"""
"""As on a tablet: its voices come some time after the page."""
VOICE_OF_THE_INTERNET = """() => {
  speechSynthesis.getVoices = () => [{ lang: "hi-IN", name: "Google", localService: false }];
  window.said = 0;
  speechSynthesis.dispatchEvent(new Event("voiceschanged"));
}"""
CANNOT = {"code": "voice_missing", "message": "This box cannot read out.", "field": "", "fault": "state"}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("clinic")
    stage = Stage(folder)
    try:
        made = stage.start()
        _run(["hub", "role", "--data", str(folder / "hub"), "--id", "doctor"])
        yield made
    finally:
        stage.stop()


def look(page: Page, name: str) -> list[str]:
    """Faults of a screen in each size and both languages."""
    faults: list[str] = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)
        faults += [f"{name} {width}: {one}" for one in faults_here(page, 26)]
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{name}-{width}.png", full_page=width < 1000)
        if not page.locator("dialog[open]").count():
            tap(page, "language-toggle")
    return faults


def write(page: Page, name: str, days: str) -> None:
    """A medicine of list O by keyboard and selects."""
    page.keyboard.press("Alt+d")
    page.keyboard.type(name)
    page.locator('[role="option"]').first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    see(page, "drug-line")
    fill(page, "dose", "1")
    for field, value in (("route", "oral"), ("frequency", "TDS"), ("food", "after")):
        page.locator(f'[data-test="{field}"]').first.select_option(value)
    fill(page, "days", days)


def come_again(nurse: Page) -> None:
    """The visit is closed, and she comes for the same problem: her doctor has seen her in person for it."""
    tap(nurse, "close-visit")
    tap(nurse, "close-outcome-completed")
    tap(nurse, "close-confirm")
    tap(nurse, "home")
    fill(nurse, "search", "सीता")
    tap(nurse, "patient-row")
    assert nurse.locator('[data-test="why-new"]').get_attribute("aria-checked") == "true"
    tap(nurse, "why-same")
    tap(nurse, "consent-tele-yes")
    tap(nurse, "consent-data-yes")
    tap(nurse, "give-token")
    nurse.locator('[data-test="token-number"]', has_text="-").wait_for()


def test_a_doctor_saves_signs_amends_and_cancels_and_the_nurse_sees_what_stands(
    browser: Browser, clinic: Clinic
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(20_000)
    nurse = context.new_page()
    log_in_nurse(nurse, clinic)
    register(nurse, "सीता देवी", age="34")
    take_visit(nurse)
    doctor = context.new_page()
    watch = Watch(doctor, clinic.hub_url)
    log_in_doctor(doctor, clinic)
    doctor.locator('[data-test="queue-row"]', has_text="सीता").click()
    see(doctor, "record")
    fill(doctor, "diagnosis", "Viral fever")
    write(doctor, "paracetamol tab", "3")
    tap(doctor, "saved-new")
    fill(doctor, "saved-name", "Fever, adult")
    tap(doctor, "saved-keep")
    see(doctor, "saved-choose")
    doctor.locator('[data-test="in-person"] summary').click()
    faults = look(doctor, "writing")
    doctor.set_viewport_size({"width": 1366, "height": 768})
    tap(doctor, "remove-line")
    doctor.locator('[data-test="saved-choose"]').select_option(index=1)
    tap(doctor, "saved-take")
    see(doctor, "drug-line")
    doctor.keyboard.press("Alt+s")
    see(doctor, "rx-amend")
    see(nurse, "hand-out", 30_000)
    with nurse.expect_response("**/api/voice") as spoken:  # this browser has no voice of its own
        see(nurse, "rx-read")
        tap(nurse, "rx-read")
        nurse.locator('[data-test="rx-read"][aria-pressed="true"]').wait_for()
    assert (spoken.value.status, spoken.value.headers["content-type"]) == (200, "audio/wav")
    tap(nurse, "rx-read")
    nurse.locator('[data-test="rx-read"][aria-pressed="false"]').wait_for()
    nurse.evaluate(VOICES_COME)
    tap(nurse, "rx-read")
    assert nurse.evaluate("window.said > 0"), "its own voice goes first"
    nurse.evaluate(VOICE_OF_THE_INTERNET)
    nurse.route("**/api/voice", lambda route: route.fulfill(status=409, json=CANNOT))
    tap(nurse, "rx-read")
    nurse.locator('[data-test="toast-bad"]', has_text="ख़ुद पढ़कर सुनाएँ").wait_for()
    assert nurse.evaluate("window.said") == 0, "a server on the internet hears nothing of a prescription"
    nurse.unroute("**/api/voice")
    nurse.locator('[data-test="toast-bad"] button').click()
    tap(nurse, "units-by-slip")
    expect(nurse.locator('[data-test="units"]')).to_have_value("9")  # one, three times a day, three days
    tap(nurse, "dispense")
    expect(nurse.locator('[data-test="given-line"]')).to_have_count(1)
    expect(nurse.locator('[data-test="units-by-slip"]')).to_have_count(0)
    expect(nurse.locator('[data-test="on-shelf"]')).to_contain_text("गिना नहीं")  # and not: -9
    tap(nurse, "undo")
    see(nurse, "units-by-slip")
    fill(nurse, "units", "90")
    tap(nurse, "count-stock")
    nurse.locator('[data-test="on-shelf"]', has_text="90").wait_for()
    fill(nurse, "units", "९")
    tap(nurse, "dispense")
    nurse.locator('[data-test="on-shelf"]', has_text="81").wait_for()
    tap(nurse, "undo")
    nurse.locator('[data-test="on-shelf"]', has_text="90").wait_for()
    fill(nurse, "units", "9")
    tap(nurse, "dispense")
    tap(nurse, "undo-hand-out")
    nurse.locator('[data-test="on-shelf"]', has_text="90").wait_for()
    fill(nurse, "units", "9")
    tap(nurse, "dispense")
    nurse.locator('[data-test="on-shelf"]', has_text="81").wait_for()
    nurse.locator('[data-test="in-person"] summary').click()
    nurse.locator('[data-test="in-person-who"]').select_option(index=1)
    tap(nurse, "in-person-keep")
    doctor.locator('[data-test="check-mode"][data-type="follow_up"]').wait_for(timeout=30_000)
    faults += look(nurse, "tablet-hand-out")
    tap(doctor, "rx-amend")
    fill(doctor, "amend-reason", "five days")
    fill(doctor, "days", "5")
    faults += look(doctor, "amending")
    doctor.set_viewport_size({"width": 1366, "height": 768})
    doctor.keyboard.press("Alt+s")
    doctor.locator('[data-test="rx-standing"][data-standing="replaced"]').wait_for()
    nurse.locator('[data-test="rx-old"][data-standing="replaced"]').wait_for(timeout=30_000)
    see(nurse, "rx-replaces")
    faults += look(nurse, "tablet-replaced")
    tap(doctor, "rx-cancel")
    fill(doctor, "cancel-reason", "allergy told later")
    faults += look(doctor, "cancelling")
    doctor.set_viewport_size({"width": 1366, "height": 768})
    tap(doctor, "cancel-confirm")
    doctor.locator('[data-test="rx-standing"][data-standing="cancelled"]').wait_for()
    nurse.locator('[data-test="rx-old"][data-standing="cancelled"]').wait_for(timeout=30_000)
    come_again(nurse)
    doctor.locator('[data-test="queue-row"]', has_text="सीता").click()
    doctor.locator('[data-test="check-mode"][data-type="follow_up"]').wait_for(timeout=30_000)
    tap(doctor, "to-review")
    see(doctor, "review-item")
    faults += look(doctor, "review")
    first = doctor.locator('[data-test="review-item"]').first
    item = first.get_attribute("data-item")
    first.locator('[data-test="review-approve"]').click()
    doctor.locator(f'[data-test="review-item"][data-item="{item}"]').wait_for(state="detached")
    assert faults == []
    watch.none()
    context.close()

"""A sharp picture in a call, by the node's own camera; both sides draw on it and keep it. Then a spoken answer."""

import os

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from .pages import Clinic, Watch, faults_here, log_in_doctor, log_in_nurse, register, take_visit, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ACROSS_MS = 45_000
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder: keep screenshots there, to be looked at."""


def person(browser: Browser, url: str, width: int, height: int) -> BrowserContext:
    made = browser.new_context(viewport={"width": width, "height": height})
    made.grant_permissions(["camera", "microphone"], origin=url)
    made.set_default_timeout(20_000)
    return made


def marks(page: Page, where: str, *, doctor: bool) -> Locator:
    return page.locator(f'[data-test="mark-{where}"][data-doctor="{str(doctor).lower()}"]')


def drag(page: Page, *stops: tuple[float, float]) -> None:
    """Draw with the mouse; places are shares of the photo's sides."""
    box = page.locator('[data-test="mark-surface"]').bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stops]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def look(page: Page, name: str, sizes: tuple[tuple[int, int], ...], least_px: int) -> list[str]:
    found: list[str] = []
    before = page.viewport_size
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        found += faults_here(page, least_px)
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{name}-{width}.png")
    if before is not None:
        page.set_viewport_size(before)
    return found


def answers(nurse: Page, doctor: Page) -> None:
    """The doctor answers by voice; it is played at the node."""
    tap(doctor, "answer-record")
    expect(doctor.locator('[data-test="answer-stop"]')).to_contain_text("2")
    tap(doctor, "answer-stop")
    doctor.locator('[data-test="answer-listen"]').wait_for()
    assert look(doctor, "answer-doctor", ((1440, 900), (1366, 768)), 26) == []
    tap(doctor, "answer-send")
    expect(nurse.locator('[data-test="answer"]')).to_have_attribute("data-whole", "true", timeout=ACROSS_MS)
    nurse.locator('[data-test="answers"]').scroll_into_view_if_needed()
    assert look(nurse, "answer-nurse", ((1280, 800), (800, 1280), (360, 640)), 48) == []
    for page in (nurse, doctor):
        played = page.evaluate(
            """() => new Promise((resolve) => {
                 const sound = document.querySelector('[data-test=answer] audio');
                 sound.muted = true;
                 sound.ontimeupdate = () => sound.currentTime > 0.3 && resolve('played');
                 sound.onerror = () => resolve('error ' + sound.error.message);
                 sound.play().catch((error) => resolve('refused ' + error));
               })"""
        )
        assert played == "played"


def test_a_sharp_picture_of_the_nodes_camera_is_drawn_on_by_both_sides_and_kept(
    browser: Browser, clinic: Clinic
) -> None:
    nurses, doctors = (
        person(browser, clinic.node_url, 1280, 800),
        person(browser, clinic.hub_url, 1440, 900),
    )
    nurse, doctor = nurses.new_page(), doctors.new_page()
    watches = [Watch(nurse, clinic.node_url), Watch(doctor, clinic.hub_url)]
    log_in_nurse(nurse, clinic)
    register(nurse, "रुक्मिणी देवी", age="51")
    take_visit(nurse)
    log_in_doctor(doctor, clinic)
    doctor.locator('[data-test="queue-row"]', has_text="रुक्मिणी देवी").click(timeout=ACROSS_MS)
    tap(doctor, "call")
    tap(nurse, "call-accept")
    doctor.locator('[data-test="call-panel"][data-state="connected"]').wait_for(timeout=ACROSS_MS)
    expect(doctor.locator('[data-test="call-sharp"]')).to_be_enabled(timeout=ACROSS_MS)
    tap(doctor, "call-sharp")
    photo = doctor.locator('[data-test="media-item"][data-purpose="original"]')
    expect(photo).to_have_attribute("data-state", "whole", timeout=ACROSS_MS)
    tap(doctor, "media-open")
    expect(doctor.locator('[data-test="media-big"]')).to_have_js_property("naturalWidth", 1600)

    # the doctor draws: the nurse is called to the photo and sees it at once
    drag(doctor, (0.2, 0.2), (0.4, 0.35), (0.5, 0.3))
    expect(marks(doctor, "live", doctor=True)).to_have_count(1)
    tap(nurse, "call-marks")
    expect(marks(nurse, "live", doctor=True)).to_have_count(1, timeout=ACROSS_MS)
    # the nurse answers with the keyboard alone: a ring, then an arrow, of which she takes the last back
    tap(nurse, "mark-ring")
    nurse.locator('[data-test="mark-surface"]').focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "ArrowLeft", "Enter"):
        nurse.keyboard.press(key)
    expect(nurse.locator('[data-test="mark-place"]')).to_contain_text("58")
    expect(marks(doctor, "live", doctor=False)).to_have_count(1, timeout=ACROSS_MS)
    tap(nurse, "mark-arrow")
    nurse.locator('[data-test="mark-surface"]').focus()
    for key in ("Enter", "Shift+ArrowUp", "Enter"):
        nurse.keyboard.press(key)
    expect(marks(doctor, "live", doctor=False)).to_have_count(2, timeout=ACROSS_MS)
    tap(nurse, "mark-undo")
    expect(marks(doctor, "live", doctor=False)).to_have_count(1, timeout=ACROSS_MS)
    assert look(nurse, "marks-nurse", ((1280, 800), (800, 1280), (360, 640)), 48) == []
    assert look(doctor, "marks-doctor", ((1440, 900), (1366, 768)), 26) == []

    tap(nurse, "mark-keep")
    tap(doctor, "mark-keep")
    for page in (nurse, doctor):
        expect(marks(page, "kept", doctor=True)).to_have_count(1, timeout=ACROSS_MS)
        expect(marks(page, "kept", doctor=False)).to_have_count(1, timeout=ACROSS_MS)
        tap(page, "media-close")
    tap(doctor, "call-hangup")
    nurse.locator('[data-test="call-screen"]').wait_for(state="detached")
    doctor.reload()
    doctor.locator('[data-test="queue-row"]', has_text="रुक्मिणी देवी").click(timeout=ACROSS_MS)
    nurse.reload()
    for page in (nurse, doctor):
        tap(page, "media-open")
        expect(marks(page, "kept", doctor=True)).to_have_count(1)
        expect(marks(page, "kept", doctor=False)).to_have_count(1)
        expect(page.locator('[data-test="mark-undo"]')).to_be_disabled()
        tap(page, "media-close")
    answers(nurse, doctor)
    for watch in watches:
        watch.none()
    nurses.close()
    doctors.close()

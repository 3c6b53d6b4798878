"""A clip by the pages' own controls: recorded at the tablet, its first picture and then all of it at the doctor's."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from .pages import Clinic, Watch, faults_here, log_in_doctor, log_in_nurse, register, see, take_visit, tap
from .test_pages_media import PICTURES, faults, until

pytestmark = [pytest.mark.browser, pytest.mark.serial, pytest.mark.timeout(240)]
MAKING_MS = 90_000
THREE_SECONDS = re.compile(r"^([3-9]|[12]\d|30)$")
PLAYER = "document.querySelector('[data-test=clip-player]')"
SIZES = ((1280, 800), (800, 1280), (360, 640), (1440, 900))


def plays(page: Page) -> None:
    """Play the clip on the page; its first picture has the shape of the camera's, and its time goes on."""
    page.evaluate(f"() => {{ {PLAYER}.muted = true; void {PLAYER}.play(); }}")
    until(page, f"{PLAYER}.error !== null || {PLAYER}.currentTime > 0.3", 60)
    state = page.evaluate(f"[{PLAYER}.error?.message ?? '', {PLAYER}.videoWidth / {PLAYER}.videoHeight]")
    assert state == ["", pytest.approx(4 / 3, rel=0.01)]


def dialog_faults(page: Page, name: str) -> list[str]:
    """Faults of an open dialog, behind which no language can be chosen, in all sizes."""
    found: list[str] = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        found += faults_here(page)
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{name}-{width}.png")
    return found


def test_a_clip_goes_from_the_tablets_camera_to_the_doctors_player(browser: Browser, clinic: Clinic) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["microphone", "camera"])
    context.set_default_timeout(20_000)
    nurse = context.new_page()
    watch = Watch(nurse, clinic.node_url)
    log_in_nurse(nurse, clinic)
    register(nurse, "श्रीमती महालक्ष्मी वेंकटसुब्रह्मण्यम अन्नपूर्णा देवी", age="34")
    take_visit(nurse)
    tap(nurse, "clip-record")
    nurse.locator('[data-test="clip-start"]:enabled').wait_for()
    assert dialog_faults(nurse, "clip-dialog") == []
    tap(nurse, "clip-cancel")
    nurse.locator('[data-test="clip-dialog"]').wait_for(state="detached")
    tap(nurse, "clip-record")
    nurse.locator('[data-test="clip-start"]:enabled').wait_for()
    tap(nurse, "clip-start")
    expect(nurse.locator('[data-test="clip-seconds"]')).to_have_attribute("data-seconds", THREE_SECONDS, timeout=30_000)
    tap(nurse, "clip-stop")
    kept = nurse.locator('[data-test="media-item"][data-purpose="clip"]')
    kept.first.wait_for(timeout=MAKING_MS)
    plays(nurse)
    tap(nurse, "clip-own")
    nurse.locator('[data-test="clip-own-stop"]:enabled').click()
    expect(kept).to_have_count(2, timeout=MAKING_MS)
    assert faults(nurse, "clip-nurse", 48, SIZES) == []
    watch.none()

    doctor = context.new_page()
    heard = Watch(doctor, clinic.hub_url)
    log_in_doctor(doctor, clinic)
    doctor.set_viewport_size({"width": 1440, "height": 900})
    tap(doctor, "queue-row")
    see(doctor, "media")
    whole = doctor.locator('[data-test="media-item"][data-purpose="clip"][data-state="whole"]')
    expect(whole).to_have_count(2, timeout=60_000)
    until(doctor, "document.querySelector('[data-test=clip-player]').poster.includes('/media/')")
    plays(doctor)
    assert faults(doctor, "clip-doctor", 26, ((1440, 900), (1366, 768))) == []
    heard.none()
    nurse.bring_to_front()
    expect(kept.first).to_have_attribute("data-state", "doctor_opened", timeout=40_000)
    context.close()

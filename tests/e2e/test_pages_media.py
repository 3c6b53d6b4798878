"""Photos and a voice note by the pages' own controls: taken at the tablet, seen and heard at the doctor's."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.kits import media as made

from .pages import (
    Clinic,
    Watch,
    faults_here,
    log_in_doctor,
    log_in_nurse,
    register,
    see,
    take_visit,
    tap,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder: keep screenshots there, to be looked at."""


BIG_IS_HERE = "document.querySelector('[data-test=media-big]').naturalWidth > 600"


def until(page: Page, told: str, seconds: int = 20, heard: Watch | None = None) -> None:
    """Ask the page again and again; its policy forbids the evaluating that playwright's own waiting does."""
    for _ in range(seconds * 5):
        if page.evaluate(told):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"not within {seconds} s: {told}; {heard.complaints if heard else ''}")


def faults(page: Page, name: str, least_px: int, sizes: tuple[tuple[int, int], ...]) -> list[str]:
    """Faults of the page in both languages and these sizes."""
    found: list[str] = []
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        for language in ("a", "b"):
            page.wait_for_timeout(200)
            found += faults_here(page, least_px)
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/{name}-{width}-{language}.png", full_page=True)
            tap(page, "language-toggle")
    return found


def a_picture_that_does_not_come_is_asked_for_again(doctor: Page) -> None:
    """Twice the network fails: it comes by itself. Each time: the page says so, and fetches it when told to."""
    photo = doctor.locator('[data-test="media-item"][data-purpose="original"]').first.get_attribute("data-blob")
    asked: list[str] = []
    most = 2

    def fail(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= most:
            route.abort()
        else:
            route.continue_()

    doctor.route(f"**/media/{photo}", fail)
    tap(doctor, "media-open")
    until(doctor, BIG_IS_HERE)
    assert len(asked) == 3
    assert doctor.locator('[data-test="media-missed"]').count() == 0
    tap(doctor, "media-close")
    doctor.reload()  # a page keeps the pictures that it has
    see(doctor, "media-item")
    asked.clear()
    most = 4
    tap(doctor, "media-open")
    see(doctor, "media-missed", 20_000)
    assert faults_here(doctor, 26) == []
    if PICTURES:
        doctor.screenshot(path=f"{PICTURES}/doctor-missed.png")
    tap(doctor, "media-again")
    until(doctor, BIG_IS_HERE)
    assert doctor.locator('[data-test="media-missed"]').count() == 0
    tap(doctor, "media-close")
    doctor.unroute(f"**/media/{photo}")


def a_picture_gets_sharp_when_the_rest_has_come(doctor: Page) -> None:
    """The list of parts is told as it was a moment ago; the dialog stays open while the rest comes."""

    def of_a_moment_ago(route: Route) -> None:
        reply = route.fetch().json()
        for item in reply["items"]:
            item["state"] = "waiting"
        route.fulfill(json=reply)

    asked: list[str] = []
    doctor.route("**/api/visits/*/media", of_a_moment_ago)
    doctor.reload()
    doctor.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    doctor.locator('[data-test="media-item"][data-purpose="original"][data-state="waiting"]').wait_for()
    photo = doctor.locator('[data-test="media-item"][data-purpose="original"]').first.get_attribute("data-blob")
    tap(doctor, "media-open")
    until(doctor, BIG_IS_HERE)
    assert [one for one in asked if str(photo) in one] == [f"{photo}?part"]
    doctor.unroute("**/api/visits/*/media")
    doctor.locator('[data-test="media-item"][data-purpose="original"][data-state="whole"]').wait_for()
    until(doctor, BIG_IS_HERE)
    assert [one for one in asked if str(photo) in one] == [f"{photo}?part", photo]
    tap(doctor, "media-close")


def test_a_photo_and_a_voice_note_go_from_the_tablet_to_the_doctors_screen(
    browser: Browser, clinic: Clinic, tmp_path: Path
) -> None:
    camera = tmp_path / "camera.jpg"
    camera.write_bytes(made.jpeg(2400, 1800, 3, quality=85))
    assert camera.stat().st_size > 1_000_000
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["microphone"])
    context.set_default_timeout(20_000)
    nurse = context.new_page()
    watch = Watch(nurse, clinic.node_url)
    log_in_nurse(nurse, clinic)
    register(nurse, "सत्यभामा देवी", age="34")
    take_visit(nurse)
    see(nurse, "media-card")
    nurse.locator('[data-test="photo-file"]').set_input_files(camera)
    nurse.locator('[data-test="media-item"][data-purpose="original"]').wait_for()
    tap(nurse, "note-record")
    see(nurse, "note-stop")
    nurse.wait_for_timeout(1_500)
    tap(nurse, "note-stop")
    nurse.locator('[data-test="media-item"][data-purpose="voice_note"]').wait_for()
    until(nurse, "document.querySelector('[data-test=media-item] img').naturalWidth > 100")

    other = tmp_path / "wrong.jpg"
    other.write_bytes(made.jpeg(800, 600, 4))
    nurse.locator('[data-test="photo-take"][aria-busy="false"]').wait_for()
    nurse.locator('[data-test="photo-file"]').set_input_files(other)
    nurse.locator('[data-test="media-item"][data-purpose="original"]').nth(1).wait_for()
    nurse.locator('[data-test="media-item"][data-purpose="original"]').nth(1).locator(
        '[data-test="media-remove"]'
    ).click()
    see(nurse, "toast-good")
    until(nurse, "document.querySelectorAll('[data-test=media-item]').length === 2")
    page_text = tmp_path / "page.jpg"
    page_text.write_bytes(b"<html>not a photo</html>")
    nurse.locator('[data-test="photo-file"]').set_input_files(page_text)
    see(nurse, "toast-bad")
    until(
        nurse,
        "[...document.querySelectorAll('[data-test=media-item]')].every((one) => one.dataset.state === 'hub_has_it')",
        40,
    )
    assert faults(nurse, "nurse", 48, ((1280, 800), (360, 640))) == []
    watch.none()

    doctor = context.new_page()
    heard = Watch(doctor, clinic.hub_url)
    log_in_doctor(doctor, clinic)
    doctor.set_viewport_size({"width": 1440, "height": 900})
    tap(doctor, "queue-row")
    see(doctor, "media")
    doctor.locator('[data-test="media-item"][data-purpose="original"][data-state="whole"]').wait_for()
    until(doctor, "document.querySelector('.thumb img').naturalWidth > 100")
    assert faults(doctor, "doctor", 26, ((1440, 900), (1366, 768))) == []
    tap(doctor, "media-open")
    until(doctor, BIG_IS_HERE, heard=heard)
    if PICTURES:
        doctor.screenshot(path=f"{PICTURES}/doctor-big.png")
    tap(doctor, "media-close")
    heard.none()
    a_picture_that_does_not_come_is_asked_for_again(doctor)
    a_picture_gets_sharp_when_the_rest_has_come(doctor)
    heard.complaints.clear()
    played = doctor.evaluate(
        """() => new Promise((resolve) => {
             const note = document.querySelector('[data-test=media-item] audio');
             note.muted = true;
             note.ontimeupdate = () => note.currentTime > 0.3 && resolve('played');
             note.onerror = () => resolve('error ' + note.error.message);
             note.play().catch((error) => resolve('refused ' + error));
           })"""
    )
    assert played == "played"
    heard.none()
    nurse.bring_to_front()
    until(
        nurse,
        "[...document.querySelectorAll('[data-test=media-item]')].every((o) => o.dataset.state === 'doctor_opened')",
        40,
    )
    context.close()

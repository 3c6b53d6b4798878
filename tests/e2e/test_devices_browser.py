"""A nurse measures with an oximeter, in a real browser: button, live value, finger off, cable out, take, technician."""

import json
import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.kits.devices import Contec7, PtyDevice, ThreadedDevices

from .pages import (
    BROWSER_ARGS,
    CHROMIUM,
    Clinic,
    Stage,
    Watch,
    faults_here,
    log_in_nurse,
    log_in_technician,
    register,
    see,
    tap,
)

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def cable(tmp_path_factory: pytest.TempPathFactory) -> PtyDevice:
    return PtyDevice(tmp_path_factory.mktemp("ports") / "oximeter", Contec7())


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, cable: PtyDevice) -> Iterator[Clinic]:
    stage = Stage(tmp_path_factory.mktemp("clinic"), devices=[f"contec-v7={cable.path}"])
    try:
        yield stage.start()
    finally:
        stage.stop()


def state(page: Page, wanted: str, picture: str) -> None:
    page.locator(f'[data-test="device-state"][data-state="{wanted}"]').wait_for(timeout=WAIT_MS)
    assert faults_here(page) == [], wanted
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{picture}.png")


def test_a_nurse_takes_an_oximeters_value_when_it_holds(clinic: Clinic, cable: PtyDevice) -> None:
    with sync_playwright() as playwright, ThreadedDevices() as thread:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        watch = Watch(page, clinic.node_url)
        log_in_nurse(page, clinic)
        register(page, "सत्यभामा देवी")
        tap(page, "go-vitals")
        tap(page, "vital-spo2-device")
        state(page, "absent", "device-absent")
        cable.device.finger = False
        thread.plug(cable)
        state(page, "no_finger", "device-finger")
        cable.device.finger = True
        state(page, "ready", "device-ready-hi")
        see(page, "device-wave")
        assert page.locator('[data-test="device-value-spo2"]').inner_text() == "97"
        tap(page, "device-again")
        page.locator('[data-test="device-take"]:disabled').wait_for()
        state(page, "ready", "device-again")
        tap(page, "device-take")
        expect(page.locator('[data-test="vital-spo2"]')).to_have_value("97", timeout=WAIT_MS)
        expect(page.locator('[data-test="vital-hr"]')).to_have_value("65", timeout=WAIT_MS)
        assert "Contec" in page.locator("#vital-spo2-note").inner_text()
        assert faults_here(page) == []
        tap(page, "language-toggle")
        tap(page, "vital-hr-device")
        state(page, "ready", "device-ready-en")
        tap(page, "device-by-hand")
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/device-form-en.png", full_page=True)
        for vital, value in (("temp_c", "37.1"), ("rr", "18"), ("hr", "71")):
            page.locator(f'[data-test="vital-{vital}"]').fill(value)
        tap(page, "avpu-A")
        with page.expect_request(lambda request: "record_vitals" in (request.post_data or "")) as said:
            tap(page, "step-next")
        body = json.loads(said.value.post_data or "{}")
        sent = {one["vital"]: one for one in body["vitals"]["readings"]}
        assert sent["spo2"]["source"]["driver"] == "contec-v7"
        assert (sent["hr"]["method"], sent["hr"]["source"]) == ("manual", None), (
            "what was typed over is the nurse's own"
        )
        see(page, "step-triage")
        watch.none()
        tap(page, "logout")
        log_in_technician(page, clinic)
        page.locator('[data-test="tech-devices"]', has_text="Contec").wait_for()
        if PICTURES:
            page.locator('[data-test="tech-devices"]').screenshot(path=f"{PICTURES}/device-tech.png")
        thread.pull(cable)
        browser.close()

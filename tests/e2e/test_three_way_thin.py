"""A three-way call over a thin link: the centre's line carries no more than before the specialist came.

Doctor and specialist sound without a pause: what a second voice says in the first one's pauses is no second stream.
"""

import json
import tempfile
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan, control
from tests.e2e.report import Recorder, Report
from tests.e2e.test_three_way import DOCTOR_HZ, SPECIALIST_HZ, TONE
from tests.kits.cases import SAMPLES
from tests.kits.clinic import Clinic, Doctor, linked, wait_until
from tests.kits.link import NAMED, Link, is_available

pytestmark = [pytest.mark.browser, pytest.mark.serial, pytest.mark.long, pytest.mark.timeout(900)]
LINK = "64k"
SETTLE_S, MEASURE_S = 20.0, 40.0
MORE_AT_MOST = 1.1
"""A second stream would be more."""
GONE_S = 60.0
"""The hub gives a page that is gone half a minute."""


SOUND_SENT = """
async () => {
  const leg = window.__legs.find((one) => one.connectionState === "connected");
  let bytes = 0;
  for (const entry of (await leg.getStats()).values())
    if (entry.type === "outbound-rtp" && entry.kind === "audio") bytes += entry.bytesSent + entry.headerBytesSent;
  return bytes;
}
"""
"""Bytes of sound on the doctor's connection to the centre."""


def load_bps(link: Link, doctor: Page) -> tuple[float, float, float]:
    """Bits per second at the centre's line: up, down, and of the latter the doctor's sound without IP and UDP."""
    sound = doctor.evaluate(SOUND_SENT)
    before, began_s = link.stats(), time.monotonic()
    time.sleep(MEASURE_S)
    after, lasted_s = link.stats(), time.monotonic() - began_s
    return (
        8 * (after.uplink.offered_bytes - before.uplink.offered_bytes) / lasted_s,
        8 * (after.downlink.offered_bytes - before.downlink.offered_bytes) / lasted_s,
        8 * (doctor.evaluate(SOUND_SENT) - sound) / lasted_s,
    )


def sounding(browser: Browser, url: str, hertz: int) -> Page:
    """A page whose microphone is a tone."""
    page = browsers.open_page(browser, url, 1440, 900)
    page.context.add_init_script(TONE.replace("__HERTZ__", str(hertz)))
    page.reload()
    return page


def log_in(page: Page, person: Doctor) -> None:
    control(page, "login-user").fill(person.user)
    control(page, "login-password").fill(person.password)
    control(page, "login-totp").fill(person.code())
    control(page, "login-submit").click()
    expect(control(page, "queue")).to_be_visible()


@pytest.mark.skipif(not is_available(), reason="needs root and /dev/net/tun")
def test_the_centres_line_carries_no_more_when_a_specialist_comes_and_her_browser_may_die() -> None:
    spec = NAMED[LINK]
    with tempfile.TemporaryDirectory() as scratch, linked(spec) as link:
        assert link is not None
        folder = Path(scratch)
        with Clinic(folder, link=link) as clinic, sync_playwright() as playwright:
            url = f"http://127.0.0.1:{clinic.hub_port()}"
            tablet = browsers.launch(playwright, clinic.node_ground, folder, "tablet")
            doctor = browsers.launch(playwright, clinic.hub_ground, folder, "doctor")
            other = browsers.launch(playwright, clinic.hub_ground, folder, "specialist")
            tablet_page = browsers.open_page(tablet, clinic.node.url, 1280, 800)
            doctor_page = sounding(doctor, url, DOCTOR_HZ)
            specialist_page = sounding(other, url, SPECIALIST_HZ)
            specialist = clinic.make_specialist()
            recorder = Recorder(Report(link=LINK, camera="test", link_emulated=True), link)
            journey = Journey(clinic, link, recorder, tablet_page, doctor_page, Plan(SAMPLES[0], folder))
            for step, act in journey.steps():
                if step == "call":
                    break
                act()
            log_in(specialist_page, specialist)
            time.sleep(SETTLE_S)
            alone = load_bps(link, doctor_page)
            control(doctor_page, "third-ask").click()
            control(doctor_page, "third-agreed-spoken").click()
            control(doctor_page, "third-go").click()
            control(specialist_page, "third-accept").click()
            seat = control(specialist_page, "third-seat")
            expect(seat).to_have_attribute("data-state", "connected", timeout=60_000)

            def comes(name: str, least: int) -> bool:
                return int(seat.get_attribute(name) or 0) >= least

            wait_until(lambda: comes("data-audio", 3), "sound at the specialist", 60, 0.5)
            wait_until(lambda: comes("data-frames", 5), "a picture at the specialist", 60, 0.5)
            expect(control(tablet_page, "call-third")).to_contain_text("DEMO/00002", timeout=60_000)
            time.sleep(SETTLE_S)
            three = load_bps(link, doctor_page)
            figures = {
                "link": LINK,
                "alone_bps": [round(one) for one in alone],
                "three_bps": [round(one) for one in three],
            }
            print(json.dumps(figures), flush=True)
            with pytest.raises(Error):  # it dies before it answers, and says nothing to anybody
                other.new_browser_cdp_session().send("Browser.crash")
            wait_until(lambda: control(doctor_page, "third-ask").count() == 1, "the seat is empty", GONE_S, 0.5)
            expect(control(tablet_page, "call-third")).to_have_count(0, timeout=60_000)
            assert doctor_page.locator('[data-test="call-panel"][data-state="connected"]').count() == 1
            assert min(alone[:2]) > 10_000, f"nothing was measured: {figures}"
            assert three[0] <= alone[0] * MORE_AT_MOST, figures
            assert three[1] <= alone[1] * MORE_AT_MOST, figures
            doctor.close()
            tablet.close()

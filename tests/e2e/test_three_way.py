"""A three-way call in real browsers: patient, doctor and specialist hear each other, and the centre sends once."""

import os
import re
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from . import test_home_browser as home
from .pages import (
    PASSWORD,
    Clinic,
    Stage,
    Watch,
    _run,
    _word,
    faults_here,
    fill,
    log_in_doctor,
    log_in_nurse,
    register,
    see,
    take_visit,
    tap,
)
from .test_home_browser import HubStage
from .test_pages_calls import GREEN, in_state, open_record

pytestmark = [pytest.mark.browser, pytest.mark.serial, pytest.mark.timeout(400)]
CAMERA = "tablet"
ACROSS_MS = 45_000
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder for the screens, to be looked at by a person."""
NURSE_HZ, DOCTOR_HZ, SPECIALIST_HZ = 500, 1100, 1900
SPECIALIST = "डॉ. चन्द्रलेखा सुब्रह्मण्यम विशेषज्ञ"
TONE = """
(() => {
  const hertz = __HERTZ__;
  const devices = navigator.mediaDevices;
  const real = devices?.getUserMedia.bind(devices);
  window.__tones = [];
  if (real) devices.getUserMedia = async (wanted) => {
    const stream = await real(wanted);
    const context = new AudioContext();
    const tone = context.createOscillator(), volume = context.createGain();
    const out = context.createMediaStreamDestination();
    tone.frequency.value = hertz; volume.gain.value = 0.2;
    tone.connect(volume).connect(out); tone.start();
    window.__context = context;
    for (const track of stream.getAudioTracks()) { stream.removeTrack(track); track.stop(); }
    for (const track of out.stream.getAudioTracks()) stream.addTrack(track);
    return stream;
  };
  const Native = window.RTCPeerConnection;
  window.__legs = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...given) {
      super(...given);
      window.__legs.push(this);
    }
  };
})();
"""
"""Each browser's microphone is a tone of its own, and its connections can be looked at."""
HEARS = """
async ([hertz, silent]) => {
  const legs = window.__legs.filter((leg) => leg.connectionState === "connected");
  const found = [];
  for (const leg of legs) for (const receiver of leg.getReceivers()) {
    if (receiver.track.kind !== "audio" || receiver.track.readyState !== "live") continue;
    window.__ears ??= new Map();
    let ear = window.__ears.get(receiver.track);
    if (!ear) {
      window.__ear ??= new AudioContext();
      ear = window.__ear.createAnalyser();
      ear.fftSize = 4096;
      window.__ear.createMediaStreamSource(new MediaStream([receiver.track])).connect(ear);
      window.__ears.set(receiver.track, ear);
    }
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    const at = (hz) => Math.max(...bins.slice(Math.round(hz * 4096 / ear.context.sampleRate) - 2).slice(0, 5));
    found.push(hertz.every((hz) => at(hz) > -60) && silent.every((hz) => at(hz) < -60));
  }
  return found;
}
"""
"""For each sound that comes in: whether all of these tones are in it, and none of those."""
LEGS = """
async () => {
  const streams = [];
  for (const leg of window.__legs.filter((one) => one.connectionState === "connected")) {
    let sum = 0;
    (await leg.getStats()).forEach((entry) => {
      sum += entry.type === "inbound-rtp" || entry.type === "outbound-rtp" ? 1 : 0;
    });
    streams.push(sum);
  }
  return streams;
}
"""
"""How many streams each connection of a page carries, in the order in which they were made."""


def person(browser: Browser, url: str, hertz: int, width: int = 1280, height: int = 800) -> BrowserContext:
    made = browser.new_context(viewport={"width": width, "height": height})
    made.grant_permissions(["camera", "microphone"], origin=url)
    made.set_default_timeout(20_000)
    made.add_init_script(TONE.replace("__HERTZ__", str(hertz)))
    return made


def add_specialist(folder: Path) -> str:
    """A second account with the role; the secret of its codes."""
    data = str(folder / "hub")
    added = _run(
        (
            *("hub", "add-doctor", "--data", data, "--id", "chandra", "--name", SPECIALIST, "--password-stdin"),
            *("--registration", "DEMO/00002", "--qualification", "MD (त्वचा रोग)"),
        ),
        PASSWORD + "\n",
    )
    _run(["hub", "role", "--data", data, "--id", "chandra", "--role", "specialist"])
    return _word(added, r"\b[A-Z2-7]{32}\b")


def log_in_specialist(page: Page, url: str, secret: str) -> None:
    page.goto(url)
    fill(page, "login-user", "chandra")
    fill(page, "login-password", PASSWORD)
    fill(page, "login-totp", pyotp.TOTP(secret).now())
    tap(page, "login-submit")
    see(page, "logout")


def hears(page: Page, tones: list[int], silent: list[int]) -> None:
    """Wait until one of the sounds that come in holds these tones and not those."""
    found: list[bool] = []
    for _ in range(ACROSS_MS // 250):
        found = page.evaluate(HEARS, [tones, silent])
        if any(found):
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"not heard: {tones} without {silent}: {found}")


def sees_green(page: Page, name: str) -> None:
    """Wait until the tablet's picture moves in this element."""
    for _ in range(ACROSS_MS // 250):
        if page.evaluate(GREEN.replace("call-video", name)) > 0.3:
            return
        page.wait_for_timeout(250)
    raise AssertionError("the patient's picture is not there")


def look(page: Page, name: str) -> list[str]:
    """Faults of a screen in both languages; with pictures, where a folder was named for them."""
    faults: list[str] = []
    for _ in range(2):
        page.wait_for_timeout(150)
        language = page.evaluate("document.documentElement.lang")
        faults += [f"{name} {language}: {one}" for one in faults_here(page, 36)]
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/third-{name}-{language}.png")
        if page.locator("dialog[open]").count() or not page.locator('[data-test="language-toggle"]').count():
            return faults
        tap(page, "language-toggle")
    return faults


def test_a_specialist_comes_into_a_call_all_three_hear_each_other_and_the_centre_sends_once(
    browser: Browser, stage: Stage, clinic: Clinic
) -> None:
    secret = add_specialist(stage._folder)
    contexts = [
        person(browser, clinic.node_url, NURSE_HZ),
        person(browser, clinic.hub_url, DOCTOR_HZ, 1366, 768),
        person(browser, clinic.hub_url, SPECIALIST_HZ, 1366, 768),
    ]
    tablet, doctor, specialist = (context.new_page() for context in contexts)
    watches = [Watch(tablet, clinic.node_url), Watch(doctor, clinic.hub_url), Watch(specialist, clinic.hub_url)]
    log_in_nurse(tablet, clinic)
    log_in_doctor(doctor, clinic)
    log_in_specialist(specialist, clinic.hub_url, secret)
    register(tablet, "रेखा देवी", age="41")
    take_visit(tablet)
    open_record(doctor, "रेखा देवी")
    tap(doctor, "call")
    see(tablet, "call-banner", ACROSS_MS)
    tap(tablet, "call-accept")
    in_state(doctor, "call-panel", "connected")
    hears(doctor, [NURSE_HZ], [])
    hears(tablet, [DOCTOR_HZ], [SPECIALIST_HZ])
    before = doctor.evaluate(LEGS)

    # asked, and not now; asked again, and comes
    faults = []
    for answer in ("third-decline", "third-accept"):
        tap(doctor, "language-toggle")
        tap(doctor, "third-ask")
        doctor.locator('[data-test="third-person"][data-person="chandra"][aria-checked="true"]').wait_for()
        expect(doctor.locator('[data-test="third-go"]')).to_be_disabled()
        faults += look(doctor, "ask")
        tap(doctor, "third-agreed-spoken")
        tap(doctor, "third-go")
        doctor.locator('[data-test="third"][data-phase="asking"]').wait_for()
        see(specialist, "third-offer")
        if answer == "third-decline":
            faults += look(specialist, "offer") + look(doctor, "asking")
        tap(specialist, answer)
        if answer == "third-decline":
            see(doctor, "third-ask")
    expect(specialist.locator("#record-title")).to_have_text("रेखा देवी")
    in_state(specialist, "third-seat", "connected")
    sees_green(specialist, "third-video")
    hears(specialist, [NURSE_HZ, DOCTOR_HZ], [SPECIALIST_HZ])
    hears(tablet, [DOCTOR_HZ, SPECIALIST_HZ], [])
    hears(doctor, [SPECIALIST_HZ], [NURSE_HZ, DOCTOR_HZ])
    if PICTURES:
        see(doctor, "third-picture", ACROSS_MS)
    told = tablet.locator('[data-test="call-third"]')
    expect(told).to_contain_text(SPECIALIST, timeout=ACROSS_MS)
    expect(told).to_contain_text("DEMO/00002")
    written = doctor.locator('[data-test="record-third"]')
    expect(written).to_contain_text(SPECIALIST)
    legs = doctor.evaluate(LEGS)
    assert len(legs) == 2, "one leg to the centre, one to the specialist"
    assert legs[0] == before[0], "the centre's leg carries what it carried"
    faults += look(doctor, "joined") + look(specialist, "seat") + look(tablet, "tablet")

    # her page is loaded anew, then the doctor's: both find each other again
    specialist.reload()
    in_state(specialist, "third-seat", "connected")
    hears(specialist, [NURSE_HZ, DOCTOR_HZ], [])
    doctor.reload()
    in_state(doctor, "call-panel", "connected")
    doctor.locator('[data-test="third"][data-phase="joined"][data-state="connected"]').wait_for(timeout=ACROSS_MS)
    hears(specialist, [NURSE_HZ, DOCTOR_HZ], [])

    tap(specialist, "third-leave")
    see(doctor, "third-ask")
    expect(written).to_have_attribute("data-because", "left", timeout=ACROSS_MS)
    expect(told).to_have_count(0, timeout=ACROSS_MS)
    in_state(doctor, "call-panel", "connected")
    hears(tablet, [DOCTOR_HZ], [SPECIALIST_HZ])
    assert specialist.locator('[data-test="third-seat"]').count() == 0
    if PICTURES:
        written.scroll_into_view_if_needed()
        faults += look(doctor, "record")
    tap(doctor, "call-hangup")
    assert faults == []
    for watch in watches:
        watch.complaints = [one for one in watch.complaints if not re.search(r"WebSocket|409|ERR_", one)]
        watch.none()
    for context in contexts:
        context.close()


@pytest.mark.long
def test_a_specialist_comes_into_a_call_with_a_patient_at_home(browser: Browser, tmp_path: Path) -> None:
    alone = HubStage(tmp_path)
    try:
        hub = alone.begin()
        secret = add_specialist(tmp_path)
        contexts = [
            person(browser, hub.url, NURSE_HZ, 360, 640),
            person(browser, hub.url, DOCTOR_HZ, 1366, 768),
            person(browser, hub.url, SPECIALIST_HZ, 1366, 768),
        ]
        patient, doctor, specialist = (context.new_page() for context in contexts)
        home.log_in(patient, hub)
        home.register(patient)
        tap(patient, "home-new-visit")
        home.step(patient, "complaint")
        tap(patient, "complaint-fever")
        fill(patient, "duration-fever", "3")
        for place, touches in (
            ("signs", ("signs-rest-absent",)),
            ("history", ("allergy-none", "pregnant-no", "post-partum-no")),
            ("measured", ()),
            ("photos", ()),
            ("consent", ("consent-tele-yes", "consent-data-yes")),
        ):
            tap(patient, "home-next")
            home.step(patient, place)
            for name in touches:
                tap(patient, name)
        tap(patient, "home-next")
        see(patient, "home-token", ACROSS_MS)
        home.log_in_doctor(doctor, hub)
        log_in_specialist(specialist, hub.url, secret)
        open_record(doctor, "सीता देवी")
        tap(doctor, "call")
        see(patient, "home-ring", ACROSS_MS)
        tap(patient, "home-accept")
        in_state(doctor, "call-panel", "connected")
        hears(doctor, [NURSE_HZ], [])
        tap(doctor, "third-ask")
        tap(doctor, "third-agreed-emergency")
        tap(doctor, "third-go")
        tap(specialist, "third-accept")
        in_state(specialist, "third-seat", "connected")
        sees_green(specialist, "third-video")
        hears(specialist, [NURSE_HZ, DOCTOR_HZ], [SPECIALIST_HZ])
        hears(patient, [DOCTOR_HZ, SPECIALIST_HZ], [NURSE_HZ])
        hears(doctor, [SPECIALIST_HZ], [NURSE_HZ, DOCTOR_HZ])
        expect(patient.locator('[data-test="home-call-third"]')).to_contain_text("DEMO/00002", timeout=ACROSS_MS)
        faults = []
        for _ in range(2):
            faults += home.look(patient, "third")
            patient.locator('[data-test="language-toggle"]').dispatch_event("click")  # behind the call
        assert faults == []
        tap(doctor, "third-end")
        expect(patient.locator('[data-test="home-call-third"]')).to_have_count(0, timeout=ACROSS_MS)
        expect(specialist.locator('[data-test="third-seat"]')).to_have_count(0)
        hears(patient, [DOCTOR_HZ], [SPECIALIST_HZ])
        tap(doctor, "call-hangup")
        for context in contexts:
            context.close()
    finally:
        alone.stop()

"""A patient at home in a real browser against a real hub: from the code of a message to a slip, with a real call."""

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import Connection

from hub.config import Settings
from hub.keys import load_keys
from hub.places import Place, put_place
from hub.store.engine import Store
from tests.hub.test_fleet import many_nodes
from tests.kits.media import jpeg

from .pages import (
    LONG_NAME,
    PASSWORD,
    Stage,
    Watch,
    _free_port,
    _run,
    _word,
    faults_here,
    fill,
    other_language,
    see,
    tap,
)
from .test_pages_media import until
from .test_pages_prescribing import write

pytestmark = [pytest.mark.browser, pytest.mark.serial]
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder for the screens, to be looked at by a person."""
MOBILE = "5550123456"
SIZES = ((360, 640), (1280, 800))
ACROSS_MS = 45_000
EVERY_DAY = {
    "hours": [{"weekday": day, "start": "00:00", "end": "23:59"} for day in range(7)],
    "holidays": [],
    "doctors": {},
}


PLACES = {
    7: Place("चैनपुर, Ramnagar", "05862 555 010", "012345", "09:00", "16:00", 24.80, 85.00),
    45: Place("बेलागंज", "", "024", "10:00", "14:00", 24.9, 85.0),
    83: Place("", "", "", "", "", 26.1, 86.2),
}
"""Of centres in District 7."""


class Hub(Struct, frozen=True):
    url: str
    totp: str
    messages: list[dict[str, str]]


class HubStage(Stage):
    """A hub alone that serves patients at home; what it prints after its first line are the messages."""

    def begin(self) -> Hub:
        data = str(self._folder / "hub")
        _run(["hub", "init", "--data", data])
        added = _run(
            (
                *("hub", "add-doctor", "--data", data, "--id", "doctor", "--name", LONG_NAME, "--password-stdin"),
                *("--registration", "DEMO/00001", "--qualification", "MBBS, MD (सामान्य चिकित्सा)"),
            ),
            PASSWORD + "\n",
        )
        add_centres(self._folder / "hub")
        named = ("--name", LONG_NAME, "--phone", "+91 522 555 0000", "--email", "grievance@example.org")
        _run(["hub", "officer", "--data", data, "--role", "grievance", *named])
        plan = self._folder / "plan.json"
        plan.write_text(json.dumps(EVERY_DAY))
        _run(["hub", "rota", "--data", data, "--set", str(plan)])
        url = self._serve(
            (
                *("hub", "serve", "--data", data, "--http", f"127.0.0.1:{_free_port()}", "--link-address", "127.0.0.1"),
                *("--udp", str(_free_port()), "--tls", str(_free_port()), "--home", "demo"),
            )
        )
        messages: list[dict[str, str]] = []
        printed = self._running[-1].stdout
        assert printed is not None
        threading.Thread(target=lambda: messages.extend(map(json.loads, printed)), daemon=True).start()
        return Hub(url, _word(added, r"\b[A-Z2-7]{32}\b"), messages)


def add_centres(data: Path) -> None:
    """Centres of which the page for patients tells; of one it knows all that can be known."""
    keys, store = load_keys(data), Store(Settings(data).database_url)

    def act(connection: Connection) -> None:
        many_nodes(connection, keys, 120)
        for number, place in PLACES.items():
            put_place(connection, number.to_bytes(8).hex(), place, 1, "")

    try:
        store.write_now(act)
    finally:
        store.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    stage = HubStage(tmp_path_factory.mktemp("home"))
    try:
        yield stage.begin()
    finally:
        stage.stop()


def person(browser: Browser, url: str, width: int = 360, height: int = 640) -> BrowserContext:
    made = browser.new_context(viewport={"width": width, "height": height})
    made.grant_permissions(["camera", "microphone"], origin=url)
    made.set_default_timeout(20_000)
    return made


def look(page: Page, name: str) -> list[str]:
    """Faults of a screen, on a telephone in Hindi and on a desk in English; all four with pictures, where a folder was
    named for them."""
    faults: list[str] = []
    before = page.viewport_size
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for _ in range(2):
            language = page.evaluate("document.documentElement.lang")
            faults += [f"{name} {width} {language}: {one}" for one in faults_here(page, 48)]
            if PICTURES:
                whole = not page.locator(".call-full").count()
                page.screenshot(path=f"{PICTURES}/home-{name}-{width}-{language}.png", full_page=whole)
            if page.locator(".call-full").count():
                break
            other_language(page)
            if not PICTURES:
                break
    if before is not None:
        page.set_viewport_size(before)
    return faults


def message(hub: Hub, page: Page, kind: str, number: int = 1) -> str:
    """The text of the ``number``-th message of a kind."""
    for _ in range(600):
        found = [one["text"] for one in hub.messages if one["kind"] == kind]
        if len(found) >= number:
            return found[number - 1]
        page.wait_for_timeout(50)
    raise AssertionError(f"no message {kind}: {hub.messages}")


def codes_sent(hub: Hub) -> int:
    """How many codes went out so far."""
    return sum(one["kind"] == "code" for one in hub.messages)


def log_in(page: Page, hub: Hub, mobile: str = MOBILE) -> list[str]:
    page.goto(f"{hub.url}/home/")
    see(page, "home-login")
    before = codes_sent(hub)
    faults = look(page, "login")
    fill(page, "home-mobile", mobile)
    tap(page, "home-ask")
    see(page, "home-proof")
    faults += look(page, "code")
    fill(page, "home-proof", _word(message(hub, page, "code", before + 1), r"\b\d{6}\b"))
    tap(page, "home-enter")
    see(page, "home-family")
    return faults


def register(page: Page, name: str = "सीता देवी", age: str = "34") -> list[str]:
    tap(page, "home-add")
    see(page, "home-person-form")
    tap(page, "home-save-person")
    page.locator(".wrong").first.wait_for()
    faults = look(page, "person")
    fill(page, "home-name", name)
    tap(page, "home-gender-female")
    fill(page, "home-age", age)
    fill(page, "home-village", "नमूनापुर, वार्ड 4")
    tap(page, "home-save-person")
    page.locator('[data-test="home-person"]', has_text=name).wait_for()
    return faults + look(page, "family")


def step(page: Page, name: str) -> None:
    page.locator(f'[data-test="home-step"][data-step="{name}"]').wait_for()


def log_in_doctor(page: Page, hub: Hub) -> None:
    page.goto(hub.url)
    fill(page, "login-user", "doctor")
    fill(page, "login-password", PASSWORD)
    fill(page, "login-totp", pyotp.TOTP(hub.totp).now())
    tap(page, "login-submit")
    see(page, "logout")


def test_the_nearest_centre_is_found_by_the_sound_of_a_village_and_where_the_telephone_is_stays_in_it(
    browser: Browser, hub: Hub
) -> None:
    context = person(browser, hub.url)
    page = context.new_page()
    refused = {"permission": {"name": "geolocation"}, "setting": "denied", "origin": hub.url}
    context.new_cdp_session(page).send("Browser.setPermission", refused)
    watch = Watch(page, hub.url)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    page.goto(f"{hub.url}/home/")
    page.locator('[data-test="centre-count"]', has_text="120").wait_for()
    fill(page, "centre-q", "chainpur")
    expect(page.locator('[data-test="centre"]')).to_have_count(1)
    expect(page.locator('[data-test="centre"]')).to_contain_text("09:00–16:00")
    assert page.locator('[data-test="centre-phone"]').get_attribute("href") == "tel:05862555010"
    fill(page, "centre-q", "बेलागंज")
    expect(page.locator('[data-test="centre"] h3')).to_have_text(["Centre 45"])
    fill(page, "centre-q", "Patna")
    expect(page.locator('[data-test="centre"]')).to_have_count(0)
    fill(page, "centre-q", "")
    page.locator('[data-test="centre-district"]').select_option("District 7")
    page.locator('[data-test="centre-count"]', has_text="3").wait_for()
    tap(page, "centre-near")
    page.locator('[data-test="centre-count"]', has_text=re.compile("गाँव|village")).wait_for()
    context.grant_permissions(["geolocation"], origin=hub.url)
    context.set_geolocation({"latitude": 24.90, "longitude": 85.01})
    tap(page, "centre-near")
    expect(page.locator('[data-test="centre"] h3')).to_have_text(["Centre 45", "Centre 7", "Centre 83"])
    expect(page.locator('[data-test="centre-km"]').first).to_contain_text("1 ")
    faults = look(page, "centre-near")
    assert [one for one in sent if "24.9" in one or "85.0" in one] == []
    page.locator('[data-test="centre-block"]').select_option("Block 45")
    expect(page.locator('[data-test="centre"] h3')).to_have_text(["Centre 45"])
    assert watch.complaints == []
    assert faults == []
    assert log_in(page, hub, "5550222333") == []
    tap(page, "home-centre-change")
    fill(page, "centre-q", "चैनपुर")
    expect(page.locator('[data-test="centre"]')).to_have_count(1)
    assert look(page, "centre-choose") == []
    tap(page, "centre-choose")
    expect(page.locator('[data-test="home-centre"]')).to_have_text("Centre 7, District 7")
    context.close()


def test_a_number_for_which_many_codes_were_asked_gets_one_long_code_and_the_page_says_so(
    browser: Browser, hub: Hub
) -> None:
    context = person(browser, hub.url)
    for _ in range(6):
        stranger = browser.new_context()
        asked = stranger.request.post(f"{hub.url}/home/api/code", data={"mobile": "5550987654"})
        assert asked.ok
        stranger.close()
    first, page = context.new_page(), browser.new_context(viewport={"width": 360, "height": 640}).new_page()
    for one in (first, page):
        one.goto(f"{hub.url}/home/")
        expect(one.locator('[data-test="home-grievance"]')).to_be_visible()
        fill(one, "home-mobile", "5550987654")
        tap(one, "home-ask")
        see(one, "home-proof")
    expect(first.locator('[data-test="home-code-before"]')).to_have_count(0)
    see(page, "home-code-before")
    assert look(page, "code-before") == []
    long_codes = [one for one in hub.messages if one["to"] == "5550987654" and re.search(r"\b\d{10}\b", one["text"])]
    assert len(long_codes) == 1
    fill(page, "home-proof", _word(long_codes[0]["text"], r"\b\d{10}\b"))
    tap(page, "home-enter")
    see(page, "home-family")
    page.context.close()
    context.close()


def test_from_the_code_of_a_message_to_a_signed_slip_with_a_call_that_both_see_and_hear(
    browser: Browser, hub: Hub, tmp_path: Path
) -> None:
    home = person(browser, hub.url)
    patient = home.new_page()
    watch = Watch(patient, hub.url)
    faults = log_in(patient, hub)
    faults += register(patient)
    tap(patient, "home-new-visit")
    step(patient, "complaint")
    tap(patient, "complaint-fever")
    fill(patient, "duration-fever", "3")
    faults += look(patient, "complaint")
    tap(patient, "home-next")
    step(patient, "signs")
    tap(patient, "signs-rest-absent")
    faults += look(patient, "signs")
    tap(patient, "home-next")
    step(patient, "history")
    tap(patient, "allergy-none")
    tap(patient, "pregnant-no")
    tap(patient, "post-partum-no")
    tap(patient, "home-next")
    step(patient, "measured")
    fill(patient, "vital-temp_c", "38.6")
    faults += look(patient, "measured")
    tap(patient, "home-next")
    step(patient, "photos")
    photo = tmp_path / "wound.jpg"
    photo.write_bytes(jpeg(1200, 900))
    patient.locator('[data-test="home-photo-file"]').set_input_files(photo)
    see(patient, "home-photo")
    faults += look(patient, "photos")
    tap(patient, "home-next")
    step(patient, "consent")
    tap(patient, "consent-tele-yes")
    tap(patient, "consent-data-yes")
    faults += look(patient, "consent")
    tap(patient, "home-next")
    expect(patient.locator('[data-test="home-token"]')).to_have_text("H-001")
    assert re.search(r"H-001-[0-9A-Z]{6}", message(hub, patient, "token"))
    faults += look(patient, "waiting")

    desk = person(browser, hub.url, 1366, 768)
    doctor = desk.new_page()
    log_in_doctor(doctor, hub)
    tap(doctor, "ready")
    doctor.locator('[data-test="offer"]').wait_for()
    tap(doctor, "offer-accept")
    expect(doctor.locator("#record-title")).to_have_text("सीता देवी")
    expect(patient.locator('[data-test="home-words"]')).to_have_attribute("data-words", "home-with-doctor")
    tap(doctor, "call")
    see(patient, "home-ring", ACROSS_MS)
    faults += look(patient, "ring")
    tap(patient, "home-accept")
    expect(patient.locator('[data-test="home-call"]')).to_have_attribute("data-state", "connected", timeout=ACROSS_MS)
    both(patient, doctor)
    faults += look(patient, "call")
    patient.reload()
    expect(patient.locator('[data-test="home-call"]')).to_have_attribute("data-state", "connected", timeout=ACROSS_MS)
    both(patient, doctor)
    if PICTURES:
        doctor.screenshot(path=f"{PICTURES}/home-doctor-call.png")
    tap(doctor, "call-hangup")
    expect(patient.locator('[data-test="home-call"]')).to_have_count(0)

    doctor.locator('[data-test="call-panel"].idle').wait_for()
    speaks(doctor, patient)
    fill(doctor, "diagnosis", "Viral fever")
    write(doctor, "paracetamol", "3")
    tap(doctor, "sign")
    see(patient, "home-papers", ACROSS_MS)
    expect(patient.locator('[data-test="home-genuine"]')).to_contain_text("DEMO/00001")
    faults += look(patient, "answer")
    slip = patient.request.get(hub.url + str(patient.locator('[data-test="home-slip"]').get_attribute("href")))
    assert slip.body()[:5] == b"%PDF-"
    record = doctor.evaluate("fetch('/api/visits/' + location.hash.split('/').at(-1)).then((one) => one.json())")
    (node_side,) = [one for one in record["visit"]["calls"] if one["side"] == "node"]
    assert node_side["audio_s"] > 1
    assert node_side["video_s"] > 1
    tap(patient, "home-done")
    expect(patient.locator('[data-test="home-done"]')).to_have_count(0)
    patient.goto(f"{hub.url}/home/#/check")
    kept = tmp_path / "slip.pdf"
    kept.write_bytes(slip.body())
    patient.locator('[data-test="home-check-file"]').set_input_files(kept)
    expect(patient.locator('[data-test="home-check-yes"]')).to_have_attribute(
        "data-standing", "valid", timeout=ACROSS_MS
    )
    faults += look(patient, "check")
    kept.write_bytes(slip.body().replace(b"%%EOF", b"%%EOG"))
    patient.locator('[data-test="home-check-file"]').set_input_files(kept)
    see(patient, "home-check-no", ACROSS_MS)
    # the forged slip is refused; nothing else was
    assert [one for one in watch.complaints if "status of 4" not in one] == []
    assert len(watch.complaints) <= 1
    assert faults == []
    desk.close()
    home.close()


def speaks(doctor: Page, patient: Page) -> None:
    """The doctor answers by voice, and it plays on the patient's page."""
    tap(doctor, "answer-record")
    doctor.locator('[data-test="answer-stop"]', has_text=re.compile("[2-9]")).click()
    doctor.locator('[data-test="answer-listen"]').wait_for()
    tap(doctor, "answer-send")
    see(patient, "home-answer", ACROSS_MS)
    player = "document.querySelector('[data-test=home-answer] audio')"
    patient.evaluate(f"() => {{ {player}.muted = true; void {player}.play(); }}")
    until(patient, f"{player}.error !== null || {player}.currentTime > 0.3", 60)
    assert patient.evaluate(f"{player}.error") is None


def both(patient: Page, doctor: Page) -> None:
    """Picture and sound of the other come at both ends."""
    line = patient.locator('[data-test="home-call-line"]')
    expect(line).to_have_attribute("data-frames", re.compile(r"^[1-9]\d+$"), timeout=ACROSS_MS)
    expect(line).to_have_attribute("data-audio", re.compile(r"^[1-9]\d*$"), timeout=ACROSS_MS)
    figures = doctor.locator('[data-test="call-figures"]')
    expect(figures).to_have_attribute("data-frames", re.compile(r"^[1-9]\d+$"), timeout=ACROSS_MS)
    expect(figures).to_have_attribute("data-audio", re.compile(r"^[1-9]\d*$"), timeout=ACROSS_MS)


def test_a_danger_sign_says_108_first_and_needs_no_more_answers_and_todays_token_is_a_log_in(
    browser: Browser, hub: Hub
) -> None:
    home = person(browser, hub.url)
    patient = home.new_page()
    before = codes_sent(hub)
    patient.goto(f"{hub.url}/home/")
    fill(patient, "home-mobile", "5550 777 777")
    tap(patient, "home-ask")
    fill(patient, "home-proof", _word(message(hub, patient, "code", before + 1), r"\b\d{6}\b"))
    tap(patient, "home-enter")
    register(patient, "गीता देवी", "61")
    tap(patient, "home-new-visit")
    step(patient, "complaint")
    tap(patient, "complaint-chest_pain")
    tap(patient, "home-next")
    step(patient, "signs")
    patient.locator(".tile.alarm").first.click()
    tap(patient, "signs-rest-absent")
    tap(patient, "home-next")
    see(patient, "home-red")
    assert patient.locator('[data-test="home-red"] [data-test="call-108"]').get_attribute("href") == "tel:108"
    assert look(patient, "red") == []
    home.close()

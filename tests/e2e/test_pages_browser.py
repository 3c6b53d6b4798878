"""The pages in a real browser against a real hub and a real node.

Nothing may be logged as an error, violate the policy, or stay untranslated; every control has a
name, a size for a finger and enough contrast; the first load is small.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page, Request, Route, expect

from edge.node.checks.run import CHECKS
from edge.web.logs import LogLine
from tests.kits.client import Client
from tests.node.kit import new_id

from .pages import (
    BROWSER_ARGS,
    CHROMIUM,
    PIN,
    Clinic,
    Watch,
    faults_here,
    fill,
    log_in_doctor,
    log_in_nurse,
    log_in_technician,
    look,
    register,
    see,
    take_visit,
    tap,
)

pytestmark = pytest.mark.browser
NAME = "सत्यभामा देवी राजराजेश्वरी विश्वकर्मा उपाध्याय"
FIRST_LOAD_BYTES = 105_000
"""The goal is 120,000; what is not needed for the first screen comes behind it."""
SIZE_NAMES = ("एक", "दो", "तीन", "चार")
SIZES = ((1280, 800), (800, 1280), (360, 640), (1440, 900))
KEEP_TRACKS = """
window.tracksOfTest = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  window.tracksOfTest.push(...stream.getTracks());
  return stream;
};
"""
"""Remembers what the page opened; changes nothing."""
DEAD = """
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (wanted.video && wanted.audio) throw new DOMException("one of them", "NotFoundError");
  if (wanted.video) throw new DOMException("none", "NotFoundError");
  return new AudioContext().createMediaStreamDestination().stream;
};
"""
"""No camera, and a microphone that is covered."""
NAME_WITHOUT_TLS = "clinic.test"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(15_000)
    yield made
    made.close()


def test_the_first_load_of_the_tablet_is_small_and_comes_from_the_node_alone(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    watch = Watch(page, clinic.node_url)
    done: list[Request] = []
    page.on("requestfinished", lambda request: done.append(request))
    log_in_nurse(page, clinic)
    first = tuple(done)  # asking for sizes takes time, in which the page fetches what is needed later
    total = sum(request.sizes()["responseBodySize"] for request in first)
    assert 0 < total <= FIRST_LOAD_BYTES, total
    watch.none()


def test_a_visit_from_registration_to_token_shows_no_fault_in_either_language(
    context: BrowserContext, clinic: Clinic, tmp_path: Path
) -> None:
    page = context.new_page()
    watch = Watch(page, clinic.node_url)
    page.goto(clinic.node_url)
    page.wait_for_timeout(400)
    assert look(page) == []
    log_in_nurse(page, clinic)
    assert look(page) == []
    tap(page, "new-patient")
    tap(page, "reg-submit")
    assert look(page) == []
    tap(page, "reg-cancel")
    register(page, NAME, mobile="5550123456")
    for step in ("consent", "complaint", "history", "signs", "vitals", "triage"):
        tap(page, f"go-{step}")
        see(page, f"step-{step}")
        assert look(page) == [], step
    tap(page, "emergency")
    see(page, "emergency-dialog")
    assert faults_here(page, 48) == []
    tap(page, "emergency-cancel")
    tap(page, "go-consent")
    take_visit(page)
    assert look(page) == []
    tap(page, "close-visit")
    see(page, "close-dialog")
    assert faults_here(page, 48) == []
    watch.none()


@pytest.mark.parametrize("size", SIZES, ids=[f"{w}x{h}" for w, h in SIZES])
def test_no_screen_is_wider_than_the_tablet_that_shows_it(
    browser: Browser, clinic: Clinic, size: tuple[int, int]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    log_in_nurse(page, clinic)
    assert look(page) == []
    register(page, f"{SIZE_NAMES[SIZES.index(size)]} {NAME}", gender="male", age="7")
    for step in ("consent", "complaint", "history", "signs", "vitals", "triage"):
        tap(page, f"go-{step}")
        see(page, f"step-{step}")
        assert look(page) == [], step
    context.close()


def test_what_was_typed_survives_a_reload_in_the_middle_of_a_form(context: BrowserContext, clinic: Clinic) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    tap(page, "new-patient")
    with page.expect_response(lambda r: "/api/drafts/" in r.url and r.request.method == "PUT", timeout=6000):
        fill(page, "reg-name", "अधूरी कुमारी")
    page.reload()
    see(page, "register-form")
    expect(page.locator('[data-test="reg-name"]')).to_have_value("अधूरी कुमारी")


def test_of_two_unfinished_registrations_of_one_name_the_wrong_one_is_thrown_away_and_comes_back(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    for age in ("31", "64"):
        tap(page, "new-patient")
        fill(page, "reg-name", "दोहरी देवी")
        with page.expect_response(lambda r: "/api/drafts/" in r.url and r.request.method == "PUT", timeout=6000):
            fill(page, "reg-age", age)
        tap(page, "home")
        see(page, "search")
    rows = page.locator(".begun", has_text="दोहरी देवी")
    expect(rows).to_have_count(2)
    old = rows.filter(has_text="64")
    expect(old).to_contain_text(re.compile(r"\d\d:\d\d"))
    assert look(page) == []
    old.locator('[data-test="discard-draft"]').click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("31")
    tap(page, "undo")
    expect(rows).to_have_count(2)
    old.locator('[data-test="resume-draft"]').click()
    expect(page.locator('[data-test="reg-age"]')).to_have_value("64")
    for _ in range(2):
        tap(page, "home")
        rows.first.locator('[data-test="discard-draft"]').click()
    expect(rows).to_have_count(0)


def test_a_form_that_is_gone_through_again_records_only_what_was_changed(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, "पुनः देवी")
    take_visit(page)
    said: list[str] = []
    page.on("request", lambda request: said.append(request.url) if request.url.endswith("/api/commands") else None)
    tap(page, "edit-form")
    for step in ("complaint", "history", "signs", "vitals"):
        see(page, f"step-{step}")
        tap(page, "step-next")
    see(page, "step-triage")
    assert said == [], "an old reading would stand there under a new time"
    tap(page, "go-vitals")
    with page.expect_request(lambda request: '"value":96' in (request.post_data or "")) as recorded:
        fill(page, "vital-hr", "96")
        tap(page, "step-next")
    see(page, "step-triage")
    assert len(said) == 1
    vitals = json.loads(recorded.value.post_data or "{}")["vitals"]
    assert [one["vital"] for one in vitals["readings"]] == ["hr"], "nothing else was measured again"
    assert (vitals["avpu"], vitals["oxygen"], vitals["not_done"]) == ("", None, [])
    page.route("**/api/commands", lambda route: route.abort())
    tap(page, "go-vitals")
    fill(page, "vital-hr", "97")
    tap(page, "step-next")
    see(page, "triage-behind")
    assert page.locator('[data-test="triage-colour"]').get_attribute("data-colour") == "not_triaged", "not the old one"
    page.unroute("**/api/commands")
    page.locator('[data-test="triage-behind"]').wait_for(state="detached")


def test_a_node_that_is_away_is_said_to_be_away_and_nothing_is_sent_twice(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, "सविता देवी", age="41")
    tap(page, "consent-tele-yes")
    tap(page, "consent-data-yes")
    bodies: list[str] = []

    def lose_the_reply(route: object) -> None:
        request = route.request  # type: ignore[attr-defined]
        bodies.append(request.post_data)
        if len(bodies) == 1:
            route.fetch()  # type: ignore[attr-defined]
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/api/commands", lose_the_reply)
    tap(page, "step-next")
    see(page, "unsaved-line")
    page.locator('[data-test="unsaved-line"]').wait_for(state="detached")
    assert bodies[0] == bodies[1]
    visit = page.url.split("/visit/")[1].split("/")[0]
    record = page.request.get(f"{clinic.node_url}/api/visits/{visit}").json()
    assert sorted(consent["purpose"] for consent in record["visit"]["consents"]) == ["data", "teleconsultation"]


def test_what_waits_at_log_out_goes_out_under_the_name_of_who_wrote_it(context: BrowserContext, clinic: Clinic) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, "फूलवती देवी", age="63")
    visit = page.url.split("/visit/")[1].split("/")[0]
    page.locator('[data-test="unsaved-line"]').wait_for(state="detached")
    tap(page, "consent-tele-yes")
    tap(page, "consent-data-yes")
    sent: list[str | None] = []
    page.on("request", lambda one: sent.append(one.header_value("x-staff")) if "/api/commands" in one.url else None)
    page.route("**/api/commands", lambda route: route.abort())
    tap(page, "step-next")
    see(page, "unsaved-line")
    tap(page, "logout")
    see(page, "logout-dialog")
    tap(page, "logout-stay")
    tap(page, "logout")
    tap(page, "logout-anyway")
    page.unroute("**/api/commands")
    tap(page, f"staff-{clinic.technician_id}")
    fill(page, "login-pin", PIN)
    tap(page, "login-submit")
    page.locator('[data-test="unsaved-line"][data-waits="other"]').wait_for()
    before = len(sent)
    page.wait_for_timeout(4_500)  # two more times at which it would be sent again
    assert len(sent) == before
    tap(page, "logout")
    tap(page, f"staff-{clinic.staff_id}")
    fill(page, "login-pin", PIN)
    tap(page, "login-submit")
    see(page, "new-patient")
    page.locator('[data-test="unsaved-line"]').wait_for(state="detached")
    record = page.request.get(f"{clinic.node_url}/api/visits/{visit}").json()
    assert sorted(consent["purpose"] for consent in record["visit"]["consents"]) == ["data", "teleconsultation"]
    assert set(sent) == {clinic.staff_id}


def said_elsewhere(clinic: Clinic, visit: str) -> None:
    """Another tablet says something of a visit that changes no colour."""
    tablet = Client(clinic.node_url)
    session = {"staff_id": clinic.staff_id, "pin": PIN}
    tablet.csrf = str(cast("dict[str, object]", tablet.post("/api/session", session))["csrf"])
    history = {"history": {"medicines": "iron"}, "allergies": {"none_known": True}}
    tablet.post("/api/commands", {"type": "record_history", "command_id": new_id(), "visit_id": visit, **history})
    tablet.close()


def test_a_slow_reply_does_not_take_back_what_the_node_said_since(context: BrowserContext, clinic: Clinic) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, "मीना कुमारी", gender="male", age="44")
    held: list[tuple[Route, APIResponse]] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    for name in ("consent-tele-yes", "consent-data-yes", "step-next", "complaint-fever"):
        tap(page, name)
    fill(page, "duration-fever", "3")
    for name in ("step-next", "allergy-none", "step-next"):
        tap(page, name)
    see(page, "step-signs")
    tap(page, "step-next")
    lacking = page.locator('[data-test="step-signs"] [role="alert"]').first
    expect(lacking).to_be_in_viewport()  # what lacks an answer stands far below the first sign
    tap(page, "signs-rest-absent")
    page.route("**/api/visits/*", hold_the_first)
    tap(page, "step-next")
    see(page, "avpu-A")
    with page.expect_request("**/api/visits/*"):
        said_elsewhere(clinic, page.url.split("/visit/")[1].split("/")[0])
    tap(page, "avpu-A")
    for vital, value in (("temp_c", "37"), ("sbp", "118"), ("dbp", "76"), ("hr", "72"), ("spo2", "98"), ("rr", "16")):
        fill(page, f"vital-{vital}", value)
    tap(page, "step-next")
    colour = page.locator('[data-test="triage-colour"]')
    colour.wait_for()
    shown = colour.get_attribute("data-colour")
    assert shown in ("green", "yellow")
    colour.evaluate(
        """place => {
          window.__shown = [];
          const look = () => window.__shown.push(place.dataset.colour);
          new MutationObserver(look).observe(place, {attributes: true});
        }"""
    )
    for route, reply in held:
        route.fulfill(response=reply)
    page.wait_for_timeout(500)
    assert held and page.evaluate("window.__shown") == []
    assert colour.get_attribute("data-colour") == shown


CLOSE = """async (visit_id) => {
  const [{ post }, { newId }] = await Promise.all([import("/ui/lib/http.js"), import("/ui/lib/ids.js")]);
  await post("/api/commands", { type: "close_visit", command_id: newId(), visit_id, outcome: "referred" });
}"""


def test_the_red_button_makes_an_emergency_of_somebody_nobody_knows_and_of_a_visit_that_was_closed(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    tap(page, "emergency")
    tap(page, "emergency-gender-male")
    fill(page, "emergency-age", "60")
    tap(page, "emergency-go")
    see(page, "visit-page")
    page.locator('[data-colour="red"]').first.wait_for()
    assert look(page) == []
    visit = page.url.rpartition("/")[2]
    tap(page, "edit-form")
    see(page, "step-complaint")
    page.evaluate(CLOSE, visit)  # as another tablet would
    tap(page, "emergency")
    tap(page, "emergency-go")
    see(page, "visit-page")
    page.locator('[data-colour="red"]').first.wait_for()
    assert page.url.rpartition("/")[2] != visit


def test_a_reading_outside_the_soft_limits_is_asked_again_before_it_is_taken(
    context: BrowserContext, clinic: Clinic
) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, "रमेश राम", gender="male", age="50")
    tap(page, "go-vitals")
    fill(page, "vital-hr", "160")
    page.locator('[data-test="vital-rr"]').focus()
    see(page, "soft-dialog")
    tap(page, "soft-confirm")
    fill(page, "vital-spo2", "30")
    tap(page, "step-next")
    expect(page.locator('[data-test="vital-spo2"]')).to_have_attribute("aria-invalid", "true")
    tap(page, "avpu-A")
    for vital, value in (("spo2", "97"), ("rr", "18"), ("temp_c", "36.8"), ("weight_kg", "92"), ("height_cm", "92")):
        fill(page, f"vital-{vital}", value)
    page.locator('[data-test="vital-rr"]').focus()
    dialog = page.locator('[data-test="soft-dialog"]')
    expect(dialog.locator(".big-number")).to_have_count(2)
    assert look(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    tap(page, "step-next")
    see(page, "step-wrong")
    expect(dialog, "a refusal is not the end").to_have_count(1)
    tap(page, "soft-again")
    expect(page.locator('[data-test="vital-weight_kg"]')).to_be_focused()
    fill(page, "vital-weight_kg", "92")
    fill(page, "vital-height_cm", "92")
    page.locator('[data-test="vital-rr"]').focus()
    tap(page, "soft-confirm")
    tap(page, "step-next")
    see(page, "step-triage")


def test_a_wrong_pin_is_refused_in_words(context: BrowserContext, clinic: Clinic) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    tap(page, "logout")
    tap(page, f"staff-{clinic.staff_id}")
    fill(page, "login-pin", "0000" if PIN != "0000" else "1111")
    tap(page, "login-submit")
    see(page, "login-wrong")


def test_each_thing_of_a_visit_says_how_far_it_has_come_and_since_when(context: BrowserContext, clinic: Clinic) -> None:
    page = context.new_page()
    log_in_nurse(page, clinic)
    register(page, f"{NAME} पाँच", age="31")
    take_visit(page)
    page.locator('[data-test="visit-line"][data-state="hub_has_it"]').wait_for()
    tap(page, "language-toggle")
    line = page.locator('[data-test="visit-line"]')
    line.get_by_text("the hub has it, just now").wait_for()
    late = page.locator('[data-test="sync-item"][data-state="waiting"], [data-test="sync-item"][data-state="sent"]')
    assert late.count() == 0
    tap(page, "language-toggle")
    tap(page, "visit-home")
    page.locator('[data-test="sync-line"][data-state="hub_has_it"]').first.wait_for()
    assert look(page) == []


def with_a_warning(route: Route) -> None:
    """The node's own report, with one warning more than it happened to have."""
    told = route.fetch()
    report = told.json()
    line = LogLine(report["time_ms"], "warning", "edge.node.clips", "clip_not_made", (("code", "disk_full"),))
    report["log"].append(msgspec.to_builtins(line))
    route.fulfill(response=told, json=report)


def test_the_technician_sees_the_link_what_waits_and_the_health_checks_and_no_patient(
    context: BrowserContext, clinic: Clinic
) -> None:
    nurse = context.new_page()
    log_in_nurse(nurse, clinic)
    register(nurse, f"{NAME} छह", age="26")
    tap(nurse, "logout")
    page = context.new_page()
    watch = Watch(page, clinic.node_url)
    page.route("**/api/report", with_a_warning)
    log_in_technician(page, clinic)
    page.locator('[data-test="bearer"][data-bearer="udp"][data-in-use="true"]').wait_for()
    assert page.locator('[data-test="finding"]').count() == len(CHECKS)
    assert page.locator('[data-test="usage"][data-bearer="udp"]').count() == 1
    assert page.locator('[data-test="tech-waits"][data-waits=""]').count() == 1
    page.locator('[data-test="tech-log"]').get_by_text("code=disk_full").wait_for()
    assert NAME not in page.content()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert look(page) == [], (width, height)
    watch.none()


@pytest.fixture(scope="module")
def unlocked(browser: Browser, clinic: Clinic) -> None:
    """A technician comes to a node that somebody has opened."""
    page = browser.new_page()
    log_in_nurse(page, clinic)
    page.close()


def state(page: Page, name: str, wanted: str) -> None:
    page.locator(f'[data-test="{name}"][data-state="{wanted}"]').wait_for()


def open_tracks(page: Page) -> tuple[int, int]:
    """How many tracks the page opened, and how many are open now."""
    states = page.evaluate("window.tracksOfTest.map((one) => one.readyState)")
    return len(states), states.count("live")


def test_the_technician_sees_and_hears_this_tablet_and_the_centres_camera_and_all_is_let_go(
    context: BrowserContext, clinic: Clinic, unlocked: None
) -> None:
    page = context.new_page()
    page.add_init_script(KEEP_TRACKS)
    watch = Watch(page, clinic.node_url)
    log_in_technician(page, clinic)
    assert open_tracks(page) == (0, 0), "nothing is opened before it is asked for"
    page.locator('[data-test="tablet-test"]').focus()
    page.keyboard.press("Enter")
    state(page, "tablet-picture", "live")
    state(page, "tablet-sound", "heard")
    assert open_tracks(page) == (2, 2)
    assert page.locator(".camera-view").first.evaluate("(video) => video.videoWidth") > 0
    tap(page, "tone-play")
    state(page, "tone-state", "played")
    tap(page, "own-still")
    state(page, "own-state", "taken")
    expect(page.locator('[data-test="own-picture"]')).to_have_js_property("complete", True)
    assert page.locator('[data-test="own-picture"]').evaluate("(image) => image.naturalWidth") == 1280
    assert "1600×1200" in page.locator('[data-test="own-state"]').inner_text()
    page.set_viewport_size({"width": 360, "height": 640})
    assert look(page) == []
    page.locator('[data-test="tablet-test"]').focus()
    page.keyboard.press("Space")
    page.locator('[data-test="tablet-picture"]').wait_for(state="detached")
    assert open_tracks(page) == (2, 0)
    tap(page, "tablet-test")
    state(page, "tablet-picture", "live")
    tap(page, "logout")
    page.locator('[data-test="tech-page"]').wait_for(state="detached")
    assert open_tracks(page) == (4, 0)
    watch.none()


def test_it_says_what_to_do_where_there_is_no_camera_and_nothing_is_heard(
    context: BrowserContext, clinic: Clinic, unlocked: None
) -> None:
    page = context.new_page()
    page.add_init_script(DEAD)
    log_in_technician(page, clinic)
    tap(page, "tablet-test")
    state(page, "tablet-picture", "missing")
    state(page, "tablet-sound", "silent")
    assert faults_here(page) == []


def test_it_says_what_to_do_where_the_browser_refuses_and_where_there_is_no_https(
    browser: Browser, clinic: Clinic, unlocked: None
) -> None:
    refusing = [one.replace("-ui-for-media-stream", "-ui-for-media-stream=deny") for one in BROWSER_ARGS]
    flags = [*refusing, f"--host-resolver-rules=MAP {NAME_WITHOUT_TLS} 127.0.0.1"]
    with browser.browser_type.launch(executable_path=CHROMIUM, args=flags) as refuses:
        page = refuses.new_page(viewport={"width": 1280, "height": 800})
        log_in_technician(page, clinic)
        tap(page, "tablet-test")
        state(page, "tablet-picture", "refused")
        state(page, "tablet-sound", "refused")
        assert faults_here(page) == []
        page.goto(clinic.node_url.replace("127.0.0.1", NAME_WITHOUT_TLS))
        tap(page, f"staff-{clinic.technician_id}")
        fill(page, "login-pin", PIN)
        tap(page, "login-submit")
        see(page, "tablet-no-https")
        assert page.locator('[data-test="tablet-test"]').count() == 0
        assert faults_here(page) == []


def test_the_console_shows_queue_and_record_without_a_fault(context: BrowserContext, clinic: Clinic) -> None:
    nurse = context.new_page()
    log_in_nurse(nurse, clinic)
    register(nurse, f"{NAME} दो", age="52")
    take_visit(nurse, spo2="90")
    doctor = context.new_page()
    doctor.set_viewport_size({"width": 1366, "height": 768})
    watch = Watch(doctor, clinic.hub_url)
    doctor.goto(clinic.hub_url)
    see(doctor, "login-form")
    assert look(doctor, 40) == []
    log_in_doctor(doctor, clinic)
    doctor.locator('[data-test="queue-row"]', has_text="दो").click()
    see(doctor, "record")
    assert look(doctor, 26) == []
    doctor.keyboard.press("Alt+d")
    doctor.keyboard.type("amox")
    doctor.locator('[role="option"]').first.wait_for()
    doctor.keyboard.press("ArrowDown")
    doctor.keyboard.press("Enter")
    see(doctor, "drug-line")
    fill(doctor, "diagnosis", "Fever")
    fill(doctor, "dose", "1")
    for name, value in (("route", "oral"), ("frequency", "BD"), ("food", "after")):
        doctor.locator(f'[data-test="{name}"]').select_option(value)
    fill(doctor, "days", "5")
    preview = doctor.locator('[data-test="hindi-preview"]')
    preview.wait_for()
    assert "5 दिन" in preview.inner_text()
    see(doctor, "line-denial")
    assert look(doctor, 26) == []
    tap(doctor, "sign")
    see(doctor, "sign-wrong")
    assert doctor.locator('[data-test="rx-status"]').count() == 0
    assert [one for one in watch.complaints if "422" not in one] == []

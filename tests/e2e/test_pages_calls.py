"""Reloads, two tablets, a node that is away, and calls, in real browsers against a real hub and node."""

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect

from edge.media.ladder import load_rules

from .pages import (
    LONG_NAME,
    Clinic,
    Stage,
    Watch,
    fill,
    log_in_doctor,
    log_in_nurse,
    register,
    see,
    take_visit,
    tap,
)

pytestmark = [pytest.mark.browser, pytest.mark.serial]
CAMERA = "tablet"
ACROSS_MS = 45_000
GREEN = """
() => {
  const video = document.querySelector('[data-test="call-video"]');
  if (!video || !video.videoWidth) return 0;
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 48;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 64, 48);
  const pixels = pen.getImageData(0, 0, 64, 48).data;
  let green = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    green += pixels[i + 1] > 80 && pixels[i] < 90 && pixels[i + 2] < 90 ? 1 : 0;
  }
  return green / (64 * 48);
}
"""
"""Share of green in the picture: Chromium's fake camera is green, the node's test picture is not."""


def person(browser: Browser, url: str, width: int = 1280, height: int = 800) -> BrowserContext:
    made = browser.new_context(viewport={"width": width, "height": height})
    made.grant_permissions(["camera", "microphone"], origin=url)
    made.set_default_timeout(20_000)
    return made


@pytest.fixture(scope="module")
def doctor(browser: Browser, clinic: Clinic) -> Iterator[Page]:
    """One log-in for all tests: a code is good once."""
    context = person(browser, clinic.hub_url, 1440, 900)
    page = context.new_page()
    log_in_doctor(page, clinic)
    yield page
    context.close()


@pytest.fixture
def tablet(browser: Browser, clinic: Clinic) -> Iterator[Page]:
    context = person(browser, clinic.node_url)
    page = context.new_page()
    log_in_nurse(page, clinic)
    yield page
    context.close()


def open_record(doctor: Page, name: str) -> None:
    doctor.locator('[data-test="queue-row"]', has_text=name).click(timeout=ACROSS_MS)
    expect(doctor.locator("#record-title")).to_have_text(name)


def in_state(page: Page, name: str, state: str) -> None:
    page.locator(f'[data-test="{name}"][data-state="{state}"]').first.wait_for(timeout=ACROSS_MS)


def sees_green(doctor: Page) -> None:
    """Wait until the tablet's picture moves at the doctor's."""
    for _ in range(ACROSS_MS // 500):
        if doctor.evaluate(GREEN) > 0.3:
            return
        doctor.wait_for_timeout(500)
    raise AssertionError("the doctor does not see the tablet's camera")


def test_who_leaves_has_her_patient_offered_to_the_next_doctor_whose_page_rings(
    browser: Browser, clinic: Clinic, stage: Stage, doctor: Page, tablet: Page
) -> None:
    """The first of all: nobody else waits yet."""
    register(tablet, "गीता देवी", age="33")
    take_visit(tablet)
    secret = stage.add_doctor("leaves", "Dr Who Leaves")
    context = person(browser, clinic.hub_url)
    leaves = context.new_page()
    log_in_doctor(leaves, clinic, "leaves", secret)
    tap(leaves, "ready")
    see(leaves, "offer", ACROSS_MS)
    tap(doctor, "ready")
    expect(doctor.locator('[data-test="ready"]')).to_have_attribute("aria-pressed", "true")
    expect(doctor.locator('[data-test="offer"]')).to_have_count(0)
    tap(leaves, "logout")
    see(doctor, "offer", ACROSS_MS)
    assert doctor.title().startswith("●")
    tap(doctor, "offer-accept")
    expect(doctor.locator("#record-title")).to_have_text("गीता देवी")
    tap(doctor, "ready")
    context.close()


def test_a_half_written_prescription_survives_a_reload_and_is_gone_once_signed(doctor: Page, tablet: Page) -> None:
    register(tablet, "रेखा देवी", age="41")
    take_visit(tablet)
    open_record(doctor, "रेखा देवी")
    tap(doctor, "take")
    fill(doctor, "diagnosis", "Fever")
    fill(doctor, "advice", "पानी पिएँ")
    fill(doctor, "drug-search", "paracetamol")
    tap(doctor, "drug-option-F001")
    fill(doctor, "dose", "1")
    in_state(doctor, "draft-state", "saved")
    doctor.reload()
    expect(doctor.locator('[data-test="advice"]')).to_have_value("पानी पिएँ")
    expect(doctor.locator('[data-test="dose"]')).to_have_value("1")
    tap(doctor, "remove-line")
    tap(doctor, "sign")
    see(doctor, "rx-status")
    doctor.reload()
    see(doctor, "rx-status")
    expect(doctor.locator('[data-test="advice"]')).to_have_value("")


def lose_the_reply(route: Route) -> None:
    """The hub hears it, its answer does not come back."""
    route.fetch()
    route.abort()


def test_a_signing_whose_reply_was_lost_is_said_to_be_signed_and_edits_become_a_second_prescription(
    doctor: Page, tablet: Page
) -> None:
    register(tablet, "शांति देवी", age="52")
    take_visit(tablet)
    open_record(doctor, "शांति देवी")
    tap(doctor, "take")
    fill(doctor, "diagnosis", "Fever")
    fill(doctor, "advice", "पानी पिएँ")
    in_state(doctor, "draft-state", "saved")
    doctor.route("**/sign", lose_the_reply)
    tap(doctor, "sign")
    see(doctor, "sign-wrong")
    doctor.unroute("**/sign")
    doctor.route("**/draft", lambda route: route.abort())
    fill(doctor, "advice", "पानी और आराम")
    tap(doctor, "sign")
    see(doctor, "signed-before")
    doctor.unroute("**/draft")
    in_state(doctor, "draft-state", "saved")
    doctor.reload()
    expect(doctor.locator('[data-test="advice"]')).to_have_value("पानी और आराम")

    doctor.route("**/sign", lose_the_reply)
    tap(doctor, "sign")
    see(doctor, "sign-wrong")
    doctor.unroute("**/sign")
    fill(doctor, "advice", "पानी, आराम, कल फिर आएँ")  # found out by keeping the draft, before it is signed again
    see(doctor, "signed-before")
    tap(doctor, "sign")
    see(doctor, "toast-good")
    expect(doctor.locator('[data-test="signed-before"]')).to_have_count(0)
    expect(doctor.locator('[data-test="rx-status"]')).to_have_count(3)


def test_a_code_that_is_none_and_a_medicine_that_left_the_list_are_said_and_a_call_can_be_given_up(
    doctor: Page, tablet: Page
) -> None:
    register(tablet, "मीना देवी", age="29")
    take_visit(tablet)
    open_record(doctor, "मीना देवी")
    fill(doctor, "diagnosis", "Fever")
    fill(doctor, "diagnosis-code", "50.9")
    see(doctor, "diagnosis-code-wrong")
    tap(doctor, "sign")
    see(doctor, "sign-wrong")
    fill(doctor, "diagnosis-code", "r50.9")
    expect(doctor.locator('[data-test="diagnosis-code-wrong"]')).to_have_count(0)
    fill(doctor, "drug-search", "paracetamol")
    tap(doctor, "drug-option-F001")
    in_state(doctor, "draft-state", "saved")

    def other_list(route: Route) -> None:
        kept = route.fetch()
        route.fulfill(response=kept, body=kept.text().replace("F001", "F999"))

    doctor.route("**/draft", other_list)
    doctor.reload()
    expect(doctor.locator('[data-test="lines-lost"]')).to_contain_text("F999")
    doctor.unroute("**/draft")

    never = "new Promise((give) => (window.__give = give))"
    asked = "document.documentElement.dataset.asked = 'yes'"
    doctor.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = () => {{ {asked}; return {never}; }}; }}")
    tap(doctor, "call")
    expect(doctor.locator("html")).to_have_attribute("data-asked", "yes")
    tap(doctor, "call-hangup")
    in_state(doctor, "call-panel", "")
    live = """async () => {
      const context = new AudioContext(), {stream} = context.createMediaStreamDestination();
      window.__give(stream);
      await new Promise((done) => setTimeout(done));
      return stream.getTracks().map((track) => track.readyState);
    }"""
    assert doctor.evaluate(live) == ["ended"], "the camera that was given too late is let go"
    assert tablet.request.get(tablet.url.split("#")[0] + "api/calls").json()["items"] == []
    doctor.reload()


SOUND_ONLY = """
async () => {
  const { DoctorCall } = await import("/ui/call/doctor.js");
  const context = new AudioContext();
  await context.resume();
  const silence = context.createMediaStreamDestination(), tone = context.createOscillator(), off = context.createGain();
  off.gain.value = 0;
  tone.connect(off).connect(silence);
  tone.start();
  const node = new RTCPeerConnection();
  const sender = node.addTrack(silence.stream.getAudioTracks()[0], silence.stream);
  const reports = [], call = new DoctorCall({ callId: "c", send: (signal) => {
    if (signal.type === "answer") void node.setRemoteDescription({ type: "answer", sdp: signal.sdp });
    if (signal.type === "candidate" && signal.candidate)
      void node.addIceCandidate({ candidate: signal.candidate, sdpMLineIndex: signal.mline });
    if (signal.type === "report") reports.push(signal);
  } });
  node.onicecandidate = ({ candidate }) => candidate && void call.handle(
    { type: "candidate", call_id: "c", candidate: candidate.candidate, mline: 0, attempt: 0 });
  await node.setLocalDescription();
  await call.handle({ type: "offer", call_id: "c", sdp: node.localDescription.sdp, attempt: 0 });
  const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 100)); };
  const reported = () => { call.report(); return reports.at(-1); };
  await until(() => call.now.samples - call.now.concealed > 48_000);
  const silent = { samples: call.now.samples, ...reported() };
  await sender.replaceTrack(null); // no packet comes: everything is made up
  const before = call.now.concealed;
  await until(() => call.now.concealed > before + 48_000);
  const concealed = reported();
  const loud = context.createMediaStreamDestination();
  tone.connect(loud);
  await sender.replaceTrack(loud.stream.getAudioTracks()[0]);
  await until(() => call.latest.audioS > 0);
  const heard = reported();
  call.close();
  node.close();
  await context.close();
  return [silent, concealed, heard];
}
"""


def test_a_silent_or_concealed_link_is_never_counted_as_heard(doctor: Page) -> None:
    silent, concealed, heard = doctor.evaluate(SOUND_ONLY)
    assert silent["samples"] > 48_000
    assert (silent["audio_s"], silent["mode"]) == (0, "text")
    assert (concealed["audio_s"], concealed["mode"]) == (0, "text")
    assert heard["audio_s"] > 0
    assert heard["mode"] == "audio"


def test_what_the_rules_deny_is_said_in_hindi_to_a_doctor_who_reads_hindi(doctor: Page, tablet: Page) -> None:
    register(tablet, "सुमन देवी", age="38")
    take_visit(tablet)
    open_record(doctor, "सुमन देवी")
    tap(doctor, "language-toggle")
    fill(doctor, "drug-search", "paracetamol")
    tap(doctor, "drug-option-F001")
    see(doctor, "line-denial")
    said = doctor.locator('[data-test="line-denial"]').all_inner_texts()
    tap(doctor, "language-toggle")
    assert said and all(re.search("[\u0900-\u097f]", one) and not re.search("[A-Za-z]", one) for one in said)


RUNGS = [rung.name for rung in load_rules().rungs]


def both_receipts(tablet: Page, visit: str) -> dict[str, dict[str, Any]]:
    """What each side says of the visit's call, once both receipts stand in the node's record."""
    for _ in range(ACROSS_MS // 500):
        page = tablet.request.get(f"{tablet.url.split('#')[0]}api/visits/{visit}").json()
        sides = {call["side"]: call for call in page["visit"]["calls"]}
        if len(sides) == 2:
            return sides
        tablet.wait_for_timeout(500)
    raise AssertionError("the proof of consultation is not whole")


LINES = """
async (rungs) => {
  const { bannerLine } = await import("/ui/call/banner.js");
  const { ensureLanguage, say } = await import("/ui/lib/l10n.js");
  await Promise.all(["hi", "en"].map(ensureLanguage));
  const blank = { state: "connected", rung: "", notes: false, relayed: false, silent: false, attempt: 0 };
  const seen = {
    ...Object.fromEntries(rungs.map((rung) => [rung, { ...blank, rung }])),
    notes: { ...blank, rung: "audio-low", notes: true },
    relayed: { ...blank, rung: "audio", relayed: true },
    "nothing comes": { ...blank, rung: "video-240p", silent: true, relayed: true },
    interrupted: { ...blank, state: "interrupted" },
    renewed: { ...blank, state: "connecting", attempt: 1 },
    restarted: { ...blank, state: "connecting", attempt: 2, restarted: true },
    first: { ...blank, state: "connecting" },
  };
  const words = (one) => ["hi", "en"].map((code) => {
    const { line, how } = bannerLine(one);
    return [line, how].filter(Boolean).map((id) => say(code, id)).join(" · ");
  });
  return Object.fromEntries(Object.entries(seen).map(([name, one]) => [name, words(one)]));
}
"""


def test_whatever_a_call_does_one_line_says_it_in_both_languages(doctor: Page, tablet: Page) -> None:
    told = tablet.evaluate(LINES, RUNGS)
    assert doctor.evaluate(LINES, RUNGS) == told, "both sides say the same"
    assert told.pop("first") == ["", ""], "nothing is said of a link that has not been tried"
    for name, (hindi, english) in told.items():
        assert re.search("[\u0900-\u097f]", hindi) and "⟦" not in hindi + english, name
        assert re.search("[a-z]", english) and not re.search("[\u0900-\u097f]", english), name
    lines = [english for _, english in told.values()]
    assert told["nothing comes"] == told["interrupted"]
    assert len(set(lines)) == len(lines) - 1, "each state has a line of its own"


def test_a_call_shows_the_tablets_own_camera_and_goes_on_after_a_reload_of_either_page_and_a_killed_media_process(
    doctor: Page, tablet: Page, stage: Stage
) -> None:
    register(tablet, "कमला देवी", age="45")
    take_visit(tablet)
    open_record(doctor, "कमला देवी")
    tap(doctor, "call")
    told = tablet.locator('[data-test="preflight"]')
    expect(told).to_have_attribute("data-expect", "video")  # while it rings
    expect(told).to_contain_text("क्या चलेगा")
    tap(tablet, "call-accept")
    in_state(doctor, "call-panel", "connected")
    sees_green(doctor)
    for page in (doctor, tablet):
        expect(page.locator('[data-test="call-ladder"]')).to_have_attribute("data-rung", re.compile("^video-"))
        expect(page.locator('[data-test="call-ladder"]')).not_to_be_empty()
    tap(doctor, "call-sharp")
    photo = doctor.locator('[data-test="media-item"][data-purpose="original"]')
    expect(photo).to_have_attribute("data-state", "whole", timeout=ACROSS_MS)
    expect(photo.locator('[data-test="media-line"]')).to_contain_text(LONG_NAME)
    kept = tablet.locator('[data-test="media-item"][data-purpose="original"]')
    expect(kept).to_have_count(1)
    (process,) = stage.call_processes()
    calls = tablet.request.get(tablet.url.split("#")[0] + "api/calls").json()["items"]
    assert [call["camera"] for call in calls] == ["tablet"]
    doctor.reload()
    in_state(doctor, "call-panel", "connected")
    sees_green(doctor)
    assert stage.call_processes() == [process], "the doctor's reload renews the way to him, and nothing else"
    tablet.reload()
    in_state(tablet, "call-screen", "connected")
    sees_green(doctor)
    again = tablet.request.get(tablet.url.split("#")[0] + "api/calls").json()["items"]
    assert [call["call_id"] for call in again] == [call["call_id"] for call in calls]

    frames = doctor.locator('[data-test="call-figures"]')
    before = int(frames.get_attribute("data-frames") or 0)
    os.kill(process, signal.SIGKILL)
    killed_s = time.monotonic()
    while int(frames.get_attribute("data-frames") or 0) <= before + 3:
        assert time.monotonic() - killed_s < 5 + 1, "the figures are a second old at most"
        doctor.wait_for_timeout(50)
    print("moving pictures again after", round(time.monotonic() - killed_s, 2), "s")
    in_state(tablet, "call-screen", "connected")
    in_state(doctor, "call-panel", "connected")
    assert len(stage.call_processes()) == 1 and stage.call_processes() != [process]
    sees_green(doctor)
    still = tablet.request.get(tablet.url.split("#")[0] + "api/calls").json()["items"]
    assert [call["call_id"] for call in still] == [call["call_id"] for call in calls], "the same call of the same visit"
    visit = calls[0]["visit_id"]
    tap(doctor, "call-hangup")
    tablet.locator('[data-test="call-screen"]').wait_for(state="detached", timeout=ACROSS_MS)
    receipts = both_receipts(tablet, visit)
    assert set(receipts) == {"node", "doctor"}
    assert (receipts["doctor"]["mode"], receipts["doctor"]["video_s"] >= 5) == ("video", True)
    node = receipts["node"]  # it counts what came of the doctor, whose own picture starts late
    assert node["mode"] == ("video" if node["video_s"] >= 5 else "audio")
    for call in receipts.values():
        assert call["audio_s"] > 0 and call["concealed_s"] >= 0


def thin(socket: WebSocketRoute) -> None:
    """What the node says of the call's link arrives as it would from one that carries sound only."""
    node = socket.connect_to_server()
    node.on_message(lambda text: socket.send(str(text).replace('"rung":"video-', '"rung":"audio-low","was":"video-')))


def falls(socket: WebSocketRoute) -> None:
    """The doctor's page reports a picture that stood for twelve seconds and fell to sound then."""
    hub = socket.connect_to_server()
    socket.on_message(lambda text: hub.send(re.sub(r'"video_s":[0-9.]+', '"video_s":12', str(text))))


def test_on_a_link_without_a_picture_one_button_leads_to_the_voice_note_of_the_same_visit(
    doctor: Page, tablet: Page
) -> None:
    register(tablet, "राधा देवी", age="33")
    take_visit(tablet)
    tablet.route_web_socket(re.compile("/api/live"), thin)
    tablet.reload()
    see(tablet, "visit-page")
    doctor.route_web_socket(re.compile("/api/live"), falls)
    doctor.reload()
    open_record(doctor, "राधा देवी")
    tap(doctor, "call")
    tap(tablet, "call-accept")
    in_state(tablet, "call-screen", "connected")
    fill(doctor, "drug-search", "clotrimazole")
    tap(doctor, "drug-option-F031")
    expect(doctor.locator('[data-test="check-mode"]')).to_have_attribute("data-mode", "audio", timeout=ACROSS_MS)
    expect(doctor.locator('[data-test="line-denial"][data-code="list_a_needs_video"]')).to_be_visible()
    tap(doctor, "remove-line")
    tap(tablet, "call-note")
    expect(tablet.locator('[data-test="note-record"]')).to_be_focused()
    tap(tablet, "call-hangup")
    in_state(doctor, "call-panel", "")


def test_two_tablets_in_one_form_join_what_they_write_and_say_what_they_replace(
    browser: Browser, clinic: Clinic, tablet: Page
) -> None:
    other_context = person(browser, clinic.node_url, 800, 1280)
    other = other_context.new_page()
    log_in_nurse(other, clinic)
    register(tablet, "विमला देवी", age="52")
    visit = tablet.url.split("/visit/")[1].split("/")[0]
    tap(tablet, "go-complaint")
    tap(tablet, "complaint-fever")
    fill(tablet, "complaint-notes", "पहला")
    with tablet.expect_response(lambda reply: "/api/drafts/" in reply.url and reply.request.method == "PUT"):
        tap(tablet, "go-history")
    other.goto(f"{clinic.node_url}/#/visit/{visit}/step/complaint")
    see(other, "other-tablet")
    expect(other.locator('[data-test="complaint-notes"]')).to_have_value("पहला")
    fill(other, "complaint-notes", "दूसरा")
    see(tablet, "take-back")
    tap(tablet, "go-complaint")
    expect(tablet.locator('[data-test="complaint-notes"]')).to_have_value("दूसरा")
    expect(tablet.locator('[data-test="complaint-fever"]')).to_have_attribute("aria-pressed", "true")
    tap(tablet, "take-back")
    expect(tablet.locator('[data-test="complaint-notes"]')).to_have_value("पहला")
    expect(other.locator('[data-test="complaint-notes"]')).to_have_value("पहला")
    other_context.close()


def test_the_page_opens_and_says_so_while_the_node_is_away(browser: Browser, clinic: Clinic) -> None:
    context = person(browser, clinic.node_url)
    page = context.new_page()
    Watch(page, clinic.node_url)
    log_in_nurse(page, clinic)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    see(page, "new-patient")
    context.set_offline(True)
    page.reload()
    expect(page.locator('[data-test="link-line"]')).to_have_class("link off")
    kept = page.evaluate(
        "caches.keys().then(async (names) => (await Promise.all(names.map(async (name) =>"
        " (await (await caches.open(name)).keys()).map((one) => new URL(one.url).pathname)))).flat())"
    )
    assert "/app.js" in kept and not [path for path in kept if path.startswith("/api/")]
    context.set_offline(False)
    see(page, "new-patient", 20_000)
    context.close()

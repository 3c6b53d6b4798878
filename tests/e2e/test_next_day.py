"""What takes a night or an hour, in a browser against a whole hub whose clock the test moves.

The hub is the one of ``tests/hub``, in a thread of its own: everything but the clock is as it is served.
"""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from edge.model import events as ev
from edge.model.clock import IST_OFFSET_S
from edge.model.records import Colour, Reading, Vitals
from hub.rota import store as kept
from hub.rota.core import Settings
from tests.hub.kit import PASSWORD, HubKit, NodeKit, new_id, registered, visit_events

from .pages import LONG_NAME, Watch, _word, faults_here, fill, other_language, see, tap
from .test_home_browser import Hub, log_in, message, register, step
from .test_pages_prescribing import write

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
T = TypeVar("T")
PATIENCE_MS = 20_000
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder for the screens, to be looked at by a person."""
INDIA = timezone(timedelta(seconds=IST_OFFSET_S))


class Messages(StringIO):
    """What leaves the hub for telephones, also line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, str]] = []

    def write(self, text: str) -> int:
        self.lines.extend(json.loads(line) for line in text.splitlines() if line)
        return super().write(text)


class Night:
    """A hub in a thread, and its clock."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        messages = Messages()
        self.kit = HubKit(folder, messages=messages, pages=True)
        self.do(self.kit.start)
        assert self.kit.client is not None
        self.url = str(self.kit.client.make_url("")).rstrip("/")
        self.home = Hub(self.url, "", messages.lines)

    def do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Something in the hub's own loop."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(60)

    def stop(self) -> None:
        self.do(self.kit.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def pass_s(self, seconds: float, step_s: float = 20) -> None:
        """Time as a running hub sees it: in steps, with a look at each."""

        async def looking() -> None:
            left_s = seconds
            while left_s > 0:
                self.kit.clock.pass_s(min(left_s, step_s))
                left_s -= step_s
                await self.kit.hub.presence.keep()
                await self.kit.hub.rota.look()

        self.do(looking)

    def to(self, hour: int, minute: int) -> None:
        """Until the clock on a wall in India shows this next."""
        now = datetime.fromtimestamp(self.kit.clock.ms / 1000, INDIA)
        then = now.replace(hour=hour, minute=minute, second=0)
        if then < now:
            then += timedelta(days=1)
        self.pass_s((then - now).total_seconds(), 3600)

    async def paediatrician(self) -> None:
        """One more account, of another speciality; she is away."""
        await self.kit.add_doctor("devi", "Dr Devi Sharma")
        profile = kept.Profile(specialities=("child",))
        await self.kit.hub.store.write(lambda connection: kept.put_profile(connection, "devi", profile))

    def doctor(self, browser: Browser, name: str, shown: str = "") -> Page:
        """Log in at a console of 1366×768."""
        if name not in self.kit.totp:
            self.do(lambda: self.kit.add_doctor(name, shown or f"Dr {name.title()} Prasad"))
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.url)
        fill(page, "login-user", name)
        fill(page, "login-password", PASSWORD)
        self.kit.clock.pass_s(30)
        fill(page, "login-totp", self.kit.code(name))
        tap(page, "login-submit")
        see(page, "logout")
        return page


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    made = Night(tmp_path_factory.mktemp("night") / "hub")
    try:
        yield made
    finally:
        made.stop()


def waits(night: Night, node: NodeKit, colour: Colour, serial: int) -> str:
    """A patient of a centre who waits."""
    visit_id, patient_id = new_id(), new_id()
    events = [registered(patient_id), *visit_events(visit_id, patient_id, colour=colour, serial=serial)]
    night.do(lambda: node.send(events))
    return visit_id


def shown(page: Page, name: str) -> list[str]:
    """Faults of a screen of the console, on a laptop and on a telephone, in both languages."""
    faults: list[str] = []
    for width, height in ((1366, 768), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        for _ in range(2):
            faults += faults_here(page, 26)
            if PICTURES:
                language = page.locator("html").get_attribute("lang")
                page.screenshot(path=f"{PICTURES}/{name}-{width}-{language}.png", full_page=width < 1000)
            other_language(page)
    return faults


def test_a_case_that_a_patient_sends_in_the_evening_is_answered_the_next_morning(
    browser: Browser, night: Night
) -> None:
    night.to(19, 30)
    assert not night.kit.hub.rota.is_open()
    phone = browser.new_context(viewport={"width": 360, "height": 640})
    phone.set_default_timeout(PATIENCE_MS)
    patient = phone.new_page()
    watch = Watch(patient, night.url)
    faults = log_in(patient, night.home)
    register(patient)
    tap(patient, "home-new-visit")
    step(patient, "complaint")
    tap(patient, "complaint-fever")
    fill(patient, "duration-fever", "3")
    tap(patient, "home-next")
    step(patient, "signs")
    tap(patient, "signs-rest-absent")
    tap(patient, "home-next")
    step(patient, "history")
    for name in ("allergy-none", "pregnant-no", "post-partum-no", "home-next"):
        tap(patient, name)
    step(patient, "measured")
    tap(patient, "home-next")
    step(patient, "photos")
    tap(patient, "home-next")
    step(patient, "consent")
    for name in ("consent-tele-yes", "consent-data-yes", "home-next"):
        tap(patient, name)
    expect(patient.locator('[data-test="home-words"]')).to_have_attribute("data-words", "home-kept")
    see(patient, "home-case")
    see(patient, "hours")
    faults += faults_here(patient)
    watch.none()
    patient.goto("about:blank")

    night.to(9, 1)
    assert night.kit.hub.rota.is_open()
    doctor = night.doctor(browser, "asha", LONG_NAME)
    tap(doctor, "ready")
    see(doctor, "offer")
    tap(doctor, "offer-accept")
    expect(doctor.locator("#record-title")).to_have_text("सीता देवी")
    fill(doctor, "diagnosis", "Viral fever")
    write(doctor, "paracetamol", "3")
    tap(doctor, "sign")
    see(doctor, "rx-status")

    patient.goto(f"{night.url}/home/")
    see(patient, "home-login")  # the session of the evening is over
    sent = sum(one["kind"] == "code" for one in night.home.messages)
    fill(patient, "home-mobile", "5550123456")
    tap(patient, "home-ask")
    fill(patient, "home-proof", _word(message(night.home, patient, "code", sent + 1), r"\b\d{6}\b"))
    tap(patient, "home-enter")
    patient.locator('a[href^="#/visit/"]').first.click()
    see(patient, "home-papers")
    expect(patient.locator('[data-test="home-genuine"]')).to_contain_text("12345 MCI")
    faults += faults_here(patient)
    other_language(patient)
    faults += faults_here(patient)
    slip = patient.request.get(night.url + str(patient.locator('[data-test="home-slip"]').get_attribute("href")))
    assert slip.body()[:5] == b"%PDF-"
    assert faults == []
    doctor.context.close()
    phone.close()


def test_a_doctor_whose_page_went_away_reads_that_her_patient_went_on_and_to_whom(
    browser: Browser, night: Night
) -> None:
    night.to(10, 0)
    night.pass_s(600)  # whoever was ready without a page is not any more
    node = night.do(lambda: night.kit.enrol("014B"))
    night.do(night.paediatrician)
    visit_id = waits(night, node, Colour.RED, 1)
    lost = night.doctor(browser, "asha")
    if lost.locator('[data-test="ready"]').get_attribute("aria-pressed") == "false":
        tap(lost, "ready")
    see(lost, "offer")
    tap(lost, "offer-accept")
    see(lost, "record")
    other = night.doctor(browser, "ravi")
    tap(other, "ready")
    lost.goto("about:blank")
    night.pass_s(Settings().gone_red_s)
    while night.kit.hub.rota.state("ravi").offer != visit_id:
        night.pass_s(5)
    expect(other.locator('[data-test="offer"]')).to_have_attribute("data-visit", visit_id)
    tap(other, "offer-accept")
    see(other, "record")
    lost.goto(night.url)
    bar = lost.locator('[data-test="left"]')
    expect(bar).to_have_attribute("data-visit", visit_id)
    expect(bar).to_contain_text("Dr Ravi Prasad")
    faults = faults_here(lost, 26)
    other_language(lost)
    faults += faults_here(lost, 26)
    assert faults == []
    lost.locator('[data-test="left-open"]').press("Enter")
    expect(lost.locator('[data-test="record"]')).to_have_attribute("data-visit", visit_id)
    lost.locator('[data-test="left-know"]').press("Enter")
    expect(bar).to_have_count(0)

    assert other.locator('[data-test="given"]').count() == 0, "she took it herself"
    other.keyboard.press("Alt+g")  # and by keyboard she hands the patient back to the first
    see(other, "hand-dialog")
    to = other.locator('[data-test="hand-to"]')
    to.focus()
    while to.input_value() != "doctor:asha":
        other.keyboard.press("ArrowDown")
    faults = faults_here(other, 26)
    if PICTURES:
        other.screenshot(path=f"{PICTURES}/hand-over.png")
    other.keyboard.press("Tab")
    other.keyboard.press("Enter")
    expect(other.locator('[data-test="hand-dialog"]')).to_have_count(0)
    expect(other.locator("#record-title")).to_be_focused()
    see(lost, "given")
    lost.keyboard.press("Alt+g")
    see(lost, "hand-dialog")
    for choice in ("speciality:child", "speciality:general"):
        lost.locator('[data-test="hand-to"]').select_option(choice)
        expect(lost.locator('[data-test="hand-waits"]')).to_have_count(int(choice == "speciality:child"))
    faults += faults_here(lost, 26)
    if PICTURES:
        lost.screenshot(path=f"{PICTURES}/hand-over-hi.png")
    lost.keyboard.press("Escape")
    expect(lost.locator('[data-test="hand-dialog"]')).to_have_count(0)
    assert faults == []
    for page in (lost, other):
        page.context.close()


def test_who_presses_that_she_stays_is_ready_past_the_end_of_the_hours_and_who_does_not_is_away(
    browser: Browser, night: Night
) -> None:
    night.to(15, 30)
    night.pass_s(600)  # whoever was ready without a page is not any more
    stays, goes = night.doctor(browser, "asha"), night.doctor(browser, "ravi")
    for page in (stays, goes):
        if page.locator('[data-test="ready"]').get_attribute("aria-pressed") == "false":
            tap(page, "ready")
        expect(page.locator('[data-test="ready"]')).to_have_attribute("aria-pressed", "true")
        expect(page.locator('[data-test="ends-soon"]')).to_have_count(0)
    night.to(15, 50)
    night.do(night.kit.hub.rota.look)
    for page in (stays, goes):
        page.reload()
        see(page, "ends-soon")
    assert faults_here(stays, 26) == []
    stays.locator('[data-test="stay"]').press("Enter")
    expect(stays.locator('[data-test="ends-soon"]')).to_have_count(0)
    night.to(16, 0)
    night.pass_s(20)
    expect(goes.locator('[data-test="ready"]')).to_have_attribute("aria-pressed", "false")
    stays.reload()
    expect(stays.locator('[data-test="ready"]')).to_have_attribute("aria-pressed", "true")
    for page in (stays, goes):
        page.context.close()


def test_each_dose_for_a_child_is_ticked_and_the_next_record_shows_what_she_still_takes(
    browser: Browser, night: Night
) -> None:
    """The last one here: her second visit waits on, and a doctor who sits would be asked for it."""
    node = night.do(lambda: night.kit.enrol("014C"))
    patient_id, visits = new_id(), (new_id(), new_id())
    weighed = [ev.VitalsRecorded(one, Vitals((Reading("weight_kg", 18.0),), "A")) for one in visits]
    first, second = ([*visit_events(one, patient_id, serial=n + 1), weighed[n]] for n, one in enumerate(visits))
    night.do(lambda: node.send([registered(patient_id, LONG_NAME, years=5), *first]))
    page = night.doctor(browser, "asha")
    page.goto(f"{night.url}/#/visit/{visits[0]}")
    see(page, "record")
    fill(page, "diagnosis", "Viral fever")
    write(page, "paracetamol", "3")
    tick = page.locator('[data-test="child-dose"]')
    denied = page.locator('[data-test="line-denial"][data-code="child_dose"]')
    expect(denied).to_have_count(1)
    expect(page.locator('[data-test="line-denial"]')).to_have_count(1)
    faults = shown(page, "child-dose")
    page.set_viewport_size({"width": 1366, "height": 768})
    tick.press("Space")
    expect(denied).to_have_count(0)
    fill(page, "dose", "2")
    expect(tick).not_to_be_checked()
    tick.press("Space")
    expect(denied).to_have_count(0)
    page.keyboard.press("Alt+s")
    see(page, "rx-status")
    night.do(lambda: node.send(second))
    page.goto(f"{night.url}/#/visit/{visits[1]}")
    expect(page.locator('[data-test="record"]')).to_have_attribute("data-visit", visits[1])
    expect(page.locator('[data-test="earlier-paper"]')).to_contain_text("Viral fever")
    expect(page.locator('[data-test="earlier-line"]')).to_have_attribute("data-runs", "true")
    faults += shown(page, "earlier")
    assert faults == []
    page.context.close()

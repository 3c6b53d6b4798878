"""Every screen of node and hub, one after the other, as people come to them: shows each to whoever asked for the tour.

The consultation of :mod:`tests.e2e.journey` is its middle. Around it: the locked node, what lies around the queue, the
board, the technician, a node for practice, a coordinator and a patient at home. Everybody is made up, with long names.
"""

import contextlib
import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect

from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan, control
from tests.e2e.pages import begin_red, fill, see, tap, write_referral
from tests.e2e.report import Recorder, Report
from tests.kits.cases import SAMPLES, Case
from tests.kits.client import text
from tests.kits.clinic import Clinic, Server, free_port, wait_until
from tests.kits.courier import carry
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.kits.visit import NurseVisit

Show = Callable[[str, Page], None]
"""Told the name of a screen and its page, which stands still until it returns."""

TABLET, PHONE, DESK = (1280, 800), (360, 640), (1440, 900)
LONG = "सत्यभामा देवी राजराजेश्वरी विश्वकर्मा उपाध्याय"
EVERY_DAY = {
    "hours": [{"weekday": day, "start": "00:00", "end": "23:59"} for day in range(7)],
    "holidays": [],
    "doctors": {},
}
ACROSS_MS = 60_000
VITALS = (("temp_c", "38.4"), ("sbp", "118"), ("dbp", "76"), ("hr", "92"), ("spo2", "97"), ("rr", "18"))


def long_case() -> Case:
    """The first of the sample patients, with as long a name as people have."""
    first = SAMPLES[0]
    return Case(**{name: getattr(first, name) for name in first.__struct_fields__} | {"name": LONG})


class _Consultation(Journey):
    """The journey; where it would keep a picture, it shows the page."""

    def __init__(self, show: Show, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._show = show

    def picture(self, name: str, page: Page) -> None:
        self._show(name, page)


class Tour:
    """One walk through everything. ``out``: where the slip of the consultation goes."""

    def __init__(
        self, playwright: Playwright, folder: Path, show: Show, browser_arguments: tuple[str, ...] = ()
    ) -> None:
        self._playwright = playwright
        self._folder = folder
        self._show = show
        self._arguments = browser_arguments
        self._messages: list[dict[str, str]] = []
        self.paper: list[list[bytes]] = []
        """What came out of the thermal printer, piece by piece."""

    def run(self) -> None:
        """See everything once."""
        with contextlib.ExitStack() as stack:
            printer = stack.enter_context(PrinterOnPty(ThermalPrinter(58)))
            clinic = stack.enter_context(
                Clinic(
                    self._folder,
                    nurse_name=("Asha Kumari Devi Ramanujapuram", "आशा कुमारी देवी रामानुजपुरम"),
                    doctor_name="Dr. Satyanarayana Ramanujacharya Venkatasubrahmanyam",
                    site=("NMP01", "उप-स्वास्थ्य केंद्र नमूनापुर"),
                    node_options=("--printer", f"58={printer.path}"),
                    telephone=self._hear,
                )
            )
            self._open_every_day(clinic)
            nurse = clinic.nurse_client()
            for case in SAMPLES[1:]:
                NurseVisit(case).run(nurse)
            nurse.close()
            clinic.node.stop()
            clinic.node.start()
            browser = browsers.launch(self._playwright, clinic.node_ground, self._folder, "tour", self._arguments)
            stack.callback(browser.close)
            tablet = browsers.open_page(browser, clinic.node.url, *TABLET)
            doctor = browsers.open_page(browser, clinic.hub.url, *DESK)
            self._locked(tablet)
            see(doctor, "login-form")
            self._show("doctor-door", doctor)
            recorder = Recorder(Report(link="lan", camera="test", link_emulated=False, notes=[]), None)
            _Consultation(
                self._show, clinic, None, recorder, tablet, doctor, Plan(long_case(), self._folder, 8.0)
            ).run()
            self._around_the_queue(clinic, tablet)
            self.paper = printer.printer.paper.pieces
            self._board(browser, clinic)
            self._technician(browser, clinic)
            self._desk(doctor)
            self._coordinator(browser, clinic)
            self._at_home(browser, clinic)
            self._practice(browser)

    def practice(self) -> None:
        """See only what a nurse practises with, which needs no hub."""
        trust = Clinic(self._folder).node_ground
        browser = browsers.launch(self._playwright, trust, self._folder, "practice", self._arguments)
        try:
            self._practice(browser)
        finally:
            browser.close()

    def _hear(self, line: str) -> None:
        with contextlib.suppress(ValueError):
            self._messages.append(json.loads(line))

    def _open_every_day(self, clinic: Clinic) -> None:
        plan = self._folder / "plan.json"
        plan.write_text(json.dumps(EVERY_DAY))
        clinic.hub.stop()
        clinic.command("hub", ["rota", *clinic.hub_store, "--set", str(plan)])
        clinic.hub.start()

    # At the node

    def _locked(self, page: Page) -> None:
        see(page, "unlock-form")
        self._show("locked", page)
        tap(page, "red-door")
        see(page, "red-go")
        tap(page, "red-gender-male")
        fill(page, "red-age", "55")
        self._show("locked-red", page)
        tap(page, "red-go")
        page.locator('[data-test="red-open"][data-hub="true"]').wait_for(timeout=ACROSS_MS)
        tap(page, "red-avpu-P")
        fill(page, "red-spo2", "82")
        self._show("locked-red-open", page)
        tap(page, "red-send")
        see(page, "red-told")
        tap(page, "red-leave")
        see(page, "unlock-form")

    def _around_the_queue(self, clinic: Clinic, page: Page) -> None:
        tap(page, "home")
        see(page, "new-patient")
        fill(page, "search", "सत्य")
        page.locator('[data-test="patient-row"], [data-test="search-empty"]').first.wait_for()
        self._show("search", page)
        fill(page, "search", SAMPLES[1].name)
        tap(page, "patient-row")
        see(page, "consent-tele-yes")
        self._show("patient", page)
        tap(page, "home")
        tap(page, "new-patient")
        tap(page, "reg-submit")
        page.locator(".wrong").first.wait_for()
        self._show("register-wrong", page)
        tap(page, "reg-cancel")
        see(page, "new-patient")
        self._shelf(page)
        self._red(page)
        tap(page, "visit-home")
        tap(page, "due-open")
        see(page, "due-row")
        self._show("due", page)
        tap(page, "due-back")
        stick = self._folder / "stick"
        stick.mkdir()
        assert carry("edge.node", clinic.node_data, stick).code == 0
        self._pulled(page, clinic)
        self._show("stick", page)
        tap(page, "stick-seen")
        tap(page, "closing-open")
        see(page, "closing-close")
        self._show("closing", page)
        tap(page, "closing-close")
        see(page, "closing-dialog")
        self._show("closing-dialog", page)
        page.keyboard.press("Escape")
        page.goto(f"{clinic.node.url}/#/month")
        see(page, "month-line")
        self._show("month", page)
        page.goto(f"{clinic.node.url}/#/")

    def _pulled(self, page: Page, clinic: Clinic) -> None:
        """The stick is pulled as soon as the page says that it may be."""
        page.locator('[data-test="stick-line"][data-stage="done"]').wait_for(timeout=ACROSS_MS)
        said = ["--data", str(clinic.node_data), "--pulled", "--result", "success"]
        clinic.command("edge.node", ["courier", *said])
        page.locator('[data-test="stick-line"][data-stage="out"]').wait_for(timeout=ACROSS_MS)

    def _shelf(self, page: Page) -> None:
        tap(page, "stock-open")
        tap(page, "stock-row")
        fill(page, "stock-amount", "120")
        tap(page, "stock-count")
        expect(control(page, "stock-row").first).to_contain_text("120")
        self._show("shelf", page)
        tap(page, "home")
        see(page, "new-patient")

    def _red(self, page: Page) -> None:
        begin_red(page, LONG)
        self._show("emergency-dialog", page)
        write_referral(page)
        self._show("referral-dialog", page)
        tap(page, "referral-save")
        see(page, "referred")
        tap(page, "print-here-referral")
        page.locator('[data-test="print-referral"][data-state="printed"]').wait_for()
        self._show("red", page)

    def _board(self, browser: Browser, clinic: Clinic) -> None:
        page = browsers.open_page(browser, f"{clinic.node.url}/board", *TABLET)
        see(page, "board-waiting")
        self._show("board", page)
        page.context.close()

    def _technician(self, browser: Browser, clinic: Clinic) -> None:
        pin = f"{secrets.randbelow(10**6):06d}"
        who = ["--name", "Raghunandan Prasad Vishwakarma", "--name-hi", "रघुनंदन प्रसाद विश्वकर्मा", "--role", "technician"]
        code = ["--pin-stdin", "--recovery-code", clinic.recovery_code]
        made = clinic.command("edge.node", ["add-staff", "--data", str(clinic.node_data), *who, *code], stdin=pin)
        page = browsers.open_page(browser, clinic.node.url, *TABLET)
        tap(page, f"staff-{text(made, 'staff_id')}")
        fill(page, "login-pin", pin)
        tap(page, "login-submit")
        see(page, "finding")
        self._show("technician", page)
        page.context.close()

    def _practice(self, browser: Browser) -> None:
        data = self._folder / "practice"
        clinic = Clinic(self._folder)
        made = clinic.command("edge.node", ["training", "--data", str(data)])
        node = Server(
            "practice",
            clinic.node_ground,
            [
                *(sys.executable, "-m", "edge.node", "serve", "--data", str(data), "--no-announce"),
                *("--http", f"127.0.0.1:{free_port()}"),
            ],
            self._folder / "practice.log",
        )
        try:
            page = browsers.open_page(browser, node.start(), *TABLET)
            see(page, "unlock-form")
            self._show("practice-locked", page)
            fill(page, "unlock-badge", text(made, "badge"))
            fill(page, "unlock-pin", text(made, "pin"))
            tap(page, "unlock-submit")
            tap(page, f"staff-{text(made, 'staff_id')}")
            self._show("practice-login", page)
            fill(page, "login-pin", text(made, "pin"))
            tap(page, "login-submit")
            see(page, "new-patient")
            self._show("practice", page)
            self._practise(page)
            page.context.close()
        finally:
            node.stop()

    def _practise(self, page: Page) -> None:
        """A made-up patient of the nurse's own, from the reception to the token, and what lies around it."""
        tap(page, "new-patient")
        see(page, "register-form")
        for field, typed in (("name", LONG), ("age", "34"), ("village", "नमूनापुर खुर्द, पंचायत सिंहवाहिनी, वार्ड 4")):
            fill(page, f"reg-{field}", typed)
        tap(page, "reg-gender-female")
        self._show("practice-register", page)
        tap(page, "reg-submit")
        for step, taps in (
            ("consent", ("consent-tele-yes", "consent-data-yes")),
            ("complaint", ("complaint-fever",)),
            ("history", ("allergy-none", "pregnant-no", "post-partum-no")),
            ("signs", ("signs-rest-absent",)),
            ("vitals", ("avpu-A",)),
        ):
            see(page, f"step-{step}")
            for one in taps:
                tap(page, one)
            for vital, value in VITALS if step == "vitals" else ():
                fill(page, f"vital-{vital}", value)
            self._show(f"practice-{step}", page)
            tap(page, "step-next")
        see(page, "step-triage")
        self._show("practice-triage", page)
        tap(page, "issue-token")
        control(page, "token-number").filter(has_text="-").wait_for()
        self._show("practice-token", page)
        tap(page, "visit-home")
        see(page, "queue-row")
        self._show("practice-reception", page)
        begin_red(page, LONG)
        self._show("practice-emergency", page)
        tap(page, "emergency-go")
        see(page, "send-on")
        self._show("practice-red", page)
        tap(page, "visit-home")
        for name, there in (("due", "due-back"), ("stock", "home"), ("closing", "closing-close")):
            tap(page, f"{name}-open")
            see(page, there)
            self._show(f"practice-{name}", page)
            tap(page, "home")
            see(page, "new-patient")

    # At the hub

    def _desk(self, page: Page) -> None:
        tap(page, "to-waiting")
        see(page, "coordination")
        self._show("doctor-waiting", page)
        tap(page, "to-waiting")
        tap(page, "to-review")
        see(page, "review-item")
        self._show("doctor-review", page)

    def _coordinator(self, browser: Browser, clinic: Clinic) -> None:
        person = clinic.make_coordinator()
        page = browsers.open_page(browser, clinic.hub.url, *DESK)
        for field, typed in (("user", person.user), ("password", person.password), ("totp", person.code())):
            fill(page, f"login-{field}", typed)
        tap(page, "login-submit")
        see(page, "unclaimed")
        self._show("coordinator", page)
        page.context.close()

    def _at_home(self, browser: Browser, clinic: Clinic) -> None:
        page = browsers.open_page(browser, f"{clinic.hub.url}/home/", *PHONE)
        see(page, "home-login")
        self._show("home-login", page)
        fill(page, "home-mobile", "5550123456")
        tap(page, "home-ask")
        see(page, "home-proof")
        self._show("home-code", page)
        fill(page, "home-proof", self._code())
        tap(page, "home-enter")
        see(page, "home-family")
        tap(page, "home-add")
        see(page, "home-person-form")
        fill(page, "home-name", LONG)
        tap(page, "home-gender-female")
        fill(page, "home-age", "34")
        fill(page, "home-village", "नमूनापुर, वार्ड 4")
        self._show("home-person", page)
        tap(page, "home-save-person")
        see(page, "home-person")
        self._show("home-family", page)
        tap(page, "home-new-visit")
        for name, taps in (
            ("complaint", ("complaint-fever",)),
            ("signs", ("signs-rest-absent",)),
            ("history", ("allergy-none", "pregnant-no", "post-partum-no")),
            ("measured", ()),
            ("photos", ()),
            ("consent", ("consent-tele-yes", "consent-data-yes")),
        ):
            page.locator(f'[data-test="home-step"][data-step="{name}"]').wait_for()
            for one in taps:
                tap(page, one)
            if name == "complaint":
                fill(page, "duration-fever", "3")
            self._show(f"home-{name}", page)
            tap(page, "home-next")
        see(page, "home-token")
        self._show("home-waiting", page)
        page.goto(f"{clinic.hub.url}/home/#/check")
        see(page, "home-check-page")
        self._show("home-check", page)
        page.context.close()

    def _code(self) -> str:
        wait_until(lambda: any(one["kind"] == "code" for one in self._messages), "the message with the code", 20)
        said = next(one["text"] for one in self._messages if one["kind"] == "code")
        found = re.search(r"\b\d{6}\b", said)
        assert found is not None, said
        return found.group(0)


def languages(page: Page) -> Iterator[str]:
    """Each language of a page that has a switch, the page being in it; the page's own last and alone without one.

    A dialog covers the switch: what it covers is in the language that it was opened in.
    """
    yield str(page.locator("html").get_attribute("lang"))
    switch = control(page, "language-toggle")
    if switch.count() and not page.locator("dialog[open], .call-full").count():
        before = page.locator("html").get_attribute("lang")
        switch.click()
        expect(page.locator("html")).not_to_have_attribute("lang", str(before))
        yield str(page.locator("html").get_attribute("lang"))
        switch.click()
        expect(page.locator("html")).to_have_attribute("lang", str(before))

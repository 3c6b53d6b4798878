"""One consultation from unlocking to the printed slip, with the pages' own controls, in two browsers.

Names of controls are those of ``edge/ui/SELECTORS.md``; nothing else of the pages is known here.
Patient, camera and link are arguments.
"""

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from playwright.sync_api import Locator, Page, expect

from edge.slips.verify import verify_slip
from tests.e2e.browsers import Meter, glass_to_glass_ms, summary_ms
from tests.e2e.report import Recorder
from tests.kits.cases import Case
from tests.kits.clinic import Clinic, wait_until
from tests.kits.link import Link

ACROSS_MS = 60_000
"""How long a step may wait for something that crosses the link."""
CUT_S = 20.0
CONNECT_TIMEOUT_MS = 90_000


class Plan(Struct, frozen=True):
    """How the journey is run."""

    case: Case
    out: Path
    call_s: float = 20.0
    cut: bool = False
    offline: bool = False
    """Without a link: as far as the token."""
    least_fps: float = 0.5


class JourneyError(Exception):
    """Something that should be there is not; the message says what."""


def control(page: Page, name: str) -> Locator:
    """The control with that name."""
    return page.locator(f'[data-test="{name}"]')


def fill(place: Locator, value: str) -> None:
    """Type into a field, or choose from a list, whichever it is."""
    if place.evaluate("element => element.tagName") == "SELECT":
        place.select_option(value)
    else:
        place.fill(value)


class Journey:
    """The two people and their pages."""

    def __init__(self, clinic: Clinic, link: Link | None, recorder: Recorder, tablet: Page, doctor: Page, plan: Plan):
        self.clinic = clinic
        self.link = link
        self.recorder = recorder
        self.tablet = tablet
        self.doctor = doctor
        self.plan = plan
        self.case = plan.case
        self.visit_id = ""
        self.token = ""
        self._pictures = 0

    def run(self) -> None:
        """All steps; raises at the first that fails, with a picture of both pages beside the report."""
        try:
            for name, step in self.steps():
                with self.recorder.step(name):
                    step()
        except Exception:
            self.picture("failed-tablet", self.tablet)
            self.picture("failed-doctor", self.doctor)
            raise

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Every step under its name, in order."""
        nurse = [
            ("unlock", self.unlock),
            ("nurse logs in", self.nurse_log_in),
            ("register", self.register),
            ("consent", self.consent),
            ("complaint", self.complaint),
            ("history", self.history),
            ("signs", self.signs),
            ("vitals", self.vitals),
            ("triage", self.triage),
            ("token", self.issue_token),
        ]
        if self.plan.offline:
            return nurse
        return [
            *nurse,
            ("hub has it", self.hub_has_it),
            ("doctor logs in", self.doctor_log_in),
            ("doctor opens", self.doctor_opens),
            ("doctor calls", self.doctor_calls),
            ("tablet accepts", self.tablet_accepts),
            ("call connects", self.call_connects),
            ("call", self.call),
            *([("call, cut 20 s", self.call_cut)] if self.plan.cut else []),
            ("notes", self.notes),
            ("prescription written", self.write_prescription),
            ("call ends", self.end_call),
            ("prescription signed", self.sign_cut if self.plan.cut else self.sign),
            ("prescription arrives", self.prescription_arrives),
            ("slip printed", self.print_slip),
            ("visit closed", self.close_visit),
            ("doctor sees printed", self.doctor_sees_printed),
        ]

    def picture(self, name: str, page: Page) -> None:
        """A numbered screenshot into the report's folder."""
        self._pictures += 1
        page.screenshot(path=self.plan.out / f"{self._pictures:02}-{name}.png")

    def next_step(self, name: str) -> None:
        """Picture of a filled step, then on; the next one must come up."""
        self.picture(name, self.tablet)
        control(self.tablet, "step-next").click()
        expect(control(self.tablet, f"step-{name}")).to_have_count(0)

    # At the tablet

    def unlock(self) -> None:
        nurse = self.clinic.nurse
        control(self.tablet, "unlock-badge").fill(nurse.badge)
        control(self.tablet, "unlock-pin").fill(nurse.pin)
        self.picture("unlock", self.tablet)
        control(self.tablet, "unlock-submit").click()
        expect(control(self.tablet, "login-page")).to_be_visible()

    def nurse_log_in(self) -> None:
        nurse = self.clinic.nurse
        control(self.tablet, f"staff-{nurse.staff_id}").click()
        control(self.tablet, "login-pin").fill(nurse.pin)
        self.picture("login", self.tablet)
        control(self.tablet, "login-submit").click()
        expect(control(self.tablet, "new-patient")).to_be_visible()

    def register(self) -> None:
        case, tablet = self.case, self.tablet
        self.picture("reception", tablet)
        control(tablet, "new-patient").click()
        control(tablet, "reg-name").fill(case.name)
        control(tablet, f"reg-gender-{case.gender}").click()
        control(tablet, "reg-age").fill(str(case.age_years))
        control(tablet, "reg-village").fill(case.village)
        if case.relative_name:
            control(tablet, "reg-relative").fill(case.relative_name)
        if case.mobile:
            control(tablet, "reg-mobile").fill(case.mobile)
        self.picture("register", tablet)
        control(tablet, "reg-submit").click()
        expect(control(tablet, "step-consent")).to_be_visible()

    def consent(self) -> None:
        for name in ("consent-tele-yes", "consent-data-yes", "consent-method-spoken"):
            control(self.tablet, name).click()
        if self.case.age_years < 18:
            control(self.tablet, "guardian-name").fill(self.case.relative_name or "Guardian Demo")
            fill(control(self.tablet, "guardian-relation"), "mother")
        self.next_step("consent")

    def complaint(self) -> None:
        for one in self.case.complaints:
            choice = control(self.tablet, f"complaint-{one.code}")
            if not choice.is_visible():
                control(self.tablet, "complaint-search").fill(one.code)
            choice.click()
            control(self.tablet, f"duration-{one.code}").fill(str(one.duration))
            control(self.tablet, f"unit-{one.code}-{one.unit}").click()
        if self.case.notes:
            control(self.tablet, "complaint-notes").fill(self.case.notes)
        self.next_step("complaint")

    def history(self) -> None:
        if self.case.allergies:
            control(self.tablet, "allergy-some").click()
            control(self.tablet, "allergy-text").fill(", ".join(self.case.allergies))
        else:
            control(self.tablet, "allergy-none").click()
        for name in ("pregnant-no", "post-partum-no"):
            if control(self.tablet, name).is_visible():
                control(self.tablet, name).click()
        for condition in self.case.conditions:
            control(self.tablet, f"condition-{condition}").click()
        self.next_step("history")

    def signs(self) -> None:
        for sign in self.case.signs_present:
            control(self.tablet, f"sign-{sign}").click()
        control(self.tablet, "signs-rest-absent").click()
        self.next_step("signs")

    def vitals(self) -> None:
        control(self.tablet, f"avpu-{self.case.avpu}").click()
        more = control(self.tablet, "more-vitals")
        for vital, value in self.case.vitals.items():
            field = control(self.tablet, f"vital-{vital}")
            if not field.is_visible() and more.is_visible():
                more.click()
            field.fill(f"{value:g}")
        for vital in ("hr", "rr", "temp_c", "spo2"):
            if vital not in self.case.vitals:
                control(self.tablet, f"vital-{vital}-notdone").click()
        control(self.tablet, "oxygen-false").click()
        self.next_step("vitals")

    def triage(self) -> None:
        colour = control(self.tablet, "triage-colour")
        expect(colour).to_be_visible()
        self.picture("triage", self.tablet)
        if colour.get_attribute("data-colour") not in ("red", "yellow", "green"):
            raise JourneyError(f"no colour after all answers: {colour.get_attribute('data-colour')}")

    def issue_token(self) -> None:
        control(self.tablet, "issue-token").click()
        number = control(self.tablet, "token-number")
        expect(number).to_be_visible()
        self.token = self.recorder.report.token = number.inner_text().strip()
        self.visit_id = self.tablet.url.partition("#/visit/")[2].partition("/")[0].partition("?")[0]
        if not self.token or not self.visit_id:
            raise JourneyError(f"no token or no visit in {self.tablet.url}")
        self.picture("token", self.tablet)

    # Across

    def hub_has_it(self) -> None:
        """The nurse's page says so only after the hub has fsynced."""
        late = '[data-test="sync-item"][data-state="waiting"], [data-test="sync-item"][data-state="sent"]'
        expect(control(self.tablet, "sync-item").first).to_be_visible()
        expect(self.tablet.locator(late)).to_have_count(0, timeout=ACROSS_MS)
        self.picture("hub-has-it", self.tablet)

    def doctor_log_in(self) -> None:
        doctor = self.clinic.doctor
        control(self.doctor, "login-user").fill(doctor.user)
        control(self.doctor, "login-password").fill(doctor.password)
        control(self.doctor, "login-totp").fill(doctor.code())
        self.picture("doctor-login", self.doctor)
        control(self.doctor, "login-submit").click()
        expect(control(self.doctor, "queue")).to_be_visible()

    def doctor_opens(self) -> None:
        row = self.doctor.locator(f'[data-test="queue-row"][data-visit="{self.visit_id}"]')
        expect(row).to_be_visible(timeout=ACROSS_MS)
        self.picture("doctor-queue", self.doctor)
        row.click()
        expect(control(self.doctor, "record")).to_be_visible()
        control(self.doctor, "take").click()
        expect(control(self.doctor, "put-back")).to_be_visible()
        self.picture("doctor-record", self.doctor)

    def doctor_calls(self) -> None:
        self._clicked_s = time.monotonic()
        control(self.doctor, "call").click()
        expect(control(self.tablet, "call-banner")).to_be_visible(timeout=ACROSS_MS)
        self.picture("ringing", self.tablet)

    def tablet_accepts(self) -> None:
        control(self.tablet, "call-accept").click()
        expect(control(self.tablet, "call-screen")).to_be_visible()

    def call_connects(self) -> None:
        panel = self.doctor.locator('[data-test="call-panel"][data-state="connected"]')
        expect(panel).to_be_visible(timeout=CONNECT_TIMEOUT_MS)
        self._wait_for_picture()
        self.recorder.report.first_frame_ms = int((time.monotonic() - self._clicked_s) * 1000)

    def _wait_for_picture(self, timeout_s: float = 60) -> float:
        meter = Meter(self.doctor)
        return wait_until(lambda: meter.frames() > 0, "moving pictures at the doctor", timeout_s, 0.2)

    def call(self) -> None:
        report = self.recorder.report
        at_doctor, at_tablet = Meter(self.doctor), Meter(self.tablet)
        delays_ms: list[int] = []
        end_s = time.monotonic() + self.plan.call_s
        while time.monotonic() < end_s:
            self.doctor.wait_for_timeout(250)
            delay_ms = glass_to_glass_ms(self.doctor)
            if delay_ms is not None:
                delays_ms.append(delay_ms)
        report.call_at_doctor, report.call_at_tablet = at_doctor.figures(), at_tablet.figures()
        delays = summary_ms(delays_ms)
        if delays:
            report.glass_to_glass_ms, report.glass_to_glass_p95_ms = delays
        self.picture("call-doctor", self.doctor)
        self.picture("call-tablet", self.tablet)
        if report.call_at_doctor.fps < self.plan.least_fps:
            raise JourneyError(f"only {report.call_at_doctor.fps} frames a second at the doctor")
        if report.call_at_doctor.audio_energy <= 0:
            raise JourneyError("the doctor hears nothing")
        if report.call_at_tablet.audio_energy <= 0:
            raise JourneyError("the patient hears nothing")

    def call_cut(self) -> None:
        """The link is gone for 20 s in the middle of the call; the same visit and call go on."""
        if self.link is None:
            raise JourneyError("without an emulated link nothing can be cut")
        self.link.down()
        self.doctor.wait_for_timeout(CUT_S * 1000)
        self.picture("cut-doctor", self.doctor)
        self.picture("cut-tablet", self.tablet)
        self.link.up()
        self.recorder.report.reconnect_s = round(self._wait_for_picture(90), 2)
        if not control(self.tablet, "call-screen").is_visible():
            raise JourneyError("the tablet left the call")

    def end_call(self) -> None:
        control(self.doctor, "call-hangup").click()
        expect(control(self.tablet, "call-screen")).to_have_count(0, timeout=ACROSS_MS)

    # At the doctor's desk

    def notes(self) -> None:
        control(self.doctor, "notes").fill("Seen by video. Chest clear by history.")
        saved = self.doctor.locator('[data-test="notes-state"][data-state="saved"]')
        expect(saved).to_be_visible()

    def write_prescription(self) -> None:
        case, page = self.case, self.doctor
        control(page, "diagnosis").fill(case.diagnosis)
        if case.diagnosis_code:
            control(page, "diagnosis-code").fill(case.diagnosis_code)
        for number, medicine in enumerate(case.medicines):
            control(page, "drug-search").fill(self.drug_name(medicine.drug_id))
            control(page, f"drug-option-{medicine.drug_id}").click()
            line = control(page, "drug-line").nth(number)
            fields = (
                ("dose", medicine.dose),
                ("route", medicine.route),
                ("frequency", medicine.frequency),
                ("days", str(medicine.duration_days)),
                ("food", medicine.food),
                ("quantity", medicine.quantity),
                ("instructions", medicine.instructions),
            )
            for name, value in fields:
                if value:
                    fill(line.locator(f'[data-test="{name}"]'), value)
        if case.advice:
            control(page, "advice").fill(case.advice)
        for name in ("warn-told", "allergy-ack"):
            box = control(page, name)
            if box.is_visible():
                box.check()
        self.picture("doctor-prescription", page)

    def drug_name(self, drug_id: str) -> str:
        """What a doctor would type to find it: the generic name in the formulary."""
        found = self.doctor.evaluate(
            """async id => {
                 const reference = await (await fetch("/api/reference")).json();
                 return reference.formulary.find((drug) => drug.id === id)?.generic ?? "";
               }""",
            drug_id,
        )
        if not found:
            raise JourneyError(f"no drug {drug_id} in the formulary")
        return str(found)

    def sign(self) -> None:
        control(self.doctor, "sign").click()
        confirm = control(self.doctor, "sign-confirm")
        if control(self.doctor, "sign-dialog").is_visible() or confirm.is_visible():
            password = control(self.doctor, "sign-password")
            if password.is_visible():
                password.fill(self.clinic.doctor.password)
            confirm.click()
        expect(control(self.doctor, "rx-status")).to_be_visible()
        self.picture("doctor-signed", self.doctor)

    def sign_cut(self) -> None:
        """The link goes down with the prescription on its way and comes back 20 s later."""
        if self.link is None:
            raise JourneyError("without an emulated link nothing can be cut")
        self.link.down()
        self.sign()
        self.doctor.wait_for_timeout(CUT_S * 1000)
        if control(self.tablet, "rx-card").count():
            raise JourneyError("a prescription crossed a link that was down")
        self.link.up()

    # At the tablet again

    def prescription_arrives(self) -> None:
        card = self.tablet.locator('[data-test="rx-card"][data-verified="true"]')
        if not card.is_visible():
            home = control(self.tablet, "home")
            if home.is_visible():
                home.click()
            self.tablet.locator(f'[data-test="queue-row"][data-visit="{self.visit_id}"]').click()
        expect(card).to_be_visible(timeout=ACROSS_MS)
        self.picture("prescription", self.tablet)

    def print_slip(self) -> None:
        """The PDF as the page's own link gives it; checked off line with the hub's key."""
        link = control(self.tablet, "rx-print")
        content = self.tablet.evaluate(
            """async (path) => {
                 const reply = await fetch(path);
                 if (!reply.ok) throw new Error(`slip: ${reply.status}`);
                 return Array.from(new Uint8Array(await reply.arrayBuffer()));
               }""",
            link.get_attribute("href"),
        )
        pdf = bytes(content)
        (self.plan.out / "slip.pdf").write_bytes(pdf)
        verified = verify_slip(pdf, self.clinic.hub_key())
        if verified.record.patient_name != self.case.name:
            raise JourneyError("the slip is somebody else's")
        control(self.tablet, "rx-printed").click()
        expect(control(self.tablet, "rx-is-printed")).to_be_visible()

    def close_visit(self) -> None:
        shown = control(self.tablet, "token-number")
        if shown.count() and shown.first.inner_text().strip() != self.token:
            raise JourneyError(f"the token changed from {self.token} to {shown.first.inner_text()}")
        control(self.tablet, "close-visit").click()
        control(self.tablet, "close-outcome-completed").click()
        explained = control(self.tablet, "close-explained")
        if explained.is_visible():
            explained.check()
        control(self.tablet, "close-confirm").click()
        expect(control(self.tablet, "visit-closed")).to_be_visible()
        self.picture("closed", self.tablet)

    def doctor_sees_printed(self) -> None:
        printed = self.doctor.locator('[data-test="rx-status"][data-state="printed"]')
        expect(printed).to_be_visible(timeout=ACROSS_MS)
        self.picture("doctor-printed", self.doctor)

"""A real hub and a real node in their own processes, for tests that look at pages.

Knows the commands of hub and node, nothing of their insides.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyotp
from msgspec import Struct
from playwright.sync_api import Page, expect

from tests.e2e import axe

PIN = "482913"
PASSWORD = "long-enough-for-a-doctor-7"
CHROMIUM = "/usr/bin/chromium"
BROWSER_ARGS = ("--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
LOOK = (Path(__file__).parent / "pages_look.js").read_text("utf-8")
"""Finds what axe does not look for; its argument is the least size of what is touched, in px."""
DRAWN = """() => Promise.race([new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  new Promise((done) => setTimeout(done, 150))])"""
"""Two frames; a page that another one covers draws none."""
LONG_NAME = "डॉ. सत्यनारायण रामानुजाचार्य वेंकटसुब्रह्मण्यम मिश्र"


class Clinic(Struct, frozen=True):
    """Where the pages are, and how to get in."""

    node_url: str
    hub_url: str
    badge: str
    staff_id: str
    totp_secret: str
    technician_id: str


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(arguments: Sequence[str], stdin: str = "") -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{arguments[:2]}: {done.stderr[-2000:]}"
    return done.stdout


class Stage:
    """Starts hub and node and stops them again."""

    def __init__(self, folder: Path, camera: str = "test", devices: Sequence[str] = (), printer: str = "") -> None:
        """``devices``: MODEL=PORT of each medical device; ``printer``: MM=PORT."""
        self._folder = folder
        self._camera = camera
        self._devices = devices
        self._printer = printer
        self._running: list[subprocess.Popen[str]] = []

    def start(self) -> Clinic:
        """Everything from nothing: keys, doctor, token, enrolment, staff, both servers."""
        hub, node = str(self._folder / "hub"), str(self._folder / "node")
        _run(["hub", "init", "--data", hub])
        doctor = _run(
            (
                *("hub", "add-doctor", "--data", hub, "--id", "doctor", "--name", LONG_NAME, "--password-stdin"),
                *("--registration", "DEMO/00001", "--qualification", "MBBS, MD (सामान्य चिकित्सा)"),
            ),
            PASSWORD + "\n",
        )
        secret = _word(doctor, r"\b[A-Z2-7]{32}\b")
        token = _run(
            (
                *("hub", "site-token", "--data", hub, "--code", "014B", "--district", "Nalanda", "--demo"),
                *("--name", "उप-स्वास्थ्य केंद्र नमूनापुर"),
            )
        )
        hub_url = self._serve(
            (
                *("hub", "serve", "--data", hub, "--http", f"127.0.0.1:{_free_port()}", "--link-address", "127.0.0.1"),
                *("--udp", str(_free_port()), "--tls", str(_free_port())),
            )
        )
        site_token = _word(token, r"UPK1-[A-Z2-7=]+")
        enrolled = _run(["edge.node", "enrol", "--data", node, "--hub", hub_url, "--token", site_token])
        recovery = _value(enrolled, "recovery_code")
        staff = _run(
            (
                *(
                    "edge.node",
                    "add-staff",
                    "--data",
                    node,
                    "--name",
                    "Asha Kumari Devi Ramanujapuram",
                    "--role",
                    "anm",
                ),
                *("--name-hi", "आशा कुमारी देवी रामानुजपुरम", "--pin-stdin", "--recovery-code", recovery),
            ),
            PIN + "\n",
        )
        technician = _run(
            (
                *("edge.node", "add-staff", "--data", node, "--name", "Raghunandan Prasad Vishwakarma"),
                *("--name-hi", "रघुनंदन प्रसाद विश्वकर्मा", "--role", "technician", "--pin-stdin"),
                *("--recovery-code", recovery),
            ),
            PIN + "\n",
        )
        node_url = self._serve(
            (
                *("edge.node", "serve", "--data", node, "--http", f"127.0.0.1:{_free_port()}", "--no-announce"),
                *("--camera", self._camera, "--lock-after", "60"),
                *(word for device in self._devices for word in ("--device", device)),
                *(("--printer", self._printer) if self._printer else ()),
            )
        )
        return Clinic(
            node_url, hub_url, _value(staff, "badge"), _value(staff, "staff_id"), secret, _value(technician, "staff_id")
        )

    def add_doctor(self, doctor_id: str, name: str) -> str:
        """One more account; the secret of its codes."""
        data = ("--data", str(self._folder / "hub"), "--id", doctor_id, "--name", name, "--password-stdin")
        said = _run(
            ("hub", "add-doctor", *data, "--registration", "DEMO/00003", "--qualification", "MBBS"), PASSWORD + "\n"
        )
        return _word(said, r"\b[A-Z2-7]{32}\b")

    def _serve(self, arguments: Sequence[str]) -> str:
        log = (self._folder / f"{arguments[0]}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ)
        )
        self._running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{arguments[0]} did not start: {Path(log.name).read_text()[-3000:]}"
        ready = json.loads(line)
        assert ready["ready"] is True
        return str(ready["http"])

    def call_processes(self) -> list[int]:
        """The processes that carry the media of a call now."""
        ours, found = {process.pid for process in self._running}, []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                parent = re.search(r"^PPid:\t(\d+)$", status.read_text(), re.MULTILINE)
                if (
                    parent
                    and int(parent.group(1)) in ours
                    and b"edge.media" in status.with_name("cmdline").read_bytes()
                ):
                    found.append(int(status.parent.name))
        return found

    def stop(self) -> None:
        """Stop what was started."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _word(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found.group(0)


def _value(text: str, name: str) -> str:
    """A value of a command's JSON line."""
    for line in text.splitlines():
        if line.startswith("{") and name in (reply := json.loads(line)):
            return str(reply[name])
    raise AssertionError(f"{name} is not in the output of the command: {text}")


class Watch:
    """Collects what a page complains about: errors, CSP violations, requests that went elsewhere or failed."""

    def __init__(self, page: Page, origin: str) -> None:
        self.complaints: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))

        def seen(url: str) -> None:
            if not url.startswith((origin, origin.replace("http", "ws"), "blob:", "data:")):
                self.complaints.append(f"request to {url}")

        page.on("request", lambda r: seen(r.url))

    def none(self) -> None:
        """Fail when anything was complained about."""
        assert self.complaints == [], self.complaints


def tap(page: Page, name: str) -> None:
    """Touch a control by its ``data-test`` name."""
    page.locator(f'[data-test="{name}"]').first.click()


def fill(page: Page, name: str, text: str) -> None:
    page.locator(f'[data-test="{name}"]').first.fill(text)


def see(page: Page, name: str, timeout_ms: float = 10_000) -> None:
    """Wait until a control is there."""
    page.locator(f'[data-test="{name}"]').first.wait_for(timeout=timeout_ms)


def log_in_nurse(page: Page, clinic: Clinic) -> None:
    """From the first load to the queue; unlocks the node when it is locked."""
    page.goto(clinic.node_url)
    page.locator('[data-test="unlock-form"], [data-test="login-page"]').first.wait_for()
    if page.locator('[data-test="unlock-form"]').count():
        fill(page, "unlock-badge", clinic.badge)
        fill(page, "unlock-pin", PIN)
        tap(page, "unlock-submit")
    tap(page, f"staff-{clinic.staff_id}")
    fill(page, "login-pin", PIN)
    tap(page, "login-submit")
    see(page, "new-patient")


def log_in_technician(page: Page, clinic: Clinic) -> None:
    """To the technician's page of a node that is unlocked."""
    page.goto(clinic.node_url)
    tap(page, f"staff-{clinic.technician_id}")
    fill(page, "login-pin", PIN)
    tap(page, "login-submit")
    see(page, "tech-page")


def register(page: Page, name: str, *, gender: str = "female", age: str = "34", mobile: str = "") -> None:
    """A new patient, up to the first step of the visit."""
    tap(page, "new-patient")
    see(page, "register-form")
    fill(page, "reg-name", name)
    tap(page, f"reg-gender-{gender}")
    fill(page, "reg-age", age)
    fill(page, "reg-mobile", mobile)
    fill(page, "reg-village", "नमूनापुर")
    tap(page, "reg-submit")
    see(page, "step-consent")


def begin_red(page: Page, name: str) -> None:
    """Fill in the dialog of a RED patient; ``emergency-go`` sends it."""
    tap(page, "emergency")
    fill(page, "emergency-name", name)
    tap(page, "emergency-gender-female")
    fill(page, "emergency-age", "66")


def write_referral(page: Page) -> None:
    """Send the RED patient's dialog, write a number to ring and fill in the referral; ``referral-save`` keeps it."""
    tap(page, "emergency-go")
    see(page, "send-on")
    tap(page, "on-call-edit")
    fill(page, "on-call-name", "पीएचसी, ड्यूटी डॉक्टर")
    fill(page, "on-call-phone", "+91 612 2345678")
    tap(page, "on-call-save")
    expect(page.locator('[data-test="on-call"] a')).to_have_attribute("href", "tel:+916122345678")
    tap(page, "referral-write")
    tap(page, "referral-place-chc")
    tap(page, "referral-way-108")
    fill(page, "referral-given", "बाईं करवट लिटाया")


def take_visit(page: Page, *, spo2: str = "97") -> None:
    """From consent to the token, for a woman with fever."""
    tap(page, "consent-tele-yes")
    tap(page, "consent-data-yes")
    tap(page, "step-next")
    tap(page, "complaint-fever")
    fill(page, "duration-fever", "3")
    tap(page, "step-next")
    tap(page, "allergy-none")
    tap(page, "pregnant-no")
    tap(page, "post-partum-no")
    tap(page, "step-next")
    tap(page, "signs-rest-absent")
    tap(page, "step-next")
    tap(page, "avpu-A")
    for vital, value in (("temp_c", "38.4"), ("sbp", "118"), ("dbp", "76"), ("hr", "92"), ("spo2", spo2), ("rr", "18")):
        fill(page, f"vital-{vital}", value)
    tap(page, "step-next")
    see(page, "step-triage")
    tap(page, "issue-token")
    see(page, "visit-page")
    page.locator('[data-test="token-number"]', has_text="-").wait_for()


def log_in_doctor(page: Page, clinic: Clinic, user: str = "doctor", secret: str = "") -> None:
    page.goto(clinic.hub_url)
    fill(page, "login-user", user)
    fill(page, "login-password", PASSWORD)
    fill(page, "login-totp", pyotp.TOTP(secret or clinic.totp_secret).now())
    tap(page, "login-submit")
    see(page, "logout")


def faults_here(page: Page, least_px: int = 48) -> list[str]:
    """Faults of the page as it stands, by our own rules and by axe's."""
    drawn(page)
    return [*page.evaluate(LOOK, least_px), *axe.findings(page)]


def look(page: Page, least_px: int = 48) -> list[str]:
    """Faults of the page as it stands, in both languages."""
    faults: list[str] = []
    for _ in range(2):
        faults += faults_here(page, least_px)
        if page.locator("dialog[open]").count():
            return faults
        other_language(page)
    return faults


def other_language(page: Page) -> None:
    """The same page in the other language, drawn."""
    root = page.locator("html")
    before = str(root.get_attribute("lang"))
    tap(page, "language-toggle")
    expect(root).not_to_have_attribute("lang", before)
    drawn(page)


def drawn(page: Page) -> None:
    """What the page was last told stands on it."""
    page.evaluate(DRAWN)

"""The pages of administration at a hub of real processes: machines, centres, accounts, updates, numbers, figures."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pyotp
import pytest
from msgspec import Struct
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, update

from edge.model import events as ev
from edge.model.records import VisitState
from edge.sync import release
from edge.sync.log import Stream
from hub import review
from hub.permits import Role
from hub.store.schema import entries
from tests.hub.kit import DRAFT, PASSWORD, HubKit, new_id, registered, visit_events
from tests.hub.test_fleet import RELEASE, many_nodes
from tests.hub.test_nodes import TOLD, in_stream

from .pages import Watch, fill, look, see, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LEAST_PX = 44
WAIT_MS = 30_000
"""On a machine that others use too."""
PEOPLE = {
    "admin": Role.ADMINISTRATOR,
    "kavita": Role.COORDINATOR,
    "gita": Role.VIEWER,
    "meher": Role.MEDICAL_OFFICER,
}
FEW, STATE = 50, 10_000
"""Centres: more than a page of machines shows, and as many as a state has."""


class Office(Struct, frozen=True):
    """A hub that serves, and who can log in."""

    url: str
    totp: dict[str, str]
    long_ago: str
    """A visit of which the hub heard years ago."""


def give_role(connection: Connection, *, person_id: str, role: Role, now_ms: int) -> None:
    review.give_role(connection, person_id, role.value, now_ms)


async def fill_hub(data: Path, centres: int) -> tuple[dict[str, str], str]:
    """Nodes, a visit that was answered and one that waits, and people.

    What their authenticators know, and a visit of which the hub heard years ago.
    """
    kit = await (await asyncio.to_thread(HubKit, data)).start()
    await kit.add_doctor("asha", "डॉ. सत्यनारायण रामानुजाचार्य वेंकटसुब्रह्मण्यम मिश्र")
    node = await kit.enrol("014B")
    word = msgspec.structs.replace(TOLD, power="low", battery_mv=11_000, sim="up")
    await node.send_payload(in_stream(node, Stream.AUDIT, word))
    seen, waiting = new_id(), new_id()
    for serial, visit_id in enumerate((seen, waiting), 1):
        patient_id = new_id()
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
    long_ago, patient_id = new_id(), new_id()
    left = ev.VisitClosed(long_ago, VisitState.COMPLETED)
    await node.send([registered(patient_id), *visit_events(long_ago, patient_id, serial=3), left])
    years_ago = update(entries).where(entries.c.visit_id == long_ago).values(received_ms=1)
    await kit.hub.store.write(lambda connection: connection.execute(years_ago) and None)
    doctor = await kit.login()
    reply = await doctor.call("POST", f"/api/visits/{seen}/sign", {"command_id": new_id(), "draft": DRAFT})
    assert reply.status == 200
    for name, role in PEOPLE.items():
        await kit.add_doctor(name, f"{name.title()} Kumari Ramanujapuram")
        await kit.hub.store.write(partial(give_role, person_id=name, role=role, now_ms=kit.clock.ms))
    await kit.hub.store.write(lambda connection: many_nodes(connection, kit.hub.keys, centres))
    await kit.stop()
    return kit.totp, long_ago


@contextlib.contextmanager
def serving(data: Path, centres: int) -> Iterator[Office]:
    """A hub in a process of its own."""
    with ThreadPoolExecutor(1) as beside:  # the browser has a loop of its own in this thread
        totp, long_ago = beside.submit(lambda: asyncio.run(fill_hub(data, centres))).result()
    command = [sys.executable, "-m", "hub", "serve", "--data", str(data), "--http", "127.0.0.1:0"]
    command += ["--link-address", "127.0.0.1", "--udp", "0", "--tls", "0"]
    with (data.parent / "log").open("w") as log:
        hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
    try:
        assert hub.stdout is not None
        yield Office(str(json.loads(hub.stdout.readline())["http"]), totp, long_ago)
    finally:
        hub.send_signal(signal.SIGTERM)
        hub.wait(20)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with serving(tmp_path_factory.mktemp("office") / "hub", FEW) as found:
        yield found


@pytest.fixture(scope="module")
def admin(browser: Browser, office: Office) -> Page:
    """An administrator's page, logged in once."""
    return log_in(browser, office, "admin")


def log_in(browser: Browser, office: Office, name: str, width: int = 1440, height: int = 900) -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.goto(office.url)
    fill(page, "login-user", name)
    fill(page, "login-password", PASSWORD)
    fill(page, "login-totp", pyotp.TOTP(office.totp[name]).now())
    tap(page, "login-submit")
    see(page, "logout", WAIT_MS)
    return page


def go(page: Page, name: str, test: str) -> None:
    """To a page of administration."""
    tap(page, f"to-{name}")
    see(page, test, WAIT_MS)


def faultless(page: Page) -> None:
    """Nothing is wrong with the page as it stands, in either language."""
    assert look(page, LEAST_PX) == []


def act(page: Page) -> None:
    """Say yes in the dialog, with the password."""
    fill(page, "act-password", PASSWORD)
    tap(page, "act-go")
    expect(page.locator('[data-test="act-dialog"]')).to_have_count(0, timeout=WAIT_MS)


LEAVES = "dispatchEvent(new Event('beforeunload', {cancelable: true}))"
"""Whether the page would go without a question."""


def add_number(page: Page, who: str, number: str) -> None:
    fill(page, "on-call-who", who)
    fill(page, "on-call-number", number)
    page.keyboard.press("Enter")
    expect(page.locator('[data-test="on-call-line"]', has_text=number)).to_have_count(1)


def test_hours_are_changed_with_a_look_at_what_changes_and_taken_back(admin: Page, office: Office) -> None:
    page = admin
    watch = Watch(page, office.url)
    go(page, "plan", "plan-page")
    faultless(page)
    fill(page, "plan-0-0-start", "1000")
    expect(page.locator('[data-test="plan-look"]')).to_be_disabled()
    fill(page, "plan-0-0-start", "10:00")
    page.locator('[data-test="plan-district"]').select_option("District 7")
    tap(page, "plan-own")
    tap(page, "plan-6-add")
    fill(page, "holiday-day", "2031-01-26")
    fill(page, "holiday-name", "Republic Day")
    fill(page, "holiday-name-hi", "गणतंत्र दिवस")
    tap(page, "holiday-add")
    see(page, "plan-unsaved")
    tap(page, "plan-look")
    lines = page.locator('[data-test="plan-lines"]')
    expect(lines).to_contain_text("10:00–16:00", timeout=WAIT_MS)
    expect(lines).to_contain_text("District 7")
    expect(lines).to_contain_text("26/01/2031")
    faultless(page)
    act(page)
    expect(page.locator('[data-test="plan-change"]')).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator('[data-test="plan-0-0-start"]')).to_have_value("10:00")
    doctor = page.locator('[data-test="plan-doctor"][data-person="asha"]')
    doctor.locator('[data-test="plan-doctor-change"]').click()
    fill(page, "plan-districts", "District 7")
    tap(page, "own-2-add")
    expect(page.locator('[data-test="plan-lines"] li')).to_have_count(2)
    faultless(page)
    act(page)
    expect(doctor).to_contain_text("District 7", timeout=WAIT_MS)
    tap(page, "plan-undo")
    act(page)
    expect(doctor).not_to_contain_text("District 7", timeout=WAIT_MS)
    expect(page.locator('[data-test="plan-change"]')).to_have_count(3)
    assert watch.complaints == []


def test_a_formulary_that_one_wrote_is_compared_and_approved_by_another(
    browser: Browser, admin: Page, office: Office, tmp_path: Path
) -> None:
    page = admin
    go(page, "lists", "formulary-counts")
    with page.expect_download() as saved:
        tap(page, "formulary-file")
    content = json.loads(saved.value.path().read_text("utf-8"))
    content["version"] = "district-1"
    content["items"][0]["flags"] = "नमूना"
    fresh = tmp_path / "formulary.json"
    fresh.write_text(json.dumps(content), "utf-8")
    tap(page, "formulary-add")
    page.locator('[data-test="formulary-upload"]').set_input_files(fresh)
    act(page)
    expect(page.locator('[data-test="formulary-version"]')).to_have_attribute("data-state", "draft", timeout=WAIT_MS)
    tap(page, "formulary-look")
    expect(page.locator('[data-test="formulary-line"]')).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator('[data-test="formulary-approve"]')).to_have_count(0)
    faultless(page)
    tap(page, "formulary-close")
    officer = log_in(browser, office, "meher", 800, 1280)
    go(officer, "lists", "formulary-counts")
    tap(officer, "formulary-look")
    expect(officer.locator('[data-test="formulary-line"]')).to_contain_text("नमूना", timeout=WAIT_MS)
    tap(officer, "formulary-approve")
    faultless(officer)
    act(officer)
    expect(officer.locator('[data-test="formulary-counts"]')).to_contain_text("district-1", timeout=WAIT_MS)
    expect(officer.locator('[data-test="formulary-version"]')).to_have_attribute("data-state", "approved")
    faultless(officer)
    officer.context.close()


def test_an_administrator_looks_after_the_whole_house(admin: Page, office: Office) -> None:
    page = admin
    watch = Watch(page, office.url)
    go(page, "fleet", "fleet-table")
    expect(page.locator('[data-test="fleet-counts"]')).to_contain_text(str(FEW + 1), timeout=WAIT_MS)
    expect(page.locator('[data-test="fleet-line"]')).to_have_count(50, timeout=WAIT_MS)
    tap(page, "fleet-next")
    expect(page.locator('[data-test="fleet-range"]')).to_contain_text("51", timeout=WAIT_MS)
    page.locator('[data-test="fleet-q"]').press_sequentially("site 014B")
    expect(page.locator('[data-test="fleet-line"]')).to_have_count(1, timeout=WAIT_MS)
    faultless(page)
    fill(page, "fleet-q", "nobody has this name")
    see(page, "fleet-none", WAIT_MS)

    go(page, "sites", "site")
    faultless(page)
    tap(page, "token-add")
    centre = {"code": "GA01", "name": "उप-स्वास्थ्य केंद्र नमूनापुर", "district": "Gaya", "block": "Bodh Gaya"}
    for field, text in centre.items():
        fill(page, f"token-{field}", text)
    faultless(page)
    fill(page, "act-password", "not the password")
    tap(page, "act-go")
    see(page, "act-wrong", WAIT_MS)
    act(page)
    expect(page.locator('[data-test="token-text"]')).to_contain_text("UPK1-", timeout=WAIT_MS)
    with page.expect_download() as saved:
        tap(page, "token-label")
    assert saved.value.suggested_filename == "enrol-GA01.pdf"
    tap(page, "token-close")
    expect(page.locator('[data-test="tokens"]')).to_contain_text("GA01", timeout=WAIT_MS)

    page.locator('[data-test="site"] [data-test="site-place"]').first.click()
    see(page, "place-villages", WAIT_MS)
    fill(page, "place-villages", "चैनपुर, Ramnagar")
    fill(page, "place-phone", "05862 555 010")
    fill(page, "place-lat", "24.79")
    fill(page, "place-lon", "85.0")
    faultless(page)
    tap(page, "place-save")
    expect(page.locator('[data-test="place-dialog"]')).to_have_count(0, timeout=WAIT_MS)

    lost = page.locator('[data-test="site"][data-revoked="false"]').first
    lost.locator('[data-test="site-tablet"]').click()
    faultless(page)
    act(page)
    expect(lost.locator('[data-test="site-tablet-said"]')).to_be_visible(timeout=WAIT_MS)

    go(page, "people", "person")
    faultless(page)
    tap(page, "person-add")
    meera = {"person_id": "meera", "name": "Dr Meera", "registration": "BMC/1", "qualification": "MBBS"}
    for field, text in meera.items():
        fill(page, f"person-{field}", text)
    act(page)
    expect(page.locator('[data-test="secrets-user"]')).to_have_text("meera", timeout=WAIT_MS)
    tap(page, "secrets-close")
    line = page.locator('[data-test="person"][data-person="meera"]')
    line.locator('[data-test="person-roles"]').click()
    tap(page, "role-viewer")
    tap(page, "role-doctor")
    act(page)
    line.locator('[data-test="person-disable"]').click()
    act(page)
    expect(line).to_have_attribute("data-closed", "true", timeout=WAIT_MS)

    go(page, "on-call", "on-call-page")
    page.locator('[data-test="on-call-district"]').select_option("Sitapur")
    see(page, "on-call-empty", WAIT_MS)
    add_number(page, "PHC, duty doctor", "5550100")
    add_number(page, "BDO Sitapur", "5550108")
    tap(page, "to-updates")  # away and back: what is not saved waits, and the page says so
    see(page, "toast-warn", WAIT_MS)
    tap(page, "to-on-call")
    see(page, "on-call-others", WAIT_MS)
    page.locator('[data-test="on-call-district"]').select_option("Sitapur")
    expect(page.locator('[data-test="on-call-unsaved"]')).to_contain_text("5550108", timeout=WAIT_MS)
    faultless(page)
    assert page.evaluate(LEAVES) is False, "the browser asks before it leaves"
    tap(page, "on-call-discard")
    expect(page.locator('[data-test="on-call-line"]')).to_have_count(0)
    add_number(page, "PHC, duty doctor", "5550100")
    fill(page, "on-call-who", "BDO Sitapur")
    fill(page, "on-call-number", "5550108")  # typed and not added: it is meant too
    tap(page, "on-call-save")
    expect(page.locator('[data-test="on-call-will"] li')).to_have_count(2)
    faultless(page)
    act(page)
    see(page, "toast-good", WAIT_MS)
    expect(page.locator('[data-test="on-call-unsaved"]')).to_have_count(0)
    expect(page.locator('[data-test="on-call-line"]')).to_have_count(2)
    assert page.evaluate(LEAVES) is True

    go(page, "updates", "updates-none")
    faultless(page)
    tap(page, "update-add")
    file = {"name": "system.update.json", "mimeType": "application/json", "buffer": RELEASE}
    page.locator('[data-test="update-file"]').set_input_files(file)  # type: ignore[arg-type]
    act(page)
    update = page.locator(f'[data-test="update"][data-version="{release.parse_release(RELEASE).version}"]')
    expect(update).to_have_attribute("data-paused", "true", timeout=WAIT_MS)
    tap(page, "update-toggle")
    act(page)
    expect(update).to_have_attribute("data-paused", "false", timeout=WAIT_MS)

    go(page, "lists", "lists")
    faultless(page)
    expect(page.locator('[data-test="list-version"]')).to_have_count(12, timeout=WAIT_MS)
    go(page, "glass", "glass-none")
    go(page, "rights", "rights-none")
    faultless(page)
    fill(page, "breach-centre", "014B")
    tap(page, "breach-make")
    expect(page.locator('[data-test="breach-found"]')).to_have_attribute("data-patients", "0", timeout=WAIT_MS)
    faultless(page)
    with page.expect_download() as reports:
        tap(page, "breach-save")
    assert reports.value.suggested_filename.startswith("breach-")
    go(page, "figures", "figures")
    expect(page.locator('[data-test="figures-busy"]')).to_have_count(0, timeout=2 * WAIT_MS)
    page.locator('[data-test="figures-demo"]').check()
    fill(page, "figures-since", "2026-09-01")
    page.locator('[data-test="figures-since"]').blur()
    see(page, "figures-line", 2 * WAIT_MS)
    expect(page.locator('[data-test="chart"] canvas')).to_have_count(7, timeout=WAIT_MS)
    faultless(page)
    with page.expect_download() as csv:
        tap(page, "figures-csv")
    assert "visits" in Path(csv.value.path()).read_text()
    said = ("401", "404")  # the wrong password, and the number that nobody has
    watch.complaints = [one for one in watch.complaints if not any(code in one for code in said)]
    watch.none()


def test_whoever_agrees_to_an_erasure_sees_first_what_goes(browser: Browser, office: Office, admin: Page) -> None:
    page = admin
    go(page, "rights", "rights-none")
    page.locator('[data-test="retention"][data-class="clinical"] [data-test="retention-set"]').click()
    fill(page, "retention-value", "1096")
    faultless(page)
    act(page)
    expect(page.locator('[data-test="retention"][data-class="clinical"]')).to_contain_text(
        "kept 1,096", timeout=WAIT_MS
    )
    fill(page, "rights-who", office.long_ago)
    tap(page, "rights-look")
    expect(page.locator('[data-test="rights-line"][data-goes="true"]')).to_have_count(1, timeout=WAIT_MS)
    tap(page, "rights-ask")
    fill(page, "rights-reason", "she asked by letter of 3 May")
    act(page)
    expect(page.locator('[data-test="rights-request"]')).to_have_attribute("data-state", "waiting", timeout=WAIT_MS)
    officer = log_in(browser, office, "meher", 360, 640)
    go(officer, "rights", "rights-request")
    fill(officer, "rights-who", office.long_ago)
    tap(officer, "rights-look")
    tap(officer, "nominee")
    fill(officer, "nominee-name", "राम देवी सत्यनारायण")
    fill(officer, "nominee-phone", "5550199")
    faultless(officer)
    act(officer)
    tap(officer, "rights-copy")
    faultless(officer)
    act(officer)
    with officer.expect_download() as copy:
        tap(officer, "rights-copy-save")
    assert copy.value.suggested_filename.startswith("record-")
    faultless(officer)
    tap(officer, "rights-agree")
    dialog = officer.locator('[data-test="act-dialog"]')
    expect(dialog.locator('[data-test="rights-line"][data-goes="true"]')).to_contain_text(office.long_ago)
    expect(dialog.locator('[data-test="rights-line"][data-goes="false"]')).to_have_attribute("data-why", "kept")
    faultless(officer)
    act(officer)
    expect(officer.locator('[data-test="rights-request"]')).to_have_attribute("data-state", re.compile("approved|done"))
    officer.context.close()


def test_a_coordinator_breaks_the_glass_and_an_administrator_reviews_it(
    browser: Browser, office: Office, admin: Page
) -> None:
    page = log_in(browser, office, "kavita", 800, 1280)
    see(page, "unclaimed", WAIT_MS)
    assert "Sita Devi" not in page.locator("body").inner_text()
    tap(page, "glass")
    fill(page, "glass-reason", "RED patient, no doctor answers")
    faultless(page)
    act(page)
    see(page, "glass-banner", WAIT_MS)
    expect(page.locator("#record-title")).to_have_text("Sita Devi", timeout=WAIT_MS)
    expect(page.locator("#record-title")).to_be_focused(timeout=WAIT_MS)
    faultless(page)
    tap(page, "glass-close")
    see(page, "unclaimed", WAIT_MS)
    expect(page.locator('[data-test="broken-record"]')).to_have_count(0, timeout=WAIT_MS)
    admin.set_viewport_size({"width": 360, "height": 640})
    go(admin, "glass", "glass-line")
    faultless(admin)
    expect(admin.locator('[data-test="glass-list"]')).not_to_contain_text("Sita Devi", timeout=WAIT_MS)
    fill(admin, "glass-verdict", "Rang her; it was right")
    tap(admin, "glass-save")
    see(admin, "glass-line", WAIT_MS)
    expect(admin.locator('[data-test="glass-line"]')).to_have_attribute("data-reviewed", "true", timeout=WAIT_MS)


def test_a_viewer_sees_figures_and_nothing_else(browser: Browser, office: Office) -> None:
    page = log_in(browser, office, "gita", 360, 640)
    expect(page.locator(".office-nav a")).to_have_count(2, timeout=WAIT_MS)
    go(page, "figures", "figures")
    faultless(page)
    expect(page.locator('#figures-by option[value="doctor"]')).to_have_count(0, timeout=WAIT_MS)
    page.goto(f"{office.url}/#/people")
    expect(page.locator('[data-test="people"]')).to_have_count(0, timeout=WAIT_MS)


@pytest.mark.long
def test_the_pages_of_ten_thousand_centres_are_without_fault(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "hub", STATE) as state:
        page = log_in(browser, state, "admin")
        go(page, "fleet", "fleet-table")
        faultless(page)
        expect(page.locator('[data-test="fleet-counts"]')).to_contain_text(str(STATE + 1), timeout=WAIT_MS)
        for name, test in (("sites", "site"), ("figures", "figures")):
            go(page, name, test)
            faultless(page)

"""A technician sets a node up at a tablet: a real hub, a real node, a real browser, networks that come late, cuts."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from edge.model import provisioning
from edge.node import first_boot
from tests.kits.client import Client, text
from tests.kits.clinic import ROOT, Clinic, Here, Server, free_port

from .pages import BROWSER_ARGS, CHROMIUM, fill, see, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
CODE, PIN = "04711000", "271828"


class Card:
    """A hub, and a node that was just flashed for one of its sites."""

    def __init__(self, folder: Path) -> None:
        self.clinic = Clinic(folder / "clinic")
        self.clinic.folder.mkdir(parents=True)
        self.clinic.make_hub()
        self.data = folder / "node"
        self.port = free_port()
        command = [sys.executable, "-m", "edge.node", "set-up", "--data", str(self.data)]
        self.set_up = Server("set-up", Here(), [*command, "--http", f"127.0.0.1:{self.port}"], folder / "set-up.log")

    def token(self, code: str = "NMP01") -> str:
        data = ["--data", str(self.clinic.hub_data)]
        made = self.clinic.command(
            "hub", ["site-token", *data, "--code", code, "--name", "Namunapur", "--district", "Demo", "--demo"]
        )
        return text(made, "token")

    def flash(self, token: str, hub: str = "") -> None:
        site = {
            "format": 1,
            "hub": hub or self.clinic.hub.url,
            "token": token,
            "setup_code": CODE,
            "wifi": {"ssid": "Namunapur", "passphrase": "golghar-42"},
        }
        boot = self.data.parent / "boot"
        boot.mkdir(exist_ok=True)
        (boot / provisioning.FILE_NAME).write_text(json.dumps(site))
        shown = self.clinic.command("edge.node", ["first-boot", "--boot", str(boot), "--data", str(self.data)])
        assert shown == {"taken": True}

    def close(self) -> None:
        self.set_up.stop()
        self.clinic.close()


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    made = Card(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        yield browser.new_page(viewport={"width": 800, "height": 1280})
        browser.close()


def begin(page: Page, card: Card) -> None:
    page.goto(card.set_up.start())
    fill(page, "setup-code", CODE)
    tap(page, "setup-enter")


def problem(page: Page, says: str) -> None:
    expect(page.get_by_role("alert")).to_contain_text(says)


def add(page: Page, name_hi: str, name: str, role: str) -> str:
    """Add somebody; the badge that is shown."""
    fill(page, "setup-name_hi", name_hi)
    fill(page, "setup-name", name)
    page.locator('[data-test="setup-role"]').select_option(role)
    fill(page, "setup-pin", PIN)
    tap(page, "setup-add")
    badge = page.locator('[data-test="setup-badge"]').inner_text()
    tap(page, "setup-next")
    return badge


def test_from_the_card_to_a_node_that_a_nurse_unlocks(page: Page, card: Card) -> None:
    card.flash(card.token())
    page.goto(card.set_up.start())
    fill(page, "setup-code", "00000000")
    tap(page, "setup-enter")
    problem(page, "set-up code")
    fill(page, "setup-code", CODE)
    tap(page, "setup-enter")

    card.clinic.hub.stop()
    tap(page, "setup-enrol")
    problem(page, "did not answer")
    card.clinic.hub.start()
    tap(page, "setup-enrol")
    code = page.locator('[data-test="setup-recovery"]').inner_text()
    assert re.fullmatch(r"UPR1-[A-Z2-7-]+", code)
    fill(page, "setup-last", "0000")
    tap(page, "setup-written")
    problem(page, "last characters")
    fill(page, "setup-last", code[-4:].lower())
    tap(page, "setup-written")

    see(page, "setup-add")
    assert page.locator('[data-test="setup-finish"]').count() == 0, "nobody could unlock it yet"
    badge = add(page, "सुनीता देवी", "Sunita Devi", "anm")
    add(page, "राम लाल", "Ram Lal", "technician")
    expect(page.get_by_text("सुनीता देवी · एएनएम")).to_be_visible()
    tap(page, "setup-finish")
    see(page, "setup-done")
    assert card.set_up.wait(20) == 0
    assert not (card.data / first_boot.SITE_FILE).exists()

    serve = [sys.executable, "-m", "edge.node", "serve", "--data", str(card.data), "--no-announce"]
    node = Server("node", Here(), [*serve, "--http", f"127.0.0.1:{card.port}"], card.data.parent / "node.log")
    url = node.start()
    try:
        page.locator('[data-test="unlock-form"]').wait_for(timeout=20_000)  # the page came there by itself
        nurse = Client(url)
        nurse.post("/api/unlock", {"badge": badge, "pin": PIN})
        staff = msgspec.convert(nurse.get("/api/staff"), list[dict[str, object]])
        assert {one["name"] for one in staff} == {"Ram Lal", "Sunita Devi"}
    finally:
        node.stop()
    log = (card.data.parent / "set-up.log").read_text()
    for secret in (code, badge, PIN, CODE, "golghar-42", "Sunita", "सुनीता"):
        assert secret not in log


def test_a_power_cut_before_the_first_badge_needs_a_new_token_and_nothing_else(page: Page, card: Card) -> None:
    card.flash(card.token())
    begin(page, card)
    tap(page, "setup-enrol")
    see(page, "setup-recovery")
    card.set_up.kill()

    begin(page, card)
    see(page, "setup-token-send")
    fill(page, "setup-token", "UPK1-NONSENSE")
    tap(page, "setup-token-send")
    problem(page, "whole site token")
    fill(page, "setup-token", card.token("NMP02"))
    tap(page, "setup-token-send")
    tap(page, "setup-enrol")
    code = page.locator('[data-test="setup-recovery"]').inner_text()
    fill(page, "setup-last", code[-4:])
    tap(page, "setup-written")
    add(page, "सुनीता देवी", "Sunita Devi", "anm")
    card.set_up.kill()

    begin(page, card)
    expect(page.locator('[data-test="setup-finish"]')).to_be_visible()
    tap(page, "setup-finish")
    assert card.set_up.wait(20) == 0


def test_a_used_token_is_told_and_a_new_one_taken(page: Page, card: Card) -> None:
    used = card.token()
    other = ["--data", str(card.data.parent / "other"), "--hub", card.clinic.hub.url, "--token", used]
    card.clinic.command("edge.node", ["enrol", *other])
    card.flash(used)
    begin(page, card)
    tap(page, "setup-enrol")
    problem(page, "Ask for a new token")
    fill(page, "setup-token", card.token("NMP02"))
    tap(page, "setup-token-send")
    tap(page, "setup-enrol")
    see(page, "setup-recovery")


def test_nothing_can_be_done_without_the_code_and_guessing_is_slow(card: Card) -> None:
    card.flash(card.token())
    client = Client(card.set_up.start())
    for method, path, body in (
        ("POST", "/api/setup/enrol", None),
        ("GET", "/api/setup/recovery", None),
        ("POST", "/api/setup/finish", None),
        ("POST", "/api/setup/token", {"token": "UPK1-AAAAAAAA"}),
        ("POST", "/api/setup/staff", {"name": "A", "role": "anm", "pin": PIN}),
    ):
        content = None if body is None else json.dumps(body).encode()
        assert client.raw(method, path, content)[0] == 401, path
    for guess in range(5):
        status, _ = client.raw("POST", "/api/setup/code", json.dumps({"code": f"{guess:08d}"}).encode())
        assert status == 400
    status, body_text = client.raw("POST", "/api/setup/code", json.dumps({"code": CODE}).encode())
    assert status == 429
    assert b"too_many_attempts" in body_text


def test_a_blank_card_says_what_is_missing_and_a_ready_node_goes_on(page: Page, card: Card) -> None:
    page.goto(card.set_up.start())
    see(page, "setup-no-file")
    card.set_up.stop()
    made = ["--data", str(card.data), "--hub", card.clinic.hub.url, "--token", card.token()]
    card.clinic.command("edge.node", ["enrol", *made])
    done = subprocess.run(
        [sys.executable, "-m", "edge.node", "set-up", "--data", str(card.data)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {"set_up": True}

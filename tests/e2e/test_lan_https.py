"""A tablet learns to trust the node: the door by HTTP, the certificate, then the clinic by HTTPS, in a real browser."""

import http.client
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.kits.clinic import Clinic

from .pages import BROWSER_ARGS, CHROMIUM

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
NAME = "upkendra.lan"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    options = ["--https", "127.0.0.1:0", "--lan-address", "127.0.0.1"]
    with Clinic(tmp_path_factory.mktemp("clinic"), node_options=options) as made:
        yield made


def fetch(clinic: Clinic, path: str) -> tuple[int, dict[str, str], bytes]:
    there = urlsplit(clinic.node.url)
    connection = http.client.HTTPConnection(there.hostname or "", there.port or 0, timeout=10)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read()


def launch(playwright: Playwright, home: Path) -> Browser:
    """A tablet's browser with its own list of trusted authorities."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[*BROWSER_ARGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"],
        env={**os.environ, "HOME": str(home)},
    )


def trust(home: Path, ca: bytes) -> None:
    """What the steps on the page do on Android."""
    assert shutil.which("certutil"), "libnss3-tools is not installed"
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    (home / "ca.crt").write_bytes(ca)
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "box", "-i", str(home / "ca.crt")]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *arguments], check=True, capture_output=True)


def test_a_tablet_is_led_from_the_door_to_the_clinic(clinic: Clinic, tmp_path: Path) -> None:
    status, headers, ca = fetch(clinic, "/upkendra-ca.crt")
    assert status == 200
    assert headers["Content-Type"] == "application/x-x509-ca-cert"
    port = urlsplit(clinic.node.url).port
    with sync_playwright() as playwright:
        stranger, friend = tmp_path / "stranger", tmp_path / "friend"
        stranger.mkdir()
        browser = launch(playwright, stranger)
        page = browser.new_page(viewport={"width": 800, "height": 1280})
        page.goto(f"http://{NAME}:{port}/")
        expect(page.locator("#state")).to_have_attribute("data-state", "missing")
        expect(page.get_by_role("link", name="Download the certificate")).to_be_visible()
        expect(page.locator("#open")).to_be_hidden()
        page.locator("#again").click()
        expect(page.locator("#state")).to_have_attribute("data-state", "missing")
        if pictures := os.environ.get("UPKENDRA_PICTURES", ""):
            page.screenshot(path=f"{pictures}/door.png")
        browser.close()

        trust(friend, ca)
        browser = launch(playwright, friend)
        page = browser.new_page(viewport={"width": 800, "height": 1280})
        page.goto(f"http://{NAME}:{port}/")
        expect(page.locator("#state")).to_have_attribute("data-state", "ready")
        page.locator("#open").click()
        page.wait_for_url(f"https://{NAME}:**")
        page.locator('[data-test="unlock-badge"]').first.wait_for()
        assert page.evaluate("isSecureContext && Boolean(navigator.mediaDevices) && 'serviceWorker' in navigator")
        browser.close()


def test_the_door_serves_no_record_and_keeps_a_tablet_in_the_wifi(clinic: Clinic) -> None:
    for path in ("/generate_204", "/gen_204"):
        assert fetch(clinic, path)[0] == 204
    assert b"Success" in fetch(clinic, "/hotspot-detect.html")[2]
    for path in ("/api/status", "/api/session", "/anything", "/door/../node.json"):
        status, headers, body = fetch(clinic, path)
        assert (status, headers.get("Location", "")) in ((302, "/"), (404, "")), path
        assert "Set-Cookie" not in headers
        assert b"site" not in body


def test_the_cookie_never_goes_without_https(clinic: Clinic) -> None:
    _, _, ca = fetch(clinic, "/upkendra-ca.crt")
    context = ssl.create_default_context(cadata=ca.decode())
    where = fetch(clinic, "/where")[2].decode()
    port = int(where.rpartition(":")[2].rstrip('"}'))
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)

    def post(path: str, body: str) -> http.client.HTTPResponse:
        connection.request("POST", path, body, {"Content-Type": "application/json", "X-Requested-With": "upkendra"})
        reply = connection.getresponse()
        reply.read()
        return reply

    nurse = clinic.nurse
    assert post("/api/unlock", f'{{"badge": "{nurse.badge}", "pin": "{nurse.pin}"}}').status == 200
    reply = post("/api/session", f'{{"staff_id": "{nurse.staff_id}", "pin": "{nurse.pin}"}}')
    assert reply.status == 200
    cookie = reply.getheader("Set-Cookie") or ""
    assert "Secure" in cookie
    assert "HttpOnly" in cookie

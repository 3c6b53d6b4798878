"""A doctor who was given a log-in replaces it at her first one, and comes in by a recovery code later."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pyotp
import pytest
from msgspec import Struct
from playwright.sync_api import Browser, Page, expect

from .pages import LONG_NAME, Watch, fill, look, see, tap

pytestmark = pytest.mark.browser
OWN = "नमूना वाक्य जो मुझे याद है"
WAIT_MS = 30_000


class Given(Struct, frozen=True):
    """A hub that serves, and what ``hub add-doctor`` printed."""

    url: str
    password: str
    totp: str


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "hub", *words]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    data = tmp_path_factory.mktemp("own") / "hub"
    subprocess.run(command("init", "--data", str(data)), check=True, capture_output=True)
    who = ["--id", "meera", "--name", LONG_NAME, "--registration", "BMC/1", "--qualification", "MBBS"]
    made = subprocess.run(command("add-doctor", "--data", str(data), *who), check=True, capture_output=True)
    shown = json.loads(made.stdout)
    serve = command("serve", "--data", str(data), "--http", "127.0.0.1:0", "--link-address", "127.0.0.1")
    serve += ["--udp", "0", "--tls", "0"]
    with (data.parent / "log").open("w") as log:
        serving = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
    try:
        assert serving.stdout is not None
        url = str(json.loads(serving.stdout.readline())["http"])
        yield Given(url, shown["password"], shown["totp_secret"])
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(20)


def log_in(page: Page, password: str, code: str) -> None:
    fill(page, "login-user", "meera")
    fill(page, "login-password", password)
    fill(page, "login-totp", code)
    tap(page, "login-submit")


def test_a_given_log_in_is_replaced_first_and_a_lost_phone_is_no_end(browser: Browser, given: Given) -> None:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    watch = Watch(page, given.url)
    page.goto(given.url)
    log_in(page, given.password, pyotp.TOTP(given.totp).now())
    see(page, "own-login", WAIT_MS)
    assert page.locator('[data-test="queue"], [data-test="ready"], [data-test="to-own"]').count() == 0
    faults = look(page, 40)
    fill(page, "own-old", given.password)
    tap(page, "own-begin")
    see(page, "own-renew")
    faults += look(page, 40)
    fill(page, "own-new", OWN)
    fill(page, "own-again", f"{OWN}?")
    page.locator('[data-test="own-renew"] summary').click()
    secret = page.locator('[data-test="own-secret"]').inner_text().replace(" ", "")
    fill(page, "own-code-field", pyotp.TOTP(secret).now())
    tap(page, "own-save")
    see(page, "own-wrong")
    fill(page, "own-again", OWN)
    tap(page, "own-save")
    see(page, "own-codes", WAIT_MS)
    faults += look(page, 40)
    codes = page.locator('[data-test="own-code"]').all_inner_texts()
    assert len(codes) == 8
    tap(page, "own-done")
    see(page, "ready", WAIT_MS)
    see(page, "queue-empty")
    tap(page, "logout")
    tap(page, "login-lost")
    log_in(page, OWN, codes[3].lower())
    see(page, "ready", WAIT_MS)
    tap(page, "to-own")
    expect(page.locator('[data-test="own-left"]')).to_contain_text("7")
    assert faults == []
    watch.none()
    page.context.close()

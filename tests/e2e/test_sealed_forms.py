"""A form while the node is away: what was typed outlives a reload, sealed, and comes back with the node's key."""

import json
import secrets
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import Struct
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.kits.client import Client, text
from tests.kits.clinic import Clinic, Staff, wait_until
from tests.kits.way import CutWay

from .kept import keys_kept, until_lying
from .pages import BROWSER_ARGS, CHROMIUM, faults_here, fill, register, see, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NAME = "शारदा Sealmarker"
TYPED = "metformin sealmarker"
MORE = "and iron sealmarker"
SHELL = """async () => {
  const cache = await caches.open("upkendra-shell-1");
  const kept = (await cache.keys()).map((one) => new URL(one.url).pathname);
  const used = performance.getEntriesByType("resource").map((one) => new URL(one.name));
  return used.filter((one) => one.origin === location.origin).map((one) => one.pathname)
    .filter((one) => !one.startsWith("/api/") && !kept.includes(one));
}"""
"""Which files of the page the service worker does not have."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("sealed")) as made:
        made.unlock(made.node_client())
        yield made


@pytest.fixture(scope="module")
def second(clinic: Clinic) -> Staff:
    """Another nurse, who works on the same tablet."""
    pin, name = f"{secrets.randbelow(10**6):06d}", "Meena Demo"
    who = ["--name", name, "--name-hi", "मीना डेमो", "--role", "anm"]
    code = ["--pin-stdin", "--recovery-code", clinic.recovery_code]
    made = clinic.command("edge.node", ["add-staff", "--data", str(clinic.node_data), *who, *code], stdin=pin)
    return Staff(text(made, "staff_id"), name, pin, text(made, "badge"))


def until_shell(page: Page) -> None:
    """Wait until the page can be loaded without the node."""
    missing: list[str] = []
    for _ in range(100):
        missing = page.evaluate(SHELL)
        if not missing:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"the service worker has not: {missing}")


def log_in(page: Page, person: Staff) -> None:
    tap(page, f"staff-{person.staff_id}")
    fill(page, "login-pin", person.pin)
    tap(page, "login-submit")


def log_out_away(page: Page) -> None:
    """Log out while something typed is here alone."""
    see(page, "unsaved-line")
    tap(page, "logout")
    tap(page, "logout-anyway")
    see(page, "login-page")
    until_lying(page, ["form"])


def reload_away(page: Page) -> None:
    """Reload while the node does not answer: the page says that something waits, and shows nothing of it."""
    until_shell(page)
    page.reload()
    see(page, "sealed-line")
    expect(page.locator('[data-test="link-line"]')).to_have_class("link off")
    expect(page.locator("body")).not_to_contain_text("ealmarker")


class Draft(Struct):
    key: str
    body: str
    revision: int


class Drafts(Struct):
    items: list[Draft]


class Said(Struct):
    code: str
    duration: int


class Visit(Struct):
    consents: list[object]
    complaints: list[Said]
    staff_colour: str | None = None
    token: str = ""


class Record(Struct):
    visit: Visit


def visit_of(client: Client, visit: str) -> Visit:
    return msgspec.convert(client.get(f"/api/visits/{visit}"), Record).visit


def beside(clinic: Clinic) -> Client:
    """Somebody who looks at the node without a browser."""
    client = clinic.node_client()
    clinic.log_in_nurse(client)
    return client


def at_node(client: Client, key: str, words: str) -> Draft:
    """Wait until the node keeps these words in a form."""

    def found() -> list[Draft]:
        kept = msgspec.convert(client.get("/api/drafts"), Drafts).items
        return [one for one in kept if one.key == key and words in one.body]

    wait_until(lambda: bool(found()), f"{words} is at the node")
    return found()[0]


def begin_history(page: Page, name: str, age: str) -> str:
    """A new patient's visit with the history open; the visit."""
    see(page, "new-patient")
    register(page, name, gender="male", age=age)
    tap(page, "go-history")
    see(page, "step-history")
    return page.url.split("/visit/")[1].split("/")[0]


def left(page: Page, how: str, medicines: str) -> None:
    """The form shows the newer words, says how the old ones came to lie aside, and has them."""
    expect(page.locator('[data-test="other-tablet"]')).to_have_attribute("data-replaced", "1", timeout=20_000)
    expect(page.locator('[data-test="other-who"]')).to_have_attribute("data-how", how)
    expect(page.locator('[data-test="medicines"]')).to_have_value(medicines)


def test_a_node_that_is_killed_and_a_reload_in_the_middle_of_a_form_lose_nothing(
    browser: Browser, clinic: Clinic
) -> None:
    context = browser.new_context(viewport={"width": 800, "height": 1280})
    page = context.new_page()
    page.goto(clinic.node.url)
    log_in(page, clinic.nurse)
    see(page, "new-patient")
    register(page, NAME)
    visit = page.url.split("/visit/")[1].split("/")[0]
    tap(page, "consent-tele-yes")
    tap(page, "consent-data-yes")
    tap(page, "step-next")
    see(page, "step-complaint")
    tap(page, "complaint-fever")
    client = beside(clinic)
    wait_until(lambda: len(visit_of(client, visit).consents) == 2, "the consents are at the node")
    until_lying(page, [])
    until_shell(page)
    clinic.node.kill()
    fill(page, "duration-fever", "3")
    tap(page, "step-next")
    fill(page, "medicines", TYPED)
    see(page, "unsaved-line")
    until_lying(page, ["command", "form"])
    reload_away(page)
    assert faults_here(page) == []
    clinic.node.start()
    tap(page, f"day-{clinic.nurse.staff_id}")
    for digit in clinic.nurse.pin:
        page.locator(".keypad").get_by_role("button", name=digit, exact=True).click()
    tap(page, "day-submit")
    expect(page.locator('[data-test="medicines"]')).to_have_value(TYPED, timeout=20_000)
    until_lying(page, [])
    client = beside(clinic)
    at_node(client, f"visit-{visit}", TYPED)
    said = [(one.code, one.duration) for one in visit_of(client, visit).complaints]
    assert said == [("fever", 3)], "the command came back too, once"
    context.close()


def test_what_comes_back_replaces_nothing_newer_and_a_lost_tablet_is_wiped(browser: Browser, clinic: Clinic) -> None:
    with CutWay(clinic.node.url) as way:
        context, other = (browser.new_context(viewport={"width": 1280, "height": 800}) for _ in range(2))
        page, there = context.new_page(), other.new_page()
        page.goto(way.url)
        there.goto(clinic.node.url)
        for one in (page, there):
            log_in(one, clinic.nurse)
            see(one, "new-patient")
        register(page, f"{NAME} Devi", gender="other")
        visit = page.url.split("/visit/")[1].split("/")[0]
        tap(page, "go-history")
        fill(page, "medicines", TYPED)
        client = beside(clinic)
        at_node(client, f"visit-{visit}", TYPED)
        way.cut()
        fill(page, "medicines", MORE)
        fill(page, "history-notes", "only here sealmarker")
        see(page, "unsaved-line")
        until_lying(page, ["form"])
        reload_away(page)
        there.goto(f"{clinic.node.url}/#/visit/{visit}/step/history")
        expect(there.locator('[data-test="medicines"]')).to_have_value(TYPED, timeout=20_000)
        fill(there, "medicines", "newer")
        at_node(client, f"visit-{visit}", "newer")
        way.mend()
        expect(page.locator('[data-test="medicines"]')).to_have_value("newer", timeout=20_000)
        expect(page.locator('[data-test="history-notes"]')).to_have_value("only here sealmarker")
        expect(page.locator('[data-test="other-tablet"]')).to_have_attribute("data-replaced", "1")
        until_lying(page, ["aside"])
        page.reload()
        expect(page.locator('[data-test="other-tablet"]')).to_have_attribute("data-replaced", "1", timeout=20_000)
        tap(page, "take-back")
        expect(page.locator('[data-test="medicines"]')).to_have_value(MORE)
        until_lying(page, [])
        way.cut()
        fill(page, "medicines", "lost sealmarker")
        until_lying(page, ["form"])
        reload_away(page)
        client.post("/api/tablets/forget-others", {"keep": []})
        way.mend()
        see(page, "login-page", 20_000)
        until_lying(page, [])
        assert keys_kept(page) == []
        expect(page.locator('[data-test="sealed-line"]')).to_have_count(0)
        context.close()
        other.close()


def test_a_new_patients_form_says_what_another_tablet_replaced_and_brings_it_back(
    browser: Browser, clinic: Clinic
) -> None:
    page = browser.new_page()
    page.goto(clinic.node.url)
    log_in(page, clinic.nurse)
    tap(page, "new-patient")
    see(page, "register-form")
    key = f"register-{page.url.split('/register/')[1]}"
    fill(page, "reg-village", "mine sealmarker")
    client = beside(clinic)
    mine = at_node(client, key, "mine sealmarker")
    theirs = json.dumps({**json.loads(mine.body), "village": "newer", "_by": "another"})
    client.put(f"/api/drafts/{key}", {"body": theirs, "revision": mine.revision + 1})
    notice = page.locator('[data-test="other-tablet"]')
    expect(notice).to_have_attribute("data-replaced", "1", timeout=20_000)
    expect(page.locator('[data-test="reg-village"]')).to_have_value("newer")
    assert faults_here(page) == []
    tap(page, "take-back")
    expect(page.locator('[data-test="reg-village"]')).to_have_value("mine sealmarker")
    expect(notice).to_have_attribute("data-replaced", "0")
    at_node(client, key, "mine sealmarker")
    page.close()


def test_what_one_nurse_wrote_before_replaces_nothing_of_another_on_the_same_tablet(
    browser: Browser, clinic: Clinic, second: Staff
) -> None:
    with CutWay(clinic.node.url) as way:
        page = browser.new_page(viewport={"width": 800, "height": 1280})
        page.goto(way.url)
        log_in(page, clinic.nurse)
        visit = begin_history(page, "रहीम खान", "61")
        key, history = f"visit-{visit}", f"{way.url}/#/visit/{visit}/step/history"
        fill(page, "medicines", TYPED)
        client = beside(clinic)
        mine = at_node(client, key, TYPED)
        way.cut()
        fill(page, "medicines", MORE)
        fill(page, "history-notes", "only here sealmarker")
        log_out_away(page)
        way.mend()
        log_in(page, second)
        see(page, "new-patient")
        page.goto(history)
        expect(page.locator('[data-test="medicines"]')).to_have_value(TYPED)
        fill(page, "medicines", "newer")
        theirs = at_node(client, key, "newer")
        assert json.loads(theirs.body)["_by"] == json.loads(mine.body)["_by"], "the same tab"
        tap(page, "logout")
        log_in(page, clinic.nurse)
        see(page, "new-patient")
        page.goto(history)
        left(page, "old", "newer")
        assert faults_here(page) == []
        expect(page.locator('[data-test="history-notes"]')).to_have_value("only here sealmarker")
        assert json.loads(at_node(client, key, "only here").body)["medicines"] == "newer"
        tap(page, "take-back")
        at_node(client, key, MORE)
        until_lying(page, [])

        way.cut()
        fill(page, "medicines", "late sealmarker")
        log_out_away(page)
        client.ask("DELETE", f"/api/drafts/{key}")  # as the token does, from another tablet
        way.mend()
        log_in(page, clinic.nurse)
        until_lying(page, ["aside"])
        page.goto(history)
        left(page, "anew", "")
        assert key not in [one.key for one in msgspec.convert(client.get("/api/drafts"), Drafts).items]
        tap(page, "take-back")
        at_node(client, key, "late sealmarker")
        until_lying(page, [])

        fill(page, "medicines", "kept")
        at_node(client, key, "kept")
        way.cut()
        fill(page, "medicines", "stale sealmarker")
        log_out_away(page)
        client.ask("DELETE", f"/api/drafts/{key}")
        anew = json.dumps({**json.loads(theirs.body), "medicines": ""})
        client.put(f"/api/drafts/{key}", {"body": anew, "revision": 1})
        way.mend()
        log_in(page, clinic.nurse)
        until_lying(page, ["aside"])
        page.goto(history)
        left(page, "anew", "")
        page.close()


def test_what_was_sealed_is_joined_into_the_form_though_the_key_comes_late(browser: Browser, clinic: Clinic) -> None:
    context = browser.new_context(viewport={"width": 800, "height": 1280}, service_workers="block")
    page = context.new_page()
    page.goto(clinic.node.url)
    log_in(page, clinic.nurse)
    key = f"visit-{begin_history(page, 'मोहन लाल', '47')}"
    fill(page, "medicines", TYPED)
    client = beside(clinic)
    at_node(client, key, TYPED)
    context.route("**/api/drafts/*", lambda route: route.abort())
    fill(page, "medicines", MORE)
    see(page, "unsaved-line")
    until_lying(page, ["form"])
    context.route("**/api/tablet/draft-key", lambda route: route.abort(), times=1)
    page.reload()
    context.unroute("**/api/drafts/*")
    expect(page.locator('[data-test="medicines"]')).to_have_value(MORE, timeout=20_000)
    at_node(client, key, MORE)
    until_lying(page, [])

    tap(page, "home")
    tap(page, "new-patient")
    see(page, "register-form")
    key = f"register-{page.url.split('/register/')[1]}"
    context.route("**/api/drafts/*", lambda route: route.abort())
    fill(page, "reg-village", "mine sealmarker")
    see(page, "unsaved-line")
    until_lying(page, ["form"])
    context.route("**/api/tablet/draft-key", lambda route: route.abort())
    page.reload()
    fill(page, "reg-name", "typed since")
    expect(page.locator('[data-test="reg-village"]')).to_have_value("")
    context.unroute("**/api/drafts/*")
    context.unroute("**/api/tablet/draft-key")
    expect(page.locator('[data-test="reg-village"]')).to_have_value("mine sealmarker", timeout=20_000)
    expect(page.locator('[data-test="reg-name"]')).to_have_value("typed since")
    assert json.loads(at_node(client, key, "mine sealmarker").body)["name"] == "typed since"
    until_lying(page, [])
    context.close()


def test_an_emergency_while_the_node_is_away_keeps_the_number_to_ring_and_gets_its_token_later(
    browser: Browser, clinic: Clinic
) -> None:
    with CutWay(clinic.node.url) as way:
        page = browser.new_page(viewport={"width": 800, "height": 1280})
        page.goto(way.url)
        log_in(page, clinic.nurse)
        visit = begin_history(page, "कमला दास", "52")
        way.cut()
        tap(page, "emergency")
        tap(page, "emergency-go")
        see(page, "emergency-unheard", 20_000)
        expect(page.locator('[data-test="emergency-dialog"] a[href="tel:108"]')).to_be_visible()
        expect(page.locator('[data-test="emergency-go"]')).to_have_count(0)
        way.mend()
        client = beside(clinic)

        def stands() -> bool:
            found = visit_of(client, visit)
            return found.staff_colour == "red" and found.token != ""

        wait_until(stands, "the emergency is at the node with its token")
        page.close()

"""A channel that died without a word (a router that restarted, a server without power) is noticed and opened again."""

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from .pages import Clinic, log_in_doctor, log_in_nurse, register, see, take_visit, tap

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
BEAT = '{"type":"beat"}'
SILENT_MS = 40_000


class Relay:
    """Stands between a page and its server; the first connection can be made to say nothing any more."""

    def __init__(self, page: Page) -> None:
        self.pages: list[WebSocketRoute] = []
        self.is_dead = False
        page.route_web_socket("**", self._stand_between)

    def _stand_between(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        first = not self.pages
        self.pages.append(page)
        page.on_message(lambda text: None if first and self.is_dead else server.send(text))
        server.on_message(lambda text: None if first and self.is_dead else page.send(text))


def open_again(page: Page, relay: Relay) -> None:
    """The channel beats and dies; nothing happens before its time, then the page opens another one."""
    relay.pages[0].send(BEAT)
    relay.is_dead = True
    page.clock.run_for(SILENT_MS - 10_000)
    assert len(relay.pages) == 1
    page.clock.run_for(20_000)
    for _ in range(50):
        if len(relay.pages) > 1:
            return
        page.clock.run_for(200)
        page.wait_for_timeout(100)
    raise AssertionError("the page still holds the dead channel")


def test_a_console_whose_connection_died_silently_sees_who_came_meanwhile(browser: Browser, clinic: Clinic) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    doctor = context.new_page()
    relay = Relay(doctor)
    doctor.clock.install()
    log_in_doctor(doctor, clinic)
    relay.is_dead = True
    nurse = context.new_page()
    log_in_nurse(nurse, clinic)
    register(nurse, "सत्यभामा देवी", age="34")
    take_visit(nurse)
    open_again(doctor, relay)
    doctor.bring_to_front()
    see(doctor, "queue-row")
    notes_wait_until_the_earlier_ones_are_here(doctor)
    context.close()


def notes_wait_until_the_earlier_ones_are_here(doctor: Page) -> None:
    """What was written before is never written over by somebody who types while the network drops it."""
    doctor.route("**/notes", lambda route: route.abort())
    tap(doctor, "queue-row")
    notes = doctor.locator('[data-test="notes"]')
    expect(notes).to_be_disabled()
    doctor.clock.run_for(5_000)
    expect(notes).to_be_disabled()
    doctor.unroute("**/notes")
    doctor.route("**/notes", lambda route: route.fulfill(json={"text": "Written yesterday."}))
    doctor.clock.run_for(5_000)
    expect(notes).to_be_enabled()
    expect(notes).to_have_value("Written yesterday.")
    doctor.unroute("**/notes")


def test_a_tablet_opens_its_channel_again(browser: Browser, clinic: Clinic) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    nurse = context.new_page()
    relay = Relay(nurse)
    nurse.clock.install()
    log_in_nurse(nurse, clinic)
    nurse.clock.run_for(1_000)
    open_again(nurse, relay)
    context.close()

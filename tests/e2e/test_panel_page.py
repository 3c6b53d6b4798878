"""``./run demo --panel``: a person sees the simulated board on its page and plays with it by the keyboard alone."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from edge.node.devices.panel_desk import PanelReport
from edge.node.devices.panel_port import PanelHealth
from tests.e2e import browsers
from tests.e2e.demo import Stage, made_stage, parser, people
from tests.e2e.panel_stage import PAGE
from tests.kits.client import Client
from tests.kits.clinic import Here, wait_until
from tests.kits.visit import NurseVisit

pytestmark = [pytest.mark.browser, pytest.mark.serial, pytest.mark.timeout(300)]


@pytest.fixture(name="stage", scope="module")
def running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hub, node and simulated board, as the demo makes them, with two people waiting."""
    options = parser().parse_args(["--panel"])
    with made_stage(tmp_path_factory.mktemp("demo"), options, (0, 0, 0)) as stage:
        nurse = stage.clinic.nurse_client()
        for case in people(None)[1:3]:
            NurseVisit(case).run(nurse)
        nurse.close()
        yield stage


@pytest.fixture(name="page", scope="module")
def opened_page(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert stage.panel is not None
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright, Here(), tmp_path_factory.mktemp("browser"), "panel")
        page = browsers.open_page(browser, stage.panel.url, 1000, 760)
        yield page
        browser.close()


def told(client: Client) -> PanelReport:
    """The board as the node tells of it."""
    return msgspec.convert(client.get("/api/panel"), PanelReport)


def health(client: Client) -> PanelHealth:
    found = told(client).health
    assert found is not None
    return found


def is_met(client: Client) -> bool:
    return health(client).stack_free > 0


def by_keyboard(page: Page, name: str) -> None:
    """Tab until the button is reached, then press it."""
    button = page.get_by_role("button", name=name)
    page.locator("body").press("Tab")
    for _ in range(10):
        if button.evaluate("(one) => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")


def test_the_button_on_the_page_calls_the_next_patient_and_a_long_press_the_same_again(
    stage: Stage, page: Page, tmp_path: Path
) -> None:
    client = stage.clinic.node_client()
    wait_until(lambda: is_met(client), "the node knows its board")
    client.close()
    display = page.locator("#display")
    expect(page.get_by_role("heading", name="पैनल और पावर बोर्ड")).to_be_visible()
    by_keyboard(page, "अगला मरीज़")
    called = re.compile(r"डिस्प्ले पर: (E-)?\d{3}$")
    expect(display).to_have_attribute("aria-label", called, timeout=20_000)
    first = display.get_attribute("aria-label")
    by_keyboard(page, "English")
    expect(page.get_by_role("heading", name="Panel and power board")).to_be_visible()
    expect(display).to_have_attribute("aria-label", re.compile(r"On the display: "))
    by_keyboard(page, "हिन्दी")
    by_keyboard(page, "अगला मरीज़")
    expect(display).not_to_have_attribute("aria-label", str(first), timeout=20_000)
    second = display.get_attribute("aria-label")
    by_keyboard(page, "फिर से बुलाएँ")
    expect(page.locator("#buzzer")).to_have_text("बज रहा है", timeout=20_000)
    assert display.get_attribute("aria-label") == second
    page.screenshot(path=tmp_path / "panel.png")


def test_mains_and_battery_on_the_page_reach_the_node(stage: Stage, page: Page) -> None:
    client = stage.clinic.node_client()
    by_keyboard(page, "मेन बिजली: चालू")
    wait_until(lambda: "on_battery" in told(client).faults, "the node sees the mains go")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#volts")).to_have_text("9.5 V")
    page.keyboard.press("End")
    expect(page.locator("#volts")).to_have_text("13.8 V")
    by_keyboard(page, "मेन बिजली: बंद")
    wait_until(lambda: health(client).mains, "the node sees the mains return", 40)
    client.close()
    expect(page.locator("#pi")).to_have_text("चालू")


@pytest.mark.long
def test_a_hung_node_is_power_cycled_before_ones_eyes_and_comes_back(stage: Stage, page: Page) -> None:
    panel = stage.panel
    assert panel is not None
    by_keyboard(page, "नोड को अटकाएँ")
    wait_until(lambda: stage.goes_on() and not panel.look().pi, "the board cuts the power", 60)
    expect(page.locator("#pi")).to_have_text("बंद")
    wait_until(lambda: stage.goes_on() and panel.look().pi and panel.look().node, "power and node are back", 60)
    expect(page.locator("#node")).to_have_text("चल रहा है")
    client = stage.clinic.node_client()
    wait_until(lambda: is_met(client), "the node answers again")
    client.close()


def test_both_languages_say_everything() -> None:
    source = (PAGE / "page.js").read_text()
    hindi, english = (re.search(rf"  {code}: {{\n(.*?)\n  }},", source, re.S) for code in ("hi", "en"))
    assert hindi is not None and english is not None
    keys = [re.findall(r"^    (\w+): ", one[1], re.M) for one in (hindi, english)]
    assert keys[0] == keys[1]
    named = {
        *re.findall(r'data-text="(\w+)"', (PAGE / "index.html").read_text()),
        *re.findall(r'text\("(\w+)"\)', source),
    }
    assert named <= set(keys[0])

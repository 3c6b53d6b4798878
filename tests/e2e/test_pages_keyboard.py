"""A doctor's whole case without a mouse at 1366×768: log in, next patient, read, prescribe, sign, next patient."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.bench.hub_load import drained, hub_only, started, stopped
from tests.kits.clinic import Clinic

from .pages import Watch, see

pytestmark = pytest.mark.browser
NO_MOUSE = """
window.mouse = [];
for (const name of ["mousedown", "mousemove", "pointerdown", "touchstart", "wheel"])
  addEventListener(name, (event) => window.mouse.push(event.type), true);
"""
FOCUS = """
() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const name = one.dataset.test || one.id || one.tagName;
  if (one === document.body) return { name, fault: "nothing has the focus" };
  if (box.width < 1 || box.height < 1) return { name, fault: "no box" };
  const { left, top: above, right, bottom } = box;
  if (left < 0 || above < 0 || right > innerWidth || bottom > innerHeight) return { name, fault: "outside" };
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return { name, fault: one.contains(top) ? "" : `under ${top?.className || top?.tagName}` };
}
"""
"""What has the focus, and why it cannot be seen; asked by the browser's own debugger, so the page's rules hold."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A hub where three patients wait; their visits came from a node's endpoint. To be asked for before the browser,
    whose driver leaves a loop running in this thread.
    """

    async def arrive(clinic: Clinic) -> None:
        nodes = await started(clinic, 1)
        nodes[0].say()
        nodes[0].say()
        await drained(nodes, 30)
        await stopped(nodes)

    with hub_only(tmp_path_factory.mktemp("clinic")) as clinic:
        asyncio.run(arrive(clinic))
        yield clinic


class Keys:
    """Presses keys, and looks after each where the focus is."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.faults: list[str] = []

    def press(self, key: str) -> str:
        """The name of what has the focus then."""
        self._page.keyboard.press(key)
        return self.look(key)

    def look(self, key: str) -> str:
        for _ in range(20):  # answers of the hub may still move what stands there
            found = self._page.evaluate(FOCUS)
            if not found["fault"]:
                break
            self._page.wait_for_timeout(100)
        else:
            self.faults.append(f"{key}: {found['name']}: {found['fault']}")
        return str(found["name"])

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)
        self.look(text)

    def tab_to(self, name: str, *, back: bool = False, limit: int = 40) -> None:
        """By Tab to a control."""
        passed = []
        for _ in range(limit):
            passed.append(self.press("Shift+Tab" if back else "Tab"))
            if passed[-1] == name:
                return
        raise AssertionError(f"{name} is not reached by Tab: {passed}")

    def choose(self, name: str, value: str) -> None:
        """By Tab to a list, and by the arrow to an entry."""
        self.tab_to(name)
        chooser = self._page.locator(f'[data-test="{name}"]')
        for _ in range(chooser.locator("option").count()):
            self.press("ArrowDown")
            if chooser.input_value() == value:
                return
        raise AssertionError(f"{value} is not reached in {name}")


def test_a_case_goes_from_the_log_in_to_the_next_patient_by_keyboard_alone(clinic: Clinic, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(20_000)
    context.add_init_script(NO_MOUSE)
    page = context.new_page()
    keys, watch = Keys(page), Watch(page, clinic.hub.url)
    page.goto(clinic.hub.url)
    expect(page.locator('[data-test="login-user"]')).to_be_focused()
    keys.type(clinic.doctor.user)
    keys.tab_to("login-password")
    keys.type(clinic.doctor.password)
    keys.tab_to("login-totp")
    keys.type(clinic.doctor.code())
    page.keyboard.press("Enter")
    see(page, "queue-row")

    page.keyboard.press("Alt+p")
    title = page.locator("#record-title")
    expect(title).to_be_focused()
    keys.look("Alt+p")
    record = page.locator('[data-test="record"]')
    first = record.get_attribute("data-visit")
    page.keyboard.press("End")
    notes = page.locator('[data-test="notes"]')
    expect(notes).to_be_in_viewport()
    expect(notes).to_be_enabled()
    keys.press("Alt+n")
    keys.type("Seen by keyboard.")
    expect(notes).to_have_value("Seen by keyboard.")
    keys.press("Alt+q")
    keys.press("Enter")
    expect(title).to_be_focused()

    keys.press("Alt+d")
    keys.type("paracetamol tab")
    see(page, "drug-option-F001")
    keys.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator('[data-test="dose"]')).to_be_focused()
    keys.look("Enter")
    keys.type("1")
    keys.choose("route", "oral")
    keys.choose("frequency", "TDS")
    keys.tab_to("days")
    keys.type("3")
    keys.choose("food", "after")
    keys.tab_to("diagnosis", back=True)
    keys.type("Viral fever")
    keys.press("Escape")
    keys.tab_to("sign")
    page.keyboard.press("Enter")
    see(page, "rx-status")
    expect(title).to_be_focused()
    keys.look("signed")

    page.keyboard.press("Alt+p")
    expect(record).not_to_have_attribute("data-visit", first or "")
    expect(title).to_be_focused()
    keys.look("Alt+p again")
    assert keys.faults == []
    assert page.evaluate("() => window.mouse") == []
    watch.none()
    context.close()

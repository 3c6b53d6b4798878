"""A nurse's hand on the tablet: taps and keys at human speed, counted, with what the tablet took to answer each.

A tap takes 1.1 s, a key 0.25 s; a scroll that is needed to reach a control counts as a tap. Time is counted, not
slept: to the hand's time comes what the page kept it waiting. A tap is answered with the next picture after it, as
Event Timing (W3C) says it for pointer and click, rounded to 8 ms by the browser. Reading out, listening and measuring
are not counted.
"""

import time
from typing import cast

import msgspec
from msgspec import Struct
from playwright.sync_api import Browser, CDPSession, Locator, Page

from tests.e2e.pages import Clinic, log_in_nurse

TAP_S = 1.1
KEY_S = 0.25
REST_MS = 300
"""The hand's next touch comes no sooner; a hand at human speed takes three times as long."""
THROTTLE = 4

WATCH = """
() => {
  if (window.__taps) return;
  window.__taps = [];
  window.__frames = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!["pointerdown", "pointerup", "click"].includes(entry.name)) continue;
      window.__taps.push({
        event: entry.name,
        total_ms: entry.duration,
        waited_ms: entry.processingStart - entry.startTime,
        handled_ms: entry.processingEnd - entry.processingStart,
        shown_ms: Math.max(0, entry.startTime + entry.duration - entry.processingEnd),
        start_ms: entry.startTime,
      });
    }
  }).observe({ type: "event", durationThreshold: 16, buffered: false });
  const frames = new PerformanceObserver((list) => window.__frames.push(...list.getEntries()));
  frames.observe({ type: "long-animation-frame" });
}
"""
TAKEN = """
(restMs) => new Promise((done) => {
  const last = () => setTimeout(() => {
    const slowest = window.__taps.splice(0).sort((a, b) => b.total_ms - a.total_ms)[0];
    const frames = window.__frames.splice(0);
    if (!slowest) return done(null);
    const { start_ms, ...parts } = slowest;
    const work = frames
      .filter((frame) => frame.startTime < start_ms + slowest.total_ms && frame.startTime + frame.duration > start_ms)
      .map((frame) => [
        `frame of ${Math.round(frame.duration)} ms from ${Math.round(frame.startTime - start_ms)}`,
        ...frame.scripts.map((script) => `${script.invoker} ${Math.round(script.duration)}`),
        frame.styleAndLayoutStart
          ? `drawn in ${Math.round(frame.startTime + frame.duration - frame.styleAndLayoutStart)}` : "not drawn",
      ].join(", "));
    done({ ...parts, work });
  }, restMs);
  requestAnimationFrame(() => requestAnimationFrame(last));
})
"""
WHERE = """
(element) => new Promise((done) => {
  let before = "";
  const look = () => {
    const { left, top, width, height } = element.getBoundingClientRect();
    const middle = [left + width / 2, top + height / 2];
    const [now, hit] = [middle.join(), document.elementFromPoint(...middle)];
    if (now === before && !element.disabled && element.contains(hit)) done(middle);
    else requestAnimationFrame(look);
    before = now;
  };
  look();
})
"""
COVERED = """
(element) => {
  const box = element.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return !(top && (element === top || element.contains(top) || top.contains(element)));
}
"""


class Answer(Struct, frozen=True):
    """The slowest of a tap's events, from the touch to the next picture (Event Timing, W3C)."""

    event: str = ""
    """``pointerdown``, ``pointerup`` or ``click``; empty when all took less than 16 ms."""
    total_ms: float = 0
    waited_ms: float = 0
    """Before the page's own handlers ran: what was still being done then."""
    handled_ms: float = 0
    shown_ms: float = 0
    """From the handlers' end to the picture."""
    work: tuple[str, ...] = ()
    """Long animation frames of that time, each with its scripts."""


class Move(Struct, frozen=True):
    """One thing the hand did."""

    what: str
    """``tap``, ``scroll`` or ``type``."""
    where: str
    keys: int
    hand_s: float
    waited_s: float
    """How long the page kept the hand waiting for this control."""
    answer: Answer = Answer()


class Hand:
    """Does a journey on one page and keeps what it did."""

    def __init__(self, page: Page, throttle: float = THROTTLE) -> None:
        self.page = page
        self.moves: list[Move] = []
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        page.evaluate(WATCH)

    @property
    def total_s(self) -> float:
        """The hand's time and what it was kept waiting."""
        return sum(move.hand_s + move.waited_s for move in self.moves)

    def tap(self, name: str) -> None:
        """Touch a control by its ``data-test`` name."""
        control, waited_s = self._reach(name)
        self._touch(control)
        self.moves.append(Move("tap", name, 0, TAP_S, waited_s, self._answer()))

    def tap_nothing(self) -> float:
        """Touch the heading, which does nothing; what this machine itself takes for a picture after a touch, ms."""
        self._touch(self.page.locator("h1").first)
        return self._answer().total_ms

    def write(self, name: str, text: str, *, touch: bool = True) -> None:
        """Touch a field and type into it; without ``touch`` it has the focus already."""
        if touch:
            self.tap(name)
        control = self._control(name)
        for char in text:
            control.press(char)
        self.moves.append(Move("type", name, len(text), len(text) * KEY_S, 0))

    def see(self, name: str, text: str = "") -> None:
        """Wait until something is there; the wait counts."""
        start_s = time.monotonic()
        found = self.page.locator(f'[data-test="{name}"]', has_text=text or None).first
        found.wait_for()
        self.moves.append(Move("see", name, 0, 0, time.monotonic() - start_s))

    def rest(self) -> None:
        """Give the page its whole computer back."""
        self._cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        self._cdp.detach()

    def _touch(self, control: Locator) -> None:
        """Touch the middle of what stands still and is touchable; no script of the test runs in the page meanwhile."""
        x, y = cast(list[float], control.evaluate(WHERE))
        self._cdp.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        self._cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def _answer(self) -> Answer:
        found = self.page.evaluate(TAKEN, REST_MS)
        return msgspec.convert(found, Answer) if found else Answer()

    def _control(self, name: str) -> Locator:
        return self.page.locator(f'[data-test="{name}"]').first

    def _reach(self, name: str) -> tuple[Locator, float]:
        start_s = time.monotonic()
        control = self._control(name)
        control.wait_for()
        waited_s = time.monotonic() - start_s
        if control.evaluate(COVERED):
            control.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
            self.moves.append(Move("scroll", name, 0, TAP_S, 0))
        return control, waited_s


def open_tablet(browser: Browser, clinic: Clinic, width: int, height: int) -> Page:
    """A touch screen of that size, logged in, with everything loaded that is loaded ahead."""
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, locale="hi-IN")
    context.set_default_timeout(20_000)
    page = context.new_page()
    with page.expect_response("**/screens/patient.js"):
        log_in_nurse(page, clinic)
    page.wait_for_load_state("networkidle")
    return page


VITALS = (("temp_c", "38.4"), ("sbp", "118"), ("dbp", "76"), ("hr", "92"), ("spo2", "97"), ("rr", "18"))


def new_patient(hand: Hand, name: str, mobile: str, age: str = "34") -> str:
    """A woman of 10 to 55 years with fever, from the reception to her token; the token."""
    hand.tap("new-patient")
    hand.write("reg-name", name, touch=False)
    hand.tap("reg-gender-female")
    hand.write("reg-age", age)
    hand.tap("village-pick")
    hand.write("reg-mobile", mobile)
    hand.tap("reg-submit")
    for control in ("consent-tele-yes", "consent-data-yes", "step-next"):
        hand.tap(control)
    hand.tap("complaint-fever")
    hand.write("duration-fever", "3")
    hand.tap("step-next")
    for control in ("allergy-none", "pregnant-no", "post-partum-no", "step-next", "signs-rest-absent", "step-next"):
        hand.tap(control)
    hand.tap("avpu-A")
    for vital, value in VITALS:
        hand.write(f"vital-{vital}", value)
    hand.tap("step-next")
    hand.tap("issue-token")
    return _token(hand)


def returning(hand: Hand, typed: str) -> str:
    """Somebody who was here before, from the reception to the token; the token."""
    hand.write("search", typed)
    hand.tap("patient-row")
    for control in ("consent-tele-yes", "consent-data-yes", "give-token"):
        hand.tap(control)
    return _token(hand)


def _token(hand: Hand) -> str:
    hand.see("visit-page")
    hand.see("token-number", "-")
    return hand.page.locator('[data-test="token-number"]').inner_text()

"""What the nurse does around the queue in a real browser: calling on the board, printing, referring, looking ahead."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from edge.node import questions
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.node.test_questions import GOOD

from .pages import (
    Clinic,
    Stage,
    Watch,
    _free_port,
    _run,
    _value,
    begin_red,
    faults_here,
    fill,
    log_in_nurse,
    look,
    register,
    see,
    take_visit,
    tap,
    write_referral,
)

pytestmark = pytest.mark.browser
SIZES = ((1280, 800), (360, 640))
NAME = "सत्यभामा देवी राजराजेश्वरी विश्वकर्मा उपाध्याय"
PICTURES = os.environ.get("UPKENDRA_PICTURES", "")
"""A folder for pictures of every screen that is looked at here; empty: none are kept."""


def looked(page: Page, name: str, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    """No fault in any size, in both languages where the page has the switch."""
    before = page.viewport_size
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        assert look(page) == [], (name, width, height)
        if PICTURES:
            for language in ("hi", "en"):
                page.wait_for_timeout(200)
                page.screenshot(path=str(Path(PICTURES) / f"{name}-{language}-{width}.png"), full_page=True)
                if page.locator("dialog[open]").count():
                    break
                tap(page, "language-toggle")
    if before:
        page.set_viewport_size(before)


@pytest.fixture(scope="module")
def printer() -> Iterator[PrinterOnPty]:
    with PrinterOnPty(ThermalPrinter(58)) as there:
        yield there


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, printer: PrinterOnPty) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("clinic")
    stage = Stage(folder, printer=f"58={printer.path}")
    try:
        started = stage.start()
        (folder / "node" / questions.FILE).write_bytes(msgspec.json.encode(GOOD))
        yield started
    finally:
        stage.stop()


@pytest.fixture
def page(browser: Browser, clinic: Clinic) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    made = context.new_page()
    watch = Watch(made, clinic.node_url)
    log_in_nurse(made, clinic)
    yield made
    watch.none()
    context.close()


def test_the_board_calls_aloud_whom_the_tablet_calls_and_comes_back_by_itself(
    browser: Browser, clinic: Clinic, page: Page
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    board = context.new_page()
    played: list[str] = []
    board.on("request", lambda one: played.append(one.url) if "/prompts/board-" in one.url else None)
    board.goto(f"{clinic.node_url}/board")
    board.locator('[data-test="board-nobody"]').wait_for()
    assert faults_here(board) == []
    assert context.cookies() == []
    register(page, NAME)
    take_visit(page)
    token = page.locator('[data-test="token-number"]').inner_text()
    expect(board.locator('[data-test="board-waiting"]')).to_contain_text(token)
    looked(page, "visit-turn")
    board.locator("header h1").click()  # a touch: a browser lets nothing sound before it
    tap(page, "call-token")
    see(page, "toast-good")
    expect(board.locator('[data-test="board-called"]')).to_have_text(token)
    expect(board.locator('[data-test="board-waiting"]')).not_to_contain_text(token)
    board.wait_for_event("request", lambda one: "board-come" in one.url and ".en." in one.url, timeout=40_000)
    said = [url.rpartition("/")[2].partition(".synthetic")[0] for url in played]
    digits = [f"board-digit-{digit}" for digit in token[-3:]]
    pieces = ["board-token", *digits, "board-come"]
    assert [name for name in said if name.endswith(".hi")] == [f"{piece}.hi" for piece in pieces]
    assert NAME.split()[0] not in board.content()
    context.set_offline(True)
    board.locator('[data-test="board-away"]').wait_for()
    context.set_offline(False)
    board.locator('[data-test="board-away"]').wait_for(state="detached")
    tap(page, "call-token")
    expect(board.locator('[data-test="board-called"]')).to_have_attribute("data-times", "2")
    assert faults_here(board) == []
    for width, height in ((1920, 1080), (800, 1280), (360, 640)):
        board.set_viewport_size({"width": width, "height": height})
        assert board.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
        assert "\u27e6" not in board.content()
        if PICTURES:
            board.screenshot(path=str(Path(PICTURES) / f"board-{width}.png"))
    context.close()
    tap(page, "turn-absent")
    see(page, "turn-back")
    tap(page, "visit-home")
    page.locator('[data-test="queue-row"]', has_text=token).click()
    tap(page, "turn-back")
    see(page, "call-token")
    tap(page, "visit-home")
    looked(page, "home-call")


def test_a_token_is_printed_at_the_node_and_the_page_says_when_the_paper_has_run_out(
    page: Page, printer: PrinterOnPty
) -> None:
    paper = printer.printer.paper
    before = len(paper.pieces)
    register(page, f"छपाई {NAME}")
    take_visit(page)
    printer.printer.paper_out = True
    tap(page, "print-here-token")
    page.locator('[data-test="print-token"][data-state="paper_out"]').wait_for()
    looked(page, "print-paper-out")
    printer.printer.paper_out = False
    tap(page, "print-here-token")
    page.locator('[data-test="print-token"][data-state="printed"]').wait_for()
    assert page.locator('[data-test="print-state"]').count() == 0
    assert len(paper.pieces) == before + 1 and any(any(row) for row in paper.pieces[-1])


def test_a_red_patient_is_sent_on_without_a_doctor_and_the_end_is_written_down(
    page: Page, printer: PrinterOnPty
) -> None:
    begin_red(page, NAME)
    for pressed in ("true", "false"):  # first aid begins to be read out, and is silent again
        tap(page, "aid-read")
        page.locator(f'[data-test="aid-read"][aria-pressed="{pressed}"]').wait_for()
    write_referral(page)
    looked(page, "referral-dialog", ((360, 640),))
    tap(page, "referral-save")
    see(page, "referred")
    looked(page, "red-sent")
    before = len(printer.printer.paper.pieces)
    tap(page, "print-here-referral")
    page.locator('[data-test="print-referral"][data-state="printed"]').wait_for()
    assert len(printer.printer.paper.pieces) == before + 1
    pdf = page.request.get(page.locator('[data-test="referral-pdf"]').evaluate("(link) => link.href"))
    assert pdf.ok and pdf.body().startswith(b"%PDF")
    tap(page, "ending-write")
    tap(page, "ending-reached")
    tap(page, "ending-save")
    expect(page.locator('[data-test="ending"]')).to_contain_text("वहाँ पहुँच गए")


def test_who_is_due_and_what_lies_on_the_shelf_are_one_touch_from_the_queue(page: Page) -> None:
    register(page, f"गोमती {NAME}", mobile="5550123456")
    take_visit(page)
    page.locator('[data-test="send-on"] summary').click()
    tap(page, "referral-write")
    for control in ("referral-place-district", "referral-urgency-today", "referral-way-own", "referral-save"):
        tap(page, control)
    see(page, "referred")
    tap(page, "visit-home")
    tap(page, "due-open")
    page.locator('[data-test="due-row"][data-why="sent_on"]', has_text="गोमती").wait_for()
    looked(page, "due", ((360, 640),))
    tap(page, "due-back")
    tap(page, "stock-open")
    tap(page, "stock-row")
    fill(page, "stock-amount", "120")
    tap(page, "stock-count")
    row = page.locator('[data-test="stock-row"]').first
    expect(row).to_contain_text("120")
    row.click()
    fill(page, "stock-amount", "30")
    tap(page, "stock-receive")
    expect(row).to_contain_text("150")
    looked(page, "stock", ((800, 1280),))
    page.goto(f"{page.url.partition('#')[0]}#/month")
    see(page, "month-line")
    ran = page.locator('[data-test="month-line"]', has_text="कुल इतने घंटे चालू रहा")
    expect(ran.locator("td strong")).to_have_text(re.compile(r"^\d+(\.\d)?$"))
    looked(page, "month", ((360, 640),))


def test_reviewed_questions_are_asked_and_a_visit_that_was_opened_by_mistake_is_cancelled(page: Page) -> None:
    register(page, f"प्रश्न {NAME}")
    for control in ("consent-tele-yes", "consent-data-yes", "step-next", "complaint-fever"):
        tap(page, control)
    see(page, "guided-fever")
    tap(page, "guided-fever.q1-yes")
    tap(page, "guided-fever.q2-b")
    fill(page, "complaint-notes", "रात में ज़्यादा")
    looked(page, "guided", ((360, 640),))
    tap(page, "step-next")
    see(page, "allergy-none")
    page.goto(page.url.partition("/step/")[0])
    page.locator("dl.facts", has_text="▸ परीक्षा का सवाल? हाँ").wait_for()
    page.locator("dl.facts", has_text="▸ परीक्षा का चुनाव? दूसरा").wait_for()
    tap(page, "edit-form")
    expect(page.locator('[data-test="complaint-notes"]')).to_have_value("रात में ज़्यादा")
    expect(page.locator('[data-test="guided-fever.q2-b"]')).to_have_attribute("aria-checked", "true")
    page.goto(page.url.partition("/step/")[0])
    tap(page, "cancel-visit")
    looked(page, "cancel-dialog", ((360, 640),))
    tap(page, "cancel-confirm")
    see(page, "new-patient")
    expect(page.locator('[data-test="queue-row"]', has_text="प्रश्न")).to_have_count(0)


class Practice(Stage):
    """A node for practice, with nothing around it."""

    def begin(self) -> tuple[str, str]:
        """Its address, and what its making printed."""
        data = str(self._folder / "practice")
        made = _run(["edge.node", "training", "--data", data])
        at = ("--http", f"127.0.0.1:{_free_port()}")
        return self._serve(("edge.node", "serve", "--data", data, "--no-announce", *at)), made


def test_practice_says_so_on_every_screen(browser: Browser, tmp_path: Path) -> None:
    stage = Practice(tmp_path)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        url, made = stage.begin()
        page = context.new_page()
        page.goto(url)
        fill(page, "unlock-badge", _value(made, "badge"))
        fill(page, "unlock-pin", _value(made, "pin"))
        tap(page, "unlock-submit")
        tap(page, f"staff-{_value(made, 'staff_id')}")
        see(page, "training-mark")
        fill(page, "login-pin", _value(made, "pin"))
        tap(page, "login-submit")
        see(page, "new-patient")
        see(page, "training-mark")
        looked(page, "practice")
    finally:
        context.close()
        stage.stop()

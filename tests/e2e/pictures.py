"""The pictures of the runbooks, made anew from the running system: ``python -m tests.e2e.pictures [DIR]``.

Goes through every screen (:mod:`tests.e2e.tour`) and keeps those that ``docs/runbooks`` shows, each scaled and with few
colours, so that it stays below 60 kB. With ``--all DIR`` every screen is kept there instead, in both languages and four
sizes, each with large type too, for a person to look at (``--practice``: those of practice alone); what
:func:`tests.e2e.pages.faults_here` finds on them is printed, and the exit code is 1 when it finds something. Everybody
on the pictures is made up.
"""

import argparse
import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.e2e.pages import faults_here
from tests.e2e.tour import PHONE, Tour, languages
from tests.kits.clinic import ROOT

MOST_BYTES = 60_000
UPRIGHT, LAPTOP = (800, 1280), (1366, 768)
SIZES = ((1280, 800), UPRIGHT, PHONE, (1440, 900))
LARGE_TYPE = "150%"
SHOWN_IN = {"vitals": UPRIGHT, "consent": PHONE, "doctor-record": LAPTOP, "doctor-queue": LAPTOP, "home-waiting": PHONE}
"""Screens that a runbook shows in another size than the one they are worked in."""
SHOWN = re.compile(r"\(img/([a-z-]+)\.png\)")
DENSE = ("doctor-", "call-doctor", "coordinator")
"""Screens of a desk with a mouse: what is touched there may be smaller."""


def shown_in_runbooks() -> set[str]:
    """The names of all pictures that a runbook shows."""
    return {
        name for paper in (ROOT / "docs" / "runbooks").glob("*.md") for name in SHOWN.findall(paper.read_text("utf-8"))
    }


def small(png: bytes) -> bytes:
    """The same picture in at most ``MOST_BYTES``: fewer colours, then fewer pixels."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((960, 960), Image.Resampling.LANCZOS)
    for colours, share in ((64, 1.0), (32, 1.0), (32, 0.8), (16, 0.8), (16, 0.6)):
        size = (round(picture.width * share), round(picture.height * share))
        out = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).quantize(colours).save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            return out.getvalue()
    raise ValueError(f"a picture does not fit into {MOST_BYTES} bytes")


def printed(rows: list[bytes]) -> bytes:
    """A piece of thermal paper as a picture."""
    picture = Image.new("1", (8 * len(rows[0]), len(rows)), 1)
    picture.paste(Image.frombytes("1", picture.size, bytes(byte ^ 0xFF for row in rows for byte in row)))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def at_size(page: Page, size: tuple[int, int]) -> None:
    """The page in that size, drawn."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def type_size(page: Page, size: str) -> None:
    """Larger letters for the whole page; "" for its own. The widths at which a layout changes stay as they are."""
    page.evaluate("(size) => { document.documentElement.style.fontSize = size; }", size)


class Pictures:
    """Keeps what the runbooks show: ``NAME.png`` and, where it is asked for, ``NAME-en.png`` in English."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._wanted = shown_in_runbooks()

    def show(self, name: str, page: Page) -> None:
        names = {f"{name}-en": "en", name: ""} if f"{name}-en" in self._wanted else {name: ""}
        if not self._wanted & set(names):
            return
        usual = page.viewport_size
        at_size(page, SHOWN_IN.get(name, (usual["width"], usual["height"]) if usual else PHONE))
        for language in languages(page):
            for named, wanted in names.items():
                first = "en" if name.startswith(("doctor", "call-doctor", "coordinator")) else "hi"
                if named in self._wanted and language == (wanted or first):
                    self.keep(named, page.screenshot())
        if usual:
            page.set_viewport_size(usual)

    def keep(self, name: str, png: bytes) -> None:
        (self._out / f"{name}.png").write_bytes(small(png))


class Everything:
    """Keeps every screen in every size and language, and what is wrong with it."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.faults: list[str] = []

    def show(self, name: str, page: Page) -> None:
        usual = page.viewport_size
        least_px = 26 if name.startswith(DENSE) else 48
        for language in languages(page):
            for size in SIZES:
                for letters, mark in (("", ""), (LARGE_TYPE, "-large")):
                    type_size(page, letters)
                    at_size(page, size)
                    self._keep(f"{name}-{language}-{size[0]}{mark}", page, least_px)
            type_size(page, "")
        if usual:
            page.set_viewport_size(usual)

    def _keep(self, name: str, page: Page, least_px: int) -> None:
        self.faults += [f"{name}: {fault}" for fault in faults_here(page, least_px)]
        (self._out / f"{name}.png").write_bytes(page.screenshot())


def main() -> int:
    """Make all pictures; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.pictures")
    parser.add_argument("--all", action="store_true", help="every screen in both languages and all sizes")
    parser.add_argument("--practice", action="store_true", help="with --all: the screens of practice alone")
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "docs" / "runbooks" / "img", metavar="DIR")
    options = parser.parse_args()
    if options.practice and not options.all:
        parser.error("--practice goes with --all: a runbook shows more than practice")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    pictures, everything = Pictures(out), Everything(out)
    with tempfile.TemporaryDirectory(prefix="upkendra-pictures-") as scratch, sync_playwright() as playwright:
        tour = Tour(playwright, Path(scratch), everything.show if options.all else pictures.show)
        if options.practice:
            tour.practice()
        else:
            tour.run()
            pictures.keep("thermal", printed(tour.paper[-1]))
    total = sum(path.stat().st_size for path in out.glob("*.png"))
    print(f"{len(list(out.glob('*.png')))} pictures, {total} bytes, in {out}")
    missing = set() if options.all else {name for name in shown_in_runbooks() if not (out / f"{name}.png").exists()}
    for line in (*everything.faults, *(f"no picture {name}" for name in sorted(missing))):
        print(line)
    return 1 if everything.faults or missing else 0


if __name__ == "__main__":
    sys.exit(main())

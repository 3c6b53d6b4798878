"""The pictures of the runbooks, made anew from the running system: ``python -m tests.e2e.pictures [DIR]``.

Does the whole consultation of the demo and keeps the screens that ``docs/runbooks`` shows, each
scaled and with few colours, so that it stays below 60 kB. Everybody on them is made up.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan, control
from tests.e2e.report import Recorder, Report
from tests.kits.cases import SAMPLES
from tests.kits.clinic import ROOT, Clinic
from tests.kits.visit import NurseVisit

MOST_BYTES = 60_000
TABLET, UPRIGHT, PHONE, DESK, LAPTOP = (1280, 800), (800, 1280), (360, 640), (1440, 900), (1366, 768)
SIZES = {"vitals": UPRIGHT, "consent": PHONE, "doctor-record": LAPTOP, "doctor-queue": LAPTOP}
"""Screens that are shown in another size than the one they are worked in."""
WANTED = frozenset(
    (
        *("unlock", "login", "reception", "register", "consent", "complaint", "history", "signs", "vitals", "triage"),
        *("token", "ringing", "call-tablet", "prescription", "doctor-login", "doctor-queue", "doctor-record"),
        *("call-doctor", "doctor-prescription", "doctor-signed", "doctor-printed"),
    )
)


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


class Pictures(Journey):
    """The journey; its pictures go into a folder under their names, in both languages at the tablet."""

    def picture(self, name: str, page: Page) -> None:
        if name not in WANTED:
            return
        usual = TABLET if page is self.tablet else DESK
        width, height = SIZES.get(name, usual)
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        self._keep(name, page)
        if page is self.tablet and name not in ("ringing", "call-tablet"):
            control(page, "language-toggle").click()
            page.wait_for_timeout(150)
            self._keep(f"{name}-en", page)
            control(page, "language-toggle").click()
        page.set_viewport_size({"width": usual[0], "height": usual[1]})

    def _keep(self, name: str, page: Page) -> None:
        (self.plan.out / f"{name}.png").write_bytes(small(page.screenshot()))


def main() -> int:
    """Make all pictures; the exit code."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "runbooks" / "img"
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="upkendra-pictures-") as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        with Clinic(folder) as clinic:
            nurse = clinic.nurse_client()
            for case in SAMPLES[1:]:
                NurseVisit(case).run(nurse)
            nurse.close()
            clinic.node.stop()
            clinic.node.start()
            tablet = browsers.launch(playwright, clinic.node_ground, folder, "tablet")
            doctor = browsers.launch(playwright, clinic.hub_ground, folder, "doctor")
            try:
                at_tablet = browsers.open_page(tablet, clinic.node.url, *TABLET)
                at_doctor = browsers.open_page(doctor, f"http://127.0.0.1:{clinic.hub_port()}", *DESK)
                recorder = Recorder(Report(link="lan", camera="test", link_emulated=False, notes=[]), None)
                Pictures(clinic, None, recorder, at_tablet, at_doctor, Plan(SAMPLES[0], out, 8.0)).run()
            finally:
                tablet.close()
                doctor.close()
    total = sum(path.stat().st_size for path in out.glob("*.png"))
    print(f"{len(list(out.glob('*.png')))} pictures, {total} bytes, in {out}")
    (out / "slip.pdf").unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

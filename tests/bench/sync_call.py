"""A real call beside the node's own photos on 128 kbit/s: how much sound is made up, against the same call alone.

Hub, node, call process and both people's pages are real; the photos lie in the node's outbox when the doctor calls, and
the call says itself what it leaves to them. Each run has a link of its own with the same losses.
"""

import contextlib
import io
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

from tests.bench.rows import Row, at_most
from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan
from tests.e2e.report import Recorder, Report
from tests.kits.cases import SAMPLES
from tests.kits.client import Client, dig
from tests.kits.clinic import Clinic
from tests.kits.link import Link, LinkSpec
from tests.kits.media import jpeg, jpeg_of
from tests.kits.photos import attach

LINE_KBPS, RTT_MS, LOSS_PCT = 128, 300, 1
CALL_S = 60.0
PHOTOS, PHOTO_BYTES = 8, 300_000
SEEDS = 2


class Heard(NamedTuple):
    """What one call was like."""

    concealed_pct: float
    """Of the sound at the doctor's."""
    tablet_concealed_pct: float
    fps: float
    photo_bytes: int
    """That left the outbox during the call."""


def heard(seed: int, *, photos: bool) -> Heard:
    """One call, with or without photos under way."""
    spec = LinkSpec.both(rate_kbps=LINE_KBPS, rtt_ms=RTT_MS, loss_pct=LOSS_PCT, seed=seed)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Link(spec) as link,
        Clinic(Path(scratch), link=link) as clinic,
        sync_playwright() as playwright,
    ):
        folder = Path(scratch)
        tablet = browsers.launch(playwright, clinic.node_ground, folder, "tablet")
        doctor = browsers.launch(playwright, clinic.hub_ground, folder, "doctor")
        try:
            tablet_page = browsers.open_page(tablet, clinic.node.url, 1280, 800)
            doctor_page = browsers.open_page(doctor, f"http://127.0.0.1:{clinic.hub_port()}", 1440, 900)
            recorder = Recorder(Report(link=f"{LINE_KBPS}k", camera="test", link_emulated=True), link)
            plan = Plan(SAMPLES[0], folder, call_s=CALL_S, least_fps=0.0)
            journey = Journey(clinic, link, recorder, tablet_page, doctor_page, plan)
            return _call(journey, clinic, photos=photos)
        finally:
            doctor.close()
            tablet.close()


def _call(journey: Journey, clinic: Clinic, *, photos: bool) -> Heard:
    before = after = 0
    nurse = clinic.nurse_client()
    for name, act in journey.steps():
        if name == "doctor calls" and photos:
            for number in range(PHOTOS):
                attach(nurse, journey.visit_id, jpeg_of(PHOTO_BYTES, number + 1), jpeg(seed=number + 1))
        if name == "call":
            before = _backlog(nurse)
        with contextlib.redirect_stdout(io.StringIO()):
            act()
        if name == "call":
            after = _backlog(nurse)
            break
    nurse.close()
    report = journey.recorder.report
    at_doctor, at_tablet = report.call_at_doctor, report.call_at_tablet
    assert at_doctor is not None
    assert at_tablet is not None
    return Heard(
        100 * at_doctor.concealed_s / at_doctor.seconds,
        100 * at_tablet.concealed_s / at_tablet.seconds,
        at_doctor.fps,
        before - after,
    )


def _backlog(nurse: Client) -> int:
    return int(str(dig(nurse.get("/api/status"), "link", "backlog_bytes")))


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: one seed."""
    seeds = range(1, 2 if quick else SEEDS + 1)
    alone = [heard(seed, photos=False) for seed in seeds]
    beside = [heard(seed, photos=True) for seed in seeds]

    def mean(found: list[Heard], name: str) -> float:
        return statistics.mean(float(getattr(one, name)) for one in found)

    more = mean(beside, "concealed_pct") - mean(alone, "concealed_pct")
    return [
        Row("a call alone, sound made up at the doctor", round(mean(alone, "concealed_pct"), 2), "%"),
        at_most("the same beside photos, sound made up more at the doctor", more, "%", 0.5),
        Row(
            "the same, sound made up at the tablet",
            round(mean(beside, "tablet_concealed_pct"), 2),
            "%",
            round(mean(alone, "tablet_concealed_pct"), 2),
        ),
        Row("the same, pictures a second", round(mean(beside, "fps"), 1), "1/s", round(mean(alone, "fps"), 1)),
        Row("photos that left during the call", round(mean(beside, "photo_bytes")), "B"),
    ]

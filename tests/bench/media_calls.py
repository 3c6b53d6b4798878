"""Makes one call on one emulated link and brings home what both ends recorded. Needs root.

Ours goes through a real hub, a real node and the pages' own controls: the node with its call process and the tablet
left of the link, the doctor's browser right of it. The two others are calls between two Chromiums of one plain page,
the patient's left and the doctor's right; their descriptions travel beside the link, candidates included.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct, structs
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.bench import media_load
from tests.bench.media_rows import CELLULAR_OUTAGE_S, Caps, LinkRow, Peer
from tests.bench.media_source import Source, Speech
from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan, control
from tests.e2e.report import Recorder, Report
from tests.kits.cases import SAMPLES
from tests.kits.clinic import Across, Clinic, wait_until
from tests.kits.link import Link, LinkSpec
from tests.kits.link import Way as LinkWay

HERE = Path(__file__).parent
_RECORDER = (HERE / "media_page.js").read_text()
_PEER = (HERE / "media_peer.js").read_text()
_ICE_PATIENCE_S = 90.0
_BODY = "<!doctype html><title>call</title><video></video><audio></audio>"


class PageStats(Struct, frozen=True):
    """One look at getStats."""

    at: float
    peer: int
    state: str
    entries: list[dict[str, Any]]


class Picture(Struct, frozen=True):
    """A received picture; ``luma`` in base64, a byte a pixel."""

    at: float
    number: int
    width: int
    height: int
    luma: str


class Sound(Struct, frozen=True):
    """What one track carried; ``pcm`` in base64, 16 bit; marks are (Unix ms, samples so far)."""

    rate: int
    marks: list[tuple[float, int]]
    pcm: str


class PageRecord(Struct, frozen=True):
    """What a page recorded; times in Unix milliseconds. Frames are (time, number or -1, width, height)."""

    moments: list[tuple[float, str]]
    stats: list[PageStats]
    received: list[tuple[float, int, int, int]]
    sent: list[tuple[float, int, int, int]]
    pictures: list[Picture]
    heard: list[Sound]
    spoken: list[Sound]
    stills: list[tuple[float, int, int]] = []
    """Whole small stills: (time, bytes, age in ms when the node sent it)."""

    def first(self, what: str, after_ms: float = 0.0) -> float | None:
        """When something first happened."""
        return next((at for at, name in self.moments if name == what and at >= after_ms), None)


class Raw(Struct, frozen=True):
    """One call as it was recorded."""

    row: str
    peer: Peer
    seed: int
    seconds: float
    began_ms: float
    """Start of ICE at the doctor's: its answer is set. Unix milliseconds, as all times of pages."""
    clicked_ms: float
    """The doctor's click; 0 in a call without one. The call is taken at once."""
    doctor: PageRecord
    patient: PageRecord
    """The tablet's page, or the left Chromium's."""
    camera: str
    """``file``: the call process plays the film itself; ``tablet``, ``page``: the patient's page films it."""
    trace: list[dict[str, Any]]
    """The call process's own record, see ``media_trace``; empty in the others."""
    samples: list[media_load.Sample]
    cut_s: tuple[float, float] | None = None
    """Unix seconds between which the link was down."""


class Quota(Struct, frozen=True):
    """What node and call process may take together from the doctor's click on."""

    cpu_share: float
    """Of one core."""
    memory_mb: int


class Way(Struct, frozen=True):
    """How a call of ours is made."""

    camera: str = "file"
    """``file``: the call process plays the film itself; ``tablet``: the tablet films it, and the node codes it anew."""
    quota: Quota | None = None
    light: bool = False
    """For long calls: pages keep neither sound nor pictures."""


def run(row: LinkRow, peer: Peer, seed: int, seconds: float, source: Source, way: Way | None = None) -> Raw:
    """Make that call; blocks."""
    spec = row.spec(seed)
    with tempfile.TemporaryDirectory() as scratch, Link(_wide(spec)) as link, sync_playwright() as playwright:
        stage = _Stage(row, peer, seed, seconds, source, Path(scratch), link, playwright)
        return stage.ours(way or Way()) if peer == "ours" else stage.plain(row.caps if peer == "capped" else None)


class _Stage:
    def __init__(
        self, row: LinkRow, peer: Peer, seed: int, seconds: float, source: Source, scratch: Path, link: Link,
        playwright: Playwright,
    ) -> None:  # fmt: skip
        self._row, self._peer, self._seed, self._seconds = row, peer, seed, seconds
        self._source, self._scratch, self._link, self._playwright = source, scratch, link, playwright
        self._samples: list[media_load.Sample] = []
        self._cut: tuple[float, float] | None = None

    def ours(self, way: Way) -> Raw:
        camera = way.camera
        with ExitStack() as stack:
            stack.enter_context(_tracing(self._scratch))
            kind = f"file:{self._source.film}" if camera == "file" else camera
            clinic = stack.enter_context(Clinic(self._scratch, link=self._link, camera=kind))
            tablet = stack.enter_context(self._browser("tablet", clinic.node_ground, self._source.patient))
            doctor = stack.enter_context(self._browser("doctor", clinic.hub_ground, self._source.doctor))
            tablet_page = _page(tablet, clinic.node.url, (1280, 800), way)
            doctor_page = _page(doctor, f"http://127.0.0.1:{clinic.hub_port()}", (1440, 900), way)
            recorder = Recorder(Report(link=self._row.name, camera=camera, link_emulated=True), self._link)
            journey = Journey(clinic, self._link, recorder, tablet_page, doctor_page, Plan(SAMPLES[0], self._scratch))
            for step, act in journey.steps():
                if step == "doctor opens":
                    self._narrow()
                if step == "doctor calls":
                    break
                act()
            if way.quota is not None:
                share, memory_mb = way.quota.cpu_share, way.quota.memory_mb
                stack.enter_context(media_load.limited(clinic.node.pid, cpu_share=share, memory_mb=memory_mb))
            clicked_ms = time.time() * 1000
            control(doctor_page, "call").click()
            expect(control(tablet_page, "call-banner")).to_be_visible(timeout=30_000)
            control(tablet_page, "call-accept").click()
            began_ms = self._ice_began(doctor_page, "describes itself")
            self._watch(doctor_page, began_ms, clinic.node.pid)
            return self._raw(began_ms, clicked_ms, camera, _record(doctor_page), _record(tablet_page))

    def plain(self, caps: Caps | None) -> Raw:
        with ExitStack() as stack:
            left = stack.enter_context(self._browser("left", Across(self._link.left), self._source.patient))
            right = stack.enter_context(self._browser("right", Across(self._link.right), self._source.doctor))
            pages = [self._plain_page(browser) for browser in (left, right)]
            patient, doctor = pages
            self._narrow()
            sends = _wanted(caps, caps.video_bps) if caps else None
            returns = _wanted(caps, caps.own_video_bps) if caps else None
            offer = patient.evaluate("(given) => window.offer(given)", sends)
            answer = doctor.evaluate("([sdp, given]) => window.answer(sdp, given)", [offer, returns])
            patient.evaluate("(sdp) => window.accept(sdp)", answer)
            began_ms = self._ice_began(doctor, "describes itself")
            self._watch(doctor, began_ms, 0)
            return self._raw(began_ms, 0.0, "page", _record(doctor), _record(patient))

    def _narrow(self) -> None:
        """Make the link what the row says. Until then only its delay was there, so that preparing takes no minutes."""
        spec = self._row.spec(self._seed)
        for name, way in (("uplink", spec.uplink), ("downlink", spec.downlink)):
            if not way.trace:
                self._link.set_rate(name, way.rate_kbps)
            self._link.set_loss(name, way.loss_pct)

    def _plain_page(self, browser: Browser) -> Page:
        page = browser.new_page()
        page.add_init_script(_RECORDER)
        page.add_init_script(_PEER)
        page.route("http://127.0.0.1/", lambda route: route.fulfill(content_type="text/html", body=_BODY))
        page.goto("http://127.0.0.1/")
        return page

    @contextmanager
    def _browser(self, name: str, ground: Any, speech: Speech) -> Iterator[Browser]:
        more = [
            f"--use-file-for-fake-video-capture={self._source.frames}",
            f"--use-file-for-fake-audio-capture={speech.path}",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
        ]
        browser = browsers.launch(self._playwright, ground, self._scratch, name, more)
        try:
            yield browser
        finally:
            browser.close()

    def _ice_began(self, page: Page, moment: str) -> float:
        def moments() -> list[list[Any]]:
            return cast(list[list[Any]], page.evaluate("window.__recordNow().moments"))

        wait_until(lambda: any(what == moment for _, what in moments()), "an answer of the doctor's", _ICE_PATIENCE_S)
        return float(next(at for at, what in moments() if what == moment))

    def _watch(self, page: Page, began_ms: float, node_pid: int) -> None:
        """Look at processes and link once a second until the time is over; cut the link where the row says so."""
        call_pid, end_s = 0, began_ms / 1000 + self._seconds
        cut_at_s = began_ms / 1000 + self._row.outage_at_s if self._row.outage_at_s else 0.0
        while (now_s := time.time()) < end_s:
            if cut_at_s and self._cut is None and now_s >= cut_at_s:
                self._link.down()
                self._cut = (now_s, now_s + CELLULAR_OUTAGE_S)
            if self._cut is not None and cut_at_s and now_s >= self._cut[1]:
                self._link.up()
                self._cut, cut_at_s = (self._cut[0], now_s), 0.0
            if node_pid:
                call_pid = media_load.call_process(node_pid) or call_pid
            self._samples.append(self._sample(now_s, node_pid, call_pid))
            page.wait_for_timeout(max(min(1000 - (time.time() - now_s) * 1000, (end_s - time.time()) * 1000), 1))

    def _sample(self, now_s: float, node_pid: int, call_pid: int) -> media_load.Sample:
        stats = self._link.stats()
        pids = media_load.tree(node_pid) if node_pid and len(self._samples) % 5 == 0 else []
        before = self._samples[-1] if self._samples else None
        return media_load.Sample(
            unix_s=now_s,
            load=media_load.load(),
            call_cpu_s=media_load.cpu_s(call_pid) if call_pid else 0.0,
            pss_mb=media_load.pss_mb(pids) if pids else before.pss_mb if before else 0.0,
            up_bytes=stats.uplink.sent_bytes,
            down_bytes=stats.downlink.sent_bytes,
            rate_bps=stats.uplink.rate_bps,
            handles=media_load.handles(pids) if pids or before is None else before.handles,
        )

    def _raw(self, began_ms: float, clicked_ms: float, camera: str, doctor: PageRecord, patient: PageRecord) -> Raw:
        return Raw(
            row=self._row.name, peer=self._peer, seed=self._seed, seconds=self._seconds, began_ms=began_ms,
            clicked_ms=clicked_ms, camera=camera, doctor=doctor, patient=patient, trace=trace(self._scratch),
            samples=self._samples, cut_s=self._cut,
        )  # fmt: skip


def _wide(spec: LinkSpec) -> LinkSpec:
    """The link before the call: no loss, and no limit but that of a trace."""

    def opened(way: LinkWay) -> LinkWay:
        rate = way.rate_kbps if way.trace else None
        return structs.replace(way, rate_kbps=rate, loss_pct=0.0, queue_bytes=way.queue_limit_bytes())

    return structs.replace(spec, uplink=opened(spec.uplink), downlink=opened(spec.downlink))


def _page(browser: Browser, url: str, size: tuple[int, int], way: Way) -> Page:
    page = browsers.open_page(browser, url, *size)
    if way.light:
        page.context.add_init_script("window.__recordLight = true;")
    page.context.add_init_script(_RECORDER)
    page.reload()
    return page


def _wanted(caps: Caps, video_bps: int) -> dict[str, float | bool]:
    """What one end of the capped call is told to send."""
    return {
        "audioBps": caps.audio_bps, "red": caps.red, "videoBps": video_bps, "fps": caps.fps,
        "shrink": caps.shrink if video_bps == caps.video_bps else max(caps.shrink, 2), "ptime": 60,
    }  # fmt: skip


@contextmanager
def _tracing(folder: Path) -> Iterator[None]:
    """Let call processes started from here write their traces into the folder."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "UPKENDRA_BENCH_TRACE")}
    paths = [str(HERE / "media_trace"), str(HERE.parents[1]), before["PYTHONPATH"] or ""]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.environ["UPKENDRA_BENCH_TRACE"] = str(folder)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def trace(folder: Path) -> list[dict[str, Any]]:
    """What the call processes wrote there, in the order of time; a line that was cut off is left out."""
    lines = [line for file in folder.glob("call-*.jsonl") for line in file.read_text().splitlines(keepends=True)]
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    return sorted(entries, key=lambda entry: float(entry["t"]))


def _record(page: Page) -> PageRecord:
    """All that the page recorded. Sound and pictures come one kind at a time, being large."""
    ask: Callable[[str], Any] = page.evaluate
    told = ask("window.__recordNow()")
    return msgspec.convert(
        {
            "stills": told["stills"],
            "moments": told["moments"], "stats": told["stats"],
            "received": told["frames"]["received"], "sent": told["frames"]["sent"],
            "pictures": ask("window.__recordPictures()"),
            "heard": ask("window.__recordSound('received')"), "spoken": ask("window.__recordSound('sent')"),
        },
        PageRecord,
        strict=False,
    )  # fmt: skip

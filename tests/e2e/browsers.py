"""Headless Chromium beside the node and beside the hub, and what can be measured from inside a page.

Each browser runs in the namespace of its server and opens it as 127.0.0.1, so that pages are secure
contexts. Pages are measured as an outsider may: through RTCPeerConnection.getStats and a canvas.
"""

import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

from playwright.sync_api import Browser, Page, Playwright, expect

from edge.media.testcard import CLOCK_MODULUS_MS, read_clock
from tests.e2e.report import CallFigures
from tests.kits.clinic import Ground

Numbers: TypeAlias = dict[str, float]

ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]

KEEP_PEERS = """
(() => {
  const Native = window.RTCPeerConnection;
  window.__peers = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...given) { super(...given); window.__peers.push(this); }
  };
})();
"""
"""Runs before the page's own code: remembers every connection, changes none."""

TOTALS = """
async () => {
  const names = ["frames", "freezes", "freeze_s", "samples", "concealed", "energy", "audio_s", "bytes"];
  const sum = {width: 0, height: 0, ...Object.fromEntries(names.map((name) => [name, 0]))};
  for (const peer of window.__peers ?? []) {
    if (peer.connectionState !== "closed") {
      const one = Object.fromEntries(names.map((name) => [name, 0]));
      for (const entry of (await peer.getStats()).values()) {
        if (entry.type !== "inbound-rtp") continue;
        one.bytes += entry.bytesReceived + (entry.headerBytesReceived ?? 0);
        if (entry.kind === "video") {
          one.frames += entry.framesDecoded ?? 0;
          one.freezes += entry.freezeCount ?? 0;
          one.freeze_s += entry.totalFreezesDuration ?? 0;
          sum.width = entry.frameWidth ?? sum.width;
          sum.height = entry.frameHeight ?? sum.height;
        } else {
          one.samples += entry.totalSamplesReceived ?? 0;
          one.concealed += entry.concealedSamples ?? 0;
          one.energy += entry.totalAudioEnergy ?? 0;
          one.audio_s += entry.totalSamplesDuration ?? 0;
        }
      }
      peer.__last = one;
    }
    for (const name of names) sum[name] += peer.__last?.[name] ?? 0;
  }
  return sum;
}
"""
"""Sums over all connections of the page; one that is closed counts as it was last seen."""

READ_CLOCK = """
() => {
  const video = document.querySelector('[data-test="call-video"]');
  if (!video || !video.videoWidth) return null;
  const canvas = document.createElement("canvas");
  canvas.width = 640; canvas.height = 480;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  pen.drawImage(video, 0, 0, 640, 480);
  const unix = Date.now(), blocks = [];
  for (let i = 0; i < 20; i += 1) blocks.push(pen.getImageData(i * 32 + 16, 16, 1, 1).data[1] > 127 ? 1 : 0);
  return [unix, blocks];
}
"""


def launch(playwright: Playwright, ground: Ground, scratch: Path, name: str, more: Sequence[str] = ()) -> Browser:
    """Debian's Chromium on that ground, with ``more`` arguments. Raises FileNotFoundError without one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("chromium is not installed")
    command = ground.argv([chromium])
    wrapper = scratch / f"chromium-{name}"
    wrapper.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in command) + ' "$@"\n')
    wrapper.chmod(0o755)
    return playwright.chromium.launch(executable_path=str(wrapper), headless=True, args=[*ARGUMENTS, *more])


def open_page(browser: Browser, url: str, width: int, height: int) -> Page:
    """A page of a fresh context at that size, with camera and microphone granted."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale="hi-IN", accept_downloads=True)
    context.grant_permissions(["camera", "microphone"], origin=url)
    context.add_init_script(KEEP_PEERS)
    page = context.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=15_000)
    page.goto(url)
    return page


class Meter:
    """Measures what a page's call receives between two moments."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._start_s = time.monotonic()
        self._start = self._totals()

    def _totals(self) -> Numbers:
        return cast(Numbers, self._page.evaluate(TOTALS))

    def frames(self) -> int:
        """Frames decoded since the start."""
        return int(self._totals()["frames"] - self._start["frames"])

    def figures(self) -> CallFigures:
        """What was received since the start."""
        seconds = time.monotonic() - self._start_s
        now = self._totals()
        gained = {name: now[name] - self._start[name] for name in now}
        samples_s = gained["audio_s"] / gained["samples"] if gained["samples"] else 0.0
        return CallFigures(
            seconds=round(seconds, 2),
            frames=int(gained["frames"]),
            fps=round(gained["frames"] / seconds, 2),
            freezes=int(gained["freezes"]),
            freeze_s=round(gained["freeze_s"], 2),
            audio_s=round(gained["audio_s"], 2),
            concealed_s=round(gained["concealed"] * samples_s, 2),
            audio_energy=round(gained["energy"], 6),
            bytes_received=int(gained["bytes"]),
            width=int(now["width"]),
            height=int(now["height"]),
        )


def glass_to_glass_ms(page: Page) -> int | None:
    """Age of the picture on the page by the camera's burnt-in clock; None when no clock can be read in it."""
    seen = page.evaluate(READ_CLOCK)
    if seen is None:
        return None
    unix_ms, blocks = int(seen[0]), [int(block) for block in seen[1]]
    clock_ms = read_clock(blocks)
    return None if clock_ms is None else (unix_ms - clock_ms) % CLOCK_MODULUS_MS


def summary_ms(delays_ms: list[int]) -> tuple[int, int] | None:
    """Median and 95th percentile; None of nothing."""
    if not delays_ms:
        return None
    ordered = sorted(delays_ms)
    return int(statistics.median(ordered)), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]

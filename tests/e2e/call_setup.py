"""From the doctor's click to the first picture, moment by moment, over an emulated link; JSON lines.

``python -m tests.e2e.call_setup LINK [CALLS [RING_S]]`` makes a hub and a node, lets a nurse bring one patient
as far as the token, and calls that many times. Both browsers and both servers run on one clock, so
that moments of both ends can be compared. Needs root.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e import browsers
from tests.e2e.journey import Journey, Plan, control
from tests.e2e.report import Recorder, Report
from tests.kits.cases import SAMPLES
from tests.kits.clinic import Clinic, linked, wait_until
from tests.kits.link import NAMED

WATCH = """
(() => {
  const Native = window.RTCPeerConnection;
  window.__moments = [];
  const note = (what) => window.__moments.push([Date.now(), what]);
  window.RTCPeerConnection = class extends Native {
    constructor(...given) {
      super(...given);
      note("offer here");
      this.addEventListener("iceconnectionstatechange", () => note(`ice ${this.iceConnectionState}`));
      this.addEventListener("connectionstatechange", () => note(`media ${this.connectionState}`));
      let framed = false, heard = false;
      const timer = setInterval(async () => {
        if (this.connectionState === "closed" || (framed && heard)) return clearInterval(timer);
        for (const entry of (await this.getStats()).values()) {
          if (entry.type !== "inbound-rtp") continue;
          if (entry.kind === "video" && entry.framesDecoded > 0 && !framed) { framed = true; note("first picture"); }
          if (entry.kind === "audio" && entry.totalAudioEnergy > 0 && !heard) { heard = true; note("first sound"); }
        }
      }, 40);
    }
    async setLocalDescription(...given) { await super.setLocalDescription(...given); note("answer made"); }
    async addIceCandidate(...given) { note("candidate"); return super.addIceCandidate(...given); }
  };
})();
"""
_SHOWN = ("offer here", "answer made", "ice connected", "media connected", "first sound", "first picture")


def one_call(journey: Journey, tablet: Page, doctor: Page, ring_s: float) -> dict[str, float]:
    """Milliseconds from the doctor's click to each moment. The nurse lets it ring for ``ring_s``."""
    doctor.evaluate("window.__moments = []")
    clicked_ms = time.time() * 1000
    control(doctor, "call").click()
    expect(control(tablet, "call-banner")).to_be_visible(timeout=30_000)
    seen = {"rings": time.time() * 1000 - clicked_ms}
    tablet.wait_for_timeout(ring_s * 1000)
    control(tablet, "call-accept").click()
    seen["accepted"] = time.time() * 1000 - clicked_ms

    def whole() -> bool:
        there = {str(what) for _, what in doctor.evaluate("window.__moments")}
        return {"first picture", "first sound"} <= there

    wait_until(whole, "picture and sound at the doctor", 60, 0.1)
    for at_ms, what in doctor.evaluate("window.__moments"):
        if what in _SHOWN:
            seen.setdefault(str(what), float(at_ms) - clicked_ms)
    seen["picture after accept"] = seen["first picture"] - seen["accepted"]
    journey.end_call()
    return {what: round(ms) for what, ms in seen.items()}


def main(arguments: list[str]) -> None:
    """Command line."""
    name, calls = arguments[0], int(arguments[1]) if len(arguments) > 1 else 3
    ring_s = float(arguments[2]) if len(arguments) > 2 else 0.0
    spec = NAMED[name]
    with tempfile.TemporaryDirectory() as scratch, linked(spec) as link:
        folder = Path(scratch)
        with Clinic(folder, link=link) as clinic, sync_playwright() as playwright:
            tablet = browsers.launch(playwright, clinic.node_ground, folder, "tablet")
            doctor = browsers.launch(playwright, clinic.hub_ground, folder, "doctor")
            tablet_page = browsers.open_page(tablet, clinic.node.url, 1280, 800)
            doctor_page = browsers.open_page(doctor, f"http://127.0.0.1:{clinic.hub_port()}", 1440, 900)
            doctor_page.context.add_init_script(WATCH)
            doctor_page.reload()
            recorder = Recorder(Report(link=name, camera="test", link_emulated=spec is not None), link)
            journey = Journey(clinic, link, recorder, tablet_page, doctor_page, Plan(SAMPLES[0], folder))
            for step, act in journey.steps():
                if step == "doctor calls":
                    break
                act()
            results = []
            for _ in range(calls):
                time.sleep(3)
                results.append(one_call(journey, tablet_page, doctor_page, ring_s))
                print(json.dumps(results[-1]), flush=True)
            medians = {what: statistics.median(one[what] for one in results if what in one) for what in results[0]}
            print(json.dumps({"median of": calls, "link": name, "ring_s": ring_s, **medians}), flush=True)
            doctor.close()
            tablet.close()


if __name__ == "__main__":
    main(sys.argv[1:])

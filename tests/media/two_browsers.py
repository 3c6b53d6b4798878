"""Two Chromiums in a call without a node, over an emulated link. Needs root.

``python -m tests.media.two_browsers RATE_KBPS RTT_MS LOSS_PCT [SECONDS] [ours|stock] [SEED]`` prints what each end
received. ``ours`` steers with ``edge/ui/call/peer_ladder.js``; ``stock`` is a page with 640×480 and nothing else. The
camera is Chromium's moving one, the microphone speaks without a pause (espeak-ng). Descriptions pass beside the link.
"""

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct
from playwright.sync_api import Route, sync_playwright

from tests.e2e.browsers import ARGUMENTS, KEEP_PEERS, TOTALS
from tests.kits.link import Link, LinkSpec, Side

ROOT = Path(__file__).parents[2]
_SPEECH = ROOT / "build" / "two-browsers-speech.wav"
_TEXT = (
    "The patient has had fever for three days, with a cough that is worse at night and some pain behind the eyes. "
    "He takes water but eats little. There is no rash, no bleeding, and he passes urine as usual. The temperature this "
    "morning was thirty eight point six, the pulse one hundred and four, and the saturation ninety seven in room air."
)
_BODY = '<!doctype html><title>peer</title><link rel="icon" href="data:,"><video></video><audio></audio>'
_BEGIN = """
async ([role, offer, ours]) => {
  const kit = ours ? await import("/ui/call/peer_ladder.js") : null;
  const rules = ours ? await kit.loadRules() : null;
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false},
    video: {width: 640, height: 480},
  });
  const pc = window.peer = new RTCPeerConnection();
  for (const track of stream.getTracks()) pc.addTrack(track, stream);
  pc.ontrack = ({track}) => {
    const element = document.querySelector(track.kind);
    element.srcObject = new MediaStream([track]);
    element.play();
    if (track.kind === "video") {
      element.requestVideoFrameCallback(() => { window.firstFrame ??= performance.now() - window.began; });
    }
  };
  window.states = [];
  window.began = performance.now();
  window.take = (type, sdp) => pc.setRemoteDescription({type, sdp: ours ? kit.steerRemote(sdp) : sdp});
  if (role === "callee") await window.take("offer", offer);
  if (ours) {
    window.ladder = new kit.PeerLadder({pc, rules, onState: (state) => window.states.push(state)});
    window.ladder.start();
  }
  await pc.setLocalDescription();
  if (pc.iceGatheringState !== "complete") {
    await new Promise((done) => {
      pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === "complete") done(); };
      setTimeout(done, 3000);
    });
  }
  return pc.localDescription.sdp;
}
"""


class End(Struct, frozen=True):
    """What one end received, and where its own way out stood."""

    fps: float
    frames: int
    width: int
    concealed_pct: float
    first_frame_ms: float
    freeze_s: float
    received_bps: float
    rungs: dict[str, int]
    """Seconds on each rung; empty for a stock page."""
    estimates: list[int]


class Call(Struct, frozen=True):
    """Both ends."""

    seconds: float
    caller: End
    callee: End
    used: float
    """Share of the way caller → callee that was filled, in the second half."""


def _serve(route: Route) -> None:
    path = route.request.url.split("127.0.0.1", 1)[1]
    if path == "/":
        route.fulfill(content_type="text/html", body=_BODY)
        return
    kinds = {".js": "text/javascript", ".json": "application/json"}
    file = ROOT / "edge" / path.lstrip("/")
    route.fulfill(content_type=kinds[file.suffix], body=file.read_bytes())


def peer(role: str, *, ours: bool) -> None:
    """One end: JSON lines on standard input and output, in the order offer, answer, then questions."""

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)

    arguments = [*ARGUMENTS, "--disable-features=WebRtcHideLocalIpsWithMdns"]
    arguments.append(f"--use-file-for-fake-audio-capture={_SPEECH}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page()
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.on("console", lambda message: print(message.text, file=sys.stderr))
        page.add_init_script(KEEP_PEERS)
        page.route("http://127.0.0.1/**", _serve)
        page.goto("http://127.0.0.1/")
        say({})
        offer = json.loads(sys.stdin.readline())["sdp"] if role == "callee" else ""
        if role == "caller":
            sys.stdin.readline()
        say({"sdp": page.evaluate(_BEGIN, [role, offer, ours])})
        if role == "caller":
            answer = json.loads(sys.stdin.readline())["sdp"]
            page.evaluate("window.began = performance.now()")
            page.evaluate("(sdp) => window.take('answer', sdp)", answer)
        for _ in sys.stdin:
            totals = page.evaluate(TOTALS)
            say({**totals, "first": page.evaluate("window.firstFrame ?? -1"), "states": page.evaluate("window.states")})
        browser.close()


class _Process:
    def __init__(self, end: Side, role: str, *, ours: bool) -> None:
        command = [sys.executable, "-m", "tests.media.two_browsers", "--peer", role, "ours" if ours else "stock"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(end.argv(command), stdin=pipe, stdout=pipe, cwd=ROOT, text=True)

    def say(self, message: dict[str, Any]) -> None:
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(message) + "\n")
        stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a browser ended early")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@functools.cache
def make_speech() -> Path:
    """A file with half a minute of speech."""
    _SPEECH.parent.mkdir(exist_ok=True)
    command = ["espeak-ng", "-v", "en", "-s", "150", "-w", str(_SPEECH), _TEXT]
    subprocess.run(command, check=True, capture_output=True)
    return _SPEECH


@contextlib.contextmanager
def _both(link: Link, *, ours: bool) -> Iterator[tuple[_Process, _Process]]:
    caller, callee = _Process(link.left, "caller", ours=ours), _Process(link.right, "callee", ours=ours)
    try:
        yield caller, callee
    finally:
        caller.end()
        callee.end()


def run(rate_kbps: float, rtt_ms: float, loss_pct: float, seconds: float, *, ours: bool, seed: int = 1) -> Call:
    """Make the call; the measured time begins when the caller has its answer."""
    make_speech()
    spec = LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=loss_pct, seed=seed)
    with Link(spec) as link, _both(link, ours=ours) as (caller, callee):
        caller.hear(), callee.hear()
        caller.say({})
        callee.say({"sdp": str(caller.hear()["sdp"])})
        caller.say({"sdp": str(callee.hear()["sdp"])})
        time.sleep(seconds / 2)
        half_bytes = link.stats().uplink.sent_bytes
        time.sleep(seconds / 2)
        used = (link.stats().uplink.sent_bytes - half_bytes) * 8 / (rate_kbps * 1000 * seconds / 2)
        callee.say({})
        caller.say({})
        return Call(seconds, _end(caller.hear(), seconds), _end(callee.hear(), seconds), round(used, 3))


def _end(seen: dict[str, Any], seconds: float) -> End:
    names = [state["rung"] for state in seen["states"]]
    return End(
        fps=round(seen["frames"] / seconds, 2),
        frames=seen["frames"],
        width=seen["width"],
        concealed_pct=round(100 * seen["concealed"] / max(seen["samples"], 1), 2),
        first_frame_ms=round(seen["first"]),
        freeze_s=round(seen["freeze_s"], 2),
        received_bps=round(seen["bytes"] * 8 / seconds),
        rungs={name: names.count(name) for name in dict.fromkeys(names)},
        estimates=[state["estimateBps"] for state in seen["states"]],
    )


def main(arguments: list[str]) -> None:
    """Command line."""
    if arguments[0] == "--peer":
        peer(arguments[1], ours=arguments[2] == "ours")
        return
    rate, rtt, loss = map(float, arguments[:3])
    seconds = float(arguments[3]) if len(arguments) > 3 else 30.0
    ours = len(arguments) < 5 or arguments[4] == "ours"
    seed = int(arguments[5]) if len(arguments) > 5 else 1
    print(msgspec.json.encode(run(rate, rtt, loss, seconds, ours=ours, seed=seed)).decode())


if __name__ == "__main__":
    main(sys.argv[1:])

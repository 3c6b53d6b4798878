"""One end of a stock call: headless Chromium with its fake camera, as a web page would use it. JSON lines.

``python -m tests.bench.stock_peer caller|callee``: the caller prints its offer and reads an answer, the callee
reads an offer and prints its answer; then a line in asks for the figures, the end of input ends it.
640×480 both ways, no limits set, candidates in the description.
"""

import json
import sys

from playwright.sync_api import sync_playwright

from tests.e2e.browsers import ARGUMENTS, KEEP_PEERS, TOTALS

_BODY = "<video></video><audio></audio>"
_PAGE = """
async ([role, offer]) => {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480}});
  const peer = window.peer = new RTCPeerConnection();
  for (const track of stream.getTracks()) peer.addTrack(track, stream);
  peer.ontrack = ({track}) => {
    const element = document.querySelector(track.kind);
    element.srcObject = new MediaStream([track]);
    element.play();
    if (track.kind === "video") {
      element.requestVideoFrameCallback(() => { window.firstFrame ??= performance.now() - window.began; });
    }
  };
  window.began = performance.now();
  if (role === "callee") await peer.setRemoteDescription({type: "offer", sdp: offer});
  await peer.setLocalDescription();
  if (peer.iceGatheringState !== "complete") {
    await new Promise((done) => {
      peer.onicegatheringstatechange = () => { if (peer.iceGatheringState === "complete") done(); };
      setTimeout(done, 3000);
    });
  }
  return peer.localDescription.sdp;
}
"""


def main(role: str) -> None:
    """Speak the protocol of the first paragraph on standard input and output."""
    arguments = [*ARGUMENTS, "--disable-features=WebRtcHideLocalIpsWithMdns"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page()
        page.add_init_script(KEEP_PEERS)
        page.route("http://127.0.0.1/", lambda route: route.fulfill(content_type="text/html", body=_BODY))
        page.goto("http://127.0.0.1/")
        offer = json.loads(sys.stdin.readline())["sdp"] if role == "callee" else ""
        print(json.dumps({"sdp": page.evaluate(_PAGE, [role, offer])}), flush=True)
        if role == "caller":
            answer = json.loads(sys.stdin.readline())["sdp"]
            page.evaluate("window.began = performance.now()")
            page.evaluate("(sdp) => window.peer.setRemoteDescription({type: 'answer', sdp})", answer)
        for _ in sys.stdin:
            figures = page.evaluate(TOTALS)
            print(json.dumps({**figures, "first_frame_ms": page.evaluate("window.firstFrame ?? -1")}), flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])

"""A call on thin links: ours, and a stock call between two Chromiums on the same emulated link.

Ours: the call process left of the link, the doctor's page right of it; it is not told the rate. Stock: a page
with getUserMedia at 640×480 both ways and nothing else, as a web service does it; its sender shows Chromium's
fake camera, ours the test card, so frames may be compared, not their looks. One seed a link here; medians of
seeds, speech quality and the capped peer belong to the issue "Live". Needs root.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.bench.rows import Row
from tests.kits.link import Link, LinkSpec, Side
from tests.media import thin

ROOT = Path(__file__).parents[2]
LINKS = ((128, 300, 2.0), (64, 400, 2.0), (32, 600, 2.0))
"""Rate in kbit/s, round trip in ms, loss in per cent."""
SECONDS = 30.0

Figures = dict[str, float]


class _Peer:
    def __init__(self, end: Side, role: str) -> None:
        command = [sys.executable, "-m", "tests.bench.stock_peer", role]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(
            end.argv(command), stdin=pipe, stdout=pipe, stderr=nowhere, cwd=ROOT, text=True
        )

    def say(self, message: dict[str, str]) -> None:
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(message) + "\n")
        stdin.flush()

    def hear(self) -> dict[str, object]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a stock browser ended early")
        heard: dict[str, object] = json.loads(line)
        return heard

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def stock(rate_kbps: float, rtt_ms: float, loss_pct: float, seconds: float, seed: int) -> Figures:
    """What the right-hand Chromium received in ``seconds`` after the answer was given."""
    spec = LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=loss_pct, seed=seed)
    with Link(spec) as link:
        caller, callee = _Peer(link.left, "caller"), _Peer(link.right, "callee")
        try:
            callee.say({"sdp": str(caller.hear()["sdp"])})
            caller.say({"sdp": str(callee.hear()["sdp"])})
            time.sleep(seconds)
            callee.say({})
            return {name: float(str(value)) for name, value in callee.hear().items()}
        finally:
            caller.end()
            callee.end()


def run() -> list[Row]:
    """All links; ours first, then the stock call."""
    print(
        f"media: {SECONDS:.0f} s a call, getStats at the doctor's page; frames a second over the whole call from its\n"
        "beginning; concealed = share of the sound that the receiver made up; peer = stock Chromium to Chromium",
        file=sys.stderr,
    )
    rows: list[Row] = []
    for rate, rtt, loss in LINKS:
        name = f"{rate} kbit/s, {rtt} ms, {loss:g} %"
        ours = thin.run(rate, rtt, loss, SECONDS)
        other = stock(rate, rtt, loss, SECONDS, 1)
        fps, other_fps = ours.frames / SECONDS, other["frames"] / SECONDS
        other_concealed = 100 * other["concealed"] / max(other["samples"], 1)
        rows += [
            Row(f"{name}: frames", round(fps, 2), "1/s", round(other_fps, 2), _ratio(fps, other_fps)),
            Row(
                f"{name}: sound concealed", ours.concealed_pct, "%", round(other_concealed, 2),
                _ratio(ours.concealed_pct, other_concealed),
            ),
            Row(f"{name}: first frame", ours.first_frame_ms, "ms", round(other["first_frame_ms"])),
            Row(f"{name}: frozen", ours.freeze_s, "s", round(other["freeze_s"], 2)),
            Row(f"{name}: glass to glass", ours.glass_to_glass_ms, "ms"),
        ]  # fmt: skip
    return rows


def _ratio(ours: float, other: float) -> float | None:
    return round(ours / other, 3) if other else None

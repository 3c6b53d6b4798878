"""One call over an emulated link, measured at both ends; prints a JSON object. Needs root.

``python -m tests.media.thin RATE_KBPS RTT_MS LOSS_PCT [SECONDS] [CAMERA] [OUTAGE_START_S OUTAGE_S]``

The call process sits on the left of the link, the doctor's browser on the right. Signals pass
beside the link, as they have a path of their own (the sync link).
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

from msgspec import Struct
from msgspec import json as msgspec_json

from tests.kits.link import Link, LinkSpec
from tests.media.room import KEEP_CONNECTIONS, browsing, calling, glass_to_glass_ms, open_page

_REPEATED = """async () => {
  let repeated = 0;
  for (const one of window.connections) {
    for (const entry of (await one.getStats()).values())
      if (entry.kind === "video") repeated += entry.retransmittedPacketsReceived ?? 0;
  }
  return repeated;
}"""


class Thin(Struct, frozen=True):
    """What was measured."""

    seconds: float
    fps: float
    """Decoded frames a second at the doctor's, over the whole call from the first frame."""
    frames: int
    first_frame_ms: float
    freezes: int
    freeze_s: float
    concealed_pct: float
    """Of the sound the doctor heard."""
    audio_s: float
    node_audio_s: float
    """Seconds of the doctor's sound that the node received."""
    node_concealed_s: float
    node_level_db: float
    glass_to_glass_ms: float
    rungs: dict[str, int]
    """Seconds spent on each rung."""
    states: dict[str, int]
    attempts: int
    estimate_bps: int
    sizes: list[str]
    own_video_s: int
    recv_bps: float
    """At the doctor's, median of the seconds."""
    ended: list[str]
    """Why attempts ended."""
    last_state: str
    last_fps: float
    repeated: int
    """Packets of the picture that came by being sent again."""


async def measure(wrapper: list[str], seconds: float, camera: str, encoder: str) -> Thin:
    """Make the call in this namespace, with the call process run by ``wrapper``."""
    delays: list[int] = []
    rates: list[float] = []
    sizes: list[str] = []
    own_video = 0
    async with browsing() as browser, calling(camera, wrapper=wrapper, encoder=encoder) as room:
        page = await open_page(browser, f"{room.url}/doctor", KEEP_CONNECTIONS)
        await page.wait_for_function("window.call && window.call.attempt >= 0", timeout=20_000)
        for _ in range(round(seconds)):
            await asyncio.sleep(1)
            delay = await glass_to_glass_ms(page)
            if delay is not None:
                delays.append(delay)
            now = await page.evaluate("window.call.stats()")
            rates.append(now["recvBps"])
            own_video += now["ownVideo"]
            size = f"{now['width']}x{now['height']}"
            if not sizes or sizes[-1] != size:
                sizes.append(size)
            print(json.dumps({k: round(v, 1) if isinstance(v, float) else v for k, v in now.items()}), file=sys.stderr)
            if room.stats:
                print("  ", room.stats[-1], file=sys.stderr)
        figures = await page.evaluate("window.call.stats()")
        last = room.stats[-1]
        shown_s = max(seconds - (figures["firstFrameMs"] or 0) / 1000, 1.0)
        return Thin(
            seconds=seconds,
            fps=round(figures["frames"] / shown_s, 2),
            frames=figures["frames"],
            first_frame_ms=round(figures["firstFrameMs"] or -1),
            freezes=figures["freezes"],
            freeze_s=round(figures["freezeS"], 2),
            concealed_pct=round(figures["concealedPct"], 2),
            audio_s=round(figures["audioS"], 1),
            node_audio_s=last.audio_s,
            node_concealed_s=last.concealed_s,
            node_level_db=last.audio_level_db,
            glass_to_glass_ms=round(statistics.median(delays)) if delays else -1,
            rungs={rung: [s.rung for s in room.stats].count(rung) for rung in sorted({s.rung for s in room.stats})},
            states={state: [s.state for s in room.stats].count(state) for state in {s.state for s in room.stats}},
            attempts=room.state.attempt + 1,
            estimate_bps=last.estimate_bps,
            sizes=sizes,
            own_video_s=own_video,
            recv_bps=round(statistics.median(rates)),
            ended=[end.reason for end in room.ended],
            last_state=last.state,
            last_fps=round(figures["fps"], 1),
            repeated=await page.evaluate(_REPEATED),
        )


def run(
    rate_kbps: float,
    rtt_ms: float,
    loss_pct: float,
    seconds: float = 30,
    camera: str = "test",
    outages: tuple[tuple[float, float], ...] = (),
    seed: int = 1,
    encoder: str = "vp8",
) -> Thin:
    """Make a call over an emulated link. Blocks; raises RuntimeError with the inner output when it fails."""
    spec = LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=loss_pct, outages=outages, seed=seed)
    with Link(spec) as link:
        inner = [
            sys.executable,
            "-m",
            "tests.media.thin",
            "--inner",
            str(seconds),
            camera,
            encoder,
            *link.left.argv([]),
        ]
        with TemporaryFile() as log:
            done = subprocess.run(
                link.right.argv(inner),
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                timeout=seconds + 60,
                check=False,
            )
            log.seek(0)
            story = log.read().decode()
    if done.returncode != 0:
        raise RuntimeError(story[-4000:])
    if os.environ.get("UPKENDRA_THIN_VERBOSE"):
        print(story, file=sys.stderr)
    return msgspec_json.decode(done.stdout.splitlines()[-1], type=Thin)


def main(arguments: list[str]) -> None:
    """Command line."""
    if arguments[0] == "--inner":
        result = asyncio.run(measure(arguments[4:], float(arguments[1]), arguments[2], arguments[3]))
        print(msgspec_json.encode(result).decode())
        return
    rate, rtt, loss, *rest = arguments
    outages = ((float(rest[2]), float(rest[3])),) if len(rest) > 3 else ()
    camera = rest[1] if len(rest) > 1 else "test"
    result = run(float(rate), float(rtt), float(loss), float(rest[0]) if rest else 30.0, camera, outages)
    print(msgspec_json.format(msgspec_json.encode(result)).decode())


if __name__ == "__main__":
    main(sys.argv[1:])

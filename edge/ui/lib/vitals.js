// @ts-check
// The measurements of a visit as they stand: the newest of each, as the rules take them (edge/model/triage.py), and
// what of a form the record does not say yet.

/** @typedef {import("../api").Visit["vitals"][number]} Round */
/** @typedef {import("../api").Vitals} Vitals */

/** What is measured in one go is recorded together. */
const PAIR = ["sbp", "dbp"];

const same = (/** @type {unknown} */ one, /** @type {unknown} */ two) => JSON.stringify(one) === JSON.stringify(two);

/**
 * The newest reading of each vital, and the round that it comes from.
 * @param {Round[]} rounds @returns {Vitals & {from: Map<string, Round>, avpuFrom: Round|null}}
 */
export function latestVitals(rounds) {
  /** @type {Map<string, import("../api").Reading>} */
  const readings = new Map();
  /** @type {Map<string, Round>} */
  const from = new Map();
  /** @type {Set<string>} */
  const left = new Set();
  let avpu = "";
  let avpuFrom = /** @type {Round|null} */ (null);
  let oxygen = /** @type {boolean|null} */ (null);
  for (const round of [...rounds].sort((one, two) => one.at_ms - two.at_ms)) {
    for (const id of round.vitals.not_done) left.add(id);
    for (const reading of round.vitals.readings) {
      readings.set(reading.vital, reading);
      from.set(reading.vital, round);
    }
    if (round.vitals.avpu) [avpu, avpuFrom] = [round.vitals.avpu, round];
    oxygen = round.vitals.oxygen ?? oxygen;
  }
  return { readings: [...readings.values()], avpu, oxygen, not_done: [...left].filter((id) => !readings.has(id)), from, avpuFrom };
}

/** What of a round was not said before: who measures one thing again has not measured the others again. @param {Vitals} now @param {Vitals} before @returns {Vitals} */
export function newVitals(now, before) {
  const changed = now.readings.filter((one) => !before.readings.some((said) => same(said, one))).map((one) => one.vital);
  const paired = PAIR.some((id) => changed.includes(id)) ? PAIR : [];
  return {
    readings: now.readings.filter((one) => changed.includes(one.vital) || paired.includes(one.vital)),
    avpu: now.avpu === before.avpu ? "" : now.avpu,
    oxygen: now.oxygen === before.oxygen ? null : now.oxygen,
    not_done: now.not_done.filter((id) => !before.not_done.includes(id)),
  };
}

/** @param {Vitals} vitals */
export const saysNothing = ({ readings, avpu, oxygen, not_done }) => readings.length + not_done.length === 0 && !avpu && oxygen === null;

// @ts-check
// Units of the reference (UCUM) as people write them.

/** @type {Record<string, string>} */
const WRITTEN = { "mm[Hg]": "mmHg", Cel: "°C", "{score}": "/10", "kg/m2": "kg/m²" };

/** @param {string|undefined} unit */
export const unitText = (unit) => (unit ? (WRITTEN[unit] ?? unit) : "");

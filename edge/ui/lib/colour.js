// @ts-check
// The one thing about a visit that the API leaves to its readers.

const STRENGTH = { not_triaged: 0, green: 1, yellow: 2, red: 3 };

/** What the queue goes by: the stronger of rules and staff. @param {import("../api").Visit} visit */
export function colourOf(visit) {
  const rules = visit.triage.colour;
  const staff = visit.staff_colour;
  return staff && STRENGTH[staff] > STRENGTH[rules] ? staff : rules;
}

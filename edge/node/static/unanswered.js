// @ts-check
// Whether an emergency waits for a doctor who does not come: after a minute the page says so and what to do.

const PATIENCE_MS = 60_000;

/**
 * How long nobody has answered, in ms; 0 while there is no reason to say so.
 * @param {{queued_ms: number, opened_ms: number, seen_ms: number, doctor_id: string, calls: unknown[], prescriptions: unknown[], state: string}} visit
 * @param {number} nowMs of the node's clock
 */
export function unansweredMs(visit, nowMs) {
  const answered = visit.doctor_id || visit.seen_ms || visit.calls.length > 0 || visit.prescriptions.length > 0 || visit.state === "in_call";
  const waited = nowMs - (visit.queued_ms || visit.opened_ms);
  return answered || waited < PATIENCE_MS ? 0 : waited;
}

// @ts-check
// Whether an emergency waits for a doctor who does not come: after a minute the page says so and what to do.

const PATIENCE_MS = 60_000;

/** An entry's stamp holds its time in ms above 16 bits. */
const STAMP = 65_536;

/**
 * How long nobody has answered, in ms; 0 while there is no reason to say so. A doctor who has taken the visit has
 * answered. One who only opened the record, was spoken with in a call that is over, or put the visit back, has not:
 * the minute begins anew with that.
 * @param {{queued_ms: number, opened_ms: number, seen_ms: number, doctor_name: string, calls: {ended_ms: number, video_s: number, audio_s: number}[], prescriptions: unknown[], state: string, stamps?: Record<string, number>}} visit
 * @param {number} nowMs of the node's clock
 */
export function unansweredMs(visit, nowMs) {
  if (visit.doctor_name || visit.prescriptions.length > 0 || visit.state === "in_call") return 0;
  const spoken = visit.calls.filter((call) => call.audio_s > 0 || call.video_s > 0).map((call) => call.ended_ms);
  const putBack = Math.floor((visit.stamps?.doctor ?? 0) / STAMP);
  const since = nowMs - Math.max(visit.queued_ms || visit.opened_ms, visit.seen_ms, putBack, ...spoken);
  // Written under a clock that ran ahead and was put right since: nobody knows for how long, so it is said.
  const waited = since < -PATIENCE_MS ? PATIENCE_MS : since;
  return waited < PATIENCE_MS ? 0 : waited;
}

// @ts-check
// What the console knows: the doctor, the queue over all nodes, the record on the screen.
import { signal } from "/ui/lib/dom.js";
import { get, setCsrf } from "/ui/lib/http.js";

export { errorText, refusalText } from "/ui/lib/errors.js";

/** @typedef {{doctor_id: string, name: string, registration: string, qualification: string}} Doctor */
/** @typedef {import("/ui/api").QueueItem & {site_code: string, site_name: string, node_online: boolean, last_ack_age_s: number|null, waited_s: number, home?: boolean}} HubItem */
/** @typedef {{visit_id: string, signed_ms: number, doctor_name: string, diagnosis: string, diagnosis_code: string, provisional: boolean, medicines: {generic: string, strength: string, runs: boolean}[]}} EarlierPaper a prescription of another visit that stands */
/** @typedef {{visit: import("/ui/api").Visit & {thirds?: import("/ui/api").Third[]}, patient: import("/ui/api").Patient|null, patient_age: string, site: any, prescriptions: import("/ui/api").Prescription[], calls: {call_id: string, ended_because: string}[], earlier: import("/ui/api").Visit[], earlier_papers: EarlierPaper[], sync: {item: string, state: string, at_ms: number}[], now_ms: number, workers: import("/ui/api").Staff[], standing?: import("/ui/api").Stands[]}} HubRecord */

export const doctor = signal(/** @type {Doctor|null} */ (null));
/** False after a restart of the hub: signing then asks for the password. */
export const canSign = signal(true);
/** Whether early copies come by SMS. */
export const smsFitted = signal(false);
/** Somebody else has seen this log-in: it has to be replaced before anything else. */
export const given = signal(false);
/** Recovery codes that were not used. */
export const codesLeft = signal(0);
export const queue = signal(/** @type {HubItem[]|null} */ (null));
/** The visit that the doctor looks at; "" for none. */
export const chosen = signal("");
export const record = signal(/** @type {HubRecord|null} */ (null));

/** What this person may do at the hub: hub/permits.py. */
export const roles = signal(/** @type {string[]} */ ([]));
/** Whether this person treats patients: everything else than figures and coordination is for those. */
export const treats = () => roles.value.some((role) => role === "doctor" || role === "specialist");

/** @param {any} reply */
export function enter(reply) {
  setCsrf(reply.csrf ?? "");
  canSign.value = reply.can_sign !== false;
  smsFitted.value = reply.sms_fitted === true;
  roles.value = reply.roles ?? [];
  given.value = reply.given === true;
  codesLeft.value = reply.codes_left ?? 0;
  doctor.value = reply.doctor;
  keepHere("1");
}

/** @param {string} value */
export function keepHere(value) {
  try {
    sessionStorage.setItem("upk-here", value);
  } catch {
    // without storage a reload asks for the log-in again
  }
}
export const wasHere = () => kept("upk-here") === "1";

/** Which call this tab is in, so that a reload takes it up again: random names, nothing of a patient. @param {string} value */
export function keepCall(value) {
  try {
    sessionStorage.setItem("upk-call", value);
  } catch {
    // without storage a reload ends the call
  }
}
export const keptCall = () => kept("upk-call");

/** Which three-way call this tab is in, and the last attempt of its second leg. @param {string} value */
export function keepThird(value) {
  try {
    sessionStorage.setItem("upk-third", value);
  } catch {
    // without storage a reload takes one touch more
  }
}
export const keptThird = () => kept("upk-third");

/** @param {string} name */
function kept(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** Questions in the order in which they were put: the reply to an earlier one shows an older state. */
let asked = 0;
const taken = { queue: 0, record: 0 };

export async function loadQueue() {
  const mine = ++asked;
  const reply = await get("/api/queue");
  if (mine < taken.queue) return;
  taken.queue = mine;
  queue.value = reply.items;
}

/** @param {string} visitId */
export async function loadRecord(visitId) {
  const mine = ++asked;
  const reply = await get(`/api/visits/${visitId}`);
  if (chosen.value !== visitId || mine < taken.record) return;
  taken.record = mine;
  record.value = reply;
}

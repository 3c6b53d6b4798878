// @ts-check
// What the console knows: the doctor, the queue over all nodes, the record on the screen.
import { signal } from "/ui/lib/dom.js";
import { ApiError, get, setCsrf } from "/ui/lib/http.js";
import { known, t } from "/ui/lib/l10n.js";

/** @typedef {{doctor_id: string, name: string, registration: string, qualification: string}} Doctor */
/** @typedef {import("/ui/api").QueueItem & {site_code: string, site_name: string, node_online: boolean, last_ack_age_s: number|null, waited_s: number}} HubItem */
/** @typedef {{visit: import("/ui/api").Visit, patient: import("/ui/api").Patient|null, patient_age: string, site: any, prescriptions: import("/ui/api").Prescription[], sync: {item: string, state: string}[]}} HubRecord */

export const doctor = signal(/** @type {Doctor|null} */ (null));
/** False after a restart of the hub: signing then asks for the password. */
export const canSign = signal(true);
export const queue = signal(/** @type {HubItem[]|null} */ (null));
/** The visit that the doctor looks at; "" for none. */
export const chosen = signal("");
export const record = signal(/** @type {HubRecord|null} */ (null));

/** @param {any} reply */
export function enter(reply) {
  setCsrf(reply.csrf ?? "");
  canSign.value = reply.can_sign !== false;
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
export function wasHere() {
  try {
    return sessionStorage.getItem("upk-here") === "1";
  } catch {
    return false;
  }
}

export async function loadQueue() {
  const reply = await get("/api/queue");
  queue.value = reply.items;
}

/** @param {string} visitId */
export async function loadRecord(visitId) {
  const reply = await get(`/api/visits/${visitId}`);
  if (chosen.value !== visitId) return;
  record.value = reply;
}

/** What went wrong and what to do. @param {unknown} error */
export function errorText(error) {
  if (!(error instanceof ApiError)) return t("error-other", { detail: String(error) });
  const id = `error-${error.code.replaceAll("_", "-")}`;
  return known(id) ? t(id) : t("error-other", { detail: error.message });
}

// @ts-check
// What the page knows: who is logged in, the family, when doctors sit, the visit on the screen. Nothing of a record stays
// in the browser.
import { signal } from "/ui/lib/dom.js";
import { ApiError, api, get, post, setCsrf } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";

/** @typedef {{villages: string, phone: string, days: string, opens: string, closes: string, lat: number|null, lon: number|null}} Place */
/** @typedef {{node_id: string, name: string, district: string, block: string, place: Place}} Centre */
/** @typedef {{name: string, count: number}} Group */
/** @typedef {{items: Centre[], more: number, districts: Group[], blocks: Group[], placed: number}} Centres */
/** @typedef {{good_s: number, digits: number, sent: boolean}} CodeAsked */
/** @typedef {{name: string, phone: string, email: string}} Officer */
/** @typedef {{open: boolean, opens_ms: number, grievance: Officer|null, demo: boolean, now_ms: number}} Opening */
/** @typedef {{visit_id: string, patient_id: string, state: string, colour: import("/ui/api").Colour, token: string, opened_ms: number, closed_ms: number, answered: boolean}} Line */
/** @typedef {{mobile: string, csrf: string, language: "hi"|"en", centre: string, centre_name: string, people: import("/ui/api").Patient[], visits: Line[], now_ms: number}} Family */
/** @typedef {{name: string, how_hi: string, how_en: string}} Medicine */
/** @typedef {{prescription_id: string, signed_ms: number, doctor_name: string, registration: string, diagnosis: string, medicines: Medicine[], advice: string, follow_up: string, cancels: boolean, stands: import("/ui/api").Stands, kept: boolean}} Paper */
/** @typedef {import("/ui/api").Visit & {patient: import("/ui/api").Patient, colour: import("/ui/api").Colour, day_pass: string, token_today: boolean, missed: number, place: number, speciality: string, doctor_qualification: string, doctor_registration: string, photos: import("/ui/api").MediaItem[], papers: Paper[], now_ms: number}} HomeVisit */

export const API = "/home/api";
/** States in which a visit goes on. */
export const OPEN = ["draft", "triaged", "waiting", "in_call", "rx_pending", "rx_ready", "no_show"];
const TRIES = 5;

export const family = signal(/** @type {Family|null} */ (null));
export const opening = signal(/** @type {Opening|null} */ (null));
export const visit = signal(/** @type {HomeVisit|null} */ (null));
export const route = signal(location.hash);
window.addEventListener("hashchange", () => (route.value = location.hash));

/** @param {string} to */
export function go(to) {
  location.hash = to;
}

/** The visit of the address, "" for none. */
export const routedVisit = () => /^#\/visit\/([0-9a-z]{16})$/.exec(route.value)?.[1] ?? "";

/** Whether this telephone was logged in when the page was closed: otherwise nothing is asked that would be refused. */
export function wasHere() {
  try {
    return localStorage.getItem("upk-home-here") === "1";
  } catch {
    return true;
  }
}

/** @param {Family|null} found */
export function enter(found) {
  setCsrf(found?.csrf ?? "");
  try {
    localStorage.setItem("upk-home-here", found ? "1" : "");
  } catch {
    // without storage the page asks each time
  }
  family.value = found;
  if (!found) visit.value = null;
}

export const loadOpening = async () => (opening.value = await get(`${API}/opening`));
export const loadFamily = async () => enter(await get(`${API}/session`));

/** Questions in the order in which they were put: the reply to an earlier one shows an older state. */
let asked = 0;
let taken = 0;

/** @param {string} visitId */
export async function loadVisit(visitId) {
  const mine = ++asked;
  const found = await get(`${API}/visits/${visitId}`);
  if (routedVisit() !== visitId || mine < taken) return;
  taken = mine;
  visit.value = found;
}

/** Send something again until the hub has answered; it is recorded once. @param {() => Promise<any>} send */
export async function surely(send) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof ApiError) || !error.unreachable || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * tries));
    }
  }
}

/** Give a command. @param {{type: string, [field: string]: unknown}} body @returns {Promise<{ok: boolean, error?: unknown}>} */
export async function submit(body) {
  const full = { ...body, command_id: newId() };
  try {
    await surely(() => post(`${API}/commands`, full));
    return { ok: true };
  } catch (error) {
    return { ok: false, error };
  }
}

/** A photo with its small picture before it. @param {string} visitId @param {Blob} preview @param {Blob} photo */
export function sendPhoto(visitId, preview, photo) {
  const path = `${API}/visits/${visitId}/photos/${newId()}?preview_bytes=${preview.size}`;
  return surely(() => api("PUT", path, new Blob([preview, photo]), { timeout_ms: 60_000 }));
}

/** Kept in this tab only: which call goes on. @param {string} value */
export function keepCall(value) {
  try {
    sessionStorage.setItem("upk-home-call", value);
  } catch {
    // without storage a reload ends the call
  }
}
export function keptCall() {
  try {
    return sessionStorage.getItem("upk-home-call") ?? "";
  } catch {
    return "";
  }
}

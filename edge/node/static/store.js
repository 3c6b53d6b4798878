// @ts-check
// What the tablet's page knows: the node, who is logged in, the queue, the visit on the screen.
// Everything here is a copy of what the node says, in memory only. What the browser's storage holds of a patient is what the node
// does not have yet, sealed (sealed.js).
import { afterPicture } from "/ui/lib/answer.js";
import { computed, signal } from "/ui/lib/dom.js";
import { get, post, setCsrf } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { language } from "/ui/lib/l10n.js";
import { keepOpener, tabletSecret } from "./dayslot.js";

/** @typedef {import("/ui/api").NodeStatus} NodeStatus */
/** @typedef {import("/ui/api").Staff} Staff */
/** @typedef {import("/ui/api").QueueItem} QueueItem */
/** @typedef {import("/ui/api").Visit} Visit */
/** @typedef {import("/ui/api").Patient} Patient */
/** @typedef {{state: string, at_ms: number}} Line */
/** @typedef {Line & {item: string, subject: string, parts: {unsealed: number, sealed: number, level_1: number, level_2: number}}} ItemLine */
/** @typedef {{visit: Visit, patient: Patient, sync: ItemLine[], line: Line|null}} VisitRecord */
/** @typedef {{call_id: string, visit_id: string, doctor_name: string, camera?: string, state?: string}} CallInfo */

/** @template T @typedef {import("/ui/vendor/signals.js").Signal<T>} Signal */

/** @type {Signal<NodeStatus|null>} */
export const status = signal(null);
/** @type {Signal<Staff|null>} */
export const staff = signal(null);
/** Everybody who may log in here; null before it was asked. @type {Signal<Staff[]|null>} */
export const people = signal(null);
export async function loadPeople() {
  people.value = await get("/api/staff");
}
/** The name of a staff member by id in the page's language; "" when it is not known. @param {string} id */
export function staffName(id) {
  const found = people.value?.find((one) => one.staff_id === id);
  return found ? (language.value === "hi" ? found.name_hi || found.name : found.name) : "";
}
/** @type {Signal<QueueItem[]|null>} */
export const queue = signal(null);
/** Who worked here when the tablet locked itself: asked for the PIN first. @type {Signal<import("/ui/api").Staff|null>} */
export const lockedOut = signal(null);
/** @type {Signal<VisitRecord|null>} */
export const record = signal(null);
/** Names this page among the tablets of the node; as long-lived as the tab. */
export const tablet = keptInTab("upk-tablet") || newId();
keepInTab("upk-tablet", tablet);

/** A word about the tab itself that outlives a reload. Never anything of a patient. @param {string} name */
export function keptInTab(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}
/** @param {string} name @param {string} value */
export function keepInTab(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // without storage a reload asks for the PIN again
  }
}
/** Whether somebody logged in on this tab, so that asking for the session makes sense. */
export const wasHere = () => keptInTab("upk-here") === "1";
export const forgetHere = () => keepInTab("upk-here", "");

/** Where we are: `#/visit/<id>/step/<step>` → ["visit", id, "step", step]. @type {Signal<string[]>} */
export const route = signal(readRoute());
function readRoute() {
  return location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
}
window.addEventListener("hashchange", () => afterPicture(() => {
  route.value = readRoute();
  window.scrollTo(0, 0);
}));
/** Where we go when the touch is answered; "" for nowhere. */
let target = "";
/** Whether another screen than the one that is shown is on its way. */
export const leaving = () => target !== "" || readRoute().join("/") !== route.value.join("/");
/** To another screen, once the touch that leads there is answered. @param {string} path */
export function go(path) {
  if (!target) afterPicture(arrive);
  target = path;
}
function arrive() {
  const [path, here] = [target, location.hash === `#${target}`];
  target = "";
  if (!path) return; // another way was taken meanwhile
  // Not by location.hash: it lays the page out to look for a place of that name in it, 40 ms of a slow tablet.
  if (!here) history.pushState(null, "", `#${path}`);
  route.value = readRoute();
  if (!here) window.scrollTo(0, 0);
}
/** Go on from a form that is done: the back button does not lead into it again. @param {string} path */
export function goOn(path) {
  target = "";
  history.replaceState(null, "", `#${path}`);
  route.value = readRoute();
  window.scrollTo(0, 0);
}

export const loggedIn = computed(() => staff.value !== null && status.value !== null && !status.value.locked);

/** The node's own time now, by its last word: the tablet's clock may be wrong. */
export const nodeNow = () => status.value?.time_ms ?? Date.now();

export async function loadStatus() {
  status.value = await get("/api/status");
}

/** Take over a reply of the session endpoints. @param {any} reply */
export function enter(reply) {
  setCsrf(reply.csrf ?? "");
  keepInTab("upk-here", "1");
  staff.value = reply.staff;
}

/** Log in; a tablet that keeps keys is given its day slot with the same PIN. @param {{staff_id: string, name: string, name_hi: string}} person @param {string} pin */
export async function logInAs({ staff_id, name, name_hi }, pin) {
  const node = status.value?.node_id ?? "";
  const reply = await post("/api/session", { staff_id, pin, tablet: await tabletSecret(node, staff_id) });
  if (reply.day_slot) await keepOpener(node, { staff_id, name, name_hi, slot: reply.day_slot }).catch(() => {});
  enter(reply);
}

/** Questions and answers in the order in which they were put: a reply that was asked for earlier shows an older state. */
let asked = 0;
const taken = { queue: 0, record: 0 };
/** When a command was last answered with a visit: what was asked for before that may not know of it. */
let heard = 0;

/** A technician looks after the machine and sees no patient; the node would refuse. */
export const seesPatients = () => staff.value?.role !== "technician";

export async function loadQueue() {
  if (!seesPatients()) return;
  const mine = ++asked;
  const reply = await get("/api/queue");
  if (mine < taken.queue) return;
  taken.queue = mine;
  queue.value = reply.items;
}

/** A visit that was opened just now: nothing else can be known about it. @param {any} reply */
export function heardOpening(reply) {
  if (reply?.visit && reply?.patient) record.value = { visit: reply.visit, patient: reply.patient, sync: [], line: null };
}

/** A visit as it is before anything was said in it. @param {string} visit_id @param {string} patient_id @returns {Visit} */
export function openedVisit(visit_id, patient_id) {
  return {
    visit_id, patient_id, opened_ms: Date.now(), opened_by: staff.value?.staff_id ?? "", state: "draft", token: "", queued_ms: 0,
    consents: [], complaints: [], complaint_notes: "", history: null, allergies: null, vitals: [], signs_present: [],
    signs_absent: [], triage: { colour: "not_triaged", reasons: [], missing: [], news2: null }, staff_colour: null, doctor_id: "",
    doctor_name: "", seen_ms: 0, notes: [], calls: [], prescriptions: [], closed_ms: 0, explained: false, media: [],
  };
}

/** Take over the visit that the node gives with its answer to a command. @param {any} visit */
export function heardVisit(visit) {
  const now = record.value;
  if (!visit || !now || now.visit.visit_id !== visit.visit_id) return;
  heard = ++asked;
  record.value = { ...now, visit };
}

/** @param {string} visitId @returns {Promise<VisitRecord>} */
export async function loadRecord(visitId) {
  const mine = ++asked;
  const reply = await get(`/api/visits/${visitId}`);
  if (mine < heard) return loadRecord(visitId);
  const loaded = { visit: reply.visit, patient: reply.patient, sync: reply.sync ?? [], line: reply.line ?? null };
  if (mine < taken.record) return loaded;
  taken.record = mine;
  if (route.value[1] === visitId || record.value?.visit.visit_id === visitId || record.value === null) record.value = loaded;
  return loaded;
}

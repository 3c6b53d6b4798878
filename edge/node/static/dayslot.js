// @ts-check
// This tablet's share of the day slots: a key that no script can read, made at the day's first log-in, forgotten at the
// closing of the day or after 14 hours. With it and a PIN the node opens again after a power cut. Needs HTTPS or localhost.
// What `sealed.js` keeps for the slot goes with it.
import { signal } from "/ui/lib/dom.js";

/** @typedef {{staff_id: string, name: string, name_hi: string, slot: string}} Opener */
/** @typedef {{node: string, key: CryptoKey, made_ms: number, people: Opener[]}} Kept */

const LIFE_MS = 14 * 3600 * 1000;
/** Names of this tablet's slots, as long as the page lives: also after its key was forgotten. @type {Set<string>} */
const mine = new Set();

/** How many sealed pieces lie here that this page cannot open now. */
export const sealedHere = signal(0);

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("upkendra-day", 2);
    asked.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) asked.result.createObjectStore("day", { keyPath: "node" });
      asked.result.createObjectStore("sealed", { keyPath: "id" });
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/** @template T @param {"day"|"sealed"} name @param {"readonly"|"readwrite"} mode @param {(store: IDBObjectStore) => IDBRequest<T>} work @returns {Promise<T>} */
export async function inStore(name, mode, work) {
  const base = await open();
  try {
    return await new Promise((resolve, reject) => {
      const step = base.transaction(name, mode);
      const asked = work(step.objectStore(name));
      step.oncomplete = () => resolve(asked.result);
      step.onerror = step.onabort = () => reject(step.error);
    });
  } finally {
    base.close();
  }
}

/** What this tablet keeps of today; null for nothing, and once it is 14 hours old. @param {string} node @returns {Promise<Kept|null>} */
async function kept(node) {
  const found = await inStore("day", "readonly", (store) => store.get(node));
  if (!found) return null;
  for (const one of found.people) mine.add(one.slot);
  const age_ms = Date.now() - found.made_ms;
  if (age_ms >= 0 && age_ms < LIFE_MS) return found;
  await forgetDay(); // a clock that went back proves nothing
  return null;
}

/** @param {Kept} found @param {string} staffId @returns {Promise<string>} hex */
async function secret(found, staffId) {
  const text = new TextEncoder().encode(`upk1 tablet${found.node}${staffId}`);
  const bytes = new Uint8Array(await crypto.subtle.sign("HMAC", found.key, text));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The secret that a log-in gives to the node; "" where the browser keeps no keys. @param {string} node @param {string} staffId */
export async function tabletSecret(node, staffId) {
  try {
    let found = await kept(node);
    if (!found) {
      const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256", length: 256 }, false, ["sign"]);
      found = { node, key, made_ms: Date.now(), people: [] };
      const fresh = found;
      await inStore("day", "readwrite", (store) => store.put(fresh));
    }
    return await secret(found, staffId);
  } catch {
    return "";
  }
}

/** The node made a slot: this person may open it from here. @param {string} node @param {Opener} person */
export async function keepOpener(node, person) {
  const found = await kept(node);
  if (!found) return;
  mine.add(person.slot);
  found.people = [...found.people.filter((one) => one.staff_id !== person.staff_id), person];
  await inStore("day", "readwrite", (store) => store.put(found));
}

/** Who may open the node from here, by what the node still knows; what it knows no more is forgotten. @param {string} node @param {string[]} slots @returns {Promise<Opener[]>} */
export async function openers(node, slots) {
  try {
    const found = await kept(node);
    const people = found?.people.filter((one) => slots.includes(one.slot)) ?? [];
    if (found && found.people.length > 0 && people.length === 0) await forgetDay();
    return people;
  } catch {
    return [];
  }
}

/** Whether this person has a slot of today on this tablet; a technician is given none. @param {string} node @param {string} staffId */
export async function hasSlot(node, staffId) {
  const found = await kept(node);
  return Boolean(found?.people.some((one) => one.staff_id === staffId));
}

/** What the node wants to be told besides the PIN. @param {string} node @param {string} staffId */
export async function opening(node, staffId) {
  const found = await kept(node);
  return found && { tablet: await secret(found, staffId), age_s: (Date.now() - found.made_ms) / 1000 };
}

/** The day is over for this tablet. */
export async function forgetDay() {
  await inStore("day", "readwrite", (store) => store.clear());
  await inStore("sealed", "readwrite", (store) => store.clear());
  sealedHere.value = 0;
}

/** Names of the day slots that this tablet has now; none once they were forgotten. @returns {Promise<string[]>} */
export async function slotsKept() {
  /** @type {Kept[]} */
  const all = await inStore("day", "readonly", (store) => store.getAll());
  return all.flatMap((one) => one.people.map((person) => person.slot));
}

/** Names of the day slots that are this tablet's own. @param {string} node */
export async function ownSlots(node) {
  await kept(node).catch(() => null);
  return [...mine];
}

/** Whether somebody has said that this tablet is lost; then its key is gone. @param {string} node @param {string[]} lost */
export async function isLost(node, lost) {
  if (lost.length === 0 || !(await ownSlots(node)).some((slot) => lost.includes(slot))) return false;
  await forgetDay().catch(() => {});
  return true;
}

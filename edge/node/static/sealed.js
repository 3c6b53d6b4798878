// @ts-check
// What this page has and the node has not, half-filled forms and commands, outlives a reload: sealed in the tablet, under a
// key that the node gives to who is logged in and that only this page's memory holds. Who logs in again here on the same
// day is given the same key, and it is opened (docs/decisions/0046). Where the browser keeps no keys nothing is kept.
import { post } from "/ui/lib/http.js";
import { hasSlot, inStore, opening, sealedHere, slotsKept } from "./dayslot.js";

/** @typedef {{id: string, slot: string, nonce: Uint8Array<ArrayBuffer>, sealed: ArrayBuffer}} Sealed */

const NONCE_BYTES = 12;
/** @type {CryptoKey|null} */
let key = null;
let slot = "";
/** Counts log-ins and log-outs: an answer that comes after the next one is nobody's. */
let turnOf = 0;
/** Ids of what lies here of this slot. @type {Set<string>} */
const lying = new Set();
let last = Promise.resolve();

const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);

/** One after the other, so that nothing old is written after it was dropped. @param {() => Promise<void>} work */
function inTurn(work) {
  last = last.then(work).catch(() => {}); // a full or refused storage: it is in memory, as without us
  return last;
}

/** Ask the node for this person's key; false where this tablet has no slot. @param {string} node @param {string} staffId */
export async function takeKey(node, staffId) {
  const mine = ++turnOf;
  const told = await hasSlot(node, staffId).then((has) => (has ? opening(node, staffId) : null)).catch(() => null); // no keys in this browser
  if (!told) return false;
  const given = await post("/api/tablet/draft-key", { tablet: told.tablet });
  const bytes = Uint8Array.from(given.key.match(/../g), (/** @type {string} */ two) => parseInt(two, 16));
  const fresh = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
  if (mine !== turnOf) return false;
  key = fresh;
  slot = given.slot;
  return true;
}

/** Whether what the node does not have is kept over a log-out. */
export const mayKeep = () => key !== null;

/** Nobody is logged in: what lies here cannot be opened. */
export function forgetKey() {
  turnOf += 1;
  key = null;
  slot = "";
  lying.clear();
  void countSealed();
}

/** Seal what is to be kept when its turn comes; null for nothing any more. @param {string} name @param {() => unknown} content */
export function seal(name, content) {
  const [under, id] = [key, `${slot}/${name}`];
  if (!under) return Promise.resolve();
  const of = slot;
  return inTurn(async () => {
    const body = content();
    if (body === null) return;
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: utf8(id) }, under, utf8(JSON.stringify(body)));
    if (!(await slotsKept()).includes(of)) return; // forgotten meanwhile: the day is closed, or the tablet is lost
    await inStore("sealed", "readwrite", (store) => store.put({ id, slot: of, nonce, sealed }));
    if (of === slot) lying.add(id);
  });
}

/** The node has it, or it is done. @param {string} name */
export function drop(name) {
  const id = `${slot}/${name}`;
  if (!key) return;
  void inTurn(async () => {
    if (lying.delete(id)) await inStore("sealed", "readwrite", (store) => store.delete(id));
  });
}

/** Everything that lies here for who is logged in. @returns {Promise<{name: string, content: any}[]>} */
export async function unseal() {
  /** @type {{name: string, content: any}[]} */
  const found = [];
  const [under, of] = [key, slot];
  if (!under) return found;
  await inTurn(async () => {
    /** @type {Sealed[]} */
    const all = await inStore("sealed", "readonly", (store) => store.getAll());
    for (const { id, slot: whose, nonce, sealed } of all) {
      if (whose !== of) continue;
      try {
        const body = await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData: utf8(id) }, under, sealed);
        found.push({ name: id.slice(of.length + 1), content: JSON.parse(new TextDecoder().decode(body)) });
        if (of === slot) lying.add(id);
      } catch {
        await inStore("sealed", "readwrite", (store) => store.delete(id)); // altered by somebody, and opened by nobody
      }
    }
    sealedHere.value = all.filter((one) => one.slot !== of).length;
  });
  return found;
}

/** How much lies here that this page cannot open; what belongs to no slot of today goes. */
export function countSealed() {
  return inTurn(async () => {
    const today = await slotsKept();
    /** @type {Sealed[]} */
    const all = await inStore("sealed", "readonly", (store) => store.getAll());
    for (const one of all) if (!today.includes(one.slot)) await inStore("sealed", "readwrite", (store) => store.delete(one.id));
    sealedHere.value = all.filter((one) => today.includes(one.slot) && one.slot !== slot).length;
  });
}

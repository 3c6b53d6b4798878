// @ts-check
// Half-filled forms. Every keystroke is in memory at once, and sealed in the tablet until the node has it
// (sealed.js); the node gets a copy within 5 seconds and at each step. Two tablets may have
// one form open: what only one of them changed is joined; where both did, the newest revision stands,
// and what it replaced can be brought back. What comes back after a reload replaces nothing that was written since.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, del, get, put } from "/ui/lib/http.js";
import { keepCommands, takeUp } from "./commands.js";
import { drop, seal, takeKey, unseal } from "./sealed.js";
import { loggedIn, seesPatients, staff, status, tablet } from "./store.js";

const SOON_MS = 1500;
const LATEST_MS = 5000;
const SEAL_AFTER_MS = 250;
const AGAIN_MS = 2000;

/** How long after its last change another tablet counts as still writing. */
const WRITING_MS = 120_000;

/** @typedef {{key: string, body: any, revision: number, saved: string, since_ms: number, timer: number, busy: boolean, sealing: number}} Draft `saved`: the content that the node has, "" for none */
/** @typedef {{key: string, body: any, revision: number, staff_id: string, saved_ms: number}} Kept */
/** What another tablet did to an open form. @typedef {{key: string, staff_id: string, fields: string[], mine: Record<string, any>}} Other */

/** @type {import("/ui/vendor/signals.js").Signal<Other|null>} */
export const otherWriter = signal(null);
/** What was replaced and not brought back, by form. @type {Map<string, Other>} */
const asides = new Map();
/** Called with the key and the new content when another tablet changed an open form. @type {Map<string, (body: any) => void>} */
const watchers = new Map();

/** @param {string} key @param {(body: any) => void} take @returns {() => void} ends the watch */
export function watchDraft(key, take) {
  watchers.set(key, take);
  return () => {
    if (watchers.get(key) === take) watchers.delete(key);
    if (otherWriter.value?.key === key) otherWriter.value = null;
  };
}

const same = (/** @type {unknown} */ one, /** @type {unknown} */ two) => JSON.stringify(one) === JSON.stringify(two);

/**
 * Join what another tablet kept into a form. `old`: what is here was written before a reload, so that the other's is newer.
 * @param {Draft} draft @param {Kept} theirs @param {boolean} [old]
 */
function join(draft, theirs, old = false) {
  const base = draft.saved ? JSON.parse(draft.saved) : {};
  /** @type {Other} */
  const other = { key: draft.key, staff_id: theirs.staff_id, fields: [], mine: {} };
  const joined = { ...theirs.body };
  for (const field of new Set([...Object.keys(theirs.body), ...Object.keys(draft.body)])) {
    if (field === "sent" || field === "_by") continue;
    const [was, mine, new_] = [base[field], draft.body[field], theirs.body[field]];
    if (same(mine, new_)) continue;
    const typed = !same(mine, was); // here, and not kept yet
    if (typed && (!old || blank(new_) || same(new_, was))) joined[field] = mine;
    else if (mine !== undefined && !blank(mine)) {
      other.fields.push(field);
      other.mine[field] = mine;
    }
  }
  joined.sent = { ...theirs.body.sent, ...draft.body.sent };
  draft.body = joined;
  draft.revision = theirs.revision;
  draft.saved = JSON.stringify(theirs.body);
  const before = asides.get(draft.key) ?? null;
  const now = { ...other, fields: [...new Set([...(before?.fields ?? []), ...other.fields])], mine: { ...other.mine, ...before?.mine } };
  putAside(now);
  if (watchers.has(draft.key)) otherWriter.value = now;
  watchers.get(draft.key)?.(joined);
}

/** What was replaced stays, sealed too, until it is brought back or the form is done. @param {Other} other */
function putAside(other) {
  asides.set(other.key, other);
  if (other.fields.length > 0) void seal(`aside/${other.key}`, () => (asides.get(other.key) === other ? other : null));
}

/** Whether an answer says nothing, so that nothing is lost when another stands in its place. @param {any} value */
function blank(value) {
  if (value === null || value === "" || value === false || value === undefined) return true;
  return typeof value === "object" && Object.values(value).every(blank);
}

/** The fields that another tablet replaced, as they were here; the notice goes. */
export function takeBack() {
  const now = otherWriter.value;
  if (!now) return {};
  asides.delete(now.key);
  drop(`aside/${now.key}`);
  otherWriter.value = { ...now, fields: [], mine: {} };
  return now.mine;
}

/** The node keeps a newer revision of a form. @param {{key: string, revision: number}} message */
export async function draftHeard({ key, revision }) {
  const draft = drafts.get(key);
  if (!draft || !watchers.has(key) || revision <= draft.revision) return;
  if (draft.busy) { // our own, or one that came while ours is on its way
    setTimeout(() => void draftHeard({ key, revision }).catch(() => {}), SOON_MS);
    return;
  }
  const theirs = (await listDrafts()).find((one) => one.key === key);
  if (!theirs || theirs.revision <= draft.revision || drafts.get(key) !== draft || theirs.body._by === tablet) return;
  join(draft, theirs);
  if (JSON.stringify(draft.body) !== draft.saved) keepDraft(key, draft.body);
}

/** @type {Map<string, Draft>} */
const drafts = new Map();
/** Keys of drafts whose last change the node does not have, although we tried. */
const failing = signal(/** @type {string[]} */ ([]));
export const draftsFailing = computed(() => failing.value.length > 0);

/** The draft of a form: what this page has, else what the node kept, else null. @param {string} key */
export async function openDraft(key) {
  await recovering;
  const aside = asides.get(key);
  if (aside) otherWriter.value = aside;
  const held = drafts.get(key);
  if (held) return held.body;
  try {
    const found = (await listDrafts()).find((draft) => draft.key === key);
    if (!found) return null;
    drafts.set(key, { key, body: found.body, revision: found.revision, saved: JSON.stringify(found.body), since_ms: 0, timer: 0, busy: false, sealing: 0 });
    if (!aside && found.body._by && found.body._by !== tablet && Date.now() - found.saved_ms < WRITING_MS) {
      otherWriter.value = { key, staff_id: found.staff_id, fields: [], mine: {} };
    }
    return found.body;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/** Note the present content of a form. @param {string} key @param {any} body */
export function keepDraft(key, body) {
  let draft = drafts.get(key);
  if (!draft) {
    draft = { key, body, revision: 0, saved: "", since_ms: 0, timer: 0, busy: false, sealing: 0 };
    drafts.set(key, draft);
  }
  draft.body = { ...body, _by: tablet };
  const now = performance.now();
  if (!draft.since_ms) draft.since_ms = now;
  clearTimeout(draft.timer);
  const wait = Math.max(0, Math.min(SOON_MS, draft.since_ms + LATEST_MS - now));
  draft.timer = window.setTimeout(() => void saveDraft(key), wait);
  const held = draft;
  if (!draft.sealing) draft.sealing = window.setTimeout(() => void keepHere(held), SEAL_AFTER_MS);
}

/** Seal a form in the tablet, unless the node has it by then. @param {Draft} draft */
function keepHere(draft) {
  clearTimeout(draft.sealing);
  draft.sealing = 0;
  return seal(`form/${draft.key}`, () => {
    if (drafts.get(draft.key) !== draft || JSON.stringify(draft.body) === draft.saved) return null;
    return { key: draft.key, body: draft.body, revision: draft.revision, saved: draft.saved };
  });
}

/** Everything that the node does not have, into the tablet now. */
export const keepAll = () => Promise.all([keepCommands(), ...[...drafts.values()].map(keepHere)]);

/** What comes back after a log-in; forms are opened after it. @type {Promise<void>} */
let recovering = Promise.resolve();

/** Somebody logged in: what this person wrote here before a reload comes back and goes to the node. */
export function recover() {
  recovering = takeBackSealed().catch((error) => {
    if (error instanceof ApiError && !error.unreachable && error.status < 500) return; // no key of today: in memory only
    setTimeout(() => {
      if (loggedIn.value) recover();
    }, AGAIN_MS);
  });
}

async function takeBackSealed() {
  if (!(await takeKey(status.value?.node_id ?? "", staff.value?.staff_id ?? ""))) return;
  const found = await unseal();
  const of = (/** @type {string} */ kind) => found.filter(({ name }) => name.startsWith(kind)).map(({ content }) => content);
  takeUp(of("command/"));
  for (const other of of("aside/")) if (!asides.has(other.key)) asides.set(other.key, other);
  /** @type {Draft[]} */
  const forms = of("form/").filter(({ key }) => !drafts.has(key));
  const atNode = forms.length > 0 ? await keptAtNode() : [];
  for (const one of forms) {
    const draft = { ...one, since_ms: performance.now(), timer: 0, busy: false, sealing: 0 };
    const theirs = atNode.find(({ key }) => key === draft.key);
    drafts.set(draft.key, draft);
    if (theirs && theirs.body._by === draft.body._by) [draft.revision, draft.saved] = [theirs.revision, JSON.stringify(theirs.body)];
    else if (theirs && theirs.revision > draft.revision) join(draft, theirs, true);
    await saveDraft(draft.key);
  }
  await keepAll(); // what was written before the key came
}

/** Send a draft to the node now. @param {string} key */
export async function saveDraft(key) {
  const draft = drafts.get(key);
  if (!draft || draft.busy) return;
  clearTimeout(draft.timer);
  const text = JSON.stringify(draft.body);
  if (text === draft.saved) return;
  draft.busy = true;
  let again = false;
  try {
    const reply = await put(`/api/drafts/${key}`, { body: text, revision: draft.revision + 1 });
    if (reply?.kept === false) {
      const theirs = (await keptAtNode()).find((one) => one.key === key);
      if (theirs && theirs.body._by !== tablet) join(draft, theirs);
      else draft.revision = theirs?.revision ?? draft.revision + 1;
      again = true;
    } else {
      draft.revision += 1;
      draft.saved = text;
      draft.since_ms = 0;
      if (JSON.stringify(draft.body) === text) drop(`form/${key}`);
    }
    failing.value = failing.value.filter((one) => one !== key);
  } catch {
    if (drafts.get(key) !== draft) return; // forgotten at log-out, or done, while it was on its way
    again = true;
    if (!failing.value.includes(key)) failing.value = [...failing.value, key];
  } finally {
    draft.busy = false;
  }
  if (drafts.has(key) && (again || JSON.stringify(draft.body) !== draft.saved)) {
    draft.timer = window.setTimeout(() => void saveDraft(key), again ? AGAIN_MS : SOON_MS);
  }
}

/** The form is done: forget its draft here and at the node. @param {string} key */
export async function dropDraft(key) {
  const draft = drafts.get(key);
  if (draft) stop(draft);
  drafts.delete(key);
  asides.delete(key);
  drop(`form/${key}`);
  drop(`aside/${key}`);
  failing.value = failing.value.filter((one) => one !== key);
  try {
    await del(`/api/drafts/${key}`);
  } catch {
    // the node forgets drafts of closed visits by itself; a left-over draft harms nobody
  }
}

/** @param {Draft} draft */
function stop(draft) {
  clearTimeout(draft.timer);
  clearTimeout(draft.sealing);
}

/** Forms that were begun and not finished, newest first. @returns {Promise<Kept[]>} */
export async function listDrafts() {
  await recovering;
  return keptAtNode();
}

/** @returns {Promise<Kept[]>} */
async function keptAtNode() {
  if (!seesPatients()) return [];
  const reply = await get("/api/drafts");
  return reply.items.flatMap((/** @type {any} */ item) => {
    try {
      return [{ key: item.key, body: JSON.parse(item.body), revision: item.revision, staff_id: item.staff_id, saved_ms: item.saved_ms }];
    } catch {
      return [];
    }
  });
}

/** Forms that are open, to be emptied at log-out. @type {Set<() => void>} */
export const openForms = new Set();

/** Everything goes from memory at log-out. */
export function forgetDrafts() {
  for (const empty of openForms) empty();
  for (const draft of drafts.values()) stop(draft);
  drafts.clear();
  asides.clear();
  otherWriter.value = null;
  failing.value = [];
}

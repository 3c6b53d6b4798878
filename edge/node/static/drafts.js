// @ts-check
// Half-filled forms. Every keystroke is in memory at once; the node gets a copy within 5 seconds and
// at each step. Nothing about a patient is written to the browser's own storage. Two tablets may have
// one form open: what only one of them changed is joined; where both did, the newest revision stands,
// and what it replaced can be brought back.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, del, get, put } from "/ui/lib/http.js";
import { seesPatients, tablet } from "./store.js";

const SOON_MS = 1500;
const LATEST_MS = 5000;

/** How long after its last change another tablet counts as still writing. */
const WRITING_MS = 120_000;

/** @typedef {{key: string, body: any, revision: number, saved: string, since_ms: number, timer: number, busy: boolean}} Draft */
/** @typedef {{key: string, body: any, revision: number, staff_id: string, saved_ms: number}} Kept */
/** What another tablet did to an open form. @typedef {{key: string, staff_id: string, fields: string[], mine: Record<string, any>}} Other */

/** @type {import("/ui/vendor/signals.js").Signal<Other|null>} */
export const otherWriter = signal(null);
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

/** Join what another tablet kept into an open form. @param {Draft} draft @param {Kept} theirs */
function join(draft, theirs) {
  const base = draft.saved ? JSON.parse(draft.saved) : {};
  /** @type {Other} */
  const other = { key: draft.key, staff_id: theirs.staff_id, fields: [], mine: {} };
  const joined = { ...theirs.body };
  for (const field of new Set([...Object.keys(theirs.body), ...Object.keys(draft.body)])) {
    if (field === "sent" || field === "_by") continue;
    const [old, mine, new_] = [base[field], draft.body[field], theirs.body[field]];
    if (same(mine, new_)) continue;
    if (!same(mine, old)) joined[field] = mine; // typed here and not kept yet: the newest
    else if (old !== undefined && !blank(old)) {
      other.fields.push(field);
      other.mine[field] = mine;
    }
  }
  joined.sent = { ...theirs.body.sent, ...draft.body.sent };
  draft.body = joined;
  draft.revision = theirs.revision;
  draft.saved = JSON.stringify(theirs.body);
  const before = otherWriter.value?.key === draft.key ? otherWriter.value : null;
  otherWriter.value = { ...other, fields: [...new Set([...(before?.fields ?? []), ...other.fields])], mine: { ...other.mine, ...before?.mine } };
  watchers.get(draft.key)?.(joined);
}

/** Whether an answer says nothing, so that nothing is lost when another stands in its place. @param {any} value */
function blank(value) {
  if (value === null || value === "" || value === false || value === undefined) return true;
  return typeof value === "object" && Object.values(value).every(blank);
}

/** The fields that another tablet replaced, as they were here; the notice goes. */
export function takeBack() {
  const mine = otherWriter.value?.mine ?? {};
  if (otherWriter.value) otherWriter.value = { ...otherWriter.value, fields: [], mine: {} };
  return mine;
}

/** The node keeps a newer revision of a form. @param {{key: string, revision: number}} message */
export async function draftHeard({ key, revision }) {
  const draft = drafts.get(key);
  if (!draft || !watchers.has(key) || draft.busy || revision <= draft.revision) return;
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
  const held = drafts.get(key);
  if (held) return held.body;
  try {
    const found = (await listDrafts()).find((draft) => draft.key === key);
    if (!found) return null;
    drafts.set(key, { key, body: found.body, revision: found.revision, saved: JSON.stringify(found.body), since_ms: 0, timer: 0, busy: false });
    if (found.body._by && found.body._by !== tablet && Date.now() - found.saved_ms < WRITING_MS) {
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
    draft = { key, body, revision: 0, saved: "", since_ms: 0, timer: 0, busy: false };
    drafts.set(key, draft);
  }
  draft.body = { ...body, _by: tablet };
  const now = performance.now();
  if (!draft.since_ms) draft.since_ms = now;
  clearTimeout(draft.timer);
  const wait = Math.max(0, Math.min(SOON_MS, draft.since_ms + LATEST_MS - now));
  draft.timer = window.setTimeout(() => void saveDraft(key), wait);
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
      const theirs = (await listDrafts()).find((one) => one.key === key);
      if (theirs && theirs.body._by !== tablet) join(draft, theirs);
      else draft.revision = theirs?.revision ?? draft.revision + 1;
      again = true;
    } else {
      draft.revision += 1;
      draft.saved = text;
      draft.since_ms = 0;
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
    draft.timer = window.setTimeout(() => void saveDraft(key), again ? 2000 : SOON_MS);
  }
}

/** The form is done: forget its draft here and at the node. @param {string} key */
export async function dropDraft(key) {
  const draft = drafts.get(key);
  if (draft) clearTimeout(draft.timer);
  drafts.delete(key);
  failing.value = failing.value.filter((one) => one !== key);
  try {
    await del(`/api/drafts/${key}`);
  } catch {
    // the node forgets drafts of closed visits by itself; a left-over draft harms nobody
  }
}

/** Forms that were begun and not finished, newest first. @returns {Promise<Kept[]>} */
export async function listDrafts() {
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
  for (const draft of drafts.values()) clearTimeout(draft.timer);
  drafts.clear();
  otherWriter.value = null;
  failing.value = [];
}

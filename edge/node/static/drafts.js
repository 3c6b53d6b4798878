// @ts-check
// Half-filled forms. Every keystroke is in memory at once; the node gets a copy within 5 seconds and
// at each step. Nothing about a patient is written to the browser's own storage.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, del, get, put } from "/ui/lib/http.js";

const SOON_MS = 1500;
const LATEST_MS = 5000;

/** @typedef {{key: string, body: any, revision: number, saved: string, since_ms: number, timer: number, busy: boolean}} Draft */

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
    drafts.set(key, { ...found, saved: JSON.stringify(found.body), since_ms: 0, timer: 0, busy: false });
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
  draft.body = body;
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
      // another tablet wrote meanwhile: what this one shows is what its user sees, so it goes on top
      const theirs = (await listDrafts()).find((one) => one.key === key);
      draft.revision = theirs?.revision ?? draft.revision + 1;
      again = true;
    } else {
      draft.revision += 1;
      draft.saved = text;
      draft.since_ms = 0;
    }
    failing.value = failing.value.filter((one) => one !== key);
  } catch {
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

/** Forms that were begun and not finished, newest first. @returns {Promise<{key: string, body: any, revision: number}[]>} */
export async function listDrafts() {
  const reply = await get("/api/drafts");
  return reply.items.flatMap((/** @type {any} */ item) => {
    try {
      return [{ key: item.key, body: JSON.parse(item.body), revision: item.revision }];
    } catch {
      return [];
    }
  });
}

/** Everything goes from memory at log-out. */
export function forgetDrafts() {
  for (const draft of drafts.values()) clearTimeout(draft.timer);
  drafts.clear();
  failing.value = [];
}

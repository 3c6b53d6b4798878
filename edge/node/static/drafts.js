// @ts-check
// Half-filled forms. Every keystroke is in memory at once, and sealed in the tablet until the node has it
// (sealed.js); the node gets a copy within 5 seconds and at each step. Two tablets may have
// one form open: what only one of them changed is joined; where both did, the newest revision stands,
// and what it replaced can be brought back. What comes back after a reload replaces nothing that was written since.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, del, get, put } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { keepCommands, takeUp } from "./commands.js";
import { drop, seal, takeKey, unseal } from "./sealed.js";
import { loggedIn, seesPatients, staff, status, tablet } from "./store.js";

const SOON_MS = 1500;
const LATEST_MS = 5000;
const SEAL_AFTER_MS = 250;
const AGAIN_MS = 2000;
/** So long a form waits for what was sealed; what comes later is joined into the open form. */
const PATIENCE_MS = 10_000;

/** How long after its last change another tablet counts as still writing. */
const WRITING_MS = 120_000;

/** What lies sealed of a form. @typedef {{key: string, body: any, revision: number, saved: string}} Piece `saved`: the content that the node had, "" for none */
/** @typedef {Piece & {since_ms: number, timer: number, busy: boolean, sealing: number, tried: Set<string>, lies: string}} Draft `tried`: contents that went out and were not answered; `lies`: the content that this page sealed last */
/** @typedef {{key: string, body: any, revision: number, staff_id: string, saved_ms: number}} Kept */
/**
 * How two writings of a form meet. "live": both write now. "old": mine was written first and did not arrive, so that theirs is newer.
 * "anew": theirs does not go back to what mine began with, so that nothing of mine goes into it unseen. @typedef {"live"|"old"|"anew"} How
 */
/** What somebody else did to a form; no `staff_id`: it was finished or thrown away. @typedef {{key: string, staff_id: string, how?: How, fields: string[], mine: Record<string, any>}} Other */

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
 * The form that two writings make, and what of mine it does not have.
 * @param {string} saved what both began with @param {any} mine @param {any} theirs @param {How} how
 */
function meet(saved, mine, theirs, how) {
  const base = saved ? JSON.parse(saved) : {};
  const joined = { ...theirs };
  /** @type {{fields: string[], mine: Record<string, any>}} */
  const left = { fields: [], mine: {} };
  for (const field of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    if (field === "sent" || field === "_by") continue;
    const [was, here, new_] = [base[field], mine[field], theirs[field]];
    if (same(here, new_)) continue;
    const typed = !same(here, was); // here, and not kept yet
    if (typed && how !== "anew" && (how === "live" || blank(new_) || same(new_, was))) joined[field] = here;
    else if (here !== undefined && !blank(here) && (typed || how !== "anew")) {
      left.fields.push(field);
      left.mine[field] = here;
    }
  }
  // what is marked as said is not said again: the newer mark stands
  if (how !== "anew") joined.sent = how === "live" ? { ...theirs.sent, ...mine.sent } : { ...mine.sent, ...theirs.sent };
  return { joined, left };
}

/** Join what somebody else kept into a form. @param {Draft} draft @param {Kept} theirs @param {How} how */
function join(draft, theirs, how) {
  const { joined, left } = meet(draft.saved, draft.body, theirs.body, how);
  draft.revision = theirs.revision;
  draft.saved = JSON.stringify(theirs.body);
  if (JSON.stringify(joined) !== draft.saved) joined._by = tablet;
  draft.body = joined;
  tell({ key: draft.key, staff_id: theirs.staff_id, how, ...left });
  watchers.get(draft.key)?.(joined);
}

/** Say what somebody else did, beside what was said before and not brought back. @param {Other} other */
function tell(other) {
  const before = asides.get(other.key);
  const now = { ...other, fields: [...new Set([...(before?.fields ?? []), ...other.fields])], mine: { ...other.mine, ...before?.mine } };
  putAside(now);
  if (watchers.has(other.key)) otherWriter.value = now;
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
  join(draft, theirs, "live");
  if (JSON.stringify(draft.body) !== draft.saved) keepDraft(key, draft.body);
}

/** @type {Map<string, Draft>} */
const drafts = new Map();
/** What was unsealed and has not met what the node has. @type {Map<string, Piece>} */
const back = new Map();

/** @param {Piece} piece @returns {Draft} */
const draftOf = ({ key, body, revision, saved }) => ({ key, body, revision, saved, since_ms: 0, timer: 0, busy: false, sealing: 0, tried: new Set(), lies: "" });

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
    const typed = drafts.get(key); // while we asked: the node refuses it, and the two are joined
    if (typed) return typed.body;
    if (!found) return null;
    drafts.set(key, draftOf({ ...found, saved: JSON.stringify(found.body) }));
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
    draft = draftOf({ key, body, revision: 0, saved: "" });
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
  const piece = back.get(key);
  if (piece) layInto(draft, piece);
}

/** Seal a form in the tablet, unless the node has it by then. @param {Draft} draft */
function keepHere(draft) {
  clearTimeout(draft.sealing);
  draft.sealing = 0;
  return seal(`form/${draft.key}`, () => {
    if (drafts.get(draft.key) !== draft || JSON.stringify(draft.body) === draft.saved) return null;
    draft.lies = JSON.stringify(draft.body);
    return { key: draft.key, body: draft.body, revision: draft.revision, saved: draft.saved };
  });
}

/** Everything that the node does not have, into the tablet now. */
export const keepAll = () => Promise.all([keepCommands(), ...[...drafts.values()].map(keepHere)]);

/** What comes back after a log-in; forms are opened after it. @type {Promise<unknown>} */
let recovering = Promise.resolve();
/** Counts log-ins: what an earlier one began is nobody's. */
let turnOf = 0;

const after = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Somebody logged in: what this person wrote here before a reload comes back and goes to the node. */
export function recover() {
  back.clear();
  recovering = Promise.race([comeBack(++turnOf), after(PATIENCE_MS)]);
}

/** Again and again until the node has answered, or that person has gone. @param {number} turn */
async function comeBack(turn) {
  const here = () => turn === turnOf && loggedIn.value;
  const seen = new Set();
  while (here()) {
    try {
      await takeBackSealed(here, seen);
      return;
    } catch (error) {
      if (error instanceof ApiError && !error.unreachable && error.status < 500) return; // no key of today: in memory only
    }
    await after(AGAIN_MS);
  }
}

/** @param {() => boolean} here whether the same person is still logged in @param {Set<string>} seen forms that were unsealed before */
async function takeBackSealed(here, seen) {
  if (!(await takeKey(status.value?.node_id ?? "", staff.value?.staff_id ?? ""))) return;
  const found = await unseal();
  if (!here()) return;
  const of = (/** @type {string} */ kind) => found.filter(({ name }) => name.startsWith(kind)).map(({ content }) => content);
  takeUp(of("command/"));
  for (const other of of("aside/")) if (!asides.has(other.key)) asides.set(other.key, other);
  /** @type {Piece[]} */
  const forms = of("form/").filter(({ key }) => !seen.has(key));
  for (const piece of forms) {
    seen.add(piece.key);
    const held = drafts.get(piece.key);
    if (held) layInto(held, piece);
    else back.set(piece.key, piece);
  }
  const atNode = back.size > 0 ? await keptAtNode() : [];
  for (const piece of [...back.values()]) {
    if (!here()) return;
    const held = drafts.get(piece.key);
    if (back.get(piece.key) !== piece) continue; // somebody typed into that form just now, and it is in there
    back.delete(piece.key);
    if (held) layInto(held, piece);
    else await meetNode(piece, atNode.find(({ key }) => key === piece.key));
  }
  if (here()) await keepAll(); // what was written before the key came
}

/** Into a form that was opened, or begun, before the piece was unsealed. @param {Draft} held @param {Piece} piece */
function layInto(held, piece) {
  back.delete(piece.key);
  if (JSON.stringify(piece.body) === held.lies) return; // this page sealed it, and has had it ever since
  const blind = !held.saved; // begun without a look at the node: an empty field there says nothing
  const { joined, left } = meet(blind ? "" : piece.saved, piece.body, held.body, blind || held.revision >= piece.revision ? "old" : "anew");
  if (blind) [held.revision, held.saved] = [piece.revision, piece.saved];
  keepDraft(piece.key, joined);
  if (left.fields.length > 0) tell({ key: piece.key, staff_id: staff.value?.staff_id ?? "", how: "old", ...left });
  watchers.get(piece.key)?.(held.body);
}

/**
 * What was sealed meets what the node has now. The tab says nothing of who wrote that: nurses share tablets.
 * @param {Piece} piece @param {Kept} [theirs]
 */
async function meetNode(piece, theirs) {
  if (!theirs && piece.saved) { // the node had it and has it no more: what is recorded now is newer
    const { left } = meet(piece.saved, piece.body, {}, "anew");
    if (left.fields.length > 0) {
      tell({ key: piece.key, staff_id: "", how: "anew", ...left });
      toast("warn", t("draft-ended-toast"));
    }
    drop(`form/${piece.key}`);
    return;
  }
  const draft = { ...draftOf(piece), since_ms: performance.now() };
  drafts.set(draft.key, draft);
  if (theirs) {
    const text = JSON.stringify(theirs.body);
    const ours = theirs.body._by === piece.body._by && theirs.staff_id === staff.value?.staff_id && theirs.revision === piece.revision + 1; // arrived, and its answer was lost
    if (ours || text === piece.saved) [draft.revision, draft.saved] = [theirs.revision, text];
    else join(draft, theirs, theirs.revision > piece.revision ? "old" : "anew");
  }
  watchers.get(draft.key)?.(draft.body);
  await saveDraft(draft.key);
}

/** Send a draft to the node now. @param {string} key */
export async function saveDraft(key) {
  const draft = drafts.get(key);
  if (!draft || draft.busy) return;
  clearTimeout(draft.timer);
  const text = JSON.stringify(draft.body);
  if (text === draft.saved) {
    if (!back.has(key)) drop(`form/${key}`);
    return;
  }
  draft.busy = true;
  draft.tried.add(text);
  let again = false;
  try {
    const reply = await put(`/api/drafts/${key}`, { body: text, revision: draft.revision + 1 });
    if (reply?.kept === false) {
      const theirs = (await keptAtNode()).find((one) => one.key === key);
      if (drafts.get(key) !== draft) return; // done meanwhile
      const there = theirs && JSON.stringify(theirs.body);
      if (!theirs || !there) draft.revision += 1;
      else if (draft.tried.has(there)) [draft.revision, draft.saved] = [theirs.revision, there]; // ours: its answer was lost
      else join(draft, theirs, draft.saved ? "live" : "old");
      again = true;
      void keepHere(draft);
    } else {
      draft.tried.clear();
      draft.revision += 1;
      draft.saved = text;
      draft.since_ms = 0;
      if (JSON.stringify(draft.body) === text) drop(`form/${key}`);
      else void keepHere(draft); // with the revision that it goes on from
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
  back.delete(key);
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
  back.clear();
  asides.clear();
  otherWriter.value = null;
  failing.value = [];
}

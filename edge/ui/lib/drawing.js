// @ts-check
// What is being drawn on photos now, by this page and by the other side of a call. Knows no page and no call: whoever
// runs a call gives a way to send. Nothing here is kept: that takes an entry of its own.
import { signal } from "./dom.js";
import { newId } from "./ids.js";

/** @typedef {import("./strokes.js").Mark} Mark */
/** @typedef {{mine: Mark[], theirs: Mark[]}} Live */
/** @typedef {{type: string, blob_id: string, mark_id: string, mark: Mark|null}} Drew */

const MOST = 40;
const NONE = Object.freeze({ mine: [], theirs: [] });

/** By photo. */
export const live = signal(/** @type {Record<string, Live>} */ ({}));
/** The photo on which the other side drew last while it was not open here; "" for none. */
export const calledTo = signal("");
/** The photo whose dialog is open here; "" for none. */
export const openPhoto = signal("");
/** The photo that is to be open: touched in the list, or called to in a call. */
export const shownPhoto = signal("");
/** @type {((message: Drew) => void)|null} */
let sender = null;

/** @param {((message: Drew) => void)|null} send null: no call runs */
export function setSender(send) {
  sender = send;
}

/** @param {string} blobId @returns {Live} */
export const liveOn = (blobId) => live.value[blobId] ?? NONE;

/** @param {string} blobId @param {Partial<Live>} change */
function set(blobId, change) {
  live.value = { ...live.value, [blobId]: { ...liveOn(blobId), ...change } };
}

/** @param {string} blobId @param {import("./strokes.js").Kind} kind @param {number[]} points */
export function draw(blobId, kind, points) {
  /** @type {Mark} */
  const mark = { mark_id: newId(), kind, points };
  const { mine } = liveOn(blobId);
  if (mine.length >= MOST) return;
  set(blobId, { mine: [...mine, mark] });
  sender?.({ type: "drew", blob_id: blobId, mark_id: mark.mark_id, mark });
}

/** Take the last own mark back, here and on the other side. @param {string} blobId */
export function undo(blobId) {
  const { mine } = liveOn(blobId);
  const last = mine[mine.length - 1];
  if (!last) return;
  set(blobId, { mine: mine.slice(0, -1) });
  sender?.({ type: "drew", blob_id: blobId, mark_id: last.mark_id, mark: null });
}

/** The other side drew, or took back. @param {any} message */
export function heard({ blob_id, mark_id, mark }) {
  if (typeof blob_id !== "string" || typeof mark_id !== "string") return;
  const others = liveOn(blob_id).theirs.filter((one) => one.mark_id !== mark_id);
  if (mark === null || mark === undefined) {
    set(blob_id, { theirs: others });
    return;
  }
  const came = markOf(mark);
  if (!came) return;
  set(blob_id, { theirs: [...others, came].slice(-MOST) });
  if (openPhoto.value !== blob_id) calledTo.value = blob_id;
}

/** A mark as it travels beside a call, `[mark_id, kind, points]`; null when it is none. @param {unknown} came @returns {Mark|null} */
function markOf(came) {
  if (!Array.isArray(came) || came.length !== 3) return null;
  const [mark_id, kind, points] = came;
  const good = Array.isArray(points) && points.length >= 4 && points.length <= 120 && points.length % 2 === 0
    && points.every((/** @type {unknown} */ at) => Number.isInteger(at) && Number(at) >= 0 && Number(at) <= 1000);
  return good && typeof mark_id === "string" && ["line", "ring", "arrow"].includes(kind) ? { mark_id, kind, points } : null;
}

/** These are in the record now. @param {string} blobId @param {Mark[]} marks */
export function kept(blobId, marks) {
  const ids = new Set(marks.map((one) => one.mark_id));
  set(blobId, { mine: liveOn(blobId).mine.filter((one) => !ids.has(one.mark_id)) });
}

/** A call is over: what the other side drew and did not keep goes. */
export function forgetTheirs() {
  calledTo.value = "";
  live.value = Object.fromEntries(Object.entries(live.value).map(([id, one]) => [id, { ...one, theirs: [] }]));
}

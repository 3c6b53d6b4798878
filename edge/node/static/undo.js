// @ts-check
// Ten seconds to take back a slip of the finger. What was recorded stays in the record; undoing says that it
// was a slip. Afterwards the same can be said on the visit's own page: of a closing, a hand-out or a referral until the
// end of its day, on any tablet.
import { html, signal, useSignal } from "/ui/lib/dom.js";
import { isoDay, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText, submit } from "./commands.js";
import { dropDraft, keepDraft, saveDraft } from "./drafts.js";
import { go, loadRecord, nodeNow } from "./store.js";

const LASTS_MS = 10_000;

/** @type {import("/ui/vendor/signals.js").Signal<{text: () => string, back: () => Promise<string>}|null>} */
const offered = signal(null);
const busy = signal(false);
let timer = 0;

/** @param {() => string} text what was done, in the language of the page then @param {() => Promise<string>} back undoes it; a sentence when the node refused, else "" */
function offer(text, back) {
  clearTimeout(timer);
  offered.value = { text, back };
  timer = window.setTimeout(forgetUndo, LASTS_MS);
}

export function forgetUndo() {
  clearTimeout(timer);
  offered.value = null;
}

/** @param {any} body @param {string} [path] where the nurse is then; where she is, if left away @returns {Promise<string>} */
async function say(body, path) {
  const outcome = await submit(body);
  if (!outcome.ok && "error" in outcome) return errorText(outcome.error);
  if (path !== undefined) go(path);
  else await loadRecord(body.visit_id).catch(() => {});
  return "";
}

/** A visit was opened, perhaps with its token: perhaps for the wrong patient. @param {string} visit_id @param {string} name @param {string} [token] */
export function offerVisitUndo(visit_id, name, token) {
  offer(() => (token ? t("undo-visit-token", { name, token }) : t("undo-visit", { name })), () => say({ type: "move_visit", visit_id, state: "cancelled", reason: "undone: wrong patient" }, "/"));
}

/** A token was given: perhaps to the wrong visit. It stays this visit's number. @param {string} visit_id @param {string} name */
export function offerTokenUndo(visit_id, name) {
  offer(() => t("undo-token", { name }), () => say({ type: "move_visit", visit_id, state: "triaged", reason: "undone: token by mistake" }, `/visit/${visit_id}`));
}

/** What can be undone on its own day only: a closing, a hand-out, a referral; later than today where the clock was ahead. @param {number} ms */
export const onItsDay = (ms) => isoDay(ms) >= isoDay(nodeNow());

const closing = (/** @type {string} */ visit_id) => ({ type: "take_back_closing", visit_id });
const handOut = (/** @type {string} */ visit_id, /** @type {HandedOut} */ one) => ({ type: "take_back_hand_out", visit_id, prescription_id: one.prescription_id, drug_id: one.drug_id, given_ms: one.at_ms, given_count: one.at_count });
const sending = (/** @type {string} */ visit_id, /** @type {Sent} */ one) => ({ type: "take_back_referral", visit_id, made_ms: one.at_ms, made_count: one.at_count });

/** A visit was closed, perhaps the wrong one. @param {string} visit_id @param {string} name */
export function offerClosingUndo(visit_id, name) {
  offer(() => t("undo-closing", { name }), () => say(closing(visit_id), `/visit/${visit_id}`));
}

/** @typedef {{at_ms: number, at_count: number}} Sent a referral, as the visit names it */
/** @typedef {Sent & {prescription_id: string, drug_id: string, units: number}} HandedOut */

/** A medicine was handed out, perhaps too many of it. @param {string} visit_id @param {HandedOut} one @param {string} medicine @param {() => void} then */
export function offerHandOutUndo(visit_id, one, medicine, then) {
  offer(() => t("undo-hand-out", { n: one.units, medicine }), () => say(handOut(visit_id, one)).finally(then));
}

/** A patient was sent on. @param {string} visit_id @param {Sent} one @param {string} name */
export function offerReferralUndo(visit_id, one, name) {
  offer(() => t("undo-referral", { name }), () => say(sending(visit_id, one)));
}

/** “Undo” beside what was done today. @param {{body: import("./commands.js").CommandBody, label: string, test: string, then?: () => void}} props */
function TakeBack({ body, label, test, then }) {
  const working = useSignal(false);
  const back = async () => {
    working.value = true;
    const wrong = await say(body);
    working.value = false;
    forgetUndo();
    then?.();
    toast(wrong ? "bad" : "good", wrong || t("undone"));
  };
  return html`<button type="button" class="quiet print-hide" data-test=${test} aria-label=${label} disabled=${working.value} aria-busy=${working.value ? "true" : "false"} onClick=${() => void back()}>${t("undo")}</button>`;
}

/** @param {{visitId: string, endedMs: number}} props */
export const ClosingBack = ({ visitId, endedMs }) => (onItsDay(endedMs) ? html`<${TakeBack} body=${closing(visitId)} label=${t("undo-closing-label")} test="undo-closing" />` : null);

/** @param {{visitId: string, one: HandedOut, medicine: string, then: () => void}} props */
export const HandOutBack = ({ visitId, one, medicine, then }) => (onItsDay(one.at_ms) ? html`<${TakeBack} body=${handOut(visitId, one)} label=${`${t("undo")}: ${t("undo-hand-out", { n: one.units, medicine })}`} test="undo-hand-out" then=${then} />` : null);

/** @param {{visitId: string, one: Sent, name: string}} props */
export const ReferralBack = ({ visitId, one, name }) => (onItsDay(one.at_ms) ? html`<${TakeBack} body=${sending(visitId, one)} label=${`${t("undo")}: ${t("undo-referral", { name })}`} test="undo-referral" />` : null);

/**
 * Throw a half-filled registration away: perhaps the wrong one of two.
 * @param {string} key @param {Record<string, any>} body @param {() => void} back once it is there again @returns {Promise<void>}
 */
export function discardForm(key, body, back) {
  const gone = dropDraft(key);
  offer(() => t("undo-form", { name: body.name || t("no-name-yet") }), async () => {
    await gone;
    keepDraft(key, body);
    await saveDraft(key);
    back();
    return "";
  });
  return gone;
}

export function UndoBar() {
  const now = offered.value;
  if (!now) return null;
  return html`<div class="undo row nowrap" role="status" data-test="undo-bar">
    <span class="grow">${now.text()}</span>
    <button type="button" class="primary" data-test="undo" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${async () => {
      busy.value = true;
      const wrong = await now.back();
      busy.value = false;
      forgetUndo();
      toast(wrong ? "bad" : "good", wrong || t("undone"));
    }}>${t("undo")}</button>
    <button type="button" class="quiet" aria-label=${t("close")} onClick=${forgetUndo}><${Icon} name="cross" /></button>
  </div>`;
}

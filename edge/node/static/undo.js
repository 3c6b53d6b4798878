// @ts-check
// Ten seconds to take back a slip of the finger. What was recorded stays in the record; undoing says that it
// was a slip. Afterwards the same can be said on the visit's own page.
import { html, signal } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText, submit } from "./commands.js";
import { go } from "./store.js";

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

/** @param {any} body @param {string} path where the nurse is then @returns {Promise<string>} */
async function say(body, path) {
  const outcome = await submit(body);
  if (!outcome.ok && "error" in outcome) return errorText(outcome.error);
  go(path);
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

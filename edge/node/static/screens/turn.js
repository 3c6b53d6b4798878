// @ts-check
// Whose turn it is: call the next token or this one, aloud on the board; somebody who was called and is not there.
import { html, useSignal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText, submit } from "../commands.js";

/** @param {string} [visit_id] the next in the queue when it is not given */
async function call(visit_id = "") {
  try {
    const { token, times } = await post("/api/queue/call", { visit_id });
    toast("good", t(times > 1 ? "called-again" : "called", { token: token || "—" }));
  } catch (error) {
    toast("warn", errorText(error));
  }
}

/** @param {{visitId?: string, text: string, test: string, kind?: string}} props */
export function CallButton({ visitId, text, test, kind }) {
  const busy = useSignal(false);
  return html`<button type="button" class=${kind ?? ""} data-test=${test} disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${async () => {
    busy.value = true;
    await call(visitId);
    busy.value = false;
  }}><${Icon} name="speaker" /> ${text}</button>`;
}

/** Of a visit with its token: call it, or say who is not there and who is back. @param {{visit: import("/ui/api").Visit}} props */
export function Turn({ visit }) {
  const busy = useSignal(false);
  const move = (/** @type {string} */ state, /** @type {string} */ reason) => async () => {
    busy.value = true;
    const outcome = await submit({ type: "move_visit", visit_id: visit.visit_id, state, reason });
    busy.value = false;
    if (!outcome.ok && "error" in outcome) toast("bad", errorText(outcome.error));
  };
  if (visit.state === "waiting") return html`<div class="row print-hide" data-test="turn">
    <${CallButton} visitId=${visit.visit_id} text=${t("call-token")} test="call-token" />
    <button type="button" data-test="turn-absent" disabled=${busy.value} onClick=${move("no_show", "called, not there")}>${t("turn-absent")}</button></div>`;
  if (visit.state === "no_show" && !visit.closed_ms) return html`<div class="row print-hide" data-test="turn">
    <button type="button" class="primary" data-test="turn-back" disabled=${busy.value} onClick=${move("waiting", "is here now")}>${t("turn-back")}</button></div>`;
  return null;
}

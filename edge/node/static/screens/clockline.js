// @ts-check
// The node does not know what day it is: its own clock is far ahead of the last work, and no hub has told the time.
// A person says it; until then what is recorded stands under the last day that was certain.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { errorText } from "/ui/lib/errors.js";
import { post } from "/ui/lib/http.js";
import { clockTime, day, isoDay, t } from "/ui/lib/l10n.js";
import { loadStatus, nodeNow, status } from "../store.js";

const IST = "+05:30";
const ASK_MS = 20_000;
/** The question goes on with the node's clock, and ends when the hub has told the time meanwhile. */
const refresh = () => loadStatus().catch(() => {});
const written = (/** @type {number} */ ms) => `${day(ms)} ${clockTime(ms)}`;

export function ClockLine() {
  const other = useSignal(false);
  const typed = useSignal("");
  const wrong = useSignal(/** @type {unknown} */ (null));
  const busy = useSignal(false);
  useEffect(() => {
    const timer = setInterval(refresh, ASK_MS);
    return () => clearInterval(timer);
  }, []);
  const claims_ms = status.value?.doubted_ms ?? 0;
  if (!claims_ms) return null;
  const say = async (/** @type {number} */ time_ms) => {
    busy.value = true;
    wrong.value = null;
    try {
      await post("/api/clock", { time_ms });
    } catch (error) {
      wrong.value = error;
    }
    await refresh();
    busy.value = false;
  };
  const begin = () => {
    typed.value = `${isoDay()}T${clockTime(Date.now())}`; // the tablet's own: often right, since it had a network
    other.value = true;
  };
  const typed_ms = Date.parse(`${typed.value}${IST}`);
  // Only the question is announced: what is beneath it changes with each minute.
  return html`<section class="notice warn stack tight" aria-label=${t("clock-ask")} data-test="clock-line">
    <p role="alert" data-test="clock-ask"><strong>${t("clock-ask")}</strong></p>
    <p>${t("clock-doubt", { used: day(nodeNow()), claims: written(claims_ms) })}</p>
    ${other.value ? html`<div class="row"><label for="clock-now">${t("clock-now")}</label>
        <input id="clock-now" data-test="clock-now" type="datetime-local" value=${typed.value} onInput=${(/** @type {any} */ event) => (typed.value = event.currentTarget.value)} />
        <button type="button" class="primary" data-test="clock-say" disabled=${busy.value || !typed_ms} onClick=${() => void say(typed_ms)}>${typed_ms ? t("clock-yes", { time: written(typed_ms) }) : t("save")}</button></div>`
      : html`<div class="row"><button type="button" class="primary" data-test="clock-yes" disabled=${busy.value} onClick=${() => void say(claims_ms)}>${t("clock-yes", { time: written(claims_ms) })}</button>
        <button type="button" data-test="clock-other" onClick=${begin}>${t("clock-other")}</button></div>`}
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="clock-wrong">${errorText(wrong.value)}</p>` : null}
  </section>`;
}

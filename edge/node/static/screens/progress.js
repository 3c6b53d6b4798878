// @ts-check
// How far a visit and each thing of it has come, in plain words and with the time; SMS about it.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post } from "/ui/lib/http.js";
import { addWords, ago, clockTime, known, span, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { nodeNow, status } from "../store.js";

/** @typedef {import("../store.js").Line} Line */
/** @typedef {import("../store.js").ItemLine} ItemLine */

const NOT_THERE = ["waiting", "sent"];

/** Whether the hub has everything of these. @param {Line[]} lines */
export const arrived = (lines) => lines.length > 0 && lines.every((one) => !NOT_THERE.includes(one.state));

/** @param {string} state @param {number} at */
function when(state, at) {
  if (!at) return "";
  if (!NOT_THERE.includes(state)) return ago(at, nodeNow());
  const seconds = (nodeNow() - at) / 1000;
  return seconds < 60 ? "" : t("for-time", { time: span(seconds) });
}

/** One honest line: how far something has come, and since when. @param {{state: string, at?: number, words?: string}} props */
export function SyncLine({ state, at = 0, words = "sync" }) {
  if (!state) return null;
  const time = when(state, at);
  return html`<span class="sync" data-test="sync-line" data-state=${state}>${t(`${words}-${state.replaceAll("_", "-")}`)}${time ? `, ${time}` : ""}</span>`;
}

/** The sign in the queue that a short copy went by SMS. @param {{state: string}} props */
export const SmsSign = ({ state }) => html`<span class="sync" data-test="sms-sign" data-state=${state}>${t(`sms-${state.replaceAll("_", "-")}`)}</span>`;

/** @param {ItemLine["parts"]} parts */
function partsText(parts) {
  const there = parts.level_1 + parts.level_2;
  const all = there + parts.unsealed + parts.sealed;
  return there > 0 && there < all ? t("parts-some", { n: there, all }) : "";
}

/** The whole visit, then each thing of it. @param {{sync: ItemLine[], line: Line|null}} props */
export function SyncCard({ sync, line }) {
  if (sync.length === 0) return null;
  return html`<section class="card" aria-label=${t("sync-title")}><h2>${t("sync-title")}</h2>
    ${line ? html`<p class="sync-whole" data-test="visit-line" data-state=${line.state}><strong>${t("item-whole")}:</strong> <${SyncLine} state=${line.state} at=${line.at_ms} /></p>` : null}
    <ul class="sync-list">
    ${sync.map((one) => html`<li key=${one.item + one.subject} data-test="sync-item" data-item=${one.item} data-state=${one.state}>
      <span>${t(`item-${one.item.replaceAll("_", "-")}`)}</span>
      <span class="sync-end"><${SyncLine} state=${one.state} at=${one.at_ms} words=${one.item === "sms" ? "sms" : "sync"} />
        ${partsText(one.parts) ? html`<span class="soft small">${partsText(one.parts)}</span>` : null}</span></li>`)}
  </ul></section>`;
}

/** @param {string} state */
const smsState = (state) => (known(`sms-state-${state}`) ? t(`sms-state-${state}`) : t("sms-state-failed", { code: state }));

/** What was said about this visit by SMS, both ways; nothing where the node has no modem. @param {{visitId: string, open: boolean}} props */
export function SmsCard({ visitId, open }) {
  const lines = useSignal(/** @type {any[]} */ ([]));
  const busy = useSignal(false);
  const fitted = status.value?.sms_fitted;
  const load = async () => {
    try {
      lines.value = (await get(`/api/visits/${visitId}/sms`)) ?? [];
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  };
  useEffect(() => {
    if (fitted) void load().catch(() => {});
  }, [visitId, fitted, status.value?.time_ms]);
  if (!fitted) return null;
  const send = async () => {
    busy.value = true;
    try {
      lines.value = await post(`/api/visits/${visitId}/sms`);
      toast("good", t("sms-sent-toast"));
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  return html`<section class="card stack tight print-hide" data-test="sms-card" aria-label=${t("sms-title")}><h2>${t("sms-title")}</h2>
    <ul class="stack tight">${lines.value.map((one, index) => html`<li key=${index} data-test=${`sms-${one.way}`} data-state=${one.state}>
      <span class="soft small num">${clockTime(one.at_ms)}</span> ${t(`sms-line-${one.way}`)}:
      ${one.way === "sent" ? ` ${smsState(one.state)}` : html` <strong>${one.advice ? t(`advice-${one.advice.replaceAll("_", "-")}`) : ""}</strong>
        ${one.text ? html` <q>${one.text}</q>` : null}${one.doctor ? html` <span class="soft">${one.doctor}</span>` : null}
        <div class="soft small">${one.prescription_id ? t("sms-prescription-comes") : t("sms-unverified")}</div>`}</li>`)}</ul>
    ${open ? html`<div class="row"><button type="button" data-test="sms-send" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}
      onClick=${() => void send()}>${t("sms-send")}</button></div>` : null}
  </section>`;
}

const waiting = signal(/** @type {typeof import("/ui/lib/expected.js")|null} */ (null));

/** What the hub said of the wait; code and words come when there is something to say. @param {{told: import("/ui/api").Expected}} props */
export function Expected({ told }) {
  useEffect(() => {
    Promise.all([import("/ui/lib/expected.js"), addWords("wait")]).then(([found]) => (waiting.value = found)).catch(() => {});
  }, []);
  return waiting.value ? html`<span class="small" data-test="expected">${waiting.value.expectedText(told)}</span>` : null;
}

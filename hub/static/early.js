// @ts-check
// Visits of which only an SMS has come so far, and the doctor's short answer. Said by the centre's box, not signed.
import { html, signal, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { ago, known, pick, t } from "/ui/lib/l10n.js";
import { ColourBadge, Dialog, toast } from "/ui/lib/parts.js";
import { item, words } from "/ui/lib/reference.js";
import { ageText } from "/ui/lib/ages.js";
import { errorText, smsFitted } from "./store.js";

/**
 * @typedef {{emergency: boolean, token: string, age: string, sex: string, colour: string, complaints: string[], vitals: Record<string, number>,
 *   avpu: string, signs: string[], pregnant: boolean, oxygen: boolean, allergies: string, left_out: boolean, note: string}} Shown
 * @typedef {{node_id: string, site_name: string, early_id: string, came_ms: number, copy: Shown, answers: {at_ms: number, state: string}[]}} Early
 */

/** @type {import("/ui/vendor/signals.js").Signal<Early[]>} */
const items = signal([]);
const ADVICE = ["call_108", "refer_now", "refer_today", "wait_for_call", "seen"];

/** Load them; a hub without a modem has none. */
export async function loadEarly() {
  if (smsFitted.value) items.value = await get("/api/early");
}

export function EarlyList() {
  const open = useSignal("");
  if (items.value.length === 0) return null;
  const chosen = items.value.find((one) => one.node_id + one.early_id === open.value);
  return html`<section aria-label=${t("early-title")} data-test="early"><h2>${t("early-title")}</h2>
    <ol>${items.value.map((one) => html`<li key=${one.node_id + one.early_id}><button type="button" class=${`queue-row ${one.copy.colour}`} data-test="early-row"
      onClick=${() => (open.value = one.node_id + one.early_id)}>
      <span class="row tight between"><strong class="num">${one.copy.token || "—"}</strong><${ColourBadge} colour=${one.copy.colour} /></span>
      <span class="soft">${[ageText(one.copy.age), one.copy.sex && known(`gender-${one.copy.sex}`) ? t(`gender-${one.copy.sex}`) : "", one.site_name].filter(Boolean).join(" · ")}</span>
      <span class="small"><strong>${t("early-unverified")}</strong>, ${ago(one.came_ms, Date.now())}</span>
      ${one.answers.length > 0 ? html`<span class="small soft">${t("early-answered")}</span>` : null}</button></li>`)}</ol>
    ${chosen ? html`<${EarlyDialog} early=${chosen} onClose=${() => (open.value = "")} />` : null}</section>`;
}

/** @param {{early: Early, onClose: () => void}} props */
function EarlyDialog({ early, onClose }) {
  const advice = useSignal("");
  const text = useSignal("");
  const wrong = useSignal("");
  const busy = useSignal(false);
  const { copy } = early;
  const send = async () => {
    busy.value = true;
    try {
      await post(`/api/early/${early.node_id}/${early.early_id}/answer`, { advice: advice.value || "none", text: text.value.trim() });
      toast("good", t("early-sent"));
      onClose();
      await loadEarly();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      busy.value = false;
    }
  };
  /** @type {[string, string][]} */
  const rows = [
    [t("complaints"), copy.complaints.join(", ")],
    [t("signs-asked"), copy.signs.map((code) => words("signs", code)).join(", ")],
    [t("step-vitals"), Object.entries(copy.vitals).map(([id, value]) => `${pick(item("vitals", id), id)} ${value}`).join(", ")],
    [t("pregnant"), copy.pregnant ? t("yes") : ""],
    [t("history-notes"), copy.note],
  ];
  return html`<${Dialog} title=${`${copy.token || "—"} · ${early.site_name}`} test="early-dialog" onClose=${onClose}>
    <p class="notice warn">${t("early-explain")}</p>
    <dl class="facts">${rows.filter(([, value]) => value).map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl>
    ${copy.left_out ? html`<p class="soft">${t("early-left-out")}</p>` : null}
    <div class="field"><label for="early-advice">${t("early-advice")}</label><select id="early-advice" data-test="early-advice" value=${advice.value}
      onChange=${(/** @type {any} */ event) => (advice.value = event.currentTarget.value)}><option value="">${t("advice-none")}</option>
      ${ADVICE.map((one) => html`<option key=${one} value=${one}>${t(`advice-${one.replaceAll("_", "-")}`)}</option>`)}</select></div>
    <div class="field"><label for="early-text">${t("early-text")}</label><input id="early-text" data-test="early-text" maxlength="160" value=${text.value}
      onInput=${(/** @type {any} */ event) => (text.value = event.currentTarget.value)} /></div>
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="early-send" disabled=${busy.value || !(advice.value || text.value.trim())} onClick=${() => void send()}>${t("early-send")}</button></div>
  <//>`;
}

// @ts-check
// The shelf: what the book says of every medicine, counting, and what came in.
import { digitsIn } from "/ui/lib/digits.js";
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { day, pick, t } from "/ui/lib/l10n.js";
import { Dialog, TextField, toast } from "/ui/lib/parts.js";
import { item, list } from "/ui/lib/reference.js";
import { errorText, submit } from "../commands.js";
import { go } from "../store.js";

/** @typedef {{drug_id: string, units: number, counted_ms: number}} Level */

/** Handed out, and never counted nor received: the book knows nothing of it. @param {Level|undefined} level */
const isKnown = (level) => Boolean(level && (level.units >= 0 || level.counted_ms));

export function StockPage() {
  const levels = useSignal(/** @type {Record<string, Level>|null} */ (null));
  const query = useSignal("");
  const open = useSignal("");
  const load = async () => {
    const reply = await get("/api/stock");
    levels.value = Object.fromEntries(reply.items.map((/** @type {Level} */ one) => [one.drug_id, one]));
  };
  useEffect(() => void load().catch((error) => toast("bad", errorText(error))), []);
  const wanted = query.value.trim().toLowerCase();
  const drugs = list("formulary").filter((/** @type {any} */ one) => !wanted || `${one.generic} ${one.strength}`.toLowerCase().includes(wanted));
  const chosen = list("formulary").find((/** @type {any} */ one) => one.id === open.value);
  return html`<div class="stack page" data-test="stock-page"><h1>${t("stock-title")}</h1>
    <p class="soft">${t("stock-hint")}</p>
    <${TextField} id="stock-search" test="stock-search" label=${t("stock-search")} value=${query.value} maxlength=${40} onValue=${(/** @type {string} */ text) => (query.value = text)} />
    <ul class="stock-list">${drugs.map((/** @type {any} */ one) => {
      const known = levels.value?.[one.id ?? ""];
      return html`<li key=${one.id}><button type="button" class="stock-row" data-test="stock-row" data-drug=${one.id} onClick=${() => (open.value = one.id)}>
        <span class="grow"><strong class="drug">${one.generic}</strong> <span class="soft">${pick(item("units", one.form), one.form)} ${one.strength}</span></span>
        <span class=${known && known.units <= 0 ? "num late" : "num"}>${isKnown(known) ? t("stock-units", { n: known?.units ?? 0 }) : t("stock-unknown")}
          ${known?.counted_ms ? html`<span class="soft small"> ${t("stock-counted", { date: day(known.counted_ms) })}</span>` : null}</span></button></li>`;
    })}</ul>
    <div class="foot row"><button type="button" class="grow" data-test="stock-back" onClick=${() => go("/")}>${t("back")}</button></div>
    ${chosen ? html`<${MoveDialog} drug=${chosen} level=${levels.value?.[chosen.id ?? ""]} onClose=${(/** @type {boolean} */ changed) => {
      open.value = "";
      if (changed) void load().catch(() => {});
    }} />` : null}</div>`;
}

/** @param {{drug: any, level: Level|undefined, onClose: (changed: boolean) => void}} props */
function MoveDialog({ drug, level, onClose }) {
  const units = useSignal("");
  const batch = useSignal("");
  const expires = useSignal("");
  const wrong = useSignal("");
  const busy = useSignal(false);
  const amount = Number(units.value);
  const say = (/** @type {any} */ body) => async () => {
    busy.value = true;
    const outcome = await submit({ drug_id: drug.id, units: amount, ...body });
    busy.value = false;
    if (!outcome.ok && "error" in outcome) wrong.value = errorText(outcome.error);
    else onClose(true);
  };
  return html`<${Dialog} title=${`${drug.generic} ${drug.strength}`} test="stock-dialog" onClose=${() => onClose(false)}>
    <p>${isKnown(level) ? t("stock-book", { n: level?.units ?? 0 }) : t("stock-unknown")}</p>
    <${TextField} id="stock-amount" test="stock-amount" label=${t("stock-amount")} value=${units.value} inputmode="numeric" maxlength=${6} onValue=${(/** @type {string} */ text) => (units.value = digitsIn(text))} />
    <${TextField} id="stock-batch" test="stock-batch" label=${t("stock-batch")} value=${batch.value} maxlength=${40} onValue=${(/** @type {string} */ text) => (batch.value = text)} />
    <${TextField} id="stock-expires" test="stock-expires" type="month" label=${t("stock-expires")} value=${expires.value} onValue=${(/** @type {string} */ text) => (expires.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${() => onClose(false)}>${t("back")}</button>
      <button type="button" class="grow" data-test="stock-count" disabled=${units.value === "" || busy.value} onClick=${say({ type: "count_stock" })}>${t("stock-count")}</button>
      <button type="button" class="primary grow" data-test="stock-receive" disabled=${!amount || busy.value} onClick=${say({ type: "receive_stock", batch: batch.value.trim(), expires: expires.value })}>${t("stock-receive")}</button></div>
  <//>`;
}

// @ts-check
// When doctors sit: hours and holidays by district, each doctor's own, what a change means before it is saved, and taking
// the last one back.
import { html, useSignal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { Act, Loading, useLoaded } from "./office.js";
import { Sitters } from "./plandoctors.js";
import { CalendarEdit } from "./planhours.js";
import { Lines, save } from "./planlines.js";

/** @typedef {import("./planlines.js").Plan} Plan */
/** @typedef {import("./planlines.js").Changed} Changed */

export function PlanPage() {
  /** @type {[Plan|null, (fresh?: any) => void]} */
  const [found, keep] = useLoaded("/api/rota/plan");
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="plan-page"><h1 id="record-title" tabindex="-1">${t("office-plan")}</h1><p>${t("plan-explain")}</p>
    <${CalendarEdit} key=${found.number} plan=${found} keep=${keep} /><${Sitters} plan=${found} keep=${keep} /><${History} plan=${found} keep=${keep} /></div>`;
}

/** @param {{plan: Plan, keep: (fresh?: any) => void}} props */
function History({ plan, keep }) {
  const asking = useSignal(false);
  const what = (/** @type {Changed} */ one) => [one.calendar ? t("plan-calendar") : "", ...one.persons].filter(Boolean).join(", ");
  return html`<section class="card stack tight" aria-label=${t("plan-history")}><h2>${t("plan-history")}</h2>
    ${plan.history.length === 0 ? html`<p class="soft">${t("plan-history-none")}</p>` : html`<ul class="stack tight">${plan.history.map((one) => html`<li key=${one.number} data-test="plan-change"><span class="num small">${day(one.at_ms)} ${clockTime(one.at_ms)}</span> · <strong>${one.by || t("plan-by-command")}</strong> · ${what(one)}</li>`)}</ul>
      <div class="row"><button type="button" data-test="plan-undo" onClick=${() => (asking.value = true)}>${t("plan-undo")}</button></div>`}
    ${asking.value ? html`<${Act} title=${t("plan-undo")} says=${plan.undo.length ? t("plan-undo-says") : t("plan-undo-nothing")} go=${t("plan-undo")} ready=${plan.undo.length > 0}
      act=${(/** @type {string} */ password) => save(keep, () => post("/api/rota/plan/undo", { password, number: plan.number }))} onClose=${() => (asking.value = false)}><${Lines} lines=${plan.undo} /><//>` : null}</section>`;
}

// @ts-check
// Allergies (always asked), pregnancy where it may be, past illness and present medicines.
import { digitsIn } from "./digits.js";
import { html } from "./dom.js";
import { day, pick, t } from "./l10n.js";
import { Choice, TextField } from "./parts.js";
import { asksPregnancy } from "./ages.js";
import { list } from "./reference.js";

/** @param {{form: import("./visit_form.js").VisitForm, change: (part: any) => void, record: any, faults: Record<string, string>}} props */
export function HistoryStep({ form, change, record, faults }) {
  const set = (/** @type {string} */ field) => (/** @type {any} */ value) => change({ [field]: value });
  const yesNo = [{ value: "yes", label: t("yes") }, { value: "no", label: t("no") }];
  return html`
    ${form.from_last_ms ? html`<p class="notice warn" data-test="from-last">${t("from-last", { date: day(form.from_last_ms) })}</p>` : null}
    <section class="card stack">
      <${Choice} name="allergy" legend=${t("allergy-question")} value=${form.allergy} onValue=${set("allergy")} wrong=${faults.allergy}
        options=${[{ value: "none", label: t("allergy-none") }, { value: "some", label: t("allergy-some"), alarm: true }]} />
      ${form.allergy === "some" ? html`<${TextField} id="allergy-text" test="allergy-text" label=${t("allergy-text")} value=${form.allergy_text}
        maxlength=${400} wrong=${faults.allergy_text} onValue=${set("allergy_text")} focus />` : null}
    </section>
    ${asksPregnancy(record.patient) ? html`<section class="card stack">
      <${Choice} name="pregnant" legend=${t("pregnant-question")} value=${form.pregnant} onValue=${set("pregnant")} wrong=${faults.pregnant}
        options=${[...yesNo, { value: "unknown", label: t("dont-know") }]} />
      ${form.pregnant === "yes" ? html`<${TextField} id="weeks" test="pregnant-weeks" label=${t("pregnant-weeks")} inputmode="numeric" maxlength=${2}
        value=${form.weeks} wrong=${faults.weeks} onValue=${(/** @type {string} */ text) => change({ weeks: digitsIn(text) })} />`
        : html`<${Choice} name="post-partum" legend=${t("post-partum-question")} value=${form.post_partum} onValue=${set("post_partum")}
            wrong=${faults.post_partum} options=${yesNo} />`}
    </section>` : null}
    <section class="card stack">
      <h2 id="conditions-title">${t("other-illness")}</h2>
      <div class="choices" role="group" aria-labelledby="conditions-title">
        ${list("conditions").map((one) => html`<button type="button" key=${one.id} class="choice" data-test=${`condition-${one.id}`}
          aria-pressed=${form.conditions.includes(one.id ?? "") ? "true" : "false"}
          onClick=${() => change({ conditions: form.conditions.includes(one.id ?? "")
            ? form.conditions.filter((id) => id !== one.id) : [...form.conditions, one.id] })}>${pick(one)}</button>`)}
      </div>
    </section>
    <section class="card form-grid">
      <div class="field"><label for="medicines">${t("medicines-question")}</label>
        <textarea id="medicines" data-test="medicines" maxlength="2000" value=${form.medicines}
          onInput=${(/** @type {any} */ event) => change({ medicines: event.currentTarget.value })}></textarea></div>
      <div class="field"><label for="history-notes">${t("history-notes")}</label>
        <textarea id="history-notes" data-test="history-notes" maxlength="2000" value=${form.history_notes}
          onInput=${(/** @type {any} */ event) => change({ history_notes: event.currentTarget.value })}></textarea></div>
    </section>`;
}

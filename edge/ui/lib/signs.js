// @ts-check
// Danger signs of the patient's chart: tap what is there, then say that the rest was looked for.
import { html } from "./dom.js";
import { pick, t } from "./l10n.js";
import { ageDays } from "./ages.js";
import { list } from "./reference.js";

/** @typedef {{colour: string, from_days: number, below_days: number|null, pregnant: boolean, maternal: boolean, not_gender: string, complaints: string[]}} Ask */

/**
 * The signs that concern this patient, with the strongest colour that each may bring.
 * @param {import("./visit_form.js").VisitForm} form @param {import("../api").Patient} patient
 */
export function asked(form, patient) {
  const days = ageDays(patient);
  const pregnant = form.pregnant === "yes" || form.pregnant === "unknown";
  const maternal = pregnant || form.post_partum === "yes";
  const complaints = form.complaints.map((one) => one.code);
  return list("signs").flatMap((sign) => {
    const fits = (sign.asks ?? []).filter((/** @type {Ask} */ ask) =>
      (days === null || (days >= ask.from_days && (ask.below_days === null || days < ask.below_days)))
      && (!ask.pregnant || pregnant) && (!ask.maternal || maternal)
      && (!ask.not_gender || ask.not_gender !== patient.person.gender)
      && (ask.complaints.length === 0 || complaints.length === 0 || ask.complaints.some((code) => complaints.includes(code))));
    if (fits.length === 0) return [];
    return [{ ...sign, red: fits.some((/** @type {Ask} */ ask) => ask.colour === "red") }];
  });
}

/** @param {{form: import("./visit_form.js").VisitForm, change: (part: any) => void, record: any, faults: Record<string, string>}} props */
export function SignsStep({ form, change, record, faults }) {
  const signs = asked(form, record.patient);
  const group = (/** @type {boolean} */ red) => html`<div class="tiles signs">
    ${signs.filter((sign) => sign.red === red).map((sign) => html`<button type="button" key=${sign.id} data-test=${`sign-${sign.id}`}
      class=${red ? "choice tile alarm" : "choice tile"} aria-pressed=${form.signs[sign.id ?? ""] ? "true" : "false"}
      onClick=${() => change({ signs: { ...form.signs, [sign.id ?? ""]: !form.signs[sign.id ?? ""] } })}>${pick(sign)}</button>`)}
  </div>`;
  const present = signs.filter((sign) => form.signs[sign.id ?? ""]);
  const rest = t("signs-rest-absent", { n: signs.length - present.length });
  return html`
    <p class="notice">${t("signs-how")}</p>
    <section class="card stack" aria-label=${t("signs-red")}><h2>${t("signs-red")}</h2>${group(true)}</section>
    <section class="card stack" aria-label=${t("signs-other")}><h2>${t("signs-other")}</h2>${group(false)}</section>
    <section class=${faults.signs ? "card bad-card" : "card"}>
      <button type="button" class="choice wide big" data-test="signs-rest-absent" aria-pressed=${form.rest_absent ? "true" : "false"}
        onClick=${() => change({ rest_absent: !form.rest_absent })}>${rest}</button>
      ${faults.signs ? html`<p class="wrong" role="alert">${faults.signs}</p>` : null}
    </section>`;
}

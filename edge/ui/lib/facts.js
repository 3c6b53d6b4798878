// @ts-check
// The record of a visit, to be read: what was asked and what was answered.
import { html } from "./dom.js";
import { clockTime, pick, t } from "./l10n.js";
import { item, words } from "./reference.js";

/** @param {{visit: import("../api").Visit, patient: import("../api").Patient}} props */
export function RecordFacts({ visit, patient }) {
  const { history, allergies } = visit;
  const latest = visit.vitals.at(-1);
  /** @type {[string, unknown][]} */
  const rows = [
    [t("complaints"), visit.complaints.map((one) => [one.code === "other" ? "" : words("complaints", one.code), one.text,
      one.duration ? t(`for-${one.duration_unit}`, { n: one.duration }) : ""].filter(Boolean).join(" ")).join(", ")],
    [t("complaint-notes"), visit.complaint_notes],
    [t("allergies"), allergies ? (allergies.none_known ? t("allergy-none") : allergies.items.join(", ")) : ""],
    [t("other-illness"), (history?.conditions ?? []).map((id) => words("conditions", id)).join(", ")],
    [t("medicines-now"), history?.medicines ?? ""],
    [t("pregnant"), history?.pregnant ? [t("yes"), history.weeks_pregnant ? t("weeks-n", { n: history.weeks_pregnant }) : ""].filter(Boolean).join(", ") : ""],
    [t("signs-present"), visit.signs_present.map((id) => words("signs", id)).join(", ")],
    [t("step-vitals"), latest ? html`<ul class="inline">${latest.vitals.readings.map((reading) => html`<li key=${reading.vital}>
        ${pick(item("vitals", reading.vital), reading.vital)}: <strong class="num">${reading.value}</strong></li>`)}
        ${latest.vitals.avpu ? html`<li>${words("avpu", latest.vitals.avpu)}</li>` : null}</ul><span class="soft small num">${clockTime(latest.at_ms)}</span>` : ""],
    [t("mobile"), patient.person.mobile],
  ];
  const filled = rows.filter(([, value]) => value !== "" && value !== null);
  if (filled.length === 0) return null;
  return html`<section class="card print-hide" aria-label=${t("record")}><h2>${t("record")}</h2><dl class="facts">
    ${filled.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

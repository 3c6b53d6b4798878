// @ts-check
// The record of a visit, to be read: what was asked and what was answered. What was not asked is said
// to be so, and never looks like a healthy answer.
import { html } from "./dom.js";
import { clockTime, day, known, pick, t } from "./l10n.js";
import { item, words } from "./reference.js";
import { unitText } from "./units.js";

/** @typedef {import("../api").Visit} Visit */

/** One measured value with its unit. @param {import("../api").Reading} reading */
const measured = (reading) => html`<li key=${reading.vital}>${pick(item("vitals", reading.vital), reading.vital)}:
  <strong class="num"> ${reading.value} ${unitText(item("vitals", reading.vital)?.unit)}</strong></li>`;

/** A round of measurements with what was left out, by whom and when. @param {{round: Visit["vitals"][number], nameOf?: (id: string) => string}} props */
function Round({ round, nameOf }) {
  const { readings, avpu, oxygen, not_done } = round.vitals;
  const name = nameOf?.(round.by) ?? "";
  const time = clockTime(round.at_ms);
  return html`<ul class="inline">${readings.map(measured)}
      ${avpu ? html`<li>${words("avpu", avpu)}</li>` : null}${oxygen ? html`<li><strong>${t("on-oxygen")}</strong></li>` : null}</ul>
    ${not_done.length > 0 ? html`<div class="soft">${t("not-done-list", { list: not_done.map((id) => words("vitals", id)).join(", ") })}</div>` : null}
    <span class="soft small num">${name ? t("recorded-by", { name, time }) : time}</span>`;
}

/** @param {Visit} visit */
function signsText(visit) {
  const absent = visit.signs_absent.length;
  if (visit.signs_present.length > 0) {
    const present = visit.signs_present.map((id) => words("signs", id)).join(", ");
    return html`<strong>${present}</strong>${absent > 0 ? html` <span class="soft">(${t("signs-looked", { n: absent })})</span>` : null}`;
  }
  return absent > 0 ? t("signs-none", { n: absent }) : html`<em>${t("not-asked")}</em>`;
}

/** @param {NonNullable<Visit["history"]>} history */
function pregnancyText(history) {
  if (history.pregnant) return html`<strong>${[t("yes"), history.weeks_pregnant ? t("weeks-n", { n: history.weeks_pregnant }) : ""].filter(Boolean).join(", ")}</strong>`;
  return history.pregnant === false ? t("no") : t("dont-know");
}

/**
 * @param {{visit: Visit, patient: import("../api").Patient, nameOf?: (id: string) => string}} props
 * `nameOf` gives the name of a staff member by id, "" when it is not known here
 */
export function RecordFacts({ visit, patient, nameOf }) {
  const { history, allergies } = visit;
  const rounds = [...visit.vitals].reverse();
  const unasked = html`<em>${t("not-asked")}</em>`;
  const asksPregnancy = patient.person.gender === "female" && history && (history.pregnant !== null || history.post_partum !== null);
  /** @type {[string, unknown][]} */
  const rows = [
    [t("complaints"), visit.complaints.map((one) => [one.code === "other" ? "" : words("complaints", one.code), one.text,
      one.duration ? t(`for-${one.duration_unit}`, { n: one.duration }) : ""].filter(Boolean).join(" ")).join(", ") || unasked],
    [t("complaint-notes"), visit.complaint_notes],
    [t("item-referral"), (visit.referrals ?? []).map((one) => [known(`place-${one.to}`) ? t(`place-${one.to}`) : one.to, t(`urgency-${one.urgency}`), t(`way-${one.way.replace("_", "-")}`), one.reason, one.given].filter(Boolean).join(" · ")).join("; ")],
    [t("ending-head"), visit.ending ? [t(`ending-${visit.ending.ending.replace("_", "-")}`), visit.ending.note].filter(Boolean).join(" · ") : ""],
    [t("signs-asked"), signsText(visit)],
    [t("step-vitals"), rounds.length > 0 ? html`<${Round} round=${rounds[0]} nameOf=${nameOf} />` : html`<em>${t("not-measured")}</em>`],
    [t("allergies"), allergies ? (allergies.none_known ? t("allergy-none") : html`<strong>${allergies.items.join(", ")}</strong>`) : unasked],
    [t("other-illness"), history ? history.conditions.map((id) => words("conditions", id)).join(", ") || t("none-said") : unasked],
    [t("medicines-now"), history ? history.medicines || t("none-said") : unasked],
    [t("pregnant"), asksPregnancy && history ? pregnancyText(history) : ""],
    [t("post-partum"), history?.post_partum ? html`<strong>${t("yes")}</strong>` : ""],
    [t("history-notes"), history?.notes ?? ""],
    [t("earlier-rounds"), rounds.length > 1 ? rounds.slice(1).map((round) => html`<div key=${round.at_ms}><${Round} round=${round} nameOf=${nameOf} /></div>`) : ""],
    [t("mobile"), [patient.person.mobile, patient.person.mobile_owner].filter(Boolean).join(" · ")],
    [t("relative-name"), patient.person.relative_name],
    [t("registered-on"), [patient.local_id, day(patient.registered_ms)].filter(Boolean).join(" · ")],
  ];
  const filled = rows.filter(([, value]) => value !== "" && value !== null);
  return html`<section class="card print-hide" aria-label=${t("record")}><h2>${t("record")}</h2><dl class="facts">
    ${filled.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

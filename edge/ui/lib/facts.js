// @ts-check
// The record of a visit, to be read: what was asked and what was answered. What was not asked is said
// to be so, and never looks like a healthy answer.
import { html } from "./dom.js";
import { clockTime, day, known, pick, t } from "./l10n.js";
import { item, words } from "./reference.js";
import { unitText } from "./units.js";
import { latestVitals } from "./vitals.js";

/** @typedef {import("../api").Visit} Visit */

/** @typedef {Visit["vitals"][number]} VitalsRound */

/**
 * Measurements with what was left out, by whom and when. What comes from an earlier round carries its own time.
 * @param {{round: VitalsRound, from?: Map<string, VitalsRound>, avpuFrom?: VitalsRound|null, nameOf?: (id: string) => string}} props
 */
function Round({ round, from, avpuFrom, nameOf }) {
  const { readings, avpu, oxygen, not_done } = round.vitals;
  const name = nameOf?.(round.by) ?? "";
  const time = clockTime(round.at_ms);
  const earlier = (/** @type {VitalsRound|null|undefined} */ other) => (other && other.at_ms !== round.at_ms ? html` <span class="soft small num">(${clockTime(other.at_ms)})</span>` : null);
  return html`<ul class="inline">${readings.map((one) => html`<li key=${one.vital} data-test=${`fact-${one.vital}`}>${pick(item("vitals", one.vital), one.vital)}:
        <strong class="num"> ${one.value} ${unitText(item("vitals", one.vital)?.unit)}</strong>${earlier(from?.get(one.vital))}</li>`)}
      ${avpu ? html`<li>${words("avpu", avpu)}${earlier(avpuFrom)}</li>` : null}${oxygen ? html`<li><strong>${t("on-oxygen")}</strong></li>` : null}</ul>
    ${not_done.length > 0 ? html`<div class="soft">${t("not-done-list", { list: not_done.map((id) => words("vitals", id)).join(", ") })}</div>` : null}
    <span class="soft small num">${name ? t("recorded-by", { name, time }) : time}</span>`;
}

/** The newest of each vital, and what was measured before that it replaces. @param {Visit} visit */
function measured(visit) {
  const { from, avpuFrom, ...vitals } = latestVitals(visit.vitals);
  const newest = visit.vitals.at(-1);
  const before = visit.vitals.slice(0, -1).reverse().flatMap((round) => {
    const readings = round.vitals.readings.filter((one) => from.get(one.vital) !== round);
    const avpu = avpuFrom === round ? "" : round.vitals.avpu;
    return readings.length > 0 || avpu ? [{ ...round, vitals: { readings, avpu, oxygen: round.vitals.oxygen, not_done: [] } }] : [];
  });
  return { now: newest && { ...newest, vitals }, from, avpuFrom, before };
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
  const { now, from, avpuFrom, before } = measured(visit);
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
    [t("step-vitals"), now ? html`<${Round} round=${now} from=${from} avpuFrom=${avpuFrom} nameOf=${nameOf} />` : html`<em>${t("not-measured")}</em>`],
    [t("allergies"), allergies ? (allergies.none_known ? t("allergy-none") : html`<strong>${allergies.items.join(", ")}</strong>`) : unasked],
    [t("other-illness"), history ? history.conditions.map((id) => words("conditions", id)).join(", ") || t("none-said") : unasked],
    [t("medicines-now"), history ? history.medicines || t("none-said") : unasked],
    [t("pregnant"), asksPregnancy && history ? pregnancyText(history) : ""],
    [t("post-partum"), history?.post_partum ? html`<strong>${t("yes")}</strong>` : ""],
    [t("history-notes"), history?.notes ?? ""],
    [t("earlier-rounds"), before.length > 0 ? before.map((round) => html`<div key=${round.at_ms}><${Round} round=${round} nameOf=${nameOf} /></div>`) : ""],
    [t("mobile"), [patient.person.mobile, patient.person.mobile_owner].filter(Boolean).join(" · ")],
    [t("relative-name"), patient.person.relative_name],
    [t("registered-on"), [patient.local_id, day(patient.registered_ms)].filter(Boolean).join(" · ")],
  ];
  const filled = rows.filter(([, value]) => value !== "" && value !== null);
  return html`<section class="card print-hide" aria-label=${t("record")}><h2>${t("record")}</h2><dl class="facts">
    ${filled.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

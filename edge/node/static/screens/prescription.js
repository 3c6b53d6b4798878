// @ts-check
// The doctor's answer as the patient understands it: which medicine, when, how long; then paper.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { clockTime, day, language, pick, say, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { doseLine, piecesOf, timesOfDay } from "/ui/lib/dose.js";
import { errorText, submit } from "../commands.js";
import { item } from "/ui/lib/reference.js";
import { canReadOut, loadVoice, playing, readOut, stopPrompt } from "../prompts.js";
import { loadRecord } from "../store.js";
import { PrintHere, printer } from "./printer.js";
import { HandOut } from "./shelf.js";

/** @typedef {import("/ui/api").Medicine} Medicine */

const SLOTS = ["morning", "noon", "evening", "night"];

/** @param {{visit: import("/ui/api").Visit, patient: import("/ui/api").Patient, state: import("/ui/api").PrescriptionState}} props */
export function Prescription({ visit, state }) {
  const found = useSignal(/** @type {import("/ui/api").Prescription|null} */ (null));
  const verified = useSignal(true);
  const stands = useSignal(/** @type {import("/ui/api").Stands|null} */ (null));
  const newest = visit.prescriptions.length;
  const wrong = useSignal("");
  const opened = useSignal(false);
  const busy = useSignal(false);
  const base = `/api/visits/${visit.visit_id}/prescriptions/${state.prescription_id}`;
  useEffect(() => {
    get(base).then((reply) => {
      found.value = reply.record;
      verified.value = reply.verified !== false;
      stands.value = reply.stands ?? null;
    }).catch((error) => (wrong.value = errorText(error)));
    void loadVoice().catch(() => {});
    return stopPrompt;
  }, [state.prescription_id, newest]);
  const printed = async () => {
    busy.value = true;
    const outcome = await submit({ type: "confirm_printed", visit_id: visit.visit_id, prescription_id: state.prescription_id, printer: "pdf", copies: 1 });
    busy.value = false;
    if (!outcome.ok && "error" in outcome) toast("bad", errorText(outcome.error));
    await loadRecord(visit.visit_id).catch(() => {});
  };
  const rx = found.value;
  if (wrong.value) return html`<p class="notice bad" role="alert">${wrong.value}</p>`;
  if (!rx) return html`<p class="card" role="status">${t("loading")}</p>`;
  const old = stands.value !== null && stands.value.standing !== "valid" && !rx.cancels;
  if (old) return html`<article class="card rx" data-test="rx-old" data-standing=${stands.value?.standing} aria-label=${`${t("prescription")} ${day(rx.signed_ms)} ${clockTime(rx.signed_ms)}`}>
    <p class="notice bad"><strong>${t(stands.value?.standing === "cancelled" ? "rx-old-cancelled" : "rx-old-replaced")}</strong>
      <span class="num"> ${day(rx.signed_ms)} ${clockTime(rx.signed_ms)}</span> · ${rx.medicines.map((medicine) => medicine.generic).join(", ")}</p></article>`;
  const spoken = [
    ...rx.medicines.map((medicine) => `${medicine.generic.toLowerCase()}: ${doseLine(medicine, "hi").replaceAll(" — ", ", ")}`),
    rx.advice,
    rx.tests.length > 0 ? `${say("hi", "tests")}: ${rx.tests.join(", ")}` : "",
    rx.follow_up_date ? `${say("hi", "come-again")}: ${rx.follow_up_date.split("-").reverse().join("-")}` : "",
  ];
  return html`<section class="card stack rx" data-test="rx-card" data-verified=${String(verified.value)} aria-label=${`${t("prescription")} ${day(rx.signed_ms)} ${clockTime(rx.signed_ms)}`}>
    <div class="row between"><h2>${t("prescription")}</h2>
      <span class=${verified.value ? "notice good slim" : "notice bad slim"} data-test="rx-verified">${verified.value ? `✓ ${t("rx-signed")}` : t("rx-unverified")}</span></div>
    <p><strong>${rx.doctor_name}</strong> <span class="soft num">${[rx.qualification, rx.registration, `${day(rx.signed_ms)} ${clockTime(rx.signed_ms)}`].filter(Boolean).join(" · ")}</span></p>
    ${rx.replaces ? html`<p class="notice bad" role="alert" data-test="rx-replaces"><strong>${t(rx.cancels ? "rx-cancels" : "rx-replaces", { time: `${day(rx.replaces_ms)} ${clockTime(rx.replaces_ms)}` })}</strong>
      ${rx.reason ? html`<span> · ${rx.reason}</span>` : null}</p>` : null}
    <p>${t("diagnosis")}: <strong>${rx.diagnosis}</strong> <span class="soft">${[rx.diagnosis_code, rx.provisional ? `(${t("provisional")})` : ""].filter(Boolean).join(" ")}</span></p>
    ${rx.medicines.length === 0 ? html`<p class="notice">${t("rx-no-medicine")}</p>` : html`<ol class="stack">
      ${rx.medicines.map((medicine, index) => html`<li key=${index} class="medicine" data-test="rx-medicine">
        <div><strong class="drug">${index + 1}. ${medicine.generic}</strong> <span class="soft">${pick(item("units", medicine.form), medicine.form)} ${medicine.strength}</span></div>
        <${DayGrid} medicine=${medicine} />
        <p lang="hi" class="hindi-line">${doseLine(medicine, "hi")}</p>
        ${language.value === "en" ? html`<p class="soft">${doseLine(medicine, "en")}</p>` : null}
        ${medicine.instructions ? html`<p>${medicine.instructions}</p>` : null}
        ${medicine.quantity ? html`<p class="soft">${t("quantity")}: ${medicine.quantity}</p>` : null}
        <${HandOut} visit=${visit} prescriptionId=${state.prescription_id} drugId=${medicine.drug_id} name=${medicine.generic} pieces=${piecesOf(medicine)} />
        ${medicine.approved ? null : html`<p class="notice warn slim" data-test="rx-unapproved">${t("not-approved")}</p>`}
      </li>`)}</ol>`}
    ${rx.advice ? html`<div><h3>${t("advice")}</h3><p class="prewrap">${rx.advice}</p></div>` : null}
    ${rx.tests.length > 0 ? html`<div><h3>${t("tests")}</h3><ul class="dots">${rx.tests.map((test) => html`<li key=${test}>${test}</li>`)}</ul></div>` : null}
    ${rx.referral ? html`<p class="notice warn"><strong>${t("referred-to", { place: rx.referral.to })}</strong> · ${t(`urgency-${rx.referral.urgency}`)}${rx.referral.reason ? ` · ${rx.referral.reason}` : ""}</p>` : null}
    ${rx.follow_up_date ? html`<p>${t("come-again")}: <strong class="num">${rx.follow_up_date.split("-").reverse().join("-")}</strong></p>` : null}
    <div class="row print-hide">
      ${canReadOut() ? html`<button type="button" data-test="rx-read" aria-pressed=${playing.value === state.prescription_id ? "true" : "false"} onClick=${() => void readOut(state.prescription_id, spoken)}><${Icon} name="speaker" /> ${t(playing.value === state.prescription_id ? "stop-reading" : "read-aloud")}</button>` : null}
      <${PrintHere} main path=${`${base}/print`} kind="slip" visitId=${visit.visit_id} subject=${state.prescription_id} text=${t("print-here")} />
      <a class=${printer.value?.fitted ? "button" : "button primary"} data-test="rx-print" href=${`${base}/slip.pdf?paper=a5`} target="_blank" rel="noopener" onClick=${() => (opened.value = true)}><${Icon} name="printer" /> ${t(printer.value?.fitted ? "print-sheet" : "print-slip")}</a>
      <a class="button quiet" data-test="rx-print-a4" href=${`${base}/slip.pdf?paper=a4`} target="_blank" rel="noopener" onClick=${() => (opened.value = true)}>${t("print-a4")}</a>
      ${state.printed_ms ? html`<span class="notice good slim" data-test="rx-is-printed">✓ ${t("printed-at", { time: clockTime(state.printed_ms) })}</span>`
        : html`<button type="button" data-test="rx-printed" class=${opened.value ? "primary" : ""} disabled=${busy.value} onClick=${() => void printed()}>${t("confirm-printed")}</button>`}
    </div>
  </section>`;
}

/** Morning–noon–evening–night with pictures and words. @param {{medicine: Medicine}} props */
function DayGrid({ medicine }) {
  const when = timesOfDay(medicine.frequency);
  if (!when) return html`<p class="frequency" data-test="rx-grid"><strong>${pick(item("frequencies", medicine.frequency), medicine.frequency)}</strong></p>`;
  return html`<ul class="day-grid" data-test="rx-grid">
    ${SLOTS.filter((slot) => slot !== "evening" || when.evening).map((slot) => {
      const takes = when[/** @type {"morning"} */ (slot)];
      return html`<li key=${slot} class=${takes ? "takes" : ""} data-takes=${String(takes)}>
        <${Icon} name=${slot} /><span>${t(slot)}</span>
        <strong class="num">${takes ? medicine.dose : "—"}</strong></li>`;
    })}</ul>`;
}

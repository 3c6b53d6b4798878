// @ts-check
// What a visit's form holds, what has to be answered in each step, and the commands it becomes.
import { t } from "./l10n.js";
import { asksPregnancy, isMinor } from "./ages.js";
import { errorText } from "./errors.js";
import { item, list } from "./reference.js";
import { answersIn, notesWith, ownNotes } from "./guided.js";
import { asked } from "./signs.js";
import { latestVitals, newVitals, saysNothing } from "./vitals.js";

/** @typedef {import("../api").Visit} Visit */
/** @typedef {import("../api").Patient} Patient */
/** @typedef {ReturnType<typeof blankForm>} VisitForm */
/** @typedef {Record<string, any>|((form: VisitForm) => Record<string, any>)} Change fields of a form, or what makes them of the form as it is */

export function blankForm() {
  return {
    tele: /** @type {boolean|null} */ (null),
    data: /** @type {boolean|null} */ (null),
    method: "spoken",
    guardian: { name: "", relation: "", id_seen: false },
    complaints: /** @type {{code: string, text: string, duration: string, unit: string}[]} */ ([]),
    complaint_notes: "",
    /** Answers to the guided questions, by complaint and question. */
    guided: /** @type {Record<string, string>} */ ({}),
    conditions: /** @type {string[]} */ ([]),
    medicines: "",
    history_notes: "",
    pregnant: /** @type {string} "" yes no unknown */ (""),
    weeks: "",
    post_partum: "",
    allergy: /** @type {string} "" none some */ (""),
    allergy_text: "",
    signs: /** @type {Record<string, boolean>} */ ({}),
    rest_absent: false,
    values: /** @type {Record<string, string>} */ ({}),
    /** What devices measured, by vital; holds as long as the value in the field is the same. */
    sources: /** @type {Record<string, import("../api").Reading>} */ ({}),
    not_done: /** @type {string[]} */ ([]),
    confirmed: /** @type {string[]} */ ([]),
    avpu: "",
    oxygen: /** @type {boolean|null} */ (null),
    fahrenheit: false,
    /** When the answers on history and allergies were given that stand in the form and were not asked again; 0: now. */
    from_last_ms: 0,
    sent: /** @type {Record<string, string>} */ ({}),
  };
}

/** What an earlier visit says of past illness, medicines and allergies, to be asked again. @param {Visit} visit */
export function fromLastTime(visit) {
  const { conditions, medicines, allergy, allergy_text } = formOf(visit);
  return { conditions, medicines, allergy, allergy_text, from_last_ms: visit.history || visit.allergies ? visit.opened_ms : 0 };
}

/** Measured, or said to be left out: a blank is never taken as normal (triage.md §1.7). */
const MEASURED = ["hr", "rr", "temp_c", "spo2"];

/** The form as the record has it, for a visit that another tablet began. @param {Visit} visit @returns {VisitForm} */
function formOf(visit) {
  const form = blankForm();
  for (const consent of visit.consents) {
    if (consent.purpose === "teleconsultation") form.tele = consent.given;
    if (consent.purpose === "data") form.data = consent.given;
    form.method = consent.method;
  }
  form.complaints = visit.complaints.map((one) => ({
    code: one.code, text: one.text, duration: one.duration ? String(one.duration) : "", unit: one.duration_unit || "day" }));
  form.complaint_notes = ownNotes(visit.complaint_notes ?? "", visit.complaints);
  form.guided = answersIn(visit.complaint_notes ?? "", visit.complaints);
  if (visit.history) {
    form.conditions = [...visit.history.conditions];
    form.medicines = visit.history.medicines;
    form.history_notes = visit.history.notes;
    form.pregnant = visit.history.pregnant === true ? "yes" : visit.history.pregnant === false ? "no" : "";
    form.weeks = visit.history.weeks_pregnant === null ? "" : String(visit.history.weeks_pregnant ?? "");
    form.post_partum = visit.history.post_partum === true ? "yes" : visit.history.post_partum === false ? "no" : "";
  }
  if (visit.allergies) {
    form.allergy = visit.allergies.none_known ? "none" : "some";
    form.allergy_text = visit.allergies.items.join(", ");
  }
  for (const code of visit.signs_present) form.signs[code] = true;
  form.rest_absent = visit.signs_absent.length > 0;
  const { readings, not_done, avpu, oxygen } = latestVitals(visit.vitals);
  for (const reading of readings) {
    form.values[reading.vital] = String(reading.value);
    if (reading.confirmed) form.confirmed.push(reading.vital);
    if (reading.method === "device") form.sources[reading.vital] = reading;
  }
  return { ...form, not_done, avpu, oxygen };
}

/** A typed number in the unit of its vital, null when it is none. @param {string} vital @param {VisitForm} form */
export function numberOf(vital, form) {
  const text = (form.values[vital] ?? "").replace(",", ".").trim();
  if (!/^\d{1,4}(\.\d{1,2})?$/.test(text)) return null;
  const value = Number(text);
  return vital === "temp_c" && form.fahrenheit ? Math.round(((value - 32) * 50) / 9) / 10 : value;
}

/** That a number cannot be, with the limits in the unit in which it was typed. @param {any} vital @param {VisitForm} form */
export function wrongRange(vital, form) {
  const typed = (/** @type {number} */ value) => (vital.id === "temp_c" && form.fahrenheit ? Math.round(value * 18 + 320) / 10 : value);
  return t("wrong-range", { low: typed(vital.hard_low), high: typed(vital.hard_high) });
}

/** What of the form changes when the nurse takes a device's readings. @param {VisitForm} form @param {import("../api").Reading[]} readings */
export function takeReadings(form, readings) {
  const taken = readings.map((one) => one.vital);
  return {
    values: { ...form.values, ...Object.fromEntries(readings.map((one) => [one.vital, String(one.value)])) },
    sources: { ...form.sources, ...Object.fromEntries(readings.map((one) => [one.vital, one])) },
    not_done: form.not_done.filter((one) => !taken.includes(one)),
    confirmed: form.confirmed.filter((one) => !taken.includes(one)),
  };
}

/** What BMI is computed of. */
export const BODY = ["weight_kg", "height_cm"];

/** Weight and height that make no body (edge/model/vitals.py, `_check_bmi`), and were not both confirmed. @param {any} vital BMI @param {VisitForm} form */
function noBody(vital, form) {
  const [kg, cm] = BODY.map((id) => numberOf(id, form));
  if (!kg || !cm || BODY.every((id) => form.confirmed.includes(id))) return false;
  const value = Math.round((kg / (cm / 100) ** 2) * 10) / 10;
  return value < vital.hard_low || value > vital.hard_high;
}

/** What is unusual and was not confirmed: soft limits that were crossed, and BMI. @param {VisitForm} form @param {boolean} adult */
export function doubtful(form, adult) {
  return list("vitals").filter((vital) => {
    if (vital.derived) return vital.id === "bmi" && noBody(vital, form);
    const value = numberOf(vital.id ?? "", form);
    if (value === null || form.confirmed.includes(vital.id ?? "") || (vital.soft_adults_only && !adult)) return false;
    if (value < vital.hard_low || value > vital.hard_high) return false; // impossible: not to be confirmed
    return (vital.soft_low !== null && value < vital.soft_low) || (vital.soft_high !== null && value > vital.soft_high);
  });
}

/**
 * What has to be put right before the step can be left: field → sentence.
 * @param {string} step @param {VisitForm} form @param {Patient} patient
 * @returns {Record<string, string>}
 */
export function stepFaults(step, form, patient) {
  /** @type {Record<string, string>} */
  const found = {};
  if (step === "consent") {
    if (form.tele === null) found.tele = t("wrong-answer-needed");
    if (form.data === null) found.data = t("wrong-answer-needed");
    if (isMinor(patient) && !form.guardian.name.trim()) found.guardian = t("wrong-guardian");
    if (isMinor(patient) && !form.guardian.relation.trim()) found.relation = t("wrong-relation");
  } else if (step === "complaint") {
    if (form.complaints.length === 0) found.complaints = t("wrong-complaint");
    else if (form.complaints.some((one) => one.code === "other" && !one.text.trim())) found.complaints = t("wrong-complaint-text");
  } else if (step === "history") {
    if (!form.allergy) found.allergy = t("wrong-answer-needed");
    if (form.allergy === "some" && !form.allergy_text.trim()) found.allergy_text = t("wrong-allergy-text");
    if (asksPregnancy(patient) && !form.pregnant) found.pregnant = t("wrong-answer-needed");
    if (asksPregnancy(patient) && form.pregnant !== "yes" && !form.post_partum) found.post_partum = t("wrong-answer-needed");
    if (form.weeks && Number(form.weeks) > 45) found.weeks = t("wrong-weeks");
  } else if (step === "signs") {
    if (!form.rest_absent) found.signs = t("wrong-signs");
  } else if (step === "vitals") {
    for (const vital of list("vitals")) {
      const id = vital.id ?? "";
      if (vital.derived || !(form.values[id] ?? "").trim()) continue;
      const value = numberOf(id, form);
      if (value === null) found[id] = t("wrong-number");
      else if (value < vital.hard_low || value > vital.hard_high) found[id] = wrongRange(vital, form);
    }
    const [sbp, dbp] = [numberOf("sbp", form), numberOf("dbp", form)];
    if (sbp !== null && dbp !== null && sbp <= dbp) found.sbp = t("wrong-bp-order");
    if ((sbp === null) !== (dbp === null) && !found.sbp && !found.dbp) found[sbp === null ? "sbp" : "dbp"] = t("wrong-bp-both");
    for (const id of MEASURED) {
      if (!found[id] && !form.not_done.includes(id) && !(form.values[id] ?? "").trim()) found[id] = t("wrong-measure");
    }
    if (!form.avpu) found.avpu = t("wrong-answer-needed");
  }
  return found;
}

/**
 * Send what a step says, if it says anything new.
 * @param {string} step @param {VisitForm} form @param {{visit: Visit, patient: Patient}} record
 * @param {(part: Record<string, any>) => void} change
 * @param {(body: {type: string}) => Promise<{ok: boolean, error?: unknown}>} submit gives a command
 * @returns {Promise<string>} a sentence when it was refused, else ""
 */
export async function sendStep(step, form, record, change, submit) {
  for (const { mark, body } of commandsOf(step, form, record)) {
    const text = JSON.stringify(body);
    if (form.sent[mark] === text) continue;
    const news = unsaid(body, form.sent[HEARD]);
    const outcome = news ? await submit(news) : { ok: true };
    if (!outcome.ok && outcome.error) return errorText(outcome.error);
    change({ sent: { [mark]: text, ...(mark === "vitals" && outcome.ok ? { [HEARD]: text } : {}) } });
  }
  return "";
}

/** The mark of the measurements that the node has taken: what waits for it may still be refused, and is then to be said as a whole. */
const HEARD = "vitals-heard";

/** Of measurements what the node has not taken before, nothing when that is all; anything else as a whole. @param {any} body @param {string|undefined} heard */
function unsaid(body, heard) {
  if (body.type !== "record_vitals" || !heard) return body;
  const vitals = newVitals(body.vitals, JSON.parse(heard).vitals);
  return saysNothing(vitals) ? null : { ...body, vitals };
}

/**
 * The form as the record has it, with what the record says marked as said: going through the steps
 * again records nothing anew, above all no old reading under a new time.
 * @param {{visit: Visit, patient: Patient}} record @returns {VisitForm}
 */
export function recordedForm(record) {
  const { visit } = record;
  const form = formOf(visit);
  const answered = {
    consent: visit.consents.length > 0, complaint: visit.complaints.length > 0, history: visit.history !== null,
    signs: visit.signs_present.length + visit.signs_absent.length > 0, vitals: visit.vitals.length > 0,
  };
  for (const [step, is] of Object.entries(answered)) {
    if (!is) continue;
    for (const { mark, body } of commandsOf(step, form, record)) {
      const asked = step !== "consent" || visit.consents.some((one) => `consent-${one.purpose}` === mark);
      if (asked) form.sent[mark] = JSON.stringify(body);
    }
  }
  if (form.sent.vitals) form.sent[HEARD] = form.sent.vitals;
  return form;
}

/** @param {string} step @param {VisitForm} form @param {{visit: Visit, patient: Patient}} record */
function commandsOf(step, form, { visit, patient }) {
  const visit_id = visit.visit_id;
  if (step === "consent") {
    const guardian = isMinor(patient) && form.guardian.name.trim()
      ? { ...form.guardian, name: form.guardian.name.trim(), relation: form.guardian.relation.trim() } : null;
    return [["teleconsultation", form.tele], ["data", form.data]].map(([purpose, given]) => ({
      mark: `consent-${purpose}`,
      body: {
        type: "record_consent", visit_id, purpose, given: given === true, method: form.method, language: "hi",
        statement_version: list("consent_statements").find((one) => one.purpose === purpose)?.version ?? "", guardian,
      },
    }));
  }
  if (step === "complaint") {
    return [{ mark: "complaint", body: {
      type: "record_complaints", visit_id, notes: notesWith(form.complaint_notes, form.complaints, form.guided ?? {}),
      complaints: form.complaints.map((one) => ({
        code: one.code, text: one.text.trim(), duration: Number(one.duration) || 0, duration_unit: one.duration ? one.unit : "", severity: 0 })),
    } }];
  }
  if (step === "history") {
    const answer = (/** @type {string} */ text) => (text === "yes" ? true : text === "no" ? false : null);
    return [{ mark: "history", body: {
      type: "record_history", visit_id,
      history: {
        conditions: form.conditions, medicines: form.medicines.trim(), notes: form.history_notes.trim(), pregnant: answer(form.pregnant),
        weeks_pregnant: form.pregnant === "yes" && form.weeks ? Number(form.weeks) : null,
        post_partum: form.pregnant === "yes" ? false : answer(form.post_partum), lmp_date: "" },
      allergies: {
        none_known: form.allergy === "none",
        items: form.allergy === "some" ? form.allergy_text.split(/[,\n;]/).map((one) => one.trim()).filter(Boolean) : [] },
    } }];
  }
  if (step === "signs") {
    const ids = asked(form, patient).map((sign) => sign.id ?? "");
    return [{ mark: "signs", body: {
      type: "answer_signs", visit_id, present: ids.filter((id) => form.signs[id]), absent: ids.filter((id) => !form.signs[id]) } }];
  }
  if (step === "vitals") {
    const readings = list("vitals").flatMap((vital) => {
      const id = vital.id ?? "";
      const value = vital.derived ? null : numberOf(id, form);
      const source = form.sources[id];
      if (source && source.value === value) return [{ ...source, confirmed: form.confirmed.includes(id) }];
      return value === null ? [] : [{
        vital: id, value, method: "manual", device: "", serial: "", quality: "", measured_ms: 0, confirmed: form.confirmed.includes(id), source: null }];
    });
    const not_done = form.not_done.filter((id) => item("vitals", id) && numberOf(id, form) === null);
    return [{ mark: "vitals", body: {
      type: "record_vitals", visit_id, vitals: { readings, avpu: form.avpu, oxygen: form.oxygen, not_done } } }];
  }
  return [];
}

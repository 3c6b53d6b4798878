// @ts-check
// Nouns of edge/model/records.py travel as arrays, in the order of their fields. Here they become
// objects and back. A reader accepts both forms, and fields that were appended later are ignored.

/** @param {readonly string[]} fields @param {Record<string, (value: any) => any>} [nested] */
function shape(fields, nested = {}) {
  return {
    /** @param {any} value @returns {any} */
    read(value) {
      if (value === null || value === undefined) return null;
      /** @type {Record<string, any>} */
      const out = {};
      fields.forEach((field, index) => {
        const raw = Array.isArray(value) ? value[index] : value[field];
        out[field] = nested[field] ? nested[field](raw) : raw;
      });
      return out;
    },
  };
}

/** @param {(value: any) => any} read */
const each = (read) => (/** @type {any} */ list) => (Array.isArray(list) ? list.map(read) : []);

export const Age = shape(["value", "unit"]);
export const Person = shape(
  ["name", "gender", "village", "age", "birth_date", "relative_name", "mobile", "mobile_owner", "abha_number",
    "abha_address", "language"],
  { age: Age.read },
);
export const Complaint = shape(["code", "text", "duration", "duration_unit", "severity"]);
export const History = shape(
  ["conditions", "medicines", "notes", "pregnant", "weeks_pregnant", "post_partum", "lmp_date"]);
export const Allergies = shape(["none_known", "items"]);
export const Reading = shape(
  ["vital", "value", "method", "device", "serial", "quality", "measured_ms", "confirmed"]);
export const Vitals = shape(["readings", "avpu", "oxygen", "not_done"], { readings: each(Reading.read) });
export const Triage = shape(["colour", "reasons", "missing", "news2", "rules_version"]);
export const Medicine = shape(
  ["drug_id", "generic", "form", "strength", "dose", "route", "frequency", "duration_days", "food", "quantity",
    "instructions", "list_letter", "approved"]);
export const Referral = shape(["to", "urgency", "reason"]);
export const Prescription = shape(
  ["prescription_id", "visit_id", "token", "signed_ms", "time_trusted", "site_name", "site_code", "worker_name",
    "doctor_id", "doctor_name", "qualification", "registration", "doctor_contact", "patient_name", "patient_age",
    "patient_sex", "patient_village", "weight_kg", "complaints", "findings", "diagnosis", "diagnosis_code",
    "provisional", "allergies", "medicines", "advice", "tests", "referral", "follow_up_date", "mode", "consult_type",
    "warn_signs_told", "demo"],
  { medicines: each(Medicine.read), referral: Referral.read },
);

/** @param {any} patient @returns {import("../api").Patient} */
export function readPatient(patient) {
  return { ...patient, person: Person.read(patient.person) };
}

/** @param {any} visit @returns {import("../api").Visit} */
export function readVisit(visit) {
  return {
    ...visit,
    complaints: each(Complaint.read)(visit.complaints),
    history: History.read(visit.history),
    allergies: Allergies.read(visit.allergies),
    vitals: (visit.vitals ?? []).map((/** @type {any} */ round) => ({ ...round, vitals: Vitals.read(round.vitals) })),
    triage: Triage.read(visit.triage) ?? { colour: "not_triaged", reasons: [], missing: [], news2: null },
  };
}

/** @param {import("../api").Person} p */
export function packPerson(p) {
  return [p.name, p.gender, p.village, p.age ? [p.age.value, p.age.unit] : null, p.birth_date ?? "",
    p.relative_name ?? "", p.mobile ?? "", p.mobile_owner ?? "", p.abha_number ?? "", p.abha_address ?? "",
    p.language ?? "hi"];
}
/** @param {import("../api").Complaint} c */
export const packComplaint = (c) => [c.code, c.text ?? "", c.duration ?? 0, c.duration_unit ?? "day", c.severity ?? 0];
/** @param {import("../api").History} h */
export const packHistory = (h) =>
  [h.conditions, h.medicines, h.notes, h.pregnant, h.weeks_pregnant, h.post_partum, h.lmp_date];
/** @param {import("../api").Allergies} a */
export const packAllergies = (a) => [a.none_known, a.items];
/** @param {import("../api").Vitals} v */
export const packVitals = (v) => [
  v.readings.map((r) => [r.vital, r.value, r.method, r.device, r.serial, r.quality, r.measured_ms, r.confirmed]),
  v.avpu, v.oxygen, v.not_done,
];
/** @param {{name: string, relation: string, id_seen: boolean}} g */
export const packGuardian = (g) => [g.name, g.relation, g.id_seen];

const STRENGTH = { not_triaged: 0, green: 1, yellow: 2, red: 3 };

/** What the queue goes by: the stronger of rules and staff. @param {import("../api").Visit} visit */
export function colourOf(visit) {
  const rules = visit.triage.colour;
  const staff = visit.staff_colour;
  return staff && STRENGTH[staff] > STRENGTH[rules] ? staff : rules;
}

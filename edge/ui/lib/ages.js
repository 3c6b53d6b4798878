// @ts-check
// Age in days and in words, as edge/model/age.py counts it: what decides which questions are asked.
import { isoDay, t } from "./l10n.js";

const DAY_MS = 86_400_000;
const UNIT_DAYS = { days: 1, weeks: 7, months: 30.4375, years: 365.25 };
export const MINOR_BELOW_DAYS = 6575;
export const ADULT_CHART_DAYS = 4383;

/** Days of age now, or null when it is not known. @param {import("../api").Patient} patient */
export function ageDays(patient) {
  const { birth_date, age } = patient.person;
  const today = Date.parse(isoDay());
  if (birth_date) {
    const full = birth_date.length === 4 ? `${birth_date}-07-01` : birth_date.length === 7 ? `${birth_date}-15` : birth_date;
    const days = Math.floor((today - Date.parse(full)) / DAY_MS);
    if (days >= 0) return days;
  }
  if (!age) return null;
  const since = Math.max(0, Math.floor((today - Date.parse(isoDay(patient.registered_ms))) / DAY_MS));
  return Math.ceil(age.value * UNIT_DAYS[age.unit]) + since;
}

/** Age as people say it. @param {import("../api").Patient} patient */
export function ageWords(patient) {
  const days = ageDays(patient);
  if (days === null) return t("age-unknown");
  const months = Math.floor(days / 30.4375);
  if (months < 2) return t("age-days", { n: days });
  if (months < 24) return t("age-months", { n: months });
  return t("age-years", { n: Math.floor(days / 365.25) });
}

/** An age as the server prints it ("34 years") in the page's language. @param {string} text */
export function ageText(text) {
  const found = /^(\d+) (day|month|year)s?$/.exec(text);
  return found ? t(`age-${found[2]}s`, { n: Number(found[1]) }) : text;
}

/** Whether pregnancy has to be asked: female, 10 to 55 years (triage.md §1.2). @param {import("../api").Patient} patient */
export function asksPregnancy(patient) {
  const days = ageDays(patient);
  return patient.person.gender === "female" && days !== null && days >= 3652 && days < 56 * 365.25;
}

/** @param {import("../api").Patient} patient */
export function isMinor(patient) {
  const days = ageDays(patient);
  return days !== null && days < MINOR_BELOW_DAYS;
}

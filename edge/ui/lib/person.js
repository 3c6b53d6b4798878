// @ts-check
// What a form about a person holds (forms.md §1), what is wrong with it, and the person that it says. Draws nothing.
import { isoDay, t } from "./l10n.js";

export const EMPTY = { name: "", gender: "", age: "", unit: "years", birth_date: "", relative: "", mobile: "", owner: "", village: "", abha: "", abha_again: "" };
/** @typedef {typeof EMPTY} PersonForm */

/** What is wrong with the form, by field; empty when nothing is. @param {PersonForm} form */
export function faults(form) {
  /** @type {Record<string, string>} */
  const found = {};
  if (!/\p{L}/u.test(form.name)) found.name = t("wrong-name");
  else if (/[<>\d]/.test(form.name)) found.name = t("wrong-name-letters");
  if (!form.gender) found.gender = t("wrong-gender");
  if (form.birth_date) {
    if (form.birth_date > isoDay() || form.birth_date < `${Number(isoDay().slice(0, 4)) - 120}`) found.birth_date = t("wrong-birth-date");
  } else if (form.age === "") found.age = t("wrong-age");
  else if (form.unit === "years" && Number(form.age) > 120) found.age = t("wrong-age-high");
  if (form.mobile && !/^([6-9]\d{9}|5550\d{6})$/.test(form.mobile)) found.mobile = t("wrong-mobile");
  if (!form.village.trim()) found.village = t("wrong-village");
  if (form.abha && form.abha.length !== 14) found.abha = t("wrong-abha");
  else if (form.abha !== form.abha_again) found.abha_again = t("wrong-abha-again");
  return found;
}

/** The person that a form says. @param {PersonForm} form @param {import("../api").Person|null} before whom it corrects */
export function personOf(form, before = null) {
  return {
    name: form.name.trim(), gender: form.gender, village: form.village.trim(),
    age: form.birth_date ? null : { value: Number(form.age), unit: /** @type {"years"} */ (form.unit) },
    birth_date: form.birth_date, relative_name: form.relative.trim(), mobile: form.mobile, mobile_owner: form.owner.trim(),
    abha_number: form.abha, abha_address: before?.abha_address ?? "", language: before?.language ?? "hi",
  };
}

/** The form of a person who is known. @param {import("../api").Person} person @returns {PersonForm} */
export function formOf(person) {
  const dated = person.birth_date.length === 10;
  return {
    ...EMPTY, name: person.name, gender: person.gender, village: person.village, age: dated || !person.age ? "" : String(person.age.value),
    unit: person.age?.unit ?? "years", birth_date: dated ? person.birth_date : "", relative: person.relative_name,
    mobile: person.mobile, owner: person.mobile_owner, abha: person.abha_number, abha_again: person.abha_number,
  };
}

/** What the people of one house share. @param {import("../api").Person} person */
export const sharedOf = (person) => ({ village: person.village, mobile: person.mobile, owner: person.mobile_owner });

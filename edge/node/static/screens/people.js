// @ts-check
// Small things that several screens say of a patient.
import { html } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { ageWords } from "/ui/lib/ages.js";

/** @typedef {import("/ui/api").Patient} Patient */

/** What tells people of one name apart. @param {{patient: Patient}} props */
export const PersonLine = ({ patient }) => html`<div class="soft">
  ${[ageWords(patient), t(`gender-${patient.person.gender}`), patient.person.village, patient.person.relative_name].filter(Boolean).join(" · ")}</div>`;

/** Everybody on one phone number, who was here last first. @param {string} mobile @returns {Promise<Patient[]>} */
export async function onNumber(mobile) {
  const found = await get(`/api/patients?q=${encodeURIComponent(mobile)}&limit=20`);
  return found.items.filter((/** @type {Patient} */ one) => one.person.mobile === mobile);
}

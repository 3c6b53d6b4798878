// @ts-check
// The fields of a person (forms.md §1), for a new patient and for a correction. Nothing else is asked.
import { digitsIn, mobileIn } from "/ui/lib/digits.js";
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Choice, TextField } from "/ui/lib/parts.js";

const OFFERED = 8;
/** Villages of the patients of this node, the most named first. */
export const villages = signal(/** @type {string[]} */ ([]));
export async function loadVillages() {
  villages.value = (await get("/api/villages")).items.map((/** @type {{name: string}} */ one) => one.name);
}

const digits = (/** @type {(text: string) => void} */ set) => (/** @type {string} */ text) => set(digitsIn(text));

/** @param {{form: import("/ui/lib/person.js").PersonForm, set: (field: string) => (value: string) => void, bad: Record<string, string>, focus?: boolean, children?: unknown}} props */
export function PersonFields({ form, set, bad, focus, children }) {
  useEffect(() => void loadVillages().catch(() => {}), []);
  const typed = form.village.trim().toLowerCase();
  const picks = villages.value.filter((one) => one !== form.village && one.toLowerCase().includes(typed)).slice(0, OFFERED);
  const units = form.unit === "weeks" ? ["years", "months", "weeks", "days"] : ["years", "months", "days"];
  return html`<div class="card form-grid">
    <div data-field="name" class="span-2"><${TextField} id="reg-name" test="reg-name" label=${t("name")} required value=${form.name} wrong=${bad.name}
      maxlength=${80} onValue=${set("name")} focus=${focus} /></div>
    <div data-field="gender"><${Choice} name="reg-gender" legend=${t("gender")} required value=${form.gender} onValue=${set("gender")} wrong=${bad.gender}
      options=${["female", "male", "other"].map((value) => ({ value, label: t(`gender-${value}`) }))} /></div>
    <div data-field="age" class="age-row"><${TextField} id="reg-age" test="reg-age" label=${t("age")} required=${!form.birth_date} inputmode="numeric" value=${form.age} wrong=${bad.age}
        maxlength=${3} onValue=${digits(set("age"))} placeholder=${t("age-hint")} />
      <${Choice} name="reg-age-unit" legend=${t("age-unit")} quiet value=${form.unit} onValue=${set("unit")}
        options=${units.map((value) => ({ value, label: t(`unit-${value}`) }))} /></div>
    <div data-field="village" class="span-2 stack tight"><${TextField} id="reg-village" test="reg-village" label=${t("village")} required value=${form.village} wrong=${bad.village}
      maxlength=${200} onValue=${set("village")} />
      ${picks.length > 0 ? html`<div class="choices" role="group" aria-label=${t("village-picks")}>
        ${picks.map((name) => html`<button type="button" key=${name} class="choice slim" data-test="village-pick" onClick=${() => set("village")(name)}>${name}</button>`)}</div>` : null}</div>
    <div data-field="mobile"><${TextField} id="reg-mobile" test="reg-mobile" label=${t("mobile")} type="tel" inputmode="numeric" maxlength=${18}
      value=${form.mobile} wrong=${bad.mobile} onValue=${(/** @type {string} */ text) => set("mobile")(mobileIn(text))} hint=${t("mobile-hint")} /></div>
    <div><${TextField} id="reg-owner" test="reg-owner" label=${t("mobile-owner")} value=${form.owner} maxlength=${80} onValue=${set("owner")} /></div>
    ${children}
    <div><${TextField} id="reg-relative" test="reg-relative" label=${t("relative-name")} value=${form.relative} maxlength=${200} onValue=${set("relative")} /></div>
    <div data-field="birth_date"><${TextField} id="reg-birth" test="reg-birth-date" label=${t("birth-date")} type="date" value=${form.birth_date}
      wrong=${bad.birth_date} onValue=${set("birth_date")} hint=${t("birth-date-hint")} /></div>
    <div data-field="abha"><${TextField} id="reg-abha" test="reg-abha" label=${t("abha")} inputmode="numeric" maxlength=${17} value=${form.abha} wrong=${bad.abha}
      onValue=${digits(set("abha"))} hint=${t("abha-hint")} /></div>
    ${form.abha ? html`<div data-field="abha_again"><${TextField} id="reg-abha-again" test="reg-abha-again" label=${t("abha-again")} inputmode="numeric" maxlength=${17}
      value=${form.abha_again} wrong=${bad.abha_again} onValue=${digits(set("abha_again"))} /></div>` : null}
  </div>`;
}

/** Bring the first field that is wrong into sight; whether there was one. @param {Record<string, string>} found */
export function showFirst(found) {
  const first = Object.keys(found)[0];
  if (first) document.querySelector(`[data-field="${first}"] input, [data-field="${first}"] button`)?.scrollIntoView({ block: "center" });
  return Boolean(first);
}

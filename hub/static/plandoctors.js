// @ts-check
// For whom each doctor is asked, and her own hours where she has some.
import { html, useSignal } from "/ui/lib/dom.js";
import { put } from "/ui/lib/http.js";
import { known, t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { weekday } from "/ui/lib/weekdays.js";
import { Act } from "./office.js";
import { Week, whole } from "./planhours.js";
import { Lines, save } from "./planlines.js";

/** @typedef {import("./planlines.js").Plan} Plan */
/** @typedef {import("./planlines.js").Sitter} Sitter */
/** @typedef {import("./planlines.js").Line} Line */
/** @typedef {{districts: string[], languages: string[], specialities: string[], hours: {weekday: number, start: string, end: string}[]}} Whole */

const SHOWN = 50;

/** What the hub leaves out is what everybody has. @param {import("./planlines.js").Profile} profile @returns {Whole} */
const full = ({ districts = [], languages = ["hi"], specialities = ["general"], hours = [] }) => ({ districts, languages, specialities, hours });
const named = (/** @type {string} */ text) => text.split(",").map((one) => one.trim()).filter(Boolean);
const speciality = (/** @type {string} */ one) => (known(`speciality-${one}`) ? t(`speciality-${one}`) : one);

/** @param {{plan: Plan, keep: (fresh?: any) => void}} props */
export function Sitters({ plan, keep }) {
  const words = useSignal("");
  const changing = useSignal("");
  const fitting = plan.doctors.filter((one) => `${one.name} ${one.person_id} ${full(one.profile).districts.join(" ")}`.toLowerCase().includes(words.value.trim().toLowerCase()));
  const who = plan.doctors.find((one) => one.person_id === changing.value);
  return html`<section class="card stack" aria-label=${t("plan-doctors")}><h2>${t("plan-doctors")}</h2>
    <${TextField} id="plan-q" test="plan-q" label=${t("plan-search")} maxlength=${60} value=${words.value} onValue=${(/** @type {string} */ text) => (words.value = text)} />
    ${fitting.length === 0 ? html`<p class="soft" role="status">${t("plan-doctors-none")}</p>` : html`<ul class="stack tight">${fitting.slice(0, SHOWN).map((one) => html`<${Line} key=${one.person_id} one=${one} onChange=${() => (changing.value = one.person_id)} />`)}</ul>`}
    ${fitting.length > SHOWN ? html`<p class="soft" role="status">${t("sites-more", { n: fitting.length - SHOWN })}</p>` : null}
    ${who ? html`<${Edit} key=${who.person_id} one=${who} plan=${plan} keep=${keep} onClose=${() => (changing.value = "")} />` : null}</section>`;
}

/** @param {{one: Sitter, onChange: () => void}} props */
function Line({ one, onChange }) {
  const profile = full(one.profile);
  const days = [...new Set(profile.hours.map((span) => span.weekday))].sort();
  const own = days.map((day) => `${weekday(day)} ${profile.hours.filter((span) => span.weekday === day).map((span) => `${span.start}–${span.end}`).join(", ")}`).join(" · ");
  return html`<li class="row between" data-test="plan-doctor" data-person=${one.person_id}><div class="grow"><strong>${one.name}</strong> <span class="soft">${one.person_id}</span>
      ${one.planned && !one.ready ? html` <span class="unapproved" data-test="plan-missing">${t("plan-missing")}</span>` : one.ready ? html` <span class="state online">${t("plan-is-ready")}</span>` : null}<br />
      <span class="small">${[profile.districts.join(", ") || t("plan-all-districts"), profile.languages.join(", "), profile.specialities.map(speciality).join(", "), own || t("plan-no-own")].join(" · ")}</span></div>
    <button type="button" data-test="plan-doctor-change" onClick=${onChange}>${t("plan-change")}</button></li>`;
}

/** @param {{one: Sitter, plan: Plan, keep: (fresh?: any) => void, onClose: () => void}} props */
function Edit({ one, plan, keep, onClose }) {
  const before = full(one.profile);
  const form = useSignal({ districts: before.districts.join(", "), languages: before.languages.join(", "), specialities: before.specialities.join(", ") });
  const hours = useSignal(before.hours);
  const after = { districts: named(form.value.districts), languages: named(form.value.languages), specialities: named(form.value.specialities), hours: hours.value };
  const field = (/** @type {"districts"|"languages"|"specialities"} */ name) => html`<${TextField} id=${`plan-${name}`} test=${`plan-${name}`} label=${t(`plan-${name}`)} hint=${t(`plan-${name}-hint`)} value=${form.value[name]} maxlength=${500}
    onValue=${(/** @type {string} */ text) => (form.value = { ...form.value, [name]: text })} />`;
  const lines = changes(one.name, before, after);
  const ready = lines.length > 0 && whole(hours.value) && after.languages.length > 0 && after.specialities.length > 0;
  return html`<${Act} title=${one.name} says=${t("plan-doctor-says")} go=${t("save")} ready=${ready} onClose=${onClose}
      act=${(/** @type {string} */ password) => save(keep, () => put(`/api/rota/people/${encodeURIComponent(one.person_id)}`, { password, number: plan.number, profile: after }))}>
    ${field("districts")}${field("languages")}${field("specialities")}
    <fieldset class="stack tight"><legend class="label">${t("plan-own-hours")}</legend><p class="hint">${t("plan-own-hours-hint")}</p><${Week} name="own" spans=${hours.value} onSpans=${(/** @type {any} */ spans) => (hours.value = spans)} /></fieldset>
    ${lines.length > 0 ? html`<section class="notice warn stack tight" aria-label=${t("plan-will")}><strong>${t("plan-will")}</strong><${Lines} lines=${lines} /></section>` : null}<//>`;
}

/** What becomes another, as the hub says it (hub/rota/changes.py). @param {string} name @param {Whole} before @param {Whole} after @returns {Line[]} */
function changes(name, before, after) {
  const line = (/** @type {string} */ kind, /** @type {string[]} */ old, /** @type {string[]} */ now, day = -1) => ({ kind, district: "", weekday: day, day: "", name, name_hi: "", before: [...old].sort(), after: [...now].sort() });
  const same = (/** @type {Line} */ one) => one.before.join("\n") === one.after.join("\n");
  const spans = (/** @type {Whole} */ of, /** @type {number} */ day) => of.hours.filter((one) => one.weekday === day).map((one) => `${one.start}-${one.end}`);
  return [
    line("districts", before.districts, after.districts),
    line("languages", before.languages, after.languages),
    line("specialities", before.specialities, after.specialities),
    ...[0, 1, 2, 3, 4, 5, 6].map((day) => line("person_hours", spans(before, day), spans(after, day), day)),
  ].filter((one) => !same(one));
}

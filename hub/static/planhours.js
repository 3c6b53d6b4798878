// @ts-check
// Hours and holidays as a draft: nothing counts until it is saved, and what will be otherwise is shown before that.
import { latin } from "/ui/lib/digits.js";
import { html, useSignal } from "/ui/lib/dom.js";
import { post, put } from "/ui/lib/http.js";
import { day, isoDay, language, t } from "/ui/lib/l10n.js";
import { Field, TextField, toast } from "/ui/lib/parts.js";
import { weekday } from "/ui/lib/weekdays.js";
import { Act, Select } from "./office.js";
import { Lines, save } from "./planlines.js";
import { errorText } from "./store.js";

/** @typedef {import("./planlines.js").Plan} Plan */
/** @typedef {import("./planlines.js").Times} Times */
/** @typedef {import("./planlines.js").Closed} Closed */
/** @typedef {{weekday: number, start: string, end: string}} Span */

/** What the hub takes for a time (hub/rota/hours.py). */
const CLOCK = /^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/;
const DAYS = [0, 1, 2, 3, 4, 5, 6];

/** Whether these hours can be saved. @param {Span[]} all */
export const whole = (all) => all.every((one) => CLOCK.test(one.start) && CLOCK.test(one.end) && one.start < one.end);

/** 930 is 09:30, as people type it. @param {string} text */
const clock = (text) => latin(text).replace(/[^0-9:]/g, "");

/** Hours of a week, a line a day. @param {{name: string, spans: Span[], onSpans: (spans: Span[]) => void}} props */
export function Week({ name, spans, onSpans }) {
  const change = (/** @type {Span} */ which, /** @type {Partial<Span>} */ part) => onSpans(spans.map((one) => (one === which ? { ...one, ...part } : one)));
  const field = (/** @type {Span} */ one, /** @type {"start"|"end"} */ end, /** @type {number} */ number) => {
    const wrong = !CLOCK.test(one[end]) || (end === "end" && one.start >= one.end);
    return html`<input class="clock num" inputmode="numeric" maxlength="5" data-test=${`${name}-${one.weekday}-${number}-${end}`} aria-label=${`${weekday(one.weekday)}: ${t(`plan-${end}`)}`}
      aria-invalid=${wrong ? "true" : undefined} value=${one[end]} onInput=${(/** @type {any} */ event) => change(one, { [end]: clock(event.currentTarget.value) })} />`;
  };
  return html`<ul class="week">${DAYS.map((number) => {
    const mine = spans.filter((one) => one.weekday === number);
    const last = mine[mine.length - 1];
    const add = () => onSpans([...spans, { weekday: number, start: last ? last.end : "09:00", end: last ? "" : "16:00" }]);
    return html`<li key=${number} class="row tight" data-test=${`${name}-${number}`}><strong class="weekday">${weekday(number)}</strong>
      ${mine.length === 0 ? html`<span class="soft">${t("plan-nobody")}</span>` : mine.map((one, at) => html`<span class="row tight" key=${at}>${field(one, "start", at)}<span aria-hidden="true">–</span>${field(one, "end", at)}
        <button type="button" class="quiet" data-test=${`${name}-${number}-${at}-drop`} aria-label=${`${weekday(number)} ${one.start}–${one.end}: ${t("remove")}`} onClick=${() => onSpans(spans.filter((other) => other !== one))}>${t("remove")}</button></span>`)}
      <button type="button" class="quiet" data-test=${`${name}-${number}-add`} aria-label=${`${weekday(number)}: ${t("plan-add-hours")}`} onClick=${add}>+ ${t("plan-add-hours")}</button></li>`;
  })}</ul>`;
}

/** @param {{plan: Plan, keep: (fresh?: any) => void}} props */
export function CalendarEdit({ plan, keep }) {
  const hours = useSignal(plan.hours);
  const holidays = useSignal(plan.holidays);
  const district = useSignal("");
  const meaning = useSignal(/** @type {any} */ (null));
  const here = hours.value.filter((one) => one.district === district.value);
  const rest = hours.value.filter((one) => one.district !== district.value);
  const set = (/** @type {Span[]} */ spans) => (hours.value = [...rest, ...spans.map((one) => ({ ...one, district: district.value }))]);
  const named = [...new Set([...plan.districts, ...hours.value.map((one) => one.district)])].filter(Boolean).sort();
  const changed = JSON.stringify([hours.value, holidays.value]) !== JSON.stringify([plan.hours, plan.holidays]);
  const calendar = { hours: hours.value, holidays: holidays.value };
  const look = async () => {
    try {
      meaning.value = await post("/api/rota/plan/meaning", calendar);
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const discard = () => {
    hours.value = plan.hours;
    holidays.value = plan.holidays;
  };
  const everywhere = () => hours.value.filter((one) => !one.district);
  const owns = district.value === "" || here.length > 0;
  return html`<section class="card stack" aria-label=${t("plan-hours")}><h2>${t("plan-hours")}</h2>
    <${Select} id="plan-district" label=${t("day-district")} value=${district.value} options=${[["", t("on-call-everywhere")], ...named.map((one) => [one, one])]} onValue=${(/** @type {string} */ value) => (district.value = value)} />
    ${owns ? html`<${Week} name="plan" spans=${here} onSpans=${set} />` : html`<p data-test="plan-follows">${t("plan-follows")}</p>`}
    ${district.value && !owns ? html`<div class="row"><button type="button" data-test="plan-own" onClick=${() => set(everywhere())}>${t("plan-own")}</button></div>` : null}
    ${district.value && owns ? html`<div class="row"><button type="button" data-test="plan-as-all" onClick=${() => set([])}>${t("plan-as-all")}</button></div>` : null}
    ${district.value ? null : html`<p class="soft small">${t("plan-default")}</p>`}
    <${Holidays} items=${holidays.value} districts=${named} onItems=${(/** @type {Closed[]} */ items) => (holidays.value = items)} />
    ${changed ? html`<p class="notice warn" role="status" data-test="plan-unsaved">${t(whole(hours.value) ? "plan-unsaved" : "plan-wrong")}</p>` : null}
    <div class="row"><button type="button" class="primary" data-test="plan-look" disabled=${!changed || !whole(hours.value)} onClick=${() => void look()}>${t("plan-look")}</button>
      <button type="button" data-test="plan-discard" disabled=${!changed} onClick=${discard}>${t("on-call-discard")}</button></div>
    ${meaning.value ? html`<${Act} title=${t("plan-look")} says=${meaning.value.lines.length ? t("plan-says") : t("plan-same")} go=${t("save")} ready=${meaning.value.lines.length > 0}
      act=${(/** @type {string} */ password) => save(keep, () => put("/api/rota/plan", { password, number: plan.number, calendar }))} onClose=${() => (meaning.value = null)}>
      <${Lines} lines=${meaning.value.lines} opens=${meaning.value.opens} /><//>` : null}</section>`;
}

/** @param {{items: Closed[], districts: string[], onItems: (items: Closed[]) => void}} props */
function Holidays({ items, districts, onItems }) {
  const form = useSignal({ day: "", name: "", name_hi: "", district: "" });
  const set = (/** @type {Partial<Closed>} */ part) => (form.value = { ...form.value, ...part });
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    const one = { ...form.value, name: form.value.name.trim(), name_hi: form.value.name_hi.trim() };
    onItems([...items.filter((other) => other.day !== one.day || other.district !== one.district), one]);
    form.value = { day: "", name: "", name_hi: "", district: "" };
  };
  const today = isoDay();
  const shown = [...items].sort((a, b) => a.day.localeCompare(b.day)).filter((one) => one.day >= today);
  const words = (/** @type {Closed} */ one) => [day(Date.parse(`${one.day}T12:00:00+05:30`)), (language.value === "hi" && one.name_hi) || one.name || one.name_hi, one.district || t("on-call-everywhere")].filter(Boolean).join(" · ");
  return html`<section class="stack tight" aria-label=${t("plan-holidays")}><h3>${t("plan-holidays")}</h3>
    ${shown.length === 0 ? html`<p class="soft">${t("plan-holidays-none")}</p>` : html`<ul class="stack tight">${shown.map((one) => html`<li key=${one.day + one.district} class="row between" data-test="plan-holiday"><span class="grow">${words(one)}</span>
      <button type="button" class="quiet" data-test="plan-holiday-drop" aria-label=${`${words(one)}: ${t("remove")}`} onClick=${() => onItems(items.filter((other) => other !== one))}>${t("remove")}</button></li>`)}</ul>`}
    <form class="row filters" onSubmit=${add}>
      <${Field} id="holiday-day" label=${t("plan-holiday-day")}><input id="holiday-day" type="date" data-test="holiday-day" min=${today} value=${form.value.day} onInput=${(/** @type {any} */ event) => set({ day: event.currentTarget.value })} /><//>
      <${TextField} id="holiday-name" test="holiday-name" label=${t("plan-holiday-name")} maxlength=${80} value=${form.value.name} onValue=${(/** @type {string} */ name) => set({ name })} />
      <${TextField} id="holiday-name-hi" test="holiday-name-hi" label=${t("plan-holiday-name-hi")} maxlength=${80} lang="hi" value=${form.value.name_hi} onValue=${(/** @type {string} */ name_hi) => set({ name_hi })} />
      <${Select} id="holiday-district" label=${t("day-district")} value=${form.value.district} options=${[["", t("on-call-everywhere")], ...districts.map((one) => [one, one])]} onValue=${(/** @type {string} */ district) => set({ district })} />
      <button data-test="holiday-add" disabled=${!/^\d{4}-\d\d-\d\d$/.test(form.value.day)}>${t("plan-holiday-add")}</button></form></section>`;
}

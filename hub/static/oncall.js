// @ts-check
// Whom centres ring when no doctor answers: a list for everywhere, and one for each district. What is changed is a draft until
// it is saved with the password, for a locked box shows these numbers to whoever stands before it.
import { phoneIn } from "/ui/lib/digits.js";
import { effect, html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, put } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Act, Loading, Select, useLoaded } from "./office.js";
import { doctor } from "./store.js";

/** @typedef {{name: string, phone: string}} Contact */
/** @typedef {{district: string, items: Contact[], changed_ms: number}} List */
/** @typedef {{items: List[], districts: string[]}} Found */

const MOST = 6;
/** What the hub takes for a number (hub/on_call.py). */
const PHONE = /^\+?[0-9][0-9 -]{1,17}$/;

/** Changed lists by district; kept while other pages are looked at. */
const drafts = signal(/** @type {Record<string, Contact[]>} */ ({}));
let owner = "";
effect(() => {
  const id = doctor.value?.doctor_id ?? owner;
  if (id !== owner) drafts.value = {}; // another person logged in at this page
  owner = id;
});
window.addEventListener("beforeunload", (event) => {
  if (Object.keys(drafts.value).length > 0) event.preventDefault();
});

/** @param {string} district @param {Contact[]|null} items null: as it is saved */
function keepDraft(district, items) {
  const { [district]: _, ...others } = drafts.value;
  drafts.value = items ? { ...others, [district]: items } : others;
}

const line = (/** @type {Contact} */ one) => `${one.name} ${one.phone}`;
const same = (/** @type {Contact[]} */ one, /** @type {Contact[]} */ other) => one.map(line).join("\n") === other.map(line).join("\n");
const place = (/** @type {string} */ district) => district || t("on-call-everywhere");

/** What a draft changes, in words. @param {Contact[]} before @param {Contact[]} after */
function changes(before, after) {
  const was = new Set(before.map(line));
  const is = new Set(after.map(line));
  const added = after.filter((one) => !was.has(line(one)));
  const gone = before.filter((one) => !is.has(line(one)));
  const moved = !same(before.filter((one) => is.has(line(one))), after.filter((one) => was.has(line(one))));
  return [...added.map((one) => t("on-call-new", one)), ...gone.map((one) => t("on-call-gone", one)), ...(moved ? [t("on-call-moved")] : [])].join(" · ");
}

export function OnCall() {
  const [found, keep] = useLoaded("/api/on-call");
  const district = useSignal("");
  useEffect(() => () => {
    if (doctor.value && Object.keys(drafts.value).length > 0) toast("warn", t("on-call-left"));
  }, []);
  if (!found) return html`<${Loading} />`;
  const known = new Set([...found.districts, ...found.items.map((/** @type {List} */ one) => one.district)].filter(Boolean));
  const list = found.items.find((/** @type {List} */ one) => one.district === district.value);
  const others = Object.keys(drafts.value).filter((one) => one !== district.value);
  return html`<div class="stack" data-test="on-call-page"><h1 id="record-title" tabindex="-1">${t("office-on-call")}</h1><p>${t("on-call-explain")}</p>
    <${Select} id="on-call-district" label=${t("day-district")} value=${district.value} options=${[["", t("on-call-everywhere")], ...[...known].sort().map((one) => [one, one])]} onValue=${(/** @type {string} */ value) => (district.value = value)} />
    ${others.length ? html`<p class="notice warn" role="status" data-test="on-call-others">${t("on-call-others", { places: others.map(place).join(", ") })}</p>` : null}
    <${Edit} key=${district.value} district=${district.value} list=${list} keep=${keep} /></div>`;
}

/** @param {{district: string, list: List|undefined, keep: (fresh?: Found) => void}} props */
function Edit({ district, list, keep }) {
  const name = useSignal("");
  const phone = useSignal("");
  const wrong = useSignal("");
  const asking = useSignal(false);
  const saved = list?.items ?? [];
  const items = drafts.value[district] ?? saved;
  const unsaved = changes(saved, items);
  const change = (/** @type {Contact[]} */ wanted) => keepDraft(district, same(saved, wanted) ? null : wanted);
  const typed = () => ({ name: name.value.trim(), phone: phone.value.trim() });
  /** Takes in what is typed; false when it cannot be. */
  const add = () => {
    const one = typed();
    wrong.value = !PHONE.test(one.phone) ? t("on-call-wrong") : items.some((other) => other.phone === one.phone) ? t("on-call-twice") : "";
    if (wrong.value) return false;
    change([...items, one]);
    name.value = phone.value = "";
    return true;
  };
  const move = (/** @type {number} */ at) => {
    const next = [...items];
    next.splice(at - 1, 0, ...next.splice(at, 1));
    change(next);
  };
  const half = name.value.trim() !== "" || phone.value.trim() !== "";
  const whole = name.value.trim() !== "" && phone.value.trim().length >= 2;
  const save = async (/** @type {string} */ password) => {
    try {
      keep(await put("/api/on-call", { password, district, items, seen_ms: list?.changed_ms ?? 0 }));
    } catch (error) {
      if (error instanceof ApiError && error.code === "on_call_outdated") keep(await get("/api/on-call"));
      throw error;
    }
    keepDraft(district, null);
    toast("good", t("on-call-told"));
  };
  const discard = () => {
    keepDraft(district, null);
    name.value = phone.value = wrong.value = "";
  };
  return html`<section class="card stack" aria-label=${place(district)}>
    ${items.length === 0 ? html`<p class="soft" role="status" data-test="on-call-empty">${t("on-call-empty")}</p>` : html`<ol class="stack tight">${items.map((one, number) => html`<li key=${one.phone} class="row between" data-test="on-call-line">
      <span class="grow">${one.name} · <span class="num">${one.phone}</span></span>
      <button type="button" class="quiet" disabled=${number === 0} aria-label=${t("on-call-up", { name: one.name })} onClick=${() => move(number)}>↑</button>
      <button type="button" class="quiet" data-test="on-call-drop" aria-label=${t("on-call-drop", { name: one.name })} onClick=${() => change(items.filter((_, at) => at !== number))}>${t("remove")}</button></li>`)}</ol>`}
    ${items.length >= MOST ? html`<p class="soft small">${t("on-call-full", { n: MOST })}</p>` : html`<form class="row filters" onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      add();
    }}>
      <${TextField} id="on-call-name" test="on-call-who" label=${t("on-call-who")} value=${name.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (name.value = text)} />
      <${TextField} id="on-call-phone" test="on-call-number" label=${t("on-call-number")} value=${phone.value} wrong=${wrong.value} inputmode="tel" maxlength=${18} onValue=${(/** @type {string} */ text) => (phone.value = phoneIn(text))} />
      <button data-test="on-call-add" disabled=${!whole}>${t("on-call-add")}</button></form>`}
    ${unsaved || half ? html`<div class="notice warn stack tight" role="status" data-test="on-call-unsaved"><strong>${t("on-call-unsaved")}</strong>
      <span>${[unsaved, half ? t("on-call-typed") : ""].filter(Boolean).join(" · ")}</span></div>` : null}
    <div class="row"><button type="button" class="primary" data-test="on-call-save" disabled=${!unsaved && !whole} onClick=${() => (asking.value = !whole || add())}>${t("on-call-save")}</button>
      <button type="button" data-test="on-call-discard" disabled=${!unsaved && !half} onClick=${discard}>${t("on-call-discard")}</button></div>
    ${asking.value ? html`<${Act} title=${t("on-call-title", { place: place(district) })} says=${t("on-call-says")} go=${t("on-call-save")} act=${save} onClose=${() => (asking.value = false)}>
      ${items.length === 0 ? html`<p><strong>${t("on-call-empty")}</strong></p>` : html`<ol class="stack tight" data-test="on-call-will">${items.map((one) => html`<li key=${one.phone}>${one.name} · <span class="num">${one.phone}</span></li>`)}</ol>`}<//>` : null}
    ${list ? html`<p class="small soft">${t("on-call-changed", { when: `${day(list.changed_ms)} ${clockTime(list.changed_ms)}` })}</p>` : null}</section>`;
}

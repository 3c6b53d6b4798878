// @ts-check
// Whom centres ring when no doctor answers: a list for everywhere, and one for each district.
import { html, useSignal } from "/ui/lib/dom.js";
import { put } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Loading, Select, useLoaded } from "./office.js";
import { errorText } from "./store.js";

/** @typedef {{name: string, phone: string}} Contact */
/** @typedef {{district: string, items: Contact[], changed_ms: number}} List */

const MOST = 6;

export function OnCall() {
  const [found, keep] = useLoaded("/api/on-call");
  const district = useSignal("");
  if (!found) return html`<${Loading} />`;
  const known = new Set([...found.districts, ...found.items.map((/** @type {List} */ one) => one.district)].filter(Boolean));
  const list = found.items.find((/** @type {List} */ one) => one.district === district.value);
  return html`<div class="stack" data-test="on-call-page"><h1 id="record-title" tabindex="-1">${t("office-on-call")}</h1><p>${t("on-call-explain")}</p>
    <${Select} id="on-call-district" label=${t("day-district")} value=${district.value} options=${[["", t("on-call-everywhere")], ...[...known].sort().map((one) => [one, one])]} onValue=${(/** @type {string} */ value) => (district.value = value)} />
    <${Edit} key=${`${district.value} ${list?.changed_ms ?? 0}`} district=${district.value} list=${list} keep=${keep} /></div>`;
}

/** @param {{district: string, list: List|undefined, keep: (fresh?: any) => void}} props */
function Edit({ district, list, keep }) {
  const items = useSignal(list?.items ?? []);
  const name = useSignal("");
  const phone = useSignal("");
  const wrong = useSignal("");
  const save = async (/** @type {Contact[]} */ wanted) => {
    wrong.value = "";
    try {
      keep(await put("/api/on-call", { district, items: wanted }));
      toast("good", t("on-call-told"));
    } catch (error) {
      wrong.value = errorText(error);
    }
  };
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    void save([...items.value, { name: name.value.trim(), phone: phone.value.trim() }]);
  };
  const move = (/** @type {number} */ at, /** @type {number} */ by) => {
    const next = [...items.value];
    const [one] = next.splice(at, 1);
    if (one) next.splice(at + by, 0, one);
    void save(next);
  };
  return html`<section class="card stack" aria-label=${district || t("on-call-everywhere")}>
    ${items.value.length === 0 ? html`<p class="soft" role="status" data-test="on-call-empty">${t("on-call-empty")}</p>` : html`<ol class="stack tight">${items.value.map((one, number) => html`<li key=${one.phone} class="row between" data-test="on-call-line">
      <span class="grow">${one.name} · <span class="num">${one.phone}</span></span>
      <button type="button" class="quiet" disabled=${number === 0} aria-label=${t("on-call-up", { name: one.name })} onClick=${() => move(number, -1)}>↑</button>
      <button type="button" class="quiet" aria-label=${t("on-call-drop", { name: one.name })} onClick=${() => void save(items.value.filter((_, at) => at !== number))}>${t("remove")}</button></li>`)}</ol>`}
    ${items.value.length >= MOST ? html`<p class="soft small">${t("on-call-full", { n: MOST })}</p>` : html`<form class="row filters" onSubmit=${add}>
      <${TextField} id="on-call-name" test="on-call-who" label=${t("on-call-who")} value=${name.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (name.value = text)} />
      <${TextField} id="on-call-phone" test="on-call-number" label=${t("on-call-number")} value=${phone.value} inputmode="tel" maxlength=${18} onValue=${(/** @type {string} */ text) => (phone.value = text.replace(/[^0-9+ -]/g, ""))} />
      <button class="primary" data-test="on-call-add" disabled=${!name.value.trim() || phone.value.trim().length < 2}>${t("on-call-add")}</button></form>`}
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    ${list ? html`<p class="small soft">${t("on-call-changed", { when: `${day(list.changed_ms)} ${clockTime(list.changed_ms)}` })}</p>` : null}</section>`;
}

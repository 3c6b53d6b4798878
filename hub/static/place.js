// @ts-check
// What people are told who look for a centre: villages, telephone, hours, and where it lies.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, put } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Dialog, TextField, toast } from "/ui/lib/parts.js";
import { weekday } from "/ui/lib/weekdays.js";
import { Loading } from "./office.js";
import { errorText } from "./store.js";

/** @param {{one: {node_id: string, site_name: string}, onClose: () => void}} props */
export function PlaceForm({ one, onClose }) {
  const form = useSignal(/** @type {Record<string, string>|null} */ (null));
  const wrong = useSignal("");
  const path = `/api/sites/${one.node_id}/place`;
  useEffect(() => {
    const show = (/** @type {any} */ found) => (form.value = { ...found, lat: String(found.lat ?? ""), lon: String(found.lon ?? "") });
    void get(path).then(show).catch((error) => (wrong.value = errorText(error)));
  }, [path]);
  const now = form.value;
  const number = (/** @type {string} */ text) => (text.trim() ? Number(text.replace(",", ".")) : null);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!now) return;
    try {
      await put(path, { ...now, villages: now.villages.trim(), lat: number(now.lat), lon: number(now.lon) });
      toast("good", t("site-place-kept"));
      onClose();
    } catch (error) {
      wrong.value = errorText(error);
    }
  };
  const field = (/** @type {string} */ name, /** @type {number} */ longest, mode = "text") => html`<${TextField} id=${`place-${name}`} test=${`place-${name}`} label=${t(`site-place-${name}`)} maxlength=${longest} inputmode=${mode}
    value=${now?.[name] ?? ""} onValue=${(/** @type {string} */ text) => (form.value = { ...now, [name]: text })} />`;
  const toggle = (/** @type {string} */ day) => (form.value = { ...now, days: [..."0123456"].filter((one) => (one === day) !== (now?.days ?? "").includes(one)).join("") });
  return html`<${Dialog} title=${`${t("site-place")}: ${one.site_name}`} test="place-dialog" onClose=${onClose}>${!now && !wrong.value ? html`<${Loading} />` : null}
    ${now ? html`<form class="stack" onSubmit=${save}><p>${t("site-place-says")}</p>
      ${field("villages", 2000)}${field("phone", 20, "tel")}
      <fieldset class="field"><legend class="label">${t("site-place-days")}</legend><div class="row tight">${[..."0123456"].map((day) => html`<label class="check" key=${day}><input type="checkbox" data-test=${`place-day-${day}`} checked=${now.days.includes(day)} onChange=${() => toggle(day)} />${weekday(Number(day))}</label>`)}</div></fieldset>
      ${field("opens", 5)}${field("closes", 5)}${field("lat", 12, "decimal")}${field("lon", 12, "decimal")}
      ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
      <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button><button class="primary" data-test="place-save">${t("save")}</button></div></form>`
    : wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}<//>`;
}

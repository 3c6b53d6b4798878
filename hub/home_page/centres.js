// @ts-check
// Finding a sub-centre: by the sound of its name or of a village, by district and block, and how far it is. Where this
// telephone is, is asked only when the button is pressed, and stays here: distances are reckoned in the browser.
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { errorText } from "/ui/lib/errors.js";
import { get } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { weekday } from "/ui/lib/weekdays.js";
import { API } from "./store.js";

const TYPED_MS = 300;
const SHOWN = 10;
const EARTH_KM = 6371;
const POSITION = { enableHighAccuracy: false, timeout: 20_000, maximumAge: 300_000 };

/** The way of a bird between two points of the earth. @param {{lat: number, lon: number}} a @param {{lat: number, lon: number}} b */
export function kilometres(a, b) {
  const rad = Math.PI / 180;
  const up = Math.sin(((b.lat - a.lat) * rad) / 2) ** 2;
  const along = Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.sin(((b.lon - a.lon) * rad) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(up + along)));
}

/** Days on end as a span, others one by one. @param {string} days */
function weekdays(days) {
  const names = [...days].map((one) => weekday(Number(one)));
  return days.length > 2 && "0123456".includes(days) ? t("home-days-span", { from: names[0], to: names[names.length - 1] }) : names.join(", ");
}

/**
 * The finder; with `onChoose` each centre can be taken as one's own.
 * @param {{chosen?: string, onChoose?: (centre: string) => void}} props
 */
export function Centres({ chosen = "", onChoose }) {
  const asked = useSignal({ q: "", district: "", block: "" });
  const here = useSignal(/** @type {{lat: number, lon: number}|null} */ (null));
  const found = useSignal(/** @type {import("./store.js").Centres|null} */ (null));
  const says = useSignal("");
  const limit = useSignal(SHOWN);
  const turn = useRef(0);
  const { q, district, block } = asked.value;
  const set = (/** @type {Partial<typeof asked.value>} */ part) => {
    asked.value = { ...asked.value, ...part };
    limit.value = SHOWN;
  };
  useEffect(() => {
    const mine = ++turn.current;
    const load = async () => {
      const query = new URLSearchParams(Object.entries({ q: q.trim(), district, block }).filter(([, value]) => value));
      if (here.value) query.set("placed", "true");
      try {
        const reply = await get(`${API}/centres?${query}`);
        if (mine === turn.current) {
          found.value = reply;
          says.value = "";
        }
      } catch (error) {
        if (mine === turn.current) says.value = errorText(error);
      }
    };
    const timer = setTimeout(() => void load(), found.value ? TYPED_MS : 0);
    return () => clearTimeout(timer);
  }, [q, district, block, here.value]);
  const locate = () => {
    if (here.value) {
      here.value = null;
      return;
    }
    says.value = t("home-where-asking");
    const got = (/** @type {GeolocationPosition} */ at) => (here.value = { lat: at.coords.latitude, lon: at.coords.longitude });
    const not = () => (says.value = t("home-where-not"));
    if ("geolocation" in navigator) navigator.geolocation.getCurrentPosition(got, not, POSITION);
    else not();
  };
  const now = found.value;
  const groups = now?.districts ?? [];
  /** @type {[import("./store.js").Centre, number|null][]} */
  const lines = (now?.items ?? []).map((one) => [one, far(here.value, one.place)]);
  if (here.value) lines.sort(([, a], [, b]) => (a ?? Infinity) - (b ?? Infinity));
  const pick = (/** @type {"district"|"block"} */ name, /** @type {import("./store.js").Group[]} */ all) => html`<div class="field"><label for=${`centre-${name}`}>${t(`home-${name}`)}</label>
    <select id=${`centre-${name}`} data-test=${`centre-${name}`} value=${asked.value[name]} onChange=${(/** @type {any} */ event) => set(name === "district" ? { district: event.currentTarget.value, block: "" } : { block: event.currentTarget.value })}>
      <option value="">${t("home-all")}</option>${all.map((one) => html`<option key=${one.name} value=${one.name} selected=${one.name === asked.value[name]}>${one.name} (${one.count})</option>`)}</select></div>`;
  return html`<section class="card stack tight" aria-label=${t("home-centres")} data-test="home-centres"><h2>${t("home-centres")}</h2>
    <p>${t("home-centres-why")}</p>
    ${now && groups.length === 0 && lines.length === 0 && !q ? html`<p class="soft">${t("home-centres-none")}</p>` : html`
      <${TextField} id="centre-q" test="centre-q" label=${t("home-centres-search")} hint=${t("home-centres-hint")} maxlength=${60} value=${q} onValue=${(/** @type {string} */ text) => set({ q: text })} />
      ${pick("district", groups)}${district && (now?.blocks.length ?? 0) > 0 ? pick("block", now?.blocks ?? []) : null}
      ${(now?.placed ?? 0) > 0 || here.value ? html`<button type="button" class="wide" data-test="centre-near" aria-pressed=${here.value ? "true" : "false"} onClick=${locate}>${t(here.value ? "home-where-off" : "home-where")}</button>
        <p class="hint">${t("home-where-why")}</p>` : null}
      <p role="status" data-test="centre-count">${says.value || (now ? (lines.length === 0 ? t("home-centres-nothing") : t("home-centres-count", { n: lines.length + now.more })) : "…")}</p>
      ${here.value && now && now.more > 0 ? html`<p class="notice warn">${t("home-where-many")}</p>` : null}
      <ul class="centres">${lines.slice(0, limit.value).map(([one, km]) => html`<${Line} key=${one.node_id} one=${one} km=${km} chosen=${one.node_id === chosen} onChoose=${onChoose} />`)}</ul>
      ${lines.length > limit.value ? html`<button type="button" class="wide" data-test="centre-more" onClick=${() => (limit.value += SHOWN)}>${t("home-centres-more")}</button>`
        : now && now.more > 0 ? html`<p class="soft">${t("home-centres-narrow")}</p>` : null}`}</section>`;
}

/** @param {{lat: number, lon: number}|null} here @param {import("./store.js").Place} place */
const far = (here, place) => (here && place.lat !== null && place.lon !== null ? kilometres(here, { lat: place.lat, lon: place.lon }) : null);

/** @param {{one: import("./store.js").Centre, km: number|null, chosen: boolean, onChoose?: (centre: string) => void}} props */
function Line({ one, km, chosen, onChoose }) {
  const { place } = one;
  const hours = place.days ? t("home-centre-hours", { days: weekdays(place.days), from: place.opens, to: place.closes }) : "";
  const distance = km === null ? "" : t("home-km", { km: km < 10 ? Math.round(km * 10) / 10 : Math.round(km) });
  return html`<li class="stack tight" data-test="centre"><h3>${one.name}</h3>
    <p>${[one.block, one.district].filter(Boolean).join(", ")}${distance ? html` · <strong data-test="centre-km">${distance}</strong>` : null}</p>
    ${place.villages ? html`<p><span class="soft">${t("home-villages")}</span> ${place.villages}</p>` : null}
    ${hours ? html`<p>${hours}</p>` : null}
    ${place.phone ? html`<a class="button wide" data-test="centre-phone" href=${`tel:${place.phone.replace(/[^+0-9]/g, "")}`}>${t("home-centre-ring", { phone: place.phone })}</a>` : null}
    ${onChoose ? html`<button type="button" class="wide" data-test="centre-choose" disabled=${chosen} onClick=${() => onChoose(one.node_id)}>${t(chosen ? "home-centre-is" : "home-centre-take")}</button>` : null}</li>`;
}

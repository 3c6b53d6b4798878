// @ts-check
// The rota at the doctor's page: ready or away, the patient one is asked for, and what nobody has taken.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post, put } from "/ui/lib/http.js";
import { clockTime, day, span, t } from "/ui/lib/l10n.js";
import { often } from "/ui/lib/often.js";
import { ColourBadge, toast } from "/ui/lib/parts.js";
import { specialityName } from "/ui/lib/speciality.js";
import { BreakGlass } from "./glass.js";
import { errorText, queue } from "./store.js";

/** @typedef {{ready: boolean, offer: string, until_ms: number, ready_count: number, open: boolean, opens_ms: number, now_ms: number, ends_ms: number, left: Left[], instead_of: string}} RotaState */
/** @typedef {{visit_id: string, token: string, colour: import("/ui/api").Colour, at_ms: number, to_name: string}} Left what went on without her */
/** @typedef {{visit_id: string, token: string, colour: import("/ui/api").Colour, site_name: string, district: string, node_online: boolean, waited_s: number, why: string, doctor_name: string}} Unclaimed */
/** @typedef {{taken: number, waiting: number, wait_median_s: number|null, wait_p90_s: number|null, told: number, error_median_s: number|null, held_share: number|null}} Figures */

export const rota = signal(/** @type {RotaState|null} */ (null));
/** Seconds that are left of the offer. */
const left = signal(0);
/** Whether her hours end soon: who says nothing is away then. */
const endsSoon = signal(false);
const SOON_MS = 15 * 60_000;
/** How far the hub's clock is before this one's, ms. */
let ahead = 0;
const coordination = signal(/** @type {{items: Unclaimed[], doctors: {doctor_id: string, name: string}[], day: Figures}|null} */ (null));

/** @param {RotaState} state */
function keep(state) {
  ahead = state.now_ms - Date.now();
  rota.value = state;
  count();
}

export const loadRota = often(async () => keep(await get("/api/rota")));
export const loadCoordination = often(async () => {
  coordination.value = await get("/api/coordination");
});

export function forgetRota() {
  rota.value = null;
  coordination.value = null;
}

function count() {
  const now = rota.value;
  endsSoon.value = Boolean(now?.ready && now.ends_ms && now.ends_ms - Date.now() - ahead < SOON_MS);
  left.value = now?.offer ? Math.max(0, Math.round((now.until_ms - Date.now() - ahead) / 1000)) : 0;
}
setInterval(count, 500);

async function setReady(/** @type {boolean} */ ready, stays = false) {
  try {
    keep(await put("/api/rota/ready", { ready, stays }));
  } catch (error) {
    toast("bad", errorText(error));
  }
}

export function ReadyButton() {
  const now = rota.value;
  if (!now) return null;
  const opens = now.opens_ms && !now.open ? t("rota-opens", { when: `${day(now.opens_ms)} ${clockTime(now.opens_ms)}` }) : "";
  return html`<button type="button" class=${now.ready ? "ready on" : "ready"} data-test="ready" aria-pressed=${String(now.ready)} title=${opens || t("rota-count", { n: now.ready_count })}
    onClick=${() => void setReady(!now.ready)}>${t(now.ready ? "rota-ready" : "rota-away")}</button>`;
}

/** The patient who is offered. @param {{onTaken: (visitId: string) => void}} props */
export function Offer({ onTaken }) {
  const busy = useSignal(false);
  const visitId = rota.value?.offer ?? "";
  if (!visitId) return null;
  const item = queue.value?.find((one) => one.visit.visit_id === visitId);
  const answer = (/** @type {"accept"|"decline"} */ what) => async () => {
    busy.value = true;
    try {
      const reply = await post(`/api/rota/${what}`, { visit_id: visitId });
      if (what === "accept") onTaken(visitId);
      else keep(reply);
    } catch (error) {
      toast(error instanceof ApiError && error.status === 409 ? "warn" : "bad", errorText(error));
    } finally {
      busy.value = false;
      void loadRota();
    }
  };
  return html`<section class="offer" role="alert" aria-label=${t("rota-offer")} data-test="offer" data-visit=${visitId}>
    <div class="grow"><strong>${t("rota-offer")}</strong>${" "}
      ${item ? html`<${ColourBadge} colour=${item.visit.colour} /> <strong class="num">${item.visit.token}</strong> ${item.patient_name} · ${item.site_name} · ${t("waits", { time: span(item.waited_s) })}` : null}
      <span class="small"> ${t("rota-left", { n: left.value })}</span>
      ${rota.value?.instead_of ? html`<div data-test="offer-instead">${t("speciality-instead", { name: specialityName(rota.value.instead_of) })}</div>` : null}</div>
    <button type="button" class="primary" data-test="offer-accept" disabled=${busy.value} onClick=${answer("accept")}>${t("rota-accept")}</button>
    <button type="button" class="quiet" data-test="offer-decline" disabled=${busy.value} onClick=${answer("decline")}>${t("rota-decline")}</button>
  </section>`;
}

/** The hours are about to end. */
export function EndsSoon() {
  const now = rota.value;
  if (!now || !endsSoon.value) return null;
  return html`<section class="offer" role="status" data-test="ends-soon">
    <div class="grow">${t("rota-ends", { when: clockTime(now.ends_ms) })}</div>
    <button type="button" data-test="stay" onClick=${() => void setReady(true, true)}>${t("rota-stay")}</button>
  </section>`;
}

/** Patients whom she had taken and who went on while her page was away. @param {{onOpen: (visitId: string) => void}} props */
export function LeftBehind({ onOpen }) {
  const know = async (/** @type {string} */ visitId) => {
    try {
      keep(await post("/api/rota/left", { visit_id: visitId }));
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  return (rota.value?.left ?? []).map((one) => html`<section key=${one.visit_id} class="offer" role="status" data-test="left" data-visit=${one.visit_id}>
    <div class="grow"><${ColourBadge} colour=${one.colour} /> <strong class="num">${one.token || "—"}</strong> ${clockTime(one.at_ms)} · ${one.to_name ? t("rota-left-to", { name: one.to_name }) : t("rota-left-queue")}</div>
    <button type="button" data-test="left-open" onClick=${() => onOpen(one.visit_id)}>${t("rota-left-open")}</button>
    <button type="button" class="quiet" data-test="left-know" onClick=${() => void know(one.visit_id)}>${t("rota-left-know")}</button>
  </section>`);
}

/** @param {number|null} seconds */
const minutes = (seconds) => (seconds === null ? "–" : span(seconds));

/** What nobody has taken, and to whom it can be given. */
export function Coordination() {
  useEffect(() => {
    const load = () => void loadCoordination().catch((error) => toast("bad", errorText(error)));
    load();
    const timer = setInterval(load, 10_000);
    return () => clearInterval(timer);
  }, []);
  const now = coordination.value;
  return html`<div class="stack" data-test="coordination"><h1 id="record-title" tabindex="-1">${t("coordination")}</h1>
    <p>${t("coordination-explain")}</p>
    ${now === null ? html`<p role="status">${t("loading")}</p>` : html`
      <p class="small soft" data-test="day-figures">${now.day.taken === 0 ? t("coordination-day-none") : t("coordination-day", { taken: now.day.taken, median: minutes(now.day.wait_median_s), most: minutes(now.day.wait_p90_s) })}
        ${now.day.told > 0 ? t("coordination-error", { error: minutes(now.day.error_median_s), share: Math.round(100 * (now.day.held_share ?? 0)) }) : ""}</p>
      ${now.items.length === 0 ? html`<p class="card soft" role="status" data-test="coordination-none">${t("coordination-none")}</p>` : null}
      <ol class="stack tight">${now.items.map((one) => html`<${Line} key=${one.visit_id} one=${one} doctors=${now.doctors} />`)}</ol>`}</div>`;
}

/** @param {{one: Unclaimed, doctors: {doctor_id: string, name: string}[]}} props */
function Line({ one, doctors }) {
  const to = useSignal("");
  const busy = useSignal(false);
  const give = async () => {
    busy.value = true;
    try {
      await post(`/api/visits/${one.visit_id}/hand-over`, { doctor_id: to.value });
      toast("good", t("coordination-given"));
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
      void loadCoordination();
    }
  };
  const id = `give-${one.visit_id}`;
  return html`<li class="card stack tight" data-test="unclaimed" data-visit=${one.visit_id} data-why=${one.why}>
    <div class="row tight between"><strong class="num">${one.token || "—"}</strong><${ColourBadge} colour=${one.colour} /></div>
    <span>${one.site_name} · ${one.district} · ${t(one.node_online ? "node-online" : "node-offline")}</span>
    <span class="soft">${t("waits", { time: span(one.waited_s) })} · ${t(`why-${one.why.replace("_", "-")}`, { name: one.doctor_name })}</span>
    ${doctors.length === 0 ? html`<span class="small soft">${t("coordination-no-doctor")}</span>` : html`<div class="row tight">
      <div class="field grow"><label for=${id} class="small">${t("coordination-give-to")}</label>
        <select id=${id} data-test="give-to" value=${to.value} onChange=${(/** @type {any} */ event) => (to.value = event.currentTarget.value)}>
          <option value="">${t("choose")}</option>${doctors.map((person) => html`<option key=${person.doctor_id} value=${person.doctor_id}>${person.name}</option>`)}</select></div>
      <button type="button" data-test="give" disabled=${!to.value || busy.value} onClick=${() => void give()}>${t("coordination-give")}</button></div>`}<${BreakGlass} visitId=${one.visit_id} /></li>`;
}

const figures = signal(/** @type {{waits: Figures, districts: {district: string, waits: Figures}[]}|null} */ (null));

/** Waits of the last 24 hours, in all and by district: nothing about a single patient. */
export function DayFigures() {
  useEffect(() => {
    get("/api/day").then((reply) => (figures.value = reply)).catch((error) => toast("bad", errorText(error)));
  }, []);
  const now = figures.value;
  /** @param {string} name @param {Figures} of */
  const row = (name, of) => html`<tr key=${name}><th scope="row">${name}</th><td class="num">${of.taken}</td><td class="num">${of.waiting}</td>
    <td class="num">${minutes(of.wait_median_s)}</td><td class="num">${minutes(of.wait_p90_s)}</td></tr>`;
  return html`<div class="stack" data-test="day"><h1>${t("day-figures")}</h1>
    ${now === null ? html`<p role="status">${t("loading")}</p>` : html`<div class="scroll"><table><thead><tr><th scope="col">${t("day-district")}</th><th scope="col">${t("day-taken")}</th>
      <th scope="col">${t("day-waiting")}</th><th scope="col">${t("day-median")}</th><th scope="col">${t("day-most")}</th></tr></thead>
      <tbody>${row(t("day-all"), now.waits)}${now.districts.map((one) => row(one.district, one.waits))}</tbody></table></div>`}</div>`;
}

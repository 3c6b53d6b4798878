// @ts-check
// Break-glass: opening one record with a reason when no doctor can be had, reading it under a banner, and who reviews that.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { clockTime, day, language, t } from "/ui/lib/l10n.js";
import { ColourBadge, TextField, toast } from "/ui/lib/parts.js";
import { ageText } from "/ui/lib/ages.js";
import { colourOf } from "/ui/lib/colour.js";
import { RecordFacts } from "/ui/lib/facts.js";
import { reasonWords } from "/ui/lib/reasons.js";
import { Act, brokenVisit, Loading, useLoaded } from "./office.js";
import { errorText, roles, treats } from "./store.js";

const REASON_MIN = 10;

/** Only for whoever coordinates and does not treat: the others open records anyway. @param {{visitId: string}} props */
export function BreakGlass({ visitId }) {
  const asking = useSignal(false);
  const reason = useSignal("");
  if (treats() || !roles.value.includes("coordinator")) return null;
  const open = async (/** @type {string} */ password) => {
    await post(`/api/visits/${visitId}/break-glass`, { reason: reason.value.trim(), password });
    brokenVisit.value = visitId;
  };
  return html`<div><button type="button" class="quiet" data-test="glass" onClick=${() => (asking.value = true)}>${t("glass-open")}</button>
    ${asking.value ? html`<${Act} title=${t("glass-open")} says=${t("glass-says")} go=${t("glass-go")} danger ready=${reason.value.trim().length >= REASON_MIN} act=${open} onClose=${() => (asking.value = false)}>
      <${TextField} id="glass-reason" test="glass-reason" label=${t("glass-reason")} hint=${t("glass-reason-hint")} value=${reason.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (reason.value = text)} /><//>` : null}</div>`;
}

/** The record behind broken glass, to read. */
export function BrokenRecord() {
  const found = useSignal(/** @type {any} */ (null));
  const left = useSignal(0);
  const visitId = brokenVisit.value;
  useEffect(() => {
    let ahead = 0;
    const close = () => (brokenVisit.value = "");
    get(`/api/visits/${visitId}/broken-glass`).then((reply) => {
      ahead = reply.now_ms - Date.now();
      found.value = reply;
      count();
    }).catch((error) => {
      toast("bad", errorText(error));
      close();
    });
    const count = () => {
      if (!found.value) return;
      left.value = Math.max(0, Math.ceil((found.value.until_ms - Date.now() - ahead) / 1000));
      if (left.value === 0) close();
    };
    const timer = setInterval(count, 1000);
    return () => clearInterval(timer);
  }, [visitId]);
  const now = found.value;
  useEffect(() => {
    if (now) document.getElementById("record-title")?.focus();
  }, [now !== null]);
  const clock = `${Math.floor(left.value / 60)}:${String(left.value % 60).padStart(2, "0")}`;
  return html`<div class="stack" data-test="broken-record"><div class="notice bad row between" role="alert" data-test="glass-banner"><strong class="grow">${t("glass-banner")} <span class="num">${clock}</span></strong>
      <button type="button" data-test="glass-close" onClick=${() => (brokenVisit.value = "")}>${t("glass-close")}</button></div>
    ${!now ? html`<${Loading} />` : html`<div class="row between"><div class="grow"><h1 id="record-title" tabindex="-1">${now.patient?.person.name ?? "—"}</h1>
        <p class="soft">${[ageText(now.patient_age), now.patient && t(`gender-${now.patient.person.gender}`), now.patient?.person.village, now.site_name, now.district].filter(Boolean).join(" · ")}</p></div><${ColourBadge} colour=${colourOf(now.visit)} /></div>
      <strong class="num token">${now.visit.token || "—"}</strong>
      ${now.visit.triage.reasons.length > 0 ? html`<div class="notice warn"><strong>${t("why")}</strong><ul class="dots">${now.visit.triage.reasons.map((/** @type {string} */ code) => html`<li key=${code}>${reasonWords(code)}</li>`)}</ul></div>` : null}
      ${now.patient ? html`<${RecordFacts} visit=${now.visit} patient=${now.patient} nameOf=${(/** @type {string} */ id) => {
        const worker = now.workers.find((/** @type {any} */ one) => one.staff_id === id);
        return worker ? (language.value === "hi" ? worker.name_hi : worker.name) : "";
      }} />` : null}<${BrokenPhotos} visit=${now.visit} />`}</div>`;
}

/** Photos of such a record: each is fetched only when it is asked for, as each look is written down. @param {{visit: any}} props */
function BrokenPhotos({ visit }) {
  const states = useSignal(/** @type {any[]} */ ([]));
  const asked = useSignal(/** @type {string[]} */ ([]));
  const at = `/api/visits/${visit.visit_id}/broken-glass/media`;
  const photos = visit.media.filter((/** @type {any} */ one) => !one.removed_ms && one.purpose === "original");
  useEffect(() => {
    if (photos.length > 0) void get(at).then((reply) => (states.value = reply.items)).catch((error) => toast("bad", errorText(error)));
  }, [at]);
  if (photos.length === 0) return null;
  return html`<section class="card stack tight" aria-label=${t("media-title")} data-test="glass-photos"><h2>${t("media-title")}</h2>${photos.map((/** @type {any} */ one) => {
    const state = states.value.find((other) => other.blob_id === one.blob_id);
    const time = clockTime(one.at_ms);
    return html`<div key=${one.blob_id} class="stack tight">${asked.value.includes(one.blob_id)
      ? html`<img data-test="glass-photo" src=${`${at}/${one.blob_id}`} alt=${t("photo-alt", { time })} class="glass-photo" />`
      : html`<button type="button" class="quiet" data-test="glass-photo-show" disabled=${!state?.shown_bytes} onClick=${() => (asked.value = [...asked.value, one.blob_id])}>${t("glass-photo-show", { time })}</button>`}
      ${state && state.state !== "whole" ? html`<p class="soft small">${t("media-preview-only", { n: state.parts_here, all: state.parts })}</p>` : null}</div>`;
  })}</section>`;
}

/** What was opened so, for whoever reviews it every week. */
export function GlassReview() {
  const [found, keep] = useLoaded("/api/glass");
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="glass-list"><h1 id="record-title" tabindex="-1">${t("office-glass")}</h1><p>${t("glass-explain")}</p>
    ${found.items.length === 0 ? html`<p class="card soft" role="status" data-test="glass-none">${t("glass-none")}</p>` : null}
    <ul class="stack tight">${found.items.map((/** @type {any} */ one) => html`<${Opening} key=${one.glass_id} one=${one} keep=${keep} />`)}</ul></div>`;
}

/** @param {{one: any, keep: (fresh?: any) => void}} props */
function Opening({ one, keep }) {
  const verdict = useSignal("");
  const busy = useSignal(false);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    try {
      keep(await post(`/api/glass/${one.glass_id}`, { verdict: verdict.value.trim() }));
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  return html`<li class="card stack tight" data-test="glass-line" data-reviewed=${String(one.reviewed_ms > 0)}>
    <div class="row between"><strong class="grow">${one.person_name}</strong><span class="num">${day(one.at_ms)} ${clockTime(one.at_ms)}</span></div>
    <p>${one.reason}</p><p class="small soft">${one.site_code} · <span class="num">${one.visit_id}</span> · ${t("glass-reads", { n: one.reads })}</p>
    ${one.reviewed_ms ? html`<p class="small">${t("glass-reviewed", { who: one.reviewed_by, day: day(one.reviewed_ms) })}: ${one.verdict}</p>` : html`<form class="row filters" onSubmit=${save}>
      <${TextField} id=${`verdict-${one.glass_id}`} test="glass-verdict" label=${t("glass-verdict")} value=${verdict.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (verdict.value = text)} />
      <button data-test="glass-save" disabled=${verdict.value.trim().length < 3 || busy.value}>${t("glass-save")}</button></form>`}</li>`;
}

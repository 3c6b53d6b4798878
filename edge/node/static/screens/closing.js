// @ts-check
// The end of the day: who was here, what is still waiting and why, and the register to print and to keep.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { clockTime, isoDay, t } from "/ui/lib/l10n.js";
import { ColourBadge, Dialog, TextField, toast } from "/ui/lib/parts.js";
import { ageText } from "/ui/lib/ages.js";
import { words } from "/ui/lib/reference.js";
import { errorText } from "../commands.js";
import { forgetDay, ownSlots } from "../dayslot.js";
import { go, nodeNow, status } from "../store.js";

/** @typedef {{serial: number, visit_id: string, token: string, in_ms: number, out_ms: number, name: string, age: string, sex: string, village: string, complaints: string[], colour: string, state: string}} Row */
/** @typedef {{visit_id: string, token: string, name: string, why: string, since_ms: number, items: string[]}} Unfinished */
/** @typedef {{day: string, time_trusted: boolean, rows: Row[], totals: {sex: string, bands: number[], unknown: number, all: number}[], unfinished: Unfinished[], link: import("/ui/api").Link}} Day */

const BANDS = ["< 5", "5–14", "15–29", "30–59", "≥ 60"];

/** Of practice nothing ever leaves: that it has not gone is no news. @param {Day} page @returns {Day} */
const seen = (page) => (status.value?.training ? { ...page, unfinished: page.unfinished.filter((one) => one.why !== "not_at_hub") } : page);

/** @param {{loggedOut: () => void}} props */
export function ClosingPage({ loggedOut }) {
  const day = useSignal(isoDay(nodeNow()));
  const page = useSignal(/** @type {Day|null} */ (null));
  useEffect(() => {
    page.value = null;
    if (day.value) void get(`/api/day?day=${day.value}`).then((found) => (page.value = seen(found))).catch((error) => toast("bad", errorText(error)));
  }, [day.value]);
  const now = page.value;
  const asking = useSignal(false);
  const busy = useSignal(false);
  const close = async () => {
    busy.value = true;
    try {
      await post("/api/day/close");
      await forgetDay().catch(() => {});
      loggedOut();
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
      asking.value = false;
    }
  };
  return html`<div class="stack page" data-test="closing-page">
    <div class="row between"><h1 class="grow">${t("closing-title")}</h1>
      <button type="button" class="quiet" data-test="month-open" onClick=${() => go("/month")}>${t("month-title")}</button>
      <div class="closing-day"><${TextField} id="closing-day" test="closing-day" type="date" label=${t("closing-day")} value=${day.value} onValue=${(/** @type {string} */ value) => (day.value = value)} /></div></div>
    ${now ? html`${now.time_trusted ? null : html`<p class="notice warn">${t("closing-unsure")}</p>`}
      <${Waiting} page=${now} /><${Counts} totals=${now.totals} /><${Rows} rows=${now.rows} />`
      : html`<p class="card" role="status">${t("loading")}</p>`}
    ${asking.value ? html`<${Dialog} title=${t("closing-close")} test="closing-dialog" onClose=${() => (asking.value = false)}>
      <p>${t("closing-close-hint")}</p>
      ${now && now.unfinished.length > 0 ? html`<p class="notice warn">${t("closing-close-waiting", { n: now.unfinished.length })}</p>` : null}
      <div class="row"><button type="button" class="grow" data-test="closing-not-yet" onClick=${() => (asking.value = false)}>${t("back")}</button>
        <button type="button" class="danger" data-test="closing-now" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${() => void close()}>${t("closing-now")}</button></div>
    <//>` : null}
    <${LostTablet} />
    <div class="foot row">
      <button type="button" data-test="closing-back" onClick=${() => go("/")}>${t("back")}</button>
      ${day.value === isoDay(nodeNow()) ? html`<button type="button" class="danger" data-test="closing-close" onClick=${() => (asking.value = true)}>${t("closing-close")}</button>` : null}
      <a class="button" data-test="closing-csv" href=${`/api/day/register.csv?day=${day.value}`} download>${t("closing-csv")}</a>
      <a class="button primary grow" data-test="closing-print" href=${`/api/day/register.pdf?day=${day.value}`} target="_blank" rel="noopener">${t("closing-print")}</a>
    </div>
  </div>`;
}

/** Another tablet was lost: all others are logged out and wiped, this one goes on. */
function LostTablet() {
  const asking = useSignal(false);
  const busy = useSignal(false);
  const forget = async () => {
    busy.value = true;
    try {
      const { sessions } = await post("/api/tablets/forget-others", { keep: await ownSlots(status.value?.node_id ?? "") });
      toast("good", t("lost-done", { n: sessions }));
      asking.value = false;
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  return html`<div><button type="button" class="quiet" data-test="lost-open" onClick=${() => (asking.value = true)}>${t("lost-open")}</button></div>
    ${asking.value ? html`<${Dialog} title=${t("lost-open")} test="lost-dialog" onClose=${() => (asking.value = false)}>
      <p>${t("lost-hint")}</p>
      <div class="row"><button type="button" class="grow" data-test="lost-back" onClick=${() => (asking.value = false)}>${t("back")}</button>
        <button type="button" class="danger" data-test="lost-now" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${() => void forget()}>${t("lost-now")}</button></div>
    <//>` : null}`;
}

/** @param {{page: Day}} props */
function Waiting({ page }) {
  const { unfinished, link } = page;
  if (unfinished.length === 0) return html`<p class="notice good" data-test="closing-nothing">${t("closing-nothing")}</p>`;
  return html`<section class="card stack tight" aria-label=${t("closing-waiting")} data-test="closing-waiting"><h2>${t("closing-waiting")}</h2>
    ${unfinished.some((one) => one.why === "not_at_hub") ? html`<p class="soft">${link.online ? t("closing-link-on") : t("closing-link-off")}</p>` : null}
    <ul class="stack tight">${unfinished.map((one) => html`<li key=${`${one.visit_id}${one.why}`}>
      <button type="button" class="patient-row" data-test="closing-item" data-why=${one.why} onClick=${() => go(`/visit/${one.visit_id}`)}>
        <span class="token num">${one.token || "—"}</span>
        <span class="person"><span class="lead">${one.name}</span>
          <span>${t(`why-${one.why.replaceAll("_", "-")}`)}${one.items.length > 0 ? `: ${one.items.map((item) => t(`item-${item.replace("_", "-")}`)).join(", ")}` : ""}</span></span>
        <span class="soft small">${one.since_ms ? t("closing-since", { time: clockTime(one.since_ms) }) : ""}</span>
      </button></li>`)}</ul></section>`;
}

/** @param {{totals: Day["totals"]}} props */
function Counts({ totals }) {
  return html`<div class="card"><h2>${t("closing-totals")}</h2><div class="scroll" tabindex="0" role="region" aria-label=${t("closing-totals")}><table class="num">
    <thead><tr><th scope="col">${t("gender")}</th>${BANDS.map((band) => html`<th scope="col" key=${band}>${band}</th>`)}<th scope="col">${t("age-unknown")}</th><th scope="col">${t("closing-all")}</th></tr></thead>
    <tbody>${totals.map((one) => html`<tr key=${one.sex}><th scope="row">${t(`gender-${one.sex}`)}</th>${one.bands.map((count, band) => html`<td key=${band}>${count}</td>`)}<td>${one.unknown}</td><td><strong>${one.all}</strong></td></tr>`)}</tbody>
  </table></div></div>`;
}

/** @param {{rows: Row[]}} props */
function Rows({ rows }) {
  if (rows.length === 0) return html`<p class="card soft empty" data-test="closing-empty">${t("closing-empty")}</p>`;
  return html`<div class="card"><h2>${t("closing-register")}</h2><div class="scroll" tabindex="0" role="region" aria-label=${t("closing-register")}><table data-test="closing-rows">
    <thead><tr>${["no", "token", "in-out", "name", "age", "village", "complaint", "triage", "state"].map((head) => html`<th scope="col" key=${head}>${t(`register-${head}`)}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.visit_id}><td class="num">${row.serial}</td><td class="num nobreak">${row.token || "—"}</td>
      <td class="num nobreak">${clockTime(row.in_ms)} – ${row.out_ms ? clockTime(row.out_ms) : ""}</td><td>${row.name}</td>
      <td>${[ageText(row.age), t(`gender-${row.sex}`)].filter(Boolean).join(", ")}</td><td>${row.village}</td>
      <td>${row.complaints.map((code) => words("complaints", code)).join(", ")}</td><td><${ColourBadge} colour=${row.colour} /></td>
      <td>${t(`state-${row.state.replace("_", "-")}`)}</td></tr>`)}</tbody></table></div></div>`;
}

// @ts-check
// Who is expected this week, who is late, and who was sent on and of whom nothing was heard.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { known, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { go } from "../store.js";

/** @typedef {{visit_id: string, patient_id: string, name: string, village: string, mobile: string, why: string, day: string, late_days: number, what: string}} Due */

export function DuePage() {
  const items = useSignal(/** @type {Due[]|null} */ (null));
  useEffect(() => {
    get("/api/due").then((reply) => (items.value = reply.items)).catch((error) => toast("bad", errorText(error)));
  }, []);
  const all = items.value;
  const coming = (all ?? []).filter((one) => one.why === "follow_up");
  const sent = (all ?? []).filter((one) => one.why === "sent_on");
  return html`<div class="stack page" data-test="due-page"><h1>${t("due-title")}</h1>
    ${all === null ? html`<p class="card" role="status">${t("loading")}</p>`
      : all.length === 0 ? html`<p class="card soft empty" data-test="due-empty">${t("due-empty")}</p>`
      : html`${coming.length > 0 ? html`<section class="stack tight" aria-label=${t("due-coming")}><h2>${t("due-coming")}</h2><ul class="stack tight">${coming.map((one) => html`<${Row} key=${one.visit_id} one=${one} />`)}</ul></section>` : null}
        ${sent.length > 0 ? html`<section class="stack tight" aria-label=${t("due-sent")}><h2>${t("due-sent")}</h2><ul class="stack tight">${sent.map((one) => html`<${Row} key=${one.visit_id} one=${one} />`)}</ul></section>` : null}`}
    <div class="foot row print-hide"><button type="button" data-test="due-back" onClick=${() => go("/")}>${t("back")}</button>
      <button type="button" class="grow" data-test="due-print" onClick=${() => window.print()}><${Icon} name="printer" /> ${t("due-print")}</button></div></div>`;
}

/** @param {{one: Due}} props */
function Row({ one }) {
  const sent = one.why === "sent_on";
  const when = sent ? t("due-sent-on", { date: date(one.day) })
    : one.late_days > 0 ? t("due-late", { n: one.late_days, date: date(one.day) }) : one.late_days === 0 ? t("due-today") : t("due-in", { n: -one.late_days, date: date(one.day) });
  const what = sent && known(`place-${one.what}`) ? t(`place-${one.what}`) : one.what;
  return html`<li class="card row between nowrap due" data-test="due-row" data-why=${one.why} data-late=${one.late_days}>
    <button type="button" class="quiet grow" onClick=${() => go(sent ? `/visit/${one.visit_id}` : `/patient/${one.patient_id}/for/${one.visit_id}`)}>
      <span class="person"><strong>${one.name}</strong><span class="soft">${[one.village, what].filter(Boolean).join(" · ")}</span>
      <span class=${one.late_days > 0 ? "late" : ""}>${when}</span></span></button>
    ${one.mobile ? html`<a class="button print-hide" href=${`tel:${one.mobile}`} aria-label=${`${t("due-ring", { name: one.name })}: ${one.mobile}`}>${one.mobile}</a>` : null}</li>`;
}

/** DD-MM of YYYY-MM-DD. @param {string} iso */
const date = (iso) => iso.split("-").reverse().slice(0, 2).join("-");

// @ts-check
// Who is expected this week, who is late, and who was sent on and of whom nothing was heard.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { known, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { go } from "../store.js";

/** @typedef {{visit_id: string, patient_id: string, name: string, village: string, mobile: string, why: string, day: string, late_days: number, what: string}} Due */

/** @typedef {{items: Due[], days: {day: string, people: number}[], today: string}} Reply */
/** Where no more than this are due, nobody has to choose a day. */
const FEW = 100;

export function DuePage() {
  const empty = useSignal(/** @type {Record<string, boolean>} */ ({}));
  const none = empty.value.follow_up && empty.value.sent_on;
  const heard = (/** @type {string} */ why) => (/** @type {boolean} */ is) => (empty.value = { ...empty.value, [why]: is });
  return html`<div class="stack page" data-test="due-page"><h1>${t("due-title")}</h1>
    ${none ? html`<p class="card soft empty" data-test="due-empty">${t("due-empty")}</p>` : null}
    <${People} why="follow_up" title=${t("due-coming")} heard=${heard("follow_up")} />
    <${People} why="sent_on" title=${t("due-sent")} heard=${heard("sent_on")} />
    <div class="foot row print-hide"><button type="button" data-test="due-back" onClick=${() => go("/")}>${t("back")}</button>
      <button type="button" class="grow" data-test="due-print" onClick=${() => window.print()}><${Icon} name="printer" /> ${t("due-print")}</button></div></div>`;
}

/** One part of the list: a hundred by day, the others by a touch. @param {{why: string, title: string, heard: (empty: boolean) => void}} props */
function People({ why, title, heard }) {
  const list = useSignal(/** @type {Reply|null} */ (null));
  const day = useSignal("");
  const busy = useSignal(false);
  /** @param {string} of the day, or "" for all @param {Due[]} before */
  const load = async (of, before) => {
    busy.value = true;
    try {
      const reply = await get(`/api/due?why=${why}&day=${of}&skip=${before.length}`);
      day.value = of;
      list.value = { ...reply, items: [...before, ...reply.items] };
      heard(reply.days.length === 0);
    } catch (error) {
      toast("bad", errorText(error));
    }
    busy.value = false;
  };
  useEffect(() => void load("", []), []);
  const now = list.value;
  if (!now) return html`<p class="card" role="status">${t("loading")}</p>`;
  const sum = now.days.reduce((all, one) => all + one.people, 0);
  if (sum === 0) return null;
  const most = day.value ? now.days.find((one) => one.day === day.value)?.people ?? 0 : sum;
  const shown = Math.min(most, now.items.length);
  const pick = (/** @type {string} */ of, /** @type {string} */ words) => html`<button type="button" key=${of} class="choice slim" role="radio"
    data-test=${`due-day-${of || "all"}`} aria-checked=${of === day.value ? "true" : "false"} onClick=${() => void load(of, [])}>${words}</button>`;
  return html`<section class="stack tight" aria-label=${title} data-test=${`due-${why}`}><h2>${title}</h2>
    ${sum > FEW ? html`<div class="choices print-hide" role="radiogroup" aria-label=${t("due-days")}>${pick("", t("due-all-days", { n: sum }))}
      ${now.days.map((one) => pick(one.day, one.day === now.today ? t("due-today-n", { n: one.people }) : `${date(one.day)} · ${one.people}`))}</div>` : null}
    ${shown < most ? html`<p class="soft" data-test="due-shown">${t("due-shown", { shown, n: most })}</p>` : null}
    <ul class="stack tight">${now.items.map((one) => html`<${Row} key=${one.visit_id} one=${one} />`)}</ul>
    ${shown < most ? html`<button type="button" class="wide print-hide" data-test="due-more" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}
      onClick=${() => void load(day.value, now.items)}>${t("due-more", { n: most - shown })}</button>` : null}
  </section>`;
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

// @ts-check
// What a change of the rota makes otherwise, in words; and saving one.
import { html } from "/ui/lib/dom.js";
import { ApiError } from "/ui/lib/http.js";
import { clockTime, day, language, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { weekday } from "/ui/lib/weekdays.js";

/** @typedef {{weekday: number, start: string, end: string, district: string}} Times */
/** @typedef {{day: string, name: string, name_hi: string, district: string}} Closed */
/** @typedef {{districts?: string[], languages?: string[], specialities?: string[], hours?: {weekday: number, start: string, end: string}[]}} Profile */
/** @typedef {{person_id: string, name: string, profile: Profile, planned: boolean, ready: boolean}} Sitter */
/** @typedef {{kind: string, district: string, weekday: number, day: string, name: string, name_hi: string, before: string[], after: string[]}} Line */
/** @typedef {{district: string, open_before: boolean, open_after: boolean, opens_ms: number}} Opens */
/** @typedef {{number: number, at_ms: number, by: string, persons: string[], calendar: boolean}} Changed */
/** @typedef {{hours: Times[], holidays: Closed[], doctors: Sitter[], districts: string[], number: number, history: Changed[], undo: Line[], now_ms: number}} Plan */

const place = (/** @type {string} */ district) => district || t("on-call-everywhere");
const spans = (/** @type {string[]} */ all) => all.map((one) => one.replace("-", "–")).join(", ") || t("plan-nobody");

/** One change in words. @param {Line} one */
function words(one) {
  const known = { place: place(one.district), day: one.weekday < 0 ? "" : weekday(one.weekday), name: one.name };
  const [before, after] = [one.before, one.after];
  if (one.kind === "follows") return t(after[0] === "own" ? "plan-line-own" : "plan-line-all", known);
  if (one.kind === "hours" || one.kind === "person_hours") {
    return t(one.kind === "hours" ? "plan-line-hours" : "plan-line-person-hours", { ...known, before: spans(before), after: spans(after) });
  }
  if (one.kind.startsWith("holiday")) {
    const name = (language.value === "hi" && one.name_hi) || one.name || one.name_hi;
    return t(one.kind === "holiday_added" ? "plan-line-holiday-added" : "plan-line-holiday-gone", { ...known, name, day: day(Date.parse(`${one.day}T12:00:00+05:30`)) });
  }
  const list = (/** @type {string[]} */ all) => all.join(", ") || t("plan-all");
  return t(`plan-line-${one.kind}`, { ...known, before: list(before), after: list(after) });
}

/** What will be otherwise. @param {{lines: Line[], opens?: Opens[]}} props */
export function Lines({ lines, opens = [] }) {
  const when = (/** @type {number} */ ms) => (ms ? `${day(ms)} ${clockTime(ms)}` : t("plan-never"));
  return html`<ul class="dots" data-test="plan-lines">${lines.map((one, number) => html`<li key=${number}>${words(one)}</li>`)}</ul>
    ${opens.map((one) => html`<p key=${one.district} class=${one.open_before && !one.open_after ? "notice bad" : "notice warn"} data-test="plan-opens">
      ${t(one.open_before && !one.open_after ? "plan-closes-now" : !one.open_before && one.open_after ? "plan-opens-now" : "plan-opens-next", { place: place(one.district), when: when(one.opens_ms) })}</p>`)}`;
}

/** Takes what the hub answers; what somebody else changed meanwhile is loaded. @param {(fresh?: any) => void} keep @param {() => Promise<any>} send */
export async function save(keep, send) {
  try {
    keep(await send());
    toast("good", t("plan-saved"));
  } catch (error) {
    if (error instanceof ApiError && error.code === "rota_outdated") keep();
    throw error;
  }
}
